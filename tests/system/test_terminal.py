"""What people see of long work: live bars on a terminal, plain lines anywhere else, or nothing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from typing import Any

import pytest

from sen_bench.system import QUIET, Status, SweepProgress, Terminal, WorkStatus
from sen_bench.system.terminal import PLAIN_EVERY

if sys.platform != "win32":
    import pty


def status(step: int, *, epoch: int = 1, **changes: Any) -> Status:
    given: dict[str, Any] = {
        "epoch": epoch,
        "epochs": 2,
        "step": step,
        "steps": 4,
        "loss": 0.25,
        "unit": "transitions",
        "speed": 1000.0,
        "seconds_left": 30.0,
        "collapsed": False,
        "restarts": 0,
    }
    return Status(**{**given, **changes})


class TestWords:
    def test_a_training(self) -> None:
        assert str(status(3)) == "epoch 1/2  step 3/4  loss 0.2500  1000 transitions/s  30 s left"
        assert str(status(3, restarts=2, collapsed=True)).endswith(
            "left  restart 2  COLLAPSED: all latents equal"
        )

    def test_how_much_of_a_training_is_done(self) -> None:
        assert (status(3, epoch=2).done, status(3, epoch=2).total) == (7, 8)

    def test_a_counted_piece_of_work(self) -> None:
        assert str(WorkStatus("evaluate sen", 3, 10, "episodes")) == "evaluate sen: 3/10 episodes"


class TestPlainLines:
    """Under pytest, stderr is no terminal."""

    def test_of_work_there_is_the_first_and_the_last(self, capsys: pytest.CaptureFixture[str]) -> None:
        with Terminal().work("evaluate sen", "episodes") as advance:
            for done in range(1, 11):
                advance(done, 10)
        shown = capsys.readouterr()
        assert shown.err.splitlines() == ["evaluate sen: 1/10 episodes", "evaluate sen: 10/10 episodes"]
        assert not shown.out

    def test_in_between_there_is_one_now_and_then(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = iter(range(1000, 2000, 4))
        monkeypatch.setattr(time, "monotonic", lambda: float(next(now)))
        with Terminal().work("w", "units") as advance:
            for done in range(1, 8):
                advance(done, 100)
        assert capsys.readouterr().err.splitlines() == ["w: 1/100 units", "w: 4/100 units", "w: 7/100 units"]
        assert PLAIN_EVERY == 10

    def test_a_training_says_its_name_and_the_end_of_every_epoch(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        shown = Terminal()
        with shown.training("3d-blocks/train/sen"):
            for epoch in (1, 2):
                for step in (2, 4):
                    shown.status(status(step, epoch=epoch))
        lines = capsys.readouterr().err.splitlines()
        assert [line.partition("  loss")[0] for line in lines] == [
            "3d-blocks/train/sen: epoch 1/2  step 2/4",
            "3d-blocks/train/sen: epoch 1/2  step 4/4",
            "3d-blocks/train/sen: epoch 2/2  step 4/4",
        ]

    def test_a_job_has_its_name_before_its_state(self, capsys: pytest.CaptureFixture[str]) -> None:
        with Terminal().job("data") as tell:
            tell(WorkStatus("generate 2d-shapes eval", 1, 2, "frames"))
            tell(WorkStatus("generate 2d-shapes eval", 2, 2, "frames"))
        assert capsys.readouterr().err == "data: generate 2d-shapes eval: 1/2 frames\n"

    def test_quiet_leaves_the_messages(self, capsys: pytest.CaptureFixture[str]) -> None:
        tell_everything(Terminal(quiet=True))
        assert capsys.readouterr().err == "COLLAPSED [sen]\n"

    def test_nobody_is_told_anything(self, capsys: pytest.CaptureFixture[str]) -> None:
        tell_everything(QUIET)
        assert capsys.readouterr() == ("", "")


def tell_everything(progress: SweepProgress) -> None:
    progress.message("COLLAPSED [sen]")
    with progress.work("evaluate sen", "episodes") as advance:
        advance(10, 10)
    with progress.training("a run"):
        progress.status(status(4))
    with progress.job("a job") as tell:
        tell(status(4))


def on_a_terminal(program: str) -> tuple[str, str]:
    """Runs a program whose stderr is a terminal: what it drew there, without escapes, and its stdout."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stderr=theirs,
        stdout=subprocess.PIPE,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
    )
    os.close(theirs)
    drawn = bytearray()
    try:
        while some := os.read(ours, 1 << 16):
            drawn += some
    except OSError:  # how Linux says that nobody has the other end any more
        pass
    finally:
        os.close(ours)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 0, drawn.decode()
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn.decode()), printed.decode()


LIVE = """
import time
from sen_bench.system import Status, Terminal, WorkStatus
from sen_bench.cli.console import print_result
shown = Terminal()
with shown.training("a run"):
    shown.status(Status(1, 2, 3, 4, 0.25, "transitions", 1000.0, 30.0, False, 0))
    shown.message("COLLAPSED [sen]")
    with shown.work("fetching x", "bytes") as advance:
        advance(1, 2)
        time.sleep(0.5)
    print_result(shown, "the result")
with shown.job("one") as one:
    with shown.job("two") as two:
        one(WorkStatus("generate", 1, 2, "frames"))
        two(Status(2, 2, 1, 4, 0.5, "transitions", 1000.0, 30.0, False, 1))
        time.sleep(0.5)
    with shown.job("three") as three:
        time.sleep(0.5)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no pty")
def test_on_a_terminal_all_that_is_under_way_is_drawn_and_results_go_to_stdout() -> None:
    drawn, printed = on_a_terminal(LIVE)
    assert printed == "the result\n"
    for text in (
        "training a run",
        "COLLAPSED [sen]",
        "epoch 1/2  step 3/4  loss 0.2500  1000 transitions/s  30 s left",
        "fetching x",
        "generate: 1/2 frames",
        "step 1/4  loss 0.5000  1000 transitions/s  30 s left  restart 1",
        "begins",
    ):
        assert text in drawn, text


def test_is_there_without_what_is_slow_to_load() -> None:
    program = (
        "import sys, sen_bench.system as s; s.Terminal, s.Progress; print({'rich', 'torch'} & {*sys.modules})"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout == "set()\n"

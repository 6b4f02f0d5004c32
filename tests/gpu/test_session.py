"""The script for a borrowed GPU keeps to its time, survives failures, and works from end to end on a CPU."""

from __future__ import annotations

import functools
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import click
import pandas as pd
import pytest
import torch

from sen_bench.cli.main import main as program
from sen_bench.tasks.registry import get_task
from sen_bench.training import steps as training_steps
from sen_bench.training.compilation import compiled_loss
from tests.gpu.__main__ import hold
from tests.gpu.archive import pack, unpack
from tests.gpu.plan import PAPER, TOY
from tests.gpu.session import GRACE, Session, StageError, run_within
from tests.gpu.step_times import FORMS, PLAIN, PRECISIONS, append, measure
from tests.gpu.step_times import main as step_times
from tests.paths import ROOT
from tests.support.presets import TINY

CPU = torch.device("cpu")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class TestSession:
    def test_stages_get_what_is_left_and_no_more(self, tmp_path: Path) -> None:
        clock = Clock()
        session = Session(tmp_path / "log", seconds=100, reserve=20, clock=clock)
        given: list[float] = []

        def work(seconds: float) -> None:
            given.append(seconds)
            clock.now += 30

        session.stage("first", work)
        session.stage("bounded", work, most=25)
        session.stage("long", work, least=21)  # 20 s are left
        session.stage("last", work)
        session.stage("never", work)
        assert given == [80, 25, 20]
        lines = (tmp_path / "log").read_text().splitlines()
        assert lines[4:5] == ["[  60.0 s] long: left out, 20 s are left"]
        assert lines[-1] == "[  90.0 s] never: left out, 0 s are left"

    def test_a_stage_that_fails_is_written_down_and_not_the_end(self, tmp_path: Path) -> None:
        session = Session(tmp_path / "log", seconds=100, reserve=0, clock=Clock())
        done: list[str] = []

        def fail(_seconds: float) -> None:
            raise ZeroDivisionError("a slip")

        def stop(_seconds: float) -> None:
            raise StageError("stopped after 5 s")

        session.stage("faulty", fail)
        session.stage("slow", stop)
        session.stage("next", lambda _seconds: done.append("next"))
        text = (tmp_path / "log").read_text()
        assert done == ["next"]
        assert "faulty: FAILED\nTraceback" in text
        assert "ZeroDivisionError: a slip" in text
        assert "slow: stopped after 5 s" in text


class TestPrograms:
    def test_output_and_exit_codes_are_kept(self, tmp_path: Path) -> None:
        log = tmp_path / "log"
        programs = [[sys.executable, "-c", f"print('number', {n}); raise SystemExit({n})"] for n in (0, 3)]
        with pytest.raises(StageError, match="exit code 3"):
            run_within(programs, 60, log=log, folder=tmp_path)
        assert sorted(log.read_text().splitlines()) == ["number 0", "number 3"]

    def test_what_takes_too_long_is_told_to_end(self, tmp_path: Path) -> None:
        script = (
            "import signal, sys, time\n"
            "signal.signal(signal.SIGTERM, lambda *_: (print('told'), sys.exit(143)))\n"
            "print('begun', flush=True)\n"
            "time.sleep(600)"
        )
        # No time at all: it is told at once, and ends before or after it has begun to listen.
        with pytest.raises(StageError, match="stopped after 10 s"):
            run_within([[sys.executable, "-c", script]], GRACE, log=tmp_path / "log", folder=tmp_path)


def _work(folder: Path, sizes: dict[str, int]) -> Path:
    for name, size in sizes.items():
        run = folder / "runs" / name
        run.mkdir(parents=True)
        (run / "checkpoint.pt").write_bytes(bytes([len(name)]) * size)
        (run / "profile.json.gz").write_bytes(b"not needed")
    (folder / "results").mkdir()
    (folder / "results/runs.csv").write_text("run_id,task\na/seed-1,a\n")
    return folder


def test_runs_that_go_on_are_packed_first_and_come_back(tmp_path: Path) -> None:
    work = _work(tmp_path / "work", {"a/seed-1": 60_000, "b/seed-1": 60_000, "c/seed-11": 20_000})
    out, again = tmp_path / "out", tmp_path / "again"
    out.mkdir()
    assert pack(work, out, parts=4, part_bytes=30_000) == ["runs/a/seed-1"]
    parts = sorted(out.iterdir())
    assert 2 < len(parts) <= 4
    assert all(part.stat().st_size <= 30_000 for part in parts)
    unpack(parts, again)
    assert sorted(str(path.relative_to(again)) for path in again.rglob("*") if path.is_file()) == [
        "results/runs.csv",
        "runs/b/seed-1/checkpoint.pt",
        "runs/c/seed-11/checkpoint.pt",
    ]
    for name in ("b/seed-1", "c/seed-11"):
        path = f"runs/{name}/checkpoint.pt"
        assert (again / path).read_bytes() == (work / path).read_bytes()


def test_what_is_planned_exists() -> None:
    assert {*PAPER.cheap, *PAPER.compiled} == {PLAIN, *FORMS}
    assert set(PAPER.precisions) == set(PRECISIONS)
    timed = [(task, "train", model) for task, models in PAPER.models for model in models]
    for task, split, model in (*PAPER.runs, *timed):
        assert split in get_task(task).splits
        assert model in get_task(task).models
    assert len(set(PAPER.runs)) == len(PAPER.runs)
    assert PAPER.seconds_of_tests + PAPER.seconds_of_times <= 12 * 60 / 2


def test_every_command_of_the_plan_is_one_that_its_program_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those for the GPU, of which the rehearsal has only some; nothing is run."""
    given: list[list[str]] = []
    monkeypatch.setattr("tests.gpu.__main__.run_within", lambda commands, *_, **__: given.extend(commands))
    hold(PAPER, tmp_path / "out", minutes=12, resume=None)
    log = (tmp_path / "out/session.log").read_text()
    assert log.count(": done") == 2 + 3 * (5 + 1 + 5) + len(PAPER.runs)
    assert "left out" not in log
    counts = dict.fromkeys(("tests.gpu.step_times", "sen_bench", "pytest"), 0)
    for _python, _m, name, *arguments in given:
        counts[name] += 1
        if name == "sen_bench":
            command = program.get_command(click.Context(program), arguments.pop(0))
            assert command is not None
            command.make_context("run", arguments)
        elif name != "pytest":
            step_times.make_context(name, arguments)
    assert counts == {"tests.gpu.step_times": 3 * (5 + 15 + 5), "sen_bench": len(PAPER.runs), "pytest": 2}


def test_compiled_forms_can_be_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_steps, "compiled_loss", functools.partial(compiled_loss, "eager"))
    (tmp_path / "tiny.toml").write_text(TINY)
    table = tmp_path / "steps.csv"
    preset = str(tmp_path / "tiny.toml")
    line = measure("3d-blocks", "none", "compiled graph", "float32", preset=preset, device=CPU, steps=1)
    append(table, line)
    append(table, line)
    times = pd.read_csv(table)
    assert (times["form"] == "compiled graph").sum() == 2
    assert times["error"].isna().all(), line.error
    assert (times["ms"] > 0).all()


@pytest.mark.slow
def test_it_is_rehearsed_from_end_to_end(tmp_path: Path) -> None:
    """In processes of its own, as on the borrowed machine; then the runs once more, going on from there."""
    first, second = tmp_path / "first", tmp_path / "second"
    command = [sys.executable, "-m", "tests.gpu", "--out", str(first), "--plan", "toy", "--minutes", "60"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    log = (first / "session.log").read_text()
    names = {path.name for path in first.iterdir()}
    assert names == {"session.log", "steps.csv", "runs.csv", "curves.csv", "work.tar.0"}, log
    assert "FAILED" not in log
    timed = [
        f"time 3d-blocks none in {how}" for how in ("bfloat16 (plain, eager, graph)", "tf32 (eager, graph)")
    ]
    for stage in ("tests", *timed, "train 3d-blocks train none"):
        assert f"s] {stage}: done" in log
    times = pd.read_csv(first / "steps.csv")
    assert set(times["form"]) == {"plain", "eager", "graph"}
    # A CPU has no tf32, and says so.
    assert times.loc[times["precision"] != "tf32", "ms"].gt(0).all()
    assert times.loc[times["precision"] == "tf32", "error"].str.contains("tf32 is arithmetic of GPUs").all()
    hold(replace(TOY, tests=(), models=()), second, minutes=60, resume=first)
    assert "already in" in (second / "session.log").read_text()
    assert (second / "runs.csv").read_bytes() == (first / "runs.csv").read_bytes()
    with pytest.raises(click.UsageError, match="is not empty"):
        hold(TOY, second, minutes=60, resume=None)

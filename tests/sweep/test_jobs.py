"""Runs side by side in processes of this machine: they are the runs alone, whatever is killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from click.testing import Result

from tests.support.commands import invoke
from tests.support.presets import TWO_TASKS
from tests.support.sweeps import OPTIONS, RUNS, tables
from tests.support.waiting import wait_until
from tests.support.warm import WarmCommand


def test_side_by_side_gives_the_rows_of_one_after_another(alone: Path, here: Path) -> None:
    first = invoke("run", "--all", *OPTIONS, "--jobs", "2")
    assert first.exit_code == 0, first.output
    for got, expected in zip(tables(here), tables(alone), strict=True):
        pd.testing.assert_frame_equal(got, expected)
    assert len(tables(here)[0]) == RUNS * 2
    log = (here / "runs/2d-shapes/train/sen/tiny/seed-0/run.log").read_text()
    assert "epoch 3/3: loss" in log
    again = invoke("run", "--all", *OPTIONS, "--jobs", "2")
    assert again.stdout == first.stdout
    assert again.stderr.count("already in results/runs.csv") == RUNS


@pytest.mark.usefixtures("warm_workers")
def test_runs_that_fail_do_not_stop_the_others(here: Path) -> None:
    """One has a bug, one has its process killed, one has a broken checkpoint, and one is sound."""
    faults = ",".join(
        ["sen", *(f"tests.support.faulty_models:{name}" for name in ("Raising", "Doomed", "Plain"))]
    )
    broken = here / "runs/2d-shapes/train/sen/tiny/seed-0/checkpoint.pt"
    broken.parent.mkdir(parents=True)
    broken.write_text("no checkpoint")
    options = ("--preset", "tiny.toml", "--models", faults, "--device", "cpu", "--quiet")
    result = invoke("run", "2d-shapes", *options, "--jobs", "2")
    assert result.exit_code == 1
    assert set(pd.read_csv(here / "results/runs.csv")["model"]) == {"tests.support.faulty_models:Plain"}
    report = result.stderr.partition("3 of 4 runs failed; the same command tries them again:\n")[2]
    lines = {line.split("/")[2]: line for line in report.splitlines()}
    assert "IndexError: fell off the edge" in lines["tests.support.faulty_models-Raising"]
    assert "ended by SIGKILL, perhaps for want of memory" in lines["tests.support.faulty_models-Doomed"]
    assert "checkpoint" in lines["sen"]
    assert all("run.log)" in line for line in lines.values())
    log = here / "runs/2d-shapes/train/tests.support.faulty_models-Raising/tiny/seed-0/run.log"
    assert "in embed" in log.read_text(), "the traceback is in the log"
    assert "Traceback" not in result.output


def test_one_after_another_too_a_run_that_fails_does_not_stop_the_others(here: Path) -> None:
    def do(models: str) -> Result:
        options = ("--preset", "tiny.toml", "--models", models, "--device", "cpu", "--quiet")
        return invoke("run", "2d-shapes", *options)

    raising, plain = "tests.support.faulty_models:Raising", "tests.support.faulty_models:Plain"
    # The second time it is the only one that is left, but not the only one that was asked for.
    for total in ("2 runs", "1 run"):
        result = do(f"{raising},{plain}")
        assert result.exit_code == 1
        assert f"1 of {total} failed" in result.stderr
        assert "IndexError: fell off the edge" in result.stderr
        assert set(pd.read_csv(here / "results/runs.csv")["model"]) == {plain}
        assert plain in result.stdout, "the leaderboard of what there is"
    log = here / "runs/2d-shapes/train/tests.support.faulty_models-Raising/tiny/seed-0/run.log"
    assert "in embed" in log.read_text(), "the traceback is in the log"
    with pytest.raises(IndexError, match="fell off the edge"):
        do(raising)


def _start(here: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """The command, as a leader of its own group of processes that heeds Ctrl-C."""
    heed = "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    program = f"{heed}; runpy.run_module('sen_bench', run_name='__main__', alter_sys=True)"
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        cwd=here,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def _processes(group: int) -> int:
    """How many processes of a group are alive."""
    done = subprocess.run(
        ["ps", "-o", "stat=", "-g", str(group)], capture_output=True, text=True, check=False
    )
    return sum(not line.startswith("Z") for line in done.stdout.splitlines())


@pytest.mark.slow
@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_or_sigterm_stops_all_jobs_and_keeps_checkpoints(
    signum: signal.Signals, code: int, here: Path
) -> None:
    """Ctrl-C reaches all processes of the terminal, SIGTERM the one it is sent to."""
    (here / "tiny.toml").write_text(TWO_TASKS.replace("epochs = 3", "epochs = 100000"))
    process = _start(here, "run", "--all", *OPTIONS, "--jobs", "2")
    deadline = time.monotonic() + 200
    while len(list(here.glob("runs/**/checkpoint.pt"))) < 2:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    if signum == signal.SIGINT:
        os.killpg(process.pid, signum)
    else:
        process.send_signal(signum)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == code
    last = stderr.decode().splitlines()[-1]
    assert last.endswith("without --force, to do only what is not finished"), "and nothing after it"
    assert b"Traceback" not in stderr
    logs = [path.read_text() for path in here.glob("runs/**/run.log")]
    assert sum(log.endswith(" interrupted\n") for log in logs) == 2
    # Python's tracker of semaphores ends a moment after those it tracks.
    deadline = time.monotonic() + 20
    while _processes(process.pid):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert not list(here.glob("runs/**/*.partial"))


def _lines(folder: Path) -> int:
    """How many lines all logs of a folder of runs have."""
    return sum(path.read_text().count("\n") for path in (folder / "runs").glob("*/*/*/*/*/run.log"))


def _killed(sweep: WarmCommand, folder: Path, lines: int, delay: float) -> bool:
    """Kills a sweep a little after there is data and its logs have so many lines; whether it still ran."""
    wait_until(lambda: sweep.ended() or ((folder / "data").exists() and _lines(folder) >= lines))
    time.sleep(delay)
    sweep.kill()
    return sweep.exit_code() == -signal.SIGKILL


@pytest.mark.slow
def test_killed_at_ten_moments_the_tables_are_those_of_an_undisturbed_sweep(alone: Path, here: Path) -> None:
    """All processes at once, by SIGKILL; rounds begin anew where a sweep ends before its tenth kill.

    The first comes as soon as there is data, the others once the logs have some more lines: moments of work,
    however fast the machine is, and a little later, as what is done between two lines must bear a kill too.
    """
    length = _lines(alone)
    chance = random.Random(0)  # noqa: S311 — moments, not secrets
    kills = rounds = 0
    while kills < 10:
        before = _lines(here)
        sweep = WarmCommand(here, "run", "--all", *OPTIONS, "--jobs", "2")
        moment = before + chance.randint(1, max(1, length - before)) if kills else 0
        if _killed(sweep, here, moment, chance.uniform(0, 0.2)):
            kills += 1
            continue
        assert sweep.exit_code() == 0, sweep.said.read_text()
        for got, expected in zip(tables(here), tables(alone), strict=True):
            pd.testing.assert_frame_equal(got, expected)
        rounds += 1  # two may end between two kills
        for name in ("runs", "results"):
            (here / name).rename(here / f"{name}-of-round-{rounds}")
    last = WarmCommand(here, "run", "--all", *OPTIONS, "--jobs", "2")
    assert last.exit_code() == 0, last.said.read_text()
    for got, expected in zip(tables(here), tables(alone), strict=True):
        pd.testing.assert_frame_equal(got, expected)

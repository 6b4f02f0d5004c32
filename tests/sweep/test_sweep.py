"""Sweeps: which runs they consist of, what is planned, and that runs side by side are the runs alone."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask
import distributed
import pandas as pd
import pytest
import torch
from click.testing import Result
from filelock import FileLock

from sen_bench.cli.plan_table import format_plan
from sen_bench.config.presets import load_preset
from sen_bench.errors import ConfigError, UnknownNameError
from sen_bench.results.folder import ResultsFolder
from sen_bench.runs.run import Run
from sen_bench.runs.workspace import Workspace
from sen_bench.sweep import Estimates, Selection, make_plan, select_runs, threads_per_job
from sen_bench.sweep.orders import DataOrder, Queue, RunOrder
from sen_bench.tasks.registry import get_task
from tests.support.commands import invoke
from tests.support.faulty_models import VARIABLE
from tests.support.presets import TWO_TASKS
from tests.support.recorder import Recorder
from tests.support.rows import DEFAULTS
from tests.support.threads import one_thread

RUNS = 8
"""Models × (two splits of 2D Shapes, two seeds of Rush Hour)."""
OPTIONS = ("--preset", "tiny.toml", "--models", "sen,none", "--device", "cpu", "--quiet")
CPU = torch.device("cpu")

Invoke = Callable[..., Result]


def _tables(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both tables, without wall times."""
    runs, means = (pd.read_csv(folder / f"results/{name}.csv") for name in ("runs", "leaderboard"))
    return _timeless(runs), _timeless(means)


def _timeless(table: pd.DataFrame) -> pd.DataFrame:
    return table.drop(columns=[name for name in table.columns if "seconds" in name])


@pytest.fixture(autouse=True)
def _preset(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test works in a folder with the preset tiny.toml, and its programs with one thread each."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (here / "tiny.toml").write_text(TWO_TASKS)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which all runs were done one after another, in one process with one thread."""
    folder = tmp_path_factory.mktemp("alone")
    (folder / "tiny.toml").write_text(TWO_TASKS)
    with pytest.MonkeyPatch.context() as patch, one_thread():
        patch.chdir(folder)
        result = invoke("run", "--all", *OPTIONS, "--workers", "1")
    assert result.exit_code == 0, result.output
    return folder


def _selection(**changes: Any) -> Selection:
    fields: dict[str, Any] = {
        "tasks": None,
        "models": (),
        "seeds": None,
        "train_split": None,
        "preset": load_preset("smoke"),
        "training": {},
        "workspace": Workspace(),
        "device": CPU,
        **changes,
    }
    return Selection(**fields)


class TestSelection:
    def test_all_is_every_task_split_and_model(self) -> None:
        runs = select_runs(_selection())
        got = {(run.config.task, run.config.train_split, run.config.model) for run in runs}
        grid, teapot = ("sen", "full", "none"), ("matmul", "tfn", "none")
        both = ("train", "train-limited")
        assert got == {
            *(
                (task, split, m)
                for task in ("2d-shapes", "3d-blocks", "reacher")
                for split in both
                for m in grid
            ),
            *(("rush-hour", "train", m) for m in grid),
            *((f"teapot-{size}", "train", m) for size in ("small", "large") for m in teapot),
        }
        assert len(runs) == len(got) == 27

    @pytest.mark.parametrize("elsewhere", [False, True])
    def test_runs_begun_anew_are_placed_anew(self, *, elsewhere: bool) -> None:
        one = {"tasks": ("2d-shapes",), "models": ("none",), "train_split": "train", "elsewhere": elsewhere}
        (run,) = select_runs(_selection(**one))
        run.folder.mkdir(parents=True)
        (run.folder / "config.json").write_text('{"training": {"shuffle_buffer": 130}}')
        (run.folder / "checkpoint.pt").touch()
        (begun,) = select_runs(_selection(**one))
        assert begun.config.training.shuffle_buffer == 130
        (anew,) = select_runs(_selection(**one, anew=True))
        assert anew.config.training.shuffle_buffer is None
        assert (anew.placement is None) == elsewhere, "elsewhere it is decided there"

    def test_seeds_are_the_presets_unless_they_are_given(self) -> None:
        cpu = load_preset("cpu")
        seeds = {
            task: sorted({run.seed for run in select_runs(_selection(tasks=(task,), preset=cpu))})
            for task in cpu.tasks
        }
        three = ("2d-shapes", "rush-hour", "teapot-small", "teapot-large")
        assert seeds == {task: [0, 1, 2] if task in three else [0] for task in cpu.tasks}
        given = select_runs(_selection(tasks=("2d-shapes",), preset=cpu, seeds=(7,)))
        assert {run.seed for run in given} == {7}

    def test_tasks_that_lack_a_model_or_split_are_passed_over(self) -> None:
        recorder = Recorder()
        runs = select_runs(_selection(models=("sen",), train_split="train-limited"), recorder)
        assert [run.config.task for run in runs] == ["2d-shapes", "3d-blocks", "reacher"]
        assert recorder.messages == [
            "rush-hour is skipped: it has no split train-limited",
            "teapot-small is skipped: it has no such model",
            "teapot-large is skipped: it has no such model",
        ]

    def test_a_name_that_no_task_has_is_a_mistake(self) -> None:
        with pytest.raises(UnknownNameError, match="unknown model 'nune'; did you mean 'none'"):
            select_runs(_selection(models=("nune",)))
        with pytest.raises(UnknownNameError, match="unknown split 'trian'; did you mean 'train'"):
            select_runs(_selection(train_split="trian"))
        with pytest.raises(UnknownNameError, match="unknown split 'eval'; known: train"):
            select_runs(_selection(train_split="eval"))
        with pytest.raises(ConfigError, match="nothing is left to run"):
            select_runs(_selection(models=("tfn",), train_split="train-limited"))

    def test_what_the_preset_leaves_out_is_left_out(self, here: Path) -> None:
        recorder = Recorder()
        runs = select_runs(_selection(preset=load_preset(str(here / "tiny.toml"))), recorder)
        assert {run.config.task for run in runs} == {"2d-shapes", "rush-hour"}
        assert "reacher is skipped: preset 'tiny' says nothing about it" in recorder.messages

    def test_a_section_of_no_task_is_said(self, here: Path) -> None:
        (here / "slip.toml").write_text('description = "x"\n[tasks.2d-shapes]\n[tasks.3d-block]\n')
        recorder = Recorder()
        select_runs(_selection(preset=load_preset(str(here / "slip.toml"))), recorder)
        assert (
            "3d-block is skipped: preset 'slip' has sizes for it, but there is no such task"
            in recorder.messages
        )

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("run",), "name a task, or give --all or --tasks"),
            (("run", "2d-shapes", "--all"), "give either 2d-shapes or --all or --tasks, not both"),
            (("run", "--tasks", "2d-shaped"), "did you mean '2d-shapes'?"),
            (("run", "--all", "--cluster-options", "x.toml"), "--cluster-options needs --cluster slurm"),
            (("run", "--all", "--cluster", "tcp://x:1"), "say --device cpu or cuda, not auto"),
            (("run", "--all", "--cluster", "tcp://x:1", "--jobs", "2"), "--jobs is for this machine"),
        ],
    )
    def test_mistakes_end_in_one_line(self, arguments: tuple[str, ...], message: str) -> None:
        result = invoke(*arguments)
        assert result.exit_code == 2
        assert result.stderr.startswith("error: ")
        assert message in result.stderr


def _row(run: Run, **changes: Any) -> dict[str, Any]:
    config = run.config
    names = {"task": config.task, "model": config.model, "train_split": config.train_split}
    return {**DEFAULTS, **names, "run_id": run.name, "preset": run.preset.name, "device": "cpu", **changes}


class TestPlan:
    def test_an_estimate_is_the_seconds_of_a_transition_and_of_an_episode(self) -> None:
        sen, full, none = select_runs(_selection(tasks=("rush-hour",)))
        (other,) = select_runs(_selection(tasks=("teapot-large",), models=("none",)))
        rows = pd.DataFrame(
            [
                _row(sen, transitions_seen=100, train_seconds=3.0, eval_episodes=10, eval_seconds=1.0),
                _row(none, transitions_seen=100, train_seconds=1.0, eval_episodes=10, eval_seconds=2.0),
                _row(none, device="GPU", transitions_seen=1, train_seconds=1.0, eval_seconds=0.0),
            ]
        )
        rows.loc[2, "run_id"] = "another"
        estimates = Estimates(rows)
        # 100 episodes of 50 steps, 4 epochs; 500 episodes to score.
        assert estimates.seconds(sen, "cpu") == pytest.approx(20_000 * 0.03 + 500 * 0.1)
        assert estimates.seconds(none, "cpu") == pytest.approx(20_000 * 0.01 + 500 * 0.2)
        # Of the third model, the mean of the others.
        assert estimates.seconds(full, "cpu") == pytest.approx(20_000 * 0.02 + 500 * 0.15), (
            "the mean of its kin"
        )
        assert estimates.seconds(full, "GPU") == pytest.approx(20_000 * 1.0)
        assert estimates.seconds(other) is None

    def test_an_earlier_run_of_other_settings_does_not_hide_a_later_one_of_the_same_name(self) -> None:
        (run,) = select_runs(_selection(tasks=("rush-hour",), models=("sen",)))
        cost = {"transitions_seen": 100, "train_seconds": 1.0, "eval_episodes": 10, "eval_seconds": 0.0}
        later = [_row(run, device="GPU", config_digest="sha256:b", horizon=h, **cost) for h in (1, 10)]
        estimates = Estimates(pd.DataFrame([_row(run, device="cpu", **cost), *later]))
        assert estimates.seconds(run, "GPU") == pytest.approx(20_000 * 0.01)
        assert estimates.seconds(run, "cpu") == pytest.approx(20_000 * 0.01)

    def test_the_longest_come_first_and_jobs_share_the_time(
        self, here: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        runs = select_runs(
            _selection(tasks=("rush-hour",), workspace=Workspace(here, here, ResultsFolder(here)))
        )
        seconds = dict(zip((run.name for run in runs), (5.0, 9.0, 6.0), strict=True))
        monkeypatch.setattr(Estimates, "seconds", lambda _self, run, *_: seconds[run.name], raising=True)
        plan = make_plan(runs, jobs=2, force=False, device="cpu")
        assert [seconds[run.name] for run in plan.to_do] == [9.0, 6.0, 5.0]
        assert plan.seconds == 11.0
        assert make_plan(runs, jobs=1, force=False, device="cpu").seconds == 20.0
        on_a_cluster = make_plan(runs, jobs=None, force=False, device="cpu")
        assert [seconds[run.name] for run in on_a_cluster.to_do] == [9.0, 6.0, 5.0]
        assert "time: about 20 s, by one worker" in format_plan(on_a_cluster, on="tcp://x:1")
        assert [path.name for path in plan.missing_data] == ["train.zarr", "eval.zarr"]

    def test_what_is_known_of_this_device_orders_before_what_is_known_of_others(self) -> None:
        runs = select_runs(_selection(tasks=("rush-hour",)))
        sen, full, none = runs
        rows = [
            _row(sen, device="GPU", transitions_seen=1000, train_seconds=1.0),
            _row(sen, run_id="another", transitions_seen=1000, train_seconds=900.0),
            _row(full, device="GPU", transitions_seen=1000, train_seconds=3.0),
            _row(none, device="GPU", transitions_seen=1000, train_seconds=2.0),
        ]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Estimates, "for_runs", lambda _runs: Estimates(pd.DataFrame(rows)))
            plan = make_plan(runs, jobs=2, force=False, device="GPU")
        assert plan.to_do == [full, none, sen]

    def test_a_dry_run_says_what_is_done_and_touches_nothing(self, alone: Path, here: Path) -> None:
        output = invoke("run", "--all", *OPTIONS, "--dry-run").stdout
        assert f"{RUNS} runs: 0 done, {RUNS} to run on cpu" in output
        assert "datasets to generate: 5" in output
        assert "time: unknown, as the tables have no run of this preset on cpu" in output
        assert [path.name for path in here.iterdir()] == ["tiny.toml"]
        folders = [f"--{name}={alone / name}" for name in ("data", "runs", "results")]
        output = invoke("run", "--all", *OPTIONS, *folders, "--seeds", "0-2", "--dry-run").stdout
        # Three seeds of six rows; of 2D Shapes one is done, of Rush Hour two.
        assert "18 runs: 8 done, 10 to run on cpu" in output
        assert "time: about" in output
        assert "(an estimate from earlier runs of this preset, however many shared" in output

    def test_threads_are_divided(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        assert [threads_per_job(jobs, 16) for jobs in (1, 3, 12, 40)] == [16, 5, 1, 1]
        monkeypatch.setenv("OMP_NUM_THREADS", "4")
        assert threads_per_job(12, 16) == 4


class TestQueue:
    def test_data_comes_before_what_needs_it_and_nothing_twice(self) -> None:
        runs = select_runs(_selection(tasks=("2d-shapes", "rush-hour"), models=("sen", "none")))
        queue = Queue(runs, workers=8, jobs=3, tensorboard=False, again=False)
        made, asked, done = set(), [], []
        waiting: list[DataOrder] = []
        while (order := queue.next()) or waiting:
            if order is None:
                path = waiting.pop(0).path
                made.add(path)
                queue.made(path)
            elif isinstance(order, DataOrder):
                asked.append(order.path)
                waiting.append(order)
                assert order.workers == 3, "a third of eight, rounded up"
            else:
                assert isinstance(order, RunOrder)
                assert made.issuperset(map(order.run.data.path, order.run.splits))
                done.append(order.run)
        assert sorted(run.name for run in done) == sorted(run.name for run in runs)
        assert len(asked) == len(set(asked)) == 5

    def test_what_needs_data_that_cannot_be_made_is_given_up(self) -> None:
        runs = select_runs(_selection(tasks=("2d-shapes",), models=("sen",)))
        queue = Queue(runs, workers=1, jobs=1, tensorboard=False, again=False)
        first = queue.next()
        assert isinstance(first, DataOrder)
        assert first.path.name == "train.zarr"
        assert [run.config.train_split for run in queue.unmade(first.path)] == ["train"]
        rest = [queue.next(), queue.next(), queue.next()]
        assert [order.path.name for order in rest if isinstance(order, DataOrder)] == [
            "train-limited.zarr",
            "eval.zarr",
        ]
        assert rest[2] is None


def test_side_by_side_gives_the_rows_of_one_after_another(alone: Path, here: Path) -> None:
    first = invoke("run", "--all", *OPTIONS, "--jobs", "2")
    assert first.exit_code == 0, first.output
    for got, expected in zip(_tables(here), _tables(alone), strict=True):
        pd.testing.assert_frame_equal(got, expected)
    assert len(_tables(here)[0]) == RUNS * 2
    log = (here / "runs/2d-shapes/train/sen/tiny/seed-0/run.log").read_text()
    assert "epoch 3/3: loss" in log
    again = invoke("run", "--all", *OPTIONS, "--jobs", "2")
    assert again.stdout == first.stdout
    assert again.stderr.count("already in results/runs.csv") == RUNS


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
    for total in (2, 1):
        result = do(f"{raising},{plain}")
        assert result.exit_code == 1
        assert f"1 of {total} runs failed" in result.stderr
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
    assert last.endswith("without any --force, does only what is not finished yet"), "and nothing after it"
    assert b"Traceback" not in stderr
    logs = [path.read_text() for path in here.glob("runs/**/run.log")]
    assert sum(log.endswith(" interrupted\n") for log in logs) == 2
    # Python's tracker of semaphores ends a moment after those it tracks.
    deadline = time.monotonic() + 20
    while _processes(process.pid):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert not list(here.glob("runs/**/*.partial"))


@pytest.mark.slow
def test_killed_at_ten_moments_the_tables_are_those_of_an_undisturbed_sweep(alone: Path, here: Path) -> None:
    """All processes at once, by SIGKILL; rounds begin anew where a sweep ends before its tenth kill."""
    began = time.monotonic()
    process = _start(here, "run", "--all", *OPTIONS, "--jobs", "2", "--runs", "dry", "--results", "dry")
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said.decode()
    length = time.monotonic() - began
    chance = random.Random(0)  # noqa: S311 — moments, not secrets
    kills = 0
    while kills < 10:
        process = _start(here, "run", "--all", *OPTIONS, "--jobs", "2")
        try:
            _, said = process.communicate(timeout=chance.uniform(0.1, 1) * length)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            kills += 1
            continue
        assert process.returncode == 0, said.decode()
        for got, expected in zip(_tables(here), _tables(alone), strict=True):
            pd.testing.assert_frame_equal(got, expected)
        for name in ("runs", "results"):
            (here / name).rename(here / f"{name}-before-kill-{kills}")
    process = _start(here, "run", "--all", *OPTIONS, "--jobs", "2")
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said.decode()
    for got, expected in zip(_tables(here), _tables(alone), strict=True):
        pd.testing.assert_frame_equal(got, expected)


@pytest.fixture(scope="module")
def poison(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Written, it kills the worker whose model embeds that often. The workers inherit its name."""
    path = tmp_path_factory.mktemp("mortal") / "poison"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, str(path))
        yield path


@pytest.fixture(scope="module")
def workers(poison: Path) -> Iterator[str]:
    """The address of a scheduler with two worker processes."""
    assert not poison.exists()
    with (
        dask.config.set({"distributed.deploy.lost-worker-timeout": "5 minutes"}),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, silence_logs=50, dashboard_address=":0"
        ) as cluster,
    ):
        yield str(cluster.scheduler_address)


@pytest.mark.slow
class TestOnACluster:
    def test_the_rows_are_those_of_this_machine(self, workers: str, alone: Path, here: Path) -> None:
        result = invoke("run", "--all", *OPTIONS, "--cluster", workers)
        assert result.exit_code == 0, result.output
        for got, expected in zip(_tables(here), _tables(alone), strict=True):
            pd.testing.assert_frame_equal(got, expected)
        assert not list(here.rglob("cluster-*"))

    def test_a_worker_killed_in_mid_run_and_its_run_goes_on_elsewhere(
        self, workers: str, poison: Path, here: Path
    ) -> None:
        model = "tests.support.faulty_models:Mortal"
        options = ("--preset", "tiny.toml", "--models", model, "--device", "cpu", "--quiet")
        expected = invoke("run", "2d-shapes", *options, "--results", "undisturbed", "--runs", "undisturbed")
        assert expected.exit_code == 0, expected.output
        # Four batches an epoch, each embedded before and after: the second epoch.
        poison.write_text("12")
        result = invoke("run", "2d-shapes", *options, "--cluster", workers)
        assert result.exit_code == 0, result.output
        assert not poison.exists()
        log = (
            here / "runs/2d-shapes/train/tests.support.faulty_models-Mortal/tiny/seed-0/run.log"
        ).read_text()
        assert log.count("training 2d-shapes") == 2
        assert log.count("epoch 1/3") == 1, "it went on from its checkpoint"
        got, want = (_timeless(pd.read_csv(here / name / "runs.csv")) for name in ("results", "undisturbed"))
        pd.testing.assert_frame_equal(got, want)

    def test_begun_anew_it_is_moved_aside_once_however_many_workers_die_over_it(
        self, workers: str, poison: Path, here: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sen_bench.runs.folder._RELEASE_SECONDS", 0.1)
        model = "tests.support.faulty_models:Mortal"
        options = ("--preset", "tiny.toml", "--models", model, "--device", "cpu", "--cluster", workers)
        folder = here / "runs/2d-shapes/train/tests.support.faulty_models-Mortal/tiny/seed-0"
        assert invoke("run", "2d-shapes", *options, "--quiet").exit_code == 0
        with FileLock(folder.with_name(".seed-0.lock")):
            refused = invoke("run", "2d-shapes", *options, "--quiet", "--force")
            assert refused.exit_code == 1
            assert "another process is training" in refused.stderr
            assert not folder.with_name("seed-0.old-1").exists()
        poison.write_text("12")
        assert invoke("run", "2d-shapes", *options, "--quiet", "--force").exit_code == 0
        assert not poison.exists()
        assert (folder / "run.log").read_text().count("epoch 1/3") == 1, "it went on from its checkpoint"
        assert folder.with_name("seed-0.old-1").exists()
        assert not folder.with_name("seed-0.old-2").exists()

    def test_a_run_that_fails_does_not_stop_the_others(self, workers: str, here: Path) -> None:
        models = "tests.support.faulty_models:Raising,tests.support.faulty_models:Plain"
        options = ("--preset", "tiny.toml", "--models", models, "--device", "cpu", "--quiet")
        result = invoke("run", "2d-shapes", *options, "--cluster", workers)
        assert result.exit_code == 1
        assert set(pd.read_csv(here / "results/runs.csv")["model"]) == {"tests.support.faulty_models:Plain"}
        assert "IndexError: fell off the edge" in result.stderr


def test_a_run_goes_to_another_process_by_the_name_of_its_task() -> None:
    run = select_runs(_selection(tasks=("teapot-large",)))[0]
    rebuild, parts = run.__reduce__()
    assert rebuild(*parts) == run
    assert get_task("teapot-large") not in parts

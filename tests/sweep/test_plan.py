"""What is planned before a sweep begins: what is done, in which order the rest runs, for how long."""

from __future__ import annotations

import math
import shlex
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import sen_bench as sb
from sen_bench.cli.plan_table import format_plan
from sen_bench.costs import MachineLimits, StepCost, gathering_cost, step_cost
from sen_bench.errors import ConfigError, ExtensionError
from sen_bench.results.folder import ResultsFolder
from sen_bench.runs.run import Run
from sen_bench.runs.workspace import Workspace
from sen_bench.sweep import (
    Estimates,
    counted,
    counted_seconds,
    make_plan,
    select_runs,
    threads_per_job,
)
from sen_bench.sweep.estimate import transitions
from tests.support.commands import done, invoke, refused
from tests.support.presets import TWO_TASKS
from tests.support.rows import DEFAULTS
from tests.support.sweeps import OPTIONS, RUNS, selection


def _row(run: Run, **changes: Any) -> dict[str, Any]:
    config = run.config
    names = {"task": config.task, "model": config.model, "train_split": config.train_split}
    return {**DEFAULTS, **names, "run_id": run.name, "preset": run.preset.name, "device": "cpu", **changes}


class TestPlan:
    def test_an_estimate_is_the_seconds_of_a_transition_and_of_an_episode(self) -> None:
        sen, full, none = select_runs(selection(tasks=("rush-hour",)))
        (other,) = select_runs(selection(tasks=("teapot-large",), models=("none",)))
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
        (run,) = select_runs(selection(tasks=("rush-hour",), models=("sen",)))
        cost = {"transitions_seen": 100, "train_seconds": 1.0, "eval_episodes": 10, "eval_seconds": 0.0}
        later = [_row(run, device="GPU", config_digest="sha256:b", horizon=h, **cost) for h in (1, 10)]
        estimates = Estimates(pd.DataFrame([_row(run, device="cpu", **cost), *later]))
        assert estimates.seconds(run, "GPU") == pytest.approx(20_000 * 0.01)
        assert estimates.seconds(run, "cpu") == pytest.approx(20_000 * 0.01)

    def test_the_longest_come_first_and_jobs_share_the_time(
        self, here: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        runs = select_runs(
            selection(tasks=("rush-hour",), workspace=Workspace(here, here, ResultsFolder(here)))
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
        runs = select_runs(selection(tasks=("rush-hour",)))
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
        assert f"estimated for {RUNS} runs without such from the operations and bytes" in output
        assert [path.name for path in here.iterdir()] == ["tiny.toml"]
        folders = [f"--{name}={alone / name}" for name in ("data", "runs", "results")]
        output = invoke("run", "--all", *OPTIONS, *folders, "--seeds", "0-2", "--dry-run").stdout
        # Three seeds of six rows; of 2D Shapes one is done, of Rush Hour two.
        assert "18 runs: 8 done, 10 to run on cpu" in output
        assert "time: about" in output
        assert "(estimated from earlier runs of this preset; other load" in output

    def test_what_no_earlier_run_tells_is_counted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        runs = select_runs(selection(tasks=("2d-shapes",), models=("none",), seeds=(0, 1)))
        limits = MachineLimits(flops=1e12, bytes_moved=1e10, launch=1e-6, launches_ahead=False)
        monkeypatch.setattr(counted, "measured_limits", lambda *_: limits)
        seconds = counted_seconds(runs, threads=1)
        assert len(seconds) == len(runs) > 1
        batch = runs[0].config.training.batch_size
        options = runs[0].config.model_options
        cost = step_cost(runs[0].task.build_model("none", options), runs[0].task.world(), batch=batch)
        step, epochs = cost.expected(limits), runs[0].config.training.epochs
        gathering = gathering_cost(runs[0].task.world(), batch=batch).expected(limits)
        frames = 2 * runs[0].data.recipe("eval").episodes * 11  # with twins, ten steps
        for run in runs:
            # A step embeds two frames, and takes three times its forward pass.
            steps = epochs * math.ceil(transitions(run) / epochs / batch)
            expected = step * (steps + frames / 6 / batch) + gathering * steps
            assert seconds[run.name] == pytest.approx(expected)
        known = pd.DataFrame([_row(runs[0], transitions_seen=1000, train_seconds=1.0)])
        monkeypatch.setattr(Estimates, "for_runs", lambda _runs: Estimates(known))
        plan = make_plan(runs, jobs=1, force=False, device="GPU", count=lambda _: seconds)
        assert plan.counted == len(runs)
        assert plan.unknown == 0
        assert plan.seconds == pytest.approx(sum(seconds.values()))
        one_second = {run.name: 1.0 for run in runs}
        mine = make_plan(
            runs,
            jobs=1,
            force=False,
            device="cpu",
            count=lambda left: {run.name: one_second[run.name] for run in left},
        )
        assert mine.counted == 0
        text = format_plan(plan, on="GPU")
        assert ", counted" in text
        assert "and bytes of a training step and the limits of this machine: rather too short" in text

    def test_each_epoch_is_counted_in_batches_of_its_own_size(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """In small batches there are more steps, each with as many operators."""
        changes = {"epochs": 4, "batch_size": 30, "batch_size_from_epoch": {4: 100}}
        (run,) = select_runs(
            selection(tasks=("2d-shapes",), models=("none",), train_split="train", training=changes)
        )
        monkeypatch.setattr(
            counted, "measured_limits", lambda *_: MachineLimits(1, 1, 1, launches_ahead=False)
        )
        monkeypatch.setattr(counted, "step_cost", lambda *_, batch, **__: StepCost(batch, 1, 0, 0, 0))
        monkeypatch.setattr(counted, "gathering_cost", lambda *_, batch: StepCost(batch, 2, 0, 0, 0))
        samples = run.train_recipe.episodes * run.train_recipe.horizon
        recipe = run.data.recipe("eval")
        scored = 2 * recipe.episodes * (recipe.horizon + 1) / 6 / 100
        steps = 3 * math.ceil(samples / 30) + math.ceil(samples / 100)
        assert counted_seconds([run], threads=1) == {run.name: pytest.approx(3 * steps + scored)}

    def test_a_model_that_cannot_be_counted_stays_unknown(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object, **__: object) -> StepCost:
            raise ExtensionError("it looks at numbers")

        monkeypatch.setattr(counted, "step_cost", refuse)
        assert (
            counted_seconds(select_runs(selection(tasks=("2d-shapes",), models=("none",))), threads=1) == {}
        )

    def test_threads_are_divided(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        assert [threads_per_job(jobs, 16) for jobs in (1, 3, 12, 40)] == [16, 5, 1, 1]
        monkeypatch.setenv("OMP_NUM_THREADS", "4")
        assert threads_per_job(12, 16) == 4


ONE_TASK = ("run", "2d-shapes", "--preset", "tiny.toml", "--models", "none", "--device", "cpu", "--quiet")


class TestImpossible:
    """What cannot be done is refused with the plan, by a dry run too, and nothing is written."""

    @pytest.mark.parametrize("how", [(), ("--dry-run",), ("--jobs", "2")])
    @pytest.mark.parametrize(
        ("size", "smaller", "message"),
        [
            (
                "data.eval = { episodes = 5, horizon = 3 }",
                "data.eval = { episodes = 1, horizon = 3 }",
                "one episode in data.eval; ranking its predictions needs at least 2",
            ),
            (
                "data.train = { episodes = 8, horizon = 5 }",
                "data.train = { episodes = 1, horizon = 1 }",
                "one transition in data.train; training needs at least 2",
            ),
            (
                TWO_TASKS[TWO_TASKS.index("horizon = 5") : TWO_TASKS.index("batch_size")],
                "horizon = 1 }\ntraining = { negatives_from_epoch.2.same_episode = 0.5, epochs = 3, ",
                "negatives of the same episode, but episodes of train have one step",
            ),
        ],
    )
    def test_too_little_data(
        self, here: Path, size: str, smaller: str, message: str, how: tuple[str, ...]
    ) -> None:
        (here / "tiny.toml").write_text(TWO_TASKS.replace(size, smaller, 1))
        assert message in refused(*ONE_TASK, *how)
        assert [path.name for path in here.iterdir()] == ["tiny.toml"]

    @pytest.mark.parametrize("how", [(), ("--dry-run",), ("--jobs", "2")])
    @pytest.mark.parametrize(
        ("task", "models", "settings", "message"),
        [
            (
                "reacher",
                "none",
                ("training.negatives.per_object=true",),
                "reacher, model none: training.negatives: the latents of ReacherModel are not",
            ),
            (
                "reacher",
                "none",
                ("training.bystander_weight=1",),
                "reacher, model none: training.bystander_weight: the latents of ReacherModel",
            ),
            # Of the next two pairs of models one could be trained so: the first, and the last.
            (
                "teapot-large",
                "matmul,vae",
                ("training.hinge=2",),
                "teapot-large, model vae: training.hinge changes nothing",
            ),
            (
                "rush-hour",
                "sen,none",
                ("training.learning_rate_of.codes=0.1", "models.none.masked_fields=16"),
                "rush-hour, model sen: training.learning_rate_of: ObjectModel has no part",
            ),
        ],
    )
    def test_settings_that_the_model_cannot_be_trained_with(
        self,
        here: Path,
        task: str,
        models: str,
        settings: tuple[str, ...],
        message: str,
        how: tuple[str, ...],
    ) -> None:
        asked = ("run", task, "--preset", "smoke", "--models", models, "--device", "cpu")
        given = [part for setting in settings for part in ("--set", setting)]
        assert message in refused(*asked, *given, *how)
        assert [path.name for path in here.iterdir()] == ["tiny.toml"]

    @pytest.mark.parametrize("how", [(), ("--dry-run",), ("--jobs", "2")])
    def test_a_dataset_of_other_sizes_and_the_command_it_names_makes_way(
        self, here: Path, how: tuple[str, ...]
    ) -> None:
        (here / "tiny.toml").write_text(TWO_TASKS)
        size = ("--episodes", "4", "--horizon", "3", "--out", "data/tiny")
        done("generate", "2d-shapes", "--split", "eval", *size, "--quiet")
        error = refused(*ONE_TASK, *how)
        assert "is another dataset, with episodes 4 instead of 5; `sen-bench generate 2d-shapes " in error
        assert sorted(path.name for path in here.iterdir()) == ["data", "tiny.toml"]
        _follow(error)

    @pytest.mark.parametrize("how", [(), ("--dry-run",), ("--jobs", "2")])
    def test_an_unfinished_dataset_of_other_sizes_and_the_command_it_names_makes_way(
        self, here: Path, how: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (here / "tiny.toml").write_text(TWO_TASKS)
        size = ("--episodes", "4", "--horizon", "3", "--out", "data/tiny")
        with monkeypatch.context() as patch:

            def stop(*_: object) -> None:
                raise KeyboardInterrupt

            patch.setattr("sen_bench.generators.staging.Staging.put_into_place", stop)
            invoke("generate", "2d-shapes", "--split", "eval", *size, "--quiet", "--workers", "1")
        unfinished = here / "data/tiny/2d-shapes/.eval.zarr.partial"
        assert unfinished.exists()
        error = refused(*ONE_TASK, *how)
        assert ".eval.zarr.partial holds an unfinished dataset with " in error
        assert "episodes 4 instead of 5" in error
        assert not (here / "runs").exists()
        assert not (here / "data/tiny/2d-shapes/train.zarr").exists()
        _follow(error)
        assert not unfinished.exists()

    @pytest.mark.parametrize("workers", ["1", "2"])
    def test_an_unfinished_dataset_that_lacks_no_shard_is_finished_by_a_run(
        self, here: Path, workers: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (here / "tiny.toml").write_text(TWO_TASKS)
        with monkeypatch.context() as patch:

            def stop(*_: object) -> None:
                raise KeyboardInterrupt

            patch.setattr("sen_bench.generators.staging.Staging.put_into_place", stop)
            invoke(*ONE_TASK, "--workers", "1")
        assert (here / "data/tiny/2d-shapes/.train.zarr.partial").exists()
        assert "1 to run" in done(*ONE_TASK, "--dry-run").stdout
        done(*ONE_TASK, "--workers", workers)
        assert not (here / "data/tiny/2d-shapes/.train.zarr.partial").exists()
        assert "1 done, 0 to run" in done(*ONE_TASK, "--dry-run").stdout

    def test_python_is_refused_likewise(self, here: Path) -> None:
        (here / "tiny.toml").write_text(TWO_TASKS.replace("episodes = 5", "episodes = 1"))
        with pytest.raises(ConfigError, match=r"one episode in data\.eval"):
            sb.run("2d-shapes", "none", preset="tiny.toml", progress=False)
        assert not (here / "data").exists()


def _follow(error: str) -> None:
    """Gives the command that an error names, after which the run can be done."""
    command = shlex.split(error.split("`")[1])
    assert command[-1] == "--force"
    done(*command[1:], "--quiet")
    assert "1 to run" in done(*ONE_TASK, "--dry-run").stdout

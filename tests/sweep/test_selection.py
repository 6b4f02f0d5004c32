"""Which runs a sweep consists of, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sen_bench.config.presets import load_preset
from sen_bench.errors import ConfigError, SenBenchError, UnknownNameError
from sen_bench.sweep import select_runs
from sen_bench.tasks.registry import get_task
from tests.support.commands import invoke
from tests.support.recorder import Recorder
from tests.support.sweeps import selection


class TestSelection:
    def test_all_is_every_task_split_and_model(self) -> None:
        runs = select_runs(selection())
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
        (run,) = select_runs(selection(**one))
        run.folder.mkdir(parents=True)
        (run.folder / "config.json").write_text('{"training": {"shuffle_buffer": 130}}')
        (run.folder / "checkpoint.pt").touch()
        (begun,) = select_runs(selection(**one))
        assert begun.config.training.shuffle_buffer == 130
        (anew,) = select_runs(selection(**one, anew=True))
        assert anew.config.training.shuffle_buffer is None
        assert (anew.placement is None) == elsewhere, "elsewhere it is decided there"

    def test_seeds_are_the_presets_unless_they_are_given(self) -> None:
        cpu = load_preset("cpu")
        seeds = {
            task: sorted({run.seed for run in select_runs(selection(tasks=(task,), preset=cpu))})
            for task in cpu.tasks
        }
        three = ("2d-shapes", "rush-hour", "teapot-small", "teapot-large")
        assert seeds == {task: [0, 1, 2] if task in three else [0] for task in cpu.tasks}
        given = select_runs(selection(tasks=("2d-shapes",), preset=cpu, seeds=(7,)))
        assert {run.seed for run in given} == {7}

    def test_tasks_that_lack_a_model_or_split_are_passed_over(self) -> None:
        recorder = Recorder()
        runs = select_runs(selection(models=("sen",), train_split="train-limited"), recorder)
        assert [run.config.task for run in runs] == ["2d-shapes", "3d-blocks", "reacher"]
        assert recorder.messages == [
            "rush-hour is skipped: it has no split train-limited",
            "teapot-small is skipped: it has no such model",
            "teapot-large is skipped: it has no such model",
        ]

    def test_a_name_that_no_task_has_is_a_mistake(self) -> None:
        with pytest.raises(UnknownNameError, match="unknown model 'nune'; did you mean 'none'"):
            select_runs(selection(models=("nune",)))
        with pytest.raises(UnknownNameError, match="unknown split 'trian'; did you mean 'train'"):
            select_runs(selection(train_split="trian"))
        with pytest.raises(UnknownNameError, match="unknown split 'eval'; known: train"):
            select_runs(selection(train_split="eval"))
        with pytest.raises(ConfigError, match="nothing is left to run"):
            select_runs(selection(models=("tfn",), train_split="train-limited"))

    def test_what_the_preset_leaves_out_is_left_out(self, here: Path) -> None:
        recorder = Recorder()
        runs = select_runs(selection(preset=load_preset(str(here / "tiny.toml"))), recorder)
        assert {run.config.task for run in runs} == {"2d-shapes", "rush-hour"}
        assert "reacher is skipped: preset 'tiny' says nothing about it" in recorder.messages

    def test_a_section_of_no_task_is_said(self, here: Path) -> None:
        (here / "slip.toml").write_text('description = "x"\n[tasks.2d-shapes]\n[tasks.3d-block]\n')
        recorder = Recorder()
        select_runs(selection(preset=load_preset(str(here / "slip.toml"))), recorder)
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


def test_a_run_goes_to_another_process_by_the_name_of_its_task() -> None:
    run = select_runs(selection(tasks=("teapot-large",)))[0]
    rebuild, parts = run.__reduce__()
    assert rebuild(*parts) == run
    assert get_task("teapot-large") not in parts


class TestSettings:
    def test_settings_are_for_the_tasks_that_have_what_they_are_about(self) -> None:
        settings = {"models.sen.hidden": 16, "training.epochs": 4, "data.train-limited.episodes": 5000}
        presets = {run.config.task: run.preset for run in select_runs(selection(settings=settings))}
        names = {task: preset.name for task, preset in presets.items()}
        # The grid worlds have four epochs and such sizes anyway, and none of these models has a tfn.
        assert names == {
            "2d-shapes": "smoke+models.sen.hidden=16",
            "3d-blocks": "smoke+models.sen.hidden=16",
            "rush-hour": "smoke+models.sen.hidden=16",
            "reacher": "smoke+data.train-limited.episodes=5000+models.sen.hidden=16+epochs=4",
            "teapot-small": "smoke+epochs=4",
            "teapot-large": "smoke+epochs=4",
        }

    def test_what_no_task_has_is_a_mistake(self) -> None:
        for settings, message in (
            ({"models.sin.hidden": 16}, "unknown model 'sin'; did you mean 'sen'"),
            ({"data.trian.episodes": 16}, "unknown split 'trian'; did you mean 'train'"),
            ({"training.epoch": 16}, "unknown setting 'epoch'; did you mean 'epochs'"),
        ):
            with pytest.raises(SenBenchError, match=message):
                select_runs(selection(settings=settings))

    @pytest.mark.parametrize(
        ("changes", "setting", "message"),
        [
            ({}, "models.none.hidden", "settings of model 'none' change nothing: the run has model sen"),
            (
                {"models": ("sen", "full")},
                "models.none.hidden",
                "settings of model 'none' change nothing: only models sen, full are run",
            ),
            (
                {},
                'models."keypoint:Keypoints".channels',
                "settings of model 'keypoint:Keypoints' change nothing: the run has model sen",
            ),
            (
                {"train_split": "train"},
                "data.train-limited.episodes",
                "settings of split 'train-limited' change nothing: only splits train, eval are used",
            ),
        ],
    )
    @pytest.mark.parametrize("tasks", [None, ("2d-shapes", "3d-blocks"), ("2d-shapes",)])
    def test_settings_of_what_is_not_run_are_refused(
        self, tasks: tuple[str, ...] | None, changes: dict[str, Any], setting: str, message: str
    ) -> None:
        given = {"tasks": tasks, "models": ("sen",), "settings": {setting: 9}, **changes}
        with pytest.raises(ConfigError, match=message):
            select_runs(selection(**given))

    def test_settings_are_for_the_tasks_that_run_with_what_they_are_about(self) -> None:
        settings = {"data.train-limited.episodes": 5000}
        one = {"tasks": ("reacher",), "models": ("sen",), "settings": settings}
        (run,) = select_runs(selection(**one, train_split="train-limited"))
        assert run.preset.name == "smoke+data.train-limited.episodes=5000"
        own = "tests.support.own_models:Mean"
        both = select_runs(
            selection(tasks=("reacher", "rush-hour"), models=(own,), settings={f'models."{own}".gain': 2})
        )
        assert {run.config.model_options["gain"] for run in both} == {2}

    def test_training_changes_under_the_presets_name(self) -> None:
        one = {"tasks": ("2d-shapes",), "models": ("sen",), "train_split": "train"}
        (own,), (changed,) = (
            select_runs(selection(**one, training=training)) for training in ({}, {"precision": "bfloat16"})
        )
        assert (own.name, changed.config.training.precision) == (changed.name, "bfloat16")
        assert own.config.digest != changed.config.digest

    def test_values_are_as_on_the_command_line(self) -> None:
        given = selection(seeds=[2, 0, 2], data_memory="1KiB", eval_memory="auto")
        assert (given.seeds, given.data_memory, given.eval_memory) == ((2, 0), 1024, None)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"training": {"precision": "float23", "epochs": "three"}}, "training.epochs: Input should be a"),
            (
                {"training": {"on_colapse": "stop"}},
                "unknown setting 'on_colapse'; did you mean 'on_collapse'",
            ),
            ({"seeds": (-1,)}, "-1 is not a seed"),
            ({"seeds": ()}, "no seed is given"),
            ({"data_memory": -1}, "-1 is not an amount of memory"),
            ({"eval_memory": "8 gigs"}, "'8 gigs' is not a size"),
        ],
    )
    def test_what_the_command_line_refuses_is_refused(self, changes: dict[str, Any], message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            selection(**changes)

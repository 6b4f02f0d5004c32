"""``sen-bench generate`` for several tasks and for all of them, and what it says where that cannot be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sen_bench.cli.main import main
from sen_bench.generators import generate as write_dataset
from sen_bench.store import open_dataset
from sen_bench.tasks.registry import get_task, task_names
from tests.support.recorder import Recorder

TINY = ("--episodes", "2", "--horizon", "2", "--workers", "1", "--quiet")


def generate(*words: str) -> Result:
    return CliRunner().invoke(main, ["generate", *words])


def written(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.glob("*/*.zarr"))


def test_several_tasks_are_generated_in_one_command(tmp_path: Path) -> None:
    done = generate("rush-hour", "2d-shapes", "rush-hour", *TINY, "--out", str(tmp_path))
    assert done.exit_code == 0, done.output
    # In the order given, each once: what stdout says can be read by a program.
    assert done.stdout.splitlines() == [
        f"{tmp_path / task / split}.zarr: written"
        for task in ("rush-hour", "2d-shapes")
        for split in ("train", "eval")
    ]
    dataset = open_dataset(tmp_path / "rush-hour" / "eval.zarr")
    assert (dataset.task, dataset.split, dataset.episodes, dataset.horizon) == ("rush-hour", "eval", 2, 2)


def test_the_same_command_again_does_nothing(tmp_path: Path) -> None:
    command = ("2d-shapes", "rush-hour", "--split", "eval", *TINY, "--out", str(tmp_path))
    assert generate(*command).exit_code == 0
    again = generate(*command)
    assert again.exit_code == 0
    assert again.stdout.count("already there, nothing to do") == 2


def test_an_interrupted_command_given_again_says_what_is_there(tmp_path: Path) -> None:
    recipe = replace(get_task("2d-shapes").recipe("train"), episodes=60, horizon=20)

    def interrupt(done: int, _total: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_dataset(recipe, tmp_path / "2d-shapes" / "train.zarr", progress=Recorder(advanced=interrupt))
    sizes = ("--episodes", "60", "--horizon", "20", "--workers", "1", "--out", str(tmp_path))
    done = generate("2d-shapes", "--split", "train", *sizes)
    assert done.exit_code == 0, done.output
    assert "resuming: 1 of 5 shards are there" in done.stderr.splitlines()


def test_all_is_every_task(tmp_path: Path) -> None:
    done = generate("--all", "--split", "eval", *TINY, "--out", str(tmp_path))
    assert done.exit_code == 0, done.output
    assert written(tmp_path) == sorted(f"{task}/eval.zarr" for task in task_names())
    assert done.stderr == ""


def test_all_leaves_out_tasks_that_lack_a_split_and_says_so(tmp_path: Path) -> None:
    done = generate("--all", "--split", "train-limited", *TINY, "--out", str(tmp_path))
    assert done.exit_code == 0, done.output
    having = [task for task in task_names() if "train-limited" in get_task(task).splits]
    assert written(tmp_path) == sorted(f"{task}/train-limited.zarr" for task in having)
    assert "rush-hour has no split train-limited: skipped" in done.stderr.splitlines()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "name a task, or give --all; tasks: 2d-shapes, 3d-blocks"),
        (("3d-blocks", "--all"), "give either tasks or --all, not both"),
        (("3d-blocks", "2d-shape"), "unknown task '2d-shape'; did you mean '2d-shapes'?"),
        (
            ("3d-blocks", "rush-hour", "--split", "train-limited"),
            "unknown split of rush-hour",
        ),
        (("--all", "--split", "tran"), "unknown split 'tran'; did you mean 'train'?"),
        (("--all", "--episodes", "0"), "--episodes must be at least 1, not 0"),
    ],
)
def test_mistakes_end_in_one_line_before_anything_is_written(
    tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    done = generate(*words, "--out", str(tmp_path))
    assert done.exit_code == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: {message}")
    assert len(done.stderr.splitlines()) == 1
    assert written(tmp_path) == []


@pytest.mark.parametrize(
    ("task", "pixels"),
    [
        ("2d-shapes", "the group's action on them is not known"),
        ("rush-hour", "elements 120, 240, 360 act on them by 'pixel'"),
    ],
)
def test_info_says_how_the_group_acts_on_pixels(task: str, pixels: str, tmp_path: Path) -> None:
    generate(task, "--split", "eval", *TINY, "--out", str(tmp_path))
    done = CliRunner().invoke(main, ["info", str(tmp_path / task / "eval.zarr")])
    assert done.exit_code == 0
    assert [line.split(maxsplit=1)[1] for line in done.stdout.splitlines() if line.startswith("pixels")] == [
        pixels
    ]

"""What generating a dataset is said to take is near what it takes, and unknown where nothing was measured."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from sen_bench.config import SplitSize
from sen_bench.envs.registration import WORLDS
from sen_bench.generators import estimate_dataset, generate
from sen_bench.generators.estimate import _ANNOTATION_BYTES, _MEASURED
from sen_bench.generators.staging import staging_folder
from sen_bench.tasks import get_task, task_names

#: Datasets at the paper's sizes: bytes with all their files, and seconds with two workers (docs/datasets.md).
RECORD = {
    ("2d-shapes", "train"): (6_886_148, 7),
    ("2d-shapes", "eval"): (17_207_314, 8),
    ("2d-shapes", "train-limited"): (24_715_710, 11),
    ("3d-blocks", "train"): (34_037_353, 12),
    ("3d-blocks", "eval"): (103_395_675, 23),
    ("3d-blocks", "train-limited"): (166_234_915, 28),
    ("rush-hour", "train"): (6_130_590, 6),
    ("rush-hour", "eval"): (17_732_358, 9),
    ("reacher", "train"): (16_524_279, 21),
    ("reacher", "eval"): (16_590_944, 21),
    ("teapot-small", "train"): (202_879_629, 43),
    ("teapot-large", "eval"): (103_658_381, 23),
}


@pytest.mark.parametrize(("task", "split"), RECORD)
def test_what_the_datasets_of_record_took_is_estimated(task: str, split: str, tmp_path: Path) -> None:
    stored, seconds = RECORD[task, split]
    estimate = estimate_dataset(get_task(task).recipe(split), tmp_path / "x.zarr")
    assert estimate.stored == pytest.approx(stored, rel=0.15)
    assert estimate.seconds(2) == pytest.approx(seconds, rel=0.25)
    assert 1.0e9 < estimate.memory(2) < 1.25e9
    assert not list(tmp_path.iterdir())


def test_every_world_of_the_paper_was_measured() -> None:
    assert {get_task(name).world_id for name in task_names()} <= set(_MEASURED) <= set(WORLDS)


@pytest.mark.parametrize("task", ["2d-shapes", "teapot-small"])
def test_frames_and_their_size_are_those_of_the_dataset(task: str, tmp_path: Path) -> None:
    recipe = get_task(task).recipe("eval", SplitSize(episodes=3, horizon=1))
    estimate = estimate_dataset(recipe, tmp_path / "x.zarr")
    dataset = generate(recipe, tmp_path / "x.zarr", progress=False).dataset
    pixels = [array for name, array in dataset.arrays.items() if name.endswith("observation")]
    assert estimate.largest == sum(array.nbytes for array in pixels)
    assert estimate.frames == sum(math.prod(array.shape[:-3]) for array in pixels)


def test_other_objects_and_other_worlds_are_not_known(tmp_path: Path) -> None:
    recipe = get_task("2d-shapes").recipe("train")
    other = estimate_dataset(replace(recipe, world_options={"num_objects": 3}), tmp_path / "x.zarr")
    assert (other.stored, other.seconds(2)) == (None, None)
    assert other.largest == 1000 * 101 * 50 * 50 * 3


def test_what_an_earlier_attempt_left_need_not_be_written_again(tmp_path: Path) -> None:
    recipe, path = get_task("2d-shapes").recipe("train"), tmp_path / "train.zarr"
    before = estimate_dataset(recipe, path).stored
    assert before is not None
    left = staging_folder(path) / "store-1" / "observation" / "c"
    left.parent.mkdir(parents=True)
    left.write_bytes(bytes(100_000))
    assert estimate_dataset(recipe, path).stored == before - 100_000
    left.write_bytes(bytes(before + _ANNOTATION_BYTES))
    assert estimate_dataset(recipe, path).stored == 0

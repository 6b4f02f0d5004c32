"""The first episodes of a dataset are that of a smaller recipe, to the digest, with no files of their own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sen_bench.data import StreamedTransitions, Transitions
from sen_bench.errors import DatasetError
from sen_bench.generators import generate
from sen_bench.store import Dataset, open_dataset
from tests.support.datasets import SHARDED, tree

COUNTS = (1, 25, 37, 110)
"""Some that end within a chunk, with a file, within a file, and with the dataset."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("first")
    for count in COUNTS:
        generate(replace(SHARDED, episodes=count), folder / f"{count}.zarr")
    return folder


@pytest.fixture(scope="module")
def whole(folder: Path) -> Dataset:
    return open_dataset(folder / "110.zarr")


@pytest.mark.parametrize("count", COUNTS)
def test_they_are_the_dataset_of_a_smaller_recipe(folder: Path, whole: Dataset, count: int) -> None:
    before = tree(folder)
    first, made = whole.first(count), open_dataset(folder / f"{count}.zarr")
    assert (first.episodes, first.horizon) == (made.episodes, made.horizon) == (count, SHARDED.horizon)
    assert first.recipe == made.recipe
    assert first.recipe_digest == made.recipe_digest == replace(SHARDED, episodes=count).digest
    assert first.content_digest == made.content_digest
    assert first.decoded_bytes == made.decoded_bytes
    for name in made.arrays:
        np.testing.assert_array_equal(first.load(name), made.load(name))
        np.testing.assert_array_equal(first.read(name, 0, 1000), made.read(name, 0, 1000))
    assert tree(folder) == before, "they have no files of their own"


def test_smaller_ones_are_the_beginning_of_larger_ones(whole: Dataset) -> None:
    assert whole.first(37).first(25).content_digest == whole.first(25).content_digest
    assert len({whole.first(count).content_digest for count in (24, 25, 37)}) == 3


@pytest.mark.parametrize("count", [0, 111])
def test_more_than_there_are_is_refused(whole: Dataset, count: int) -> None:
    with pytest.raises(DatasetError, match=f"110 episodes; there are no first {count} of it"):
        whole.first(count)
    with pytest.raises(DatasetError, match=r"of 25 episodes of .* there are no first 26"):
        whole.first(25).first(26)


@pytest.mark.parametrize("buffer", [1, 10_000])
def test_they_are_streamed_without_the_others(whole: Dataset, buffer: int) -> None:
    first, cpu = whole.first(37), torch.device("cpu")
    held = Transitions.from_dataset(first, cpu)
    with StreamedTransitions(first, cpu, buffer=buffer) as streamed:
        order = streamed.order(torch.Generator().manual_seed(0))
        assert sorted(order.tolist()) == list(range(len(held)))
        for index in torch.split(order, 7):
            ours, theirs = streamed.batch(index), held.batch(index)
            assert torch.equal(ours.observation, theirs.observation)
            assert torch.equal(ours.next_observation, theirs.next_observation)
            assert torch.equal(ours.action, theirs.action)

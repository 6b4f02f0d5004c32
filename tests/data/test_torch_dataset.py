"""Transitions for DataLoader: those of `Transitions`, in this process and in forked and spawned workers."""

from __future__ import annotations

import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from sen_bench.config import SplitSize
from sen_bench.data import Transition, TransitionDataset, Transitions, TwinTransition
from sen_bench.errors import ConfigError, DatasetError
from sen_bench.generators import generate
from sen_bench.store import Dataset, open_dataset
from sen_bench.tasks import get_task
from tests.support.toy_dataset import contents, one_line, write_dataset

TASKS = {"3d-blocks": (6, 4), "reacher": (5, 3), "teapot-small": (9, 1)}


@pytest.fixture(scope="module", params=TASKS)
def dataset(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    task = get_task(request.param)
    episodes, horizon = TASKS[request.param]
    recipe = task.recipe("eval", SplitSize(episodes=episodes, horizon=horizon))
    return generate(recipe, tmp_path_factory.mktemp("loader") / "eval.zarr").dataset


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Seven episodes in chunks of two and shards of four."""
    path = tmp_path_factory.mktemp("sharded") / "train.zarr"
    write_dataset(path, contents())
    dataset = open_dataset(path)
    assert dataset.array("observation").shards is not None
    return dataset


def _twins(dataset: Dataset) -> Transitions:
    frames, actions = (torch.from_numpy(dataset.load(f"twin/{name}")) for name in ("observation", "action"))
    return Transitions(frames, actions, torch.device("cpu"))


def _assert_same(items: list[Any], expected: Transitions) -> None:
    batch = expected.batch(torch.arange(len(expected)))
    for name in ("observation", "action", "next_observation"):
        found = torch.stack([getattr(item, name) for item in items])
        assert found.dtype == getattr(batch, name).dtype
        assert torch.equal(found, getattr(batch, name))


def test_it_has_what_transitions_has(dataset: Dataset) -> None:
    items: Any = TransitionDataset(dataset, twin=True)
    whole = Transitions.from_dataset(dataset, torch.device("cpu"))
    assert len(items) == len(whole)
    assert all(isinstance(item, TwinTransition) for item in items)
    _assert_same(list(items), whole)
    _assert_same([item.twin for item in items], _twins(dataset))
    elements = torch.stack([items[episode * dataset.horizon].element for episode in range(dataset.episodes)])
    assert torch.equal(elements, torch.from_numpy(dataset.load("twin/element")))


@pytest.mark.parametrize("memory", [1, 10_000_000])
def test_chunks_of_shards_are_read_alone_and_in_any_order(sharded: Dataset, memory: int) -> None:
    items = TransitionDataset(sharded.path, memory=memory)
    whole = Transitions.from_dataset(sharded, torch.device("cpu"))
    order = torch.randperm(len(items), generator=torch.Generator().manual_seed(0))
    found: Any = items.__getitems__([*order.tolist(), 0, 0])
    batch = whole.batch(torch.cat([order, torch.zeros(2, dtype=torch.int64)]))
    assert torch.equal(torch.stack([item.observation for item in found]), batch.observation)
    assert torch.equal(torch.stack([item.next_observation for item in found]), batch.next_observation)


def test_a_batch_decodes_each_chunk_once_and_memory_bounds_what_is_kept(
    sharded: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunk = 2 * 4 * 600 * 600
    reads: list[int] = []
    read = Dataset.read

    def counted(self: Dataset, name: str, start: int, stop: int) -> Any:
        reads.append(start)
        return read(self, name, start, stop)

    monkeypatch.setattr(Dataset, "read", counted)
    one: Any = TransitionDataset(sharded, memory=chunk)
    one.__getitems__([0, 18, 1, 19, 2, 0])
    assert reads == [0, 6]
    one[0], one[20]
    assert reads == [0, 6, 0, 6]
    two: Any = TransitionDataset(sharded, memory=2 * chunk)
    reads.clear()
    two[0], two[20], two[0], two[20]
    assert reads == [0, 6]


@pytest.mark.parametrize("workers", [pytest.param(None, id="no workers"), pytest.param("fork")])
def test_it_works_in_a_loader(dataset: Dataset, workers: str | None) -> None:
    _assert_loaded(dataset, workers)


@pytest.mark.parametrize("dataset", ["reacher"], indirect=True)
def test_it_works_in_a_loader_with_spawned_workers(dataset: Dataset) -> None:
    """Of the task with most to lose on the way, stacked frames; each worker imports PyTorch anew."""
    _assert_loaded(dataset, "spawn")


def _assert_loaded(dataset: Dataset, workers: str | None) -> None:
    """What a DataLoader gives, with two workers started that way, or with none, is what `Transitions` has."""
    items = TransitionDataset(dataset, twin=True)
    items[0]  # so that a store is open here before workers are forked
    options: dict[str, Any] = {"num_workers": 2, "multiprocessing_context": workers} if workers else {}
    batches = list(DataLoader(items, batch_size=4, **options))
    assert all(type(batch) is TwinTransition and type(batch.twin) is Transition for batch in batches)
    whole = Transitions.from_dataset(dataset, torch.device("cpu")).batch(torch.arange(len(items)))
    assert torch.equal(torch.cat([batch.observation for batch in batches]), whole.observation)
    assert torch.equal(torch.cat([batch.action for batch in batches]), whole.action)
    twins = _twins(dataset).batch(torch.arange(len(items)))
    assert torch.equal(torch.cat([batch.twin.next_observation for batch in batches]), twins.next_observation)
    elements = np.repeat(dataset.load("twin/element"), dataset.horizon, axis=0)
    assert torch.equal(torch.cat([batch.element for batch in batches]), torch.from_numpy(elements))


def test_another_process_opens_the_store_for_itself(
    sharded: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = TransitionDataset(sharded)
    mine = items._opened()
    assert items._opened() is mine
    monkeypatch.setattr(os, "getpid", lambda: 0)
    assert items._opened() is not mine
    assert len(pickle.dumps(items)) < 10_000


@pytest.mark.parametrize("index", [-22, 21, 10**9])
def test_an_index_that_is_none_is_refused(sharded: Dataset, index: int) -> None:
    items = TransitionDataset(sharded)
    assert len(items) == 21
    with pytest.raises(IndexError, match=f"there is no transition {index}; they go from 0 to 20"):
        items[index]
    for other in (1.5, slice(2), None):
        with pytest.raises(TypeError, match=r"chosen by one whole number, .*use torch\.utils\.data\.Subset"):
            items[other]  # type: ignore[index]


def test_a_negative_index_counts_from_the_end_and_memory_may_be_text(sharded: Dataset) -> None:
    items: Any = TransitionDataset(sharded, memory="1MiB")
    assert items.memory == 2**20
    for negative, index in ((-1, 20), (-21, 0)):
        assert all(torch.equal(a, b) for a, b in zip(items[negative], items[index], strict=True))


def test_what_cannot_be_given_is_refused(sharded: Dataset, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="there is no dataset at"):
        TransitionDataset(str(tmp_path / "none.zarr"))
    with pytest.raises(ConfigError, match="memory must be a positive number of bytes, not 0"):
        TransitionDataset(sharded, memory=0)
    arrays = {name: values for name, values in contents().items() if not name.startswith("twin/")}
    write_dataset(tmp_path / "train.zarr", arrays)
    with pytest.raises(DatasetError, match="has no twins; use an eval split, or leave out twin=True"):
        TransitionDataset(tmp_path / "train.zarr", twin=True)


def test_another_dataset_in_its_place_is_refused(sharded: Dataset, tmp_path: Path) -> None:
    place = tmp_path / "train.zarr"
    shutil.copytree(sharded.path, place)
    items = pickle.loads(pickle.dumps(TransitionDataset(place)))  # noqa: S301 — our own bytes
    shutil.rmtree(place)
    write_dataset(place, {name: values for name, values in contents().items() if name != "seed"})
    with pytest.raises(DatasetError, match="is another dataset than when it was opened") as error:
        items[0]
    one_line(error)


def test_a_lost_chunk_is_named(sharded: Dataset, tmp_path: Path) -> None:
    place = tmp_path / "train.zarr"
    shutil.copytree(sharded.path, place)
    items = TransitionDataset(place)
    (place / "observation/c/1/0/0/0/0").unlink()
    items[0]
    with pytest.raises(DatasetError, match="observation/c/1/0/0/0/0 is missing"):
        items[20]

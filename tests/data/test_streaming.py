"""Streamed training data: the same transitions as resident ones, each once an epoch, read ahead, no leaks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sen_bench.config.settings import TrainingConfig
from sen_bench.data.streaming import READER, StreamedTransitions
from sen_bench.data.transitions import Batch, Transitions
from sen_bench.errors import DatasetError
from sen_bench.store import Dataset, EpisodeBlocks, open_dataset
from sen_bench.training import TrainingResult, train
from tests.support.recorder import Recorder
from tests.support.toy_dataset import one_line, write_dataset
from tests.support.trainings import IDENTITY, Affine, small_sen
from tests.support.waiting import LIMIT, wait_until

DEVICES = [
    torch.device("cpu"),
    pytest.param(
        torch.device("cuda", 0),
        marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU"),
    ),
]
EPISODES, STEPS, ROWS = 23, 3, 4  # six blocks, the last of three episodes
BLOCK = ROWS * STEPS


def _write(path: Path, episodes: int, size: int, *, frames: int = STEPS + 1) -> Dataset:
    """Frame f of episode e is plain, of the value frames · e + f; an action is 10 e + step."""
    values = np.arange(episodes * frames, dtype=np.uint8).reshape(episodes, frames, 1, 1, 1)
    actions = 10 * np.arange(episodes)[:, None] + np.arange(STEPS)
    write_dataset(
        path,
        {
            "observation": (
                ("frame", "height", "width", "channel"),
                np.broadcast_to(values, (episodes, frames, size, size, 1)).copy(),
            ),
            "action": (("step",), actions),
        },
        EpisodeBlocks(episodes, per_chunk=2, per_shard=ROWS),
    )
    return open_dataset(path)


@pytest.fixture(scope="module", params=["one chunk a file", "shards"])
def dataset(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    path = tmp_path_factory.mktemp("stream") / "train.zarr"
    dataset = _write(path, EPISODES, 3 if request.param == "one chunk a file" else 520)
    assert (dataset.array("observation").shards is None) == (request.param == "one chunk a file")
    return dataset


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return _write(tmp_path_factory.mktemp("small") / "train.zarr", EPISODES, 6)


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith(READER)]


def _generator(epoch: int) -> torch.Generator:
    return torch.Generator().manual_seed(epoch)


def _epoch(stream: StreamedTransitions, epoch: int, batch_size: int) -> list[tuple[Tensor, Batch]]:
    order = stream.order(_generator(epoch), following=_generator(epoch + 1))
    return [(index, stream.batch(index)) for index in torch.split(order, batch_size)]


@pytest.mark.parametrize("device", DEVICES, ids=str)
@pytest.mark.parametrize(("buffer", "batch_size"), [(1, 5), (1, 40), (2 * BLOCK, 7), (1000, 11)])
def test_batches_are_those_of_resident_data_and_each_transition_comes_once_an_epoch(
    dataset: Dataset, buffer: int, batch_size: int, device: torch.device
) -> None:
    """Blocks of 12 transitions, so that batches lie within a window, across two, and across four."""
    resident = Transitions.from_dataset(dataset, device)
    orders = []
    with StreamedTransitions(dataset, device, buffer=buffer) as stream:
        assert len(stream) == len(resident) == EPISODES * STEPS
        for epoch in range(2):
            batches = _epoch(stream, epoch, batch_size)
            orders.append(torch.cat([index for index, _ in batches]).tolist())
            for index, batch in batches:
                expected = resident.batch(index)
                assert torch.equal(batch.observation, expected.observation)
                assert torch.equal(batch.action, expected.action)
                assert torch.equal(batch.next_observation, expected.next_observation)
                assert batch.observation.stride() == expected.observation.stride()
    assert all(sorted(order) == list(range(EPISODES * STEPS)) for order in orders)
    assert orders[0] != orders[1]


@pytest.mark.parametrize("device", DEVICES, ids=str)
@pytest.mark.parametrize(("buffer", "batch_size", "count"), [(1, 5, 5), (1, 40, 20), (1000, 11, 0)])
def test_other_frames_of_an_episode_are_streamed_with_it(
    dataset: Dataset, buffer: int, batch_size: int, count: int, device: torch.device
) -> None:
    """Also where a batch reaches across windows, and its negatives end in one of them."""
    resident = Transitions.from_dataset(dataset, device)
    with StreamedTransitions(dataset, device, buffer=buffer) as stream:
        assert stream.steps == resident.steps == STEPS
        for index in torch.split(stream.order(_generator(0)), batch_size):
            later = 2 - 3 * (index[:count] % STEPS == 2).long()  # 2 steps later, or 1 earlier
            batch, expected = (data.batch_with_negatives(index, later) for data in (stream, resident))
            assert batch.negative is not None
            assert expected.negative is not None
            assert torch.equal(batch.negative, expected.negative)
            assert torch.equal(batch.observation, expected.observation)
            episode, time = index[:count] // STEPS, index[:count] % STEPS + later
            true = (STEPS + 1) * episode + time  # as `_write` fills frames
            assert torch.equal((batch.negative[:, 0, 0, 0] * 255).round().long().cpu(), true)


def test_frames_shown_together_are_streamed_too(tmp_path: Path) -> None:
    dataset = _write(tmp_path / "train.zarr", EPISODES, 4, frames=STEPS + 2)
    resident = Transitions.from_dataset(dataset, torch.device("cpu"))
    with StreamedTransitions(dataset, resident.device, buffer=BLOCK) as stream:
        for index, batch in _epoch(stream, 0, 10):
            assert batch.observation.shape == (len(index), 2, 4, 4)
            assert torch.equal(batch.observation, resident.batch(index).observation)
            assert torch.equal(batch.next_observation, resident.batch(index).next_observation)


def _blocks(order: list[int]) -> list[int]:
    return [index // BLOCK for index in order]


def test_a_window_holds_whole_blocks_and_is_shuffled_as_a_whole(small: Dataset) -> None:
    with StreamedTransitions(small, torch.device("cpu"), buffer=2 * BLOCK + 5) as stream:
        blocks = _blocks(stream.order(_generator(0)).tolist())
    starts = list(dict.fromkeys(blocks))  # in the order of their first transitions
    for pair in (starts[:2], starts[2:4], starts[4:]):
        places = [place for place, block in enumerate(blocks) if block in pair]
        assert places == list(range(places[0], places[0] + len(places)))
        within = [blocks[place] for place in places]
        assert sum(a != b for a, b in pairwise(within)) > 4
    assert starts != sorted(starts)


@pytest.mark.parametrize("delay", [0.0, 0.02])
def test_the_order_does_not_depend_on_the_speed_of_the_thread(
    small: Dataset, monkeypatch: pytest.MonkeyPatch, delay: float
) -> None:
    read = Dataset.read_block

    def slowly(self: Dataset, name: str, number: int, out: Any) -> None:
        time.sleep(delay * (number % 3))
        read(self, name, number, out)

    monkeypatch.setattr(Dataset, "read_block", slowly)
    with StreamedTransitions(small, torch.device("cpu"), buffer=BLOCK) as stream:
        batches = [batch for epoch in (0, 1) for batch in _epoch(stream, epoch, 16)]
    resident = Transitions.from_dataset(small, torch.device("cpu"))
    assert all(torch.equal(batch.observation, resident.batch(index).observation) for index, batch in batches)
    with StreamedTransitions(small, torch.device("cpu"), buffer=BLOCK) as stream:
        again = torch.cat([stream.order(_generator(epoch)) for epoch in (0, 1)])
    assert torch.equal(torch.cat([index for index, _ in batches]), again)


class Reads:
    """Remembers which blocks are read, and can hold the reader up."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.blocks: list[int] = []
        self.gate = threading.Event()
        self.gate.set()
        read = Dataset.read_block

        def watched(dataset: Dataset, name: str, number: int, out: Any) -> None:
            assert self.gate.wait(LIMIT)
            self.blocks.append(number)
            read(dataset, name, number, out)

        monkeypatch.setattr(Dataset, "read_block", watched)

    def wait_for(self, count: int) -> None:
        wait_until(lambda: len(self.blocks) >= count)
        assert len(self.blocks) == count


def test_one_window_is_read_ahead_and_no_more_the_first_of_the_next_epoch_too(
    small: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = Reads(monkeypatch)
    with StreamedTransitions(small, torch.device("cpu"), buffer=BLOCK) as stream:
        order = stream.order(_generator(0), following=_generator(1))
        reads.wait_for(1)
        parts = torch.split(order, 1)
        for taken, index in enumerate(parts, start=1):
            stream.batch(index)
            windows = len(dict.fromkeys(_blocks(order[:taken].tolist())))
            reads.wait_for(windows + 1)
            time.sleep(0.001)
            assert len(reads.blocks) == windows + 1
        assert sorted(reads.blocks[:6]) == list(range(6))
        following = stream.order(_generator(1))
        stream.batch(following[:1])
        assert reads.blocks[6] == _blocks(following.tolist())[0]
        reads.wait_for(8)


def test_after_the_last_epoch_nothing_more_is_read(small: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = Reads(monkeypatch)
    with StreamedTransitions(small, torch.device("cpu"), buffer=2 * BLOCK) as stream:
        for index in torch.split(stream.order(_generator(0)), 9):
            stream.batch(index)
    assert sorted(reads.blocks) == list(range(6))


def test_an_epoch_may_be_left_for_another_one(small: Dataset) -> None:
    """As after a collapse: what was read ahead is not what is needed next."""
    resident = Transitions.from_dataset(small, torch.device("cpu"))
    with StreamedTransitions(small, torch.device("cpu"), buffer=BLOCK) as stream:
        for epoch, taken in ((5, 1), (9, 3), (9, 20), (2, 69)):
            order = stream.order(_generator(epoch), following=_generator(epoch + 1))
            for index in torch.split(order[:taken], 10):
                assert torch.equal(stream.batch(index).observation, resident.batch(index).observation)


def test_transitions_are_refused_in_another_order(small: Dataset) -> None:
    with StreamedTransitions(small, torch.device("cpu"), buffer=BLOCK) as stream:
        order = stream.order(_generator(0))
        stream.batch(order[:BLOCK])
        stream.batch(order[-5:])
        with pytest.raises(ValueError, match="window 0 was asked for after window 5"):
            stream.batch(order[:5])


def test_memory_is_two_windows_whatever_the_dataset(small: Dataset) -> None:
    with StreamedTransitions(small, torch.device("cpu"), buffer=2 * BLOCK) as stream:
        held = sum(slot.frames.nbytes for slot in stream._slots)
        places = {slot.frames.data_ptr() for slot in stream._slots}
        for epoch in range(3):
            for _ in _epoch(stream, epoch, 8):
                assert stream._current is not None
                assert stream._current._frames.data_ptr() in places
    assert held == 2 * 2 * ROWS * (STEPS + 1) * 6 * 6


@pytest.mark.parametrize("damage", ["gone", "cut", "flipped"])
def test_a_file_lost_in_mid_epoch_is_one_clear_error(tmp_path: Path, damage: str) -> None:
    dataset = _write(tmp_path / "train.zarr", EPISODES, 6)
    with StreamedTransitions(dataset, torch.device("cpu"), buffer=BLOCK) as stream:
        order = stream.order(_generator(0))
        stream.batch(order[:1])
        file = dataset.path / "observation" / "c" / str(_blocks(order.tolist())[-1]) / "0/0/0/0"
        if damage == "gone":
            file.unlink()
        elif damage == "cut":
            file.write_bytes(file.read_bytes()[:-3])
        else:
            contents = bytearray(file.read_bytes())
            contents[len(contents) // 2] ^= 255
            file.write_bytes(contents)
        with pytest.raises(DatasetError, match=r"generate (it|the dataset) again") as error:
            list(map(stream.batch, torch.split(order, 10)))
    assert str(dataset.path) in one_line(error)


def _train(
    folder: Path,
    dataset: Dataset,
    build: Callable[[], Any] = small_sen,
    progress: Any = None,
    **settings: Any,
) -> TrainingResult:
    config = TrainingConfig(**{"epochs": 2, "batch_size": 5, "shuffle_buffer": 2 * BLOCK, **settings})
    with StreamedTransitions(dataset, torch.device("cpu"), buffer=config.shuffle_buffer or 0) as stream:
        return train(
            build, stream, config, seed=0, folder=folder, identity=IDENTITY, progress=progress or Recorder()
        )


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Noise of the shape that the small model takes."""
    path = tmp_path_factory.mktemp("colours") / "train.zarr"
    rng = np.random.default_rng(0)
    image = ("frame", "height", "width", "channel")
    frames = rng.integers(0, 256, (EPISODES, STEPS + 1, 6, 6, 3), dtype=np.uint8)
    actions = rng.integers(0, 20, (EPISODES, STEPS))
    write_dataset(
        path,
        {"observation": (image, frames), "action": (("step",), actions)},
        EpisodeBlocks(EPISODES, per_chunk=2, per_shard=ROWS),
    )
    return open_dataset(path)


@pytest.mark.parametrize("interrupt_after", [1, 3])
def test_interrupted_training_ends_with_the_same_weights(
    tmp_path: Path, colours: Dataset, interrupt_after: int
) -> None:
    """Two reports an epoch: in the first, and in the second."""
    whole = _train(tmp_path / "whole", colours).model.state_dict()
    with pytest.raises(KeyboardInterrupt):
        _train(tmp_path / "parts", colours, progress=Recorder(interrupt_after))
    resumed = _train(tmp_path / "parts", colours).model.state_dict()
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


def test_the_order_of_streamed_training_is_another_one(tmp_path: Path, colours: Dataset) -> None:
    streamed, other = (
        _train(tmp_path / str(buffer), colours, epochs=1, shuffle_buffer=buffer).model.state_dict()
        for buffer in (2 * BLOCK, 3 * BLOCK)
    )
    resident = train(
        small_sen,
        Transitions.from_dataset(colours, torch.device("cpu")),
        TrainingConfig(epochs=1, batch_size=4),
        seed=0,
        folder=tmp_path / "resident",
        identity=IDENTITY,
        progress=Recorder(),
    ).model.state_dict()
    for one, two in ((streamed, resident), (streamed, other)):
        assert any(not torch.equal(value, two[name]) for name, value in one.items())


def test_a_lost_file_ends_training_and_its_thread(tmp_path: Path) -> None:
    dataset = _write(tmp_path / "train.zarr", EPISODES, 6)
    (dataset.path / "observation/c/3/0/0/0/0").unlink()
    with pytest.raises(DatasetError, match=r"observation/c/3/0/0/0/0 is missing; generate it again"):
        _train(tmp_path / "run", dataset, Affine)


@pytest.mark.parametrize("count", [10, 1000])
def test_drawn_transitions_are_some_of_all_in_their_order(dataset: Dataset, count: int) -> None:
    cpu = torch.device("cpu")
    everything = Transitions.from_dataset(dataset, cpu)
    drawn = Transitions.drawn(dataset, cpu, count, seed=3)
    total = EPISODES * STEPS
    index = torch.randperm(total, generator=torch.Generator().manual_seed(3))[:count].sort().values
    assert len(drawn) == min(count, total)
    assert drawn.observation_shape == everything.observation_shape
    expected, batch = everything.batch(index), drawn.batch(torch.arange(len(drawn)))
    assert torch.equal(batch.observation, expected.observation)
    assert torch.equal(batch.action, expected.action)
    assert torch.equal(batch.next_observation, expected.next_observation)

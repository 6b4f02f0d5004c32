"""Training data that does not fit into memory: read block by block, ahead of the training that uses it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeAlias

import torch
from torch import Tensor

from sen_bench.data.transitions import Batch, Transitions
from sen_bench.store import Dataset
from sen_bench.system import InterruptiblePool

#: The prefix of the name of the reading thread.
READER = "sen-bench-reader"

_Window: TypeAlias = tuple[int, ...]
"""Numbers of the blocks that are in memory, and shuffled, at the same time."""


class _StoppedError(Exception):
    """Reading was cancelled."""


@dataclass
class _Slot:
    """Memory for the frames of one window.

    Attributes:
        frames: uint8 ``[N, T+S, H, W, C]`` on the device.
        unused: On a GPU, the event after which everything queued before the slot was given back is done with
            it.
    """

    frames: Tensor
    unused: torch.cuda.Event | None = None

    def give_back(self) -> None:
        """Notes that nothing queued from now on reads the slot."""
        if self.frames.device.type == "cuda":
            self.unused = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self.unused.record(torch.cuda.current_stream(self.frames.device))


class StreamedTransitions:
    """The transitions of a training split, of which two windows at a time are on the device.

    A block is what one file of the dataset holds. In each epoch the blocks are put into a random order and
    cut into windows of nearly equal size; a window's transitions are shuffled as a whole. While training goes
    over one window, a thread reads the next one into the other half of the memory; at the end of an epoch
    that is the first window of the next epoch. The order depends on the generator it is drawn from, on the
    dataset and on `buffer`, never on how fast the thread is.

    Actions, which are small, are kept on the device as a whole.

    Args:
        dataset: The split.
        device: Where batches are wanted.
        buffer: The most transitions in a window; rounded down to whole blocks, at least one.

    Raises:
        DatasetError: If the dataset is not whole.
    """

    def __init__(self, dataset: Dataset, device: torch.device, *, buffer: int) -> None:
        self.device = device
        self._dataset = dataset
        array = dataset.array(_FRAMES)
        self._episodes, self.steps = dataset.episodes, dataset.horizon
        self._rows = dataset.block_rows(_FRAMES)
        self._blocks = -(-self._episodes // self._rows)
        self._window_blocks = min(max(1, buffer // (self._rows * self.steps)), self._blocks)
        self._actions = torch.from_numpy(dataset.load("action")).to(device)
        rows = min(self._window_blocks * self._rows, self._episodes)
        self._slots = [
            _Slot(torch.empty(rows, *array.shape[1:], dtype=torch.uint8, device=device)) for _ in range(2)
        ]
        for slot in self._slots:  # the memory may be that of tensors which queued work still reads
            slot.give_back()
        self._staging: Tensor | None = None
        if device.type == "cuda":
            self._staging = torch.empty(self._rows, *array.shape[1:], dtype=torch.uint8, pin_memory=True)
            self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool = InterruptiblePool(ThreadPoolExecutor(1, thread_name_prefix=READER))
        self._stop = False  # whether the thread should stop reading; no event, whose lock may be left held
        self._number = -1  # of the window in memory, in its epoch
        self._current: Transitions | None = None
        self._slot = 0  # where it is; the next one comes into the other
        self._pending: tuple[_Window, Future[None]] | None = None
        self._coming: deque[_Window] = deque()
        self._window_of = torch.empty(0, dtype=torch.int64)
        self._shift = torch.empty(0, dtype=torch.int64)

    def __len__(self) -> int:
        """How many transitions there are: episodes × steps."""
        return self._episodes * self.steps

    def order(self, generator: torch.Generator, *, following: torch.Generator | None = None) -> Tensor:
        """Draws the order of an epoch, which :meth:`batch` must follow from now on.

        Args:
            generator: The random generator it is drawn from.
            following: The generator that the next epoch will be drawn from, in the same state; None after the
                last.

        Returns:
            int64 ``[N]`` on the CPU, every transition once.
        """
        windows = self._draw_windows(generator)
        order = torch.cat([self._shuffled(window, generator) for window in windows])
        self._window_of, self._shift = self._places(windows)
        self._coming = deque(windows)
        if following is not None:
            self._coming += self._draw_windows(following)[:1]
        self._drop()
        self._number = -1
        if self._pending is None or self._pending[0] != windows[0]:
            self._abandon()
            self._read_ahead()
        else:
            self._coming.popleft()
        return order

    def batch(self, index: Tensor) -> Batch:
        """Gathers transitions; waits for those that have not been read yet.

        Args:
            index: int64 ``[B]`` on the CPU, the next ones of the order; transition ``episode * T + step``.

        Raises:
            DatasetError: If a file is gone or damaged.
            ValueError: If they come before those asked for last.
        """
        return self._gathered(index, None)

    def batch_with_negatives(self, index: Tensor, later: Tensor) -> Batch:
        """Gathers transitions, and other observations of the episodes of the first of them.

        Args:
            index: int64 ``[B]`` on the CPU, as for :meth:`batch`.
            later: int64 ``[n]`` on the CPU; see `Transitions.observations`.

        Raises:
            DatasetError: If a file is gone or damaged.
            ValueError: If they come before those asked for last.
        """
        return self._gathered(index, later)

    def _gathered(self, index: Tensor, later: Tensor | None) -> Batch:
        """Transitions of any number of windows; whole episodes are in one, and so are their negatives."""
        block = torch.div(index, self._rows * self.steps, rounding_mode="floor")
        numbers, counts = torch.unique_consecutive(self._window_of[block], return_counts=True)
        places = index + self._shift[block]
        parts, begin = [], 0
        for number, count in zip(numbers.tolist(), counts.tolist(), strict=True):
            window, place = self._window(number), self._on_device(places[begin : begin + count])
            if later is None:
                parts.append(window.batch(place))
            else:
                steps = self._on_device(later[begin : begin + count])
                parts.append(window.batch_with_negatives(place, steps))
            begin += count
        if len(parts) == 1:
            return parts[0]
        return Batch(
            torch.cat([part.observation for part in parts]),
            torch.cat([part.action for part in parts]),
            torch.cat([part.next_observation for part in parts]),
            None if later is None else torch.cat([p.negative for p in parts if p.negative is not None]),
        )

    def _on_device(self, index: Tensor) -> Tensor:
        """Indices on the device; for a GPU, through memory that it copies without the CPU waiting."""
        if self.device.type == "cpu":
            return index
        return index.pin_memory().to(self.device, non_blocking=True)

    def close(self) -> None:
        """Ends the thread; waits for no more than the block that it is reading."""
        self._stop = True
        self._pool.close()
        self._pending = None
        self._drop()
        self._slots.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _draw_windows(self, generator: torch.Generator) -> list[_Window]:
        """The blocks in random order, as windows of nearly equal size."""
        blocks = torch.randperm(self._blocks, generator=generator)
        count = -(-self._blocks // self._window_blocks)
        return [tuple(window.tolist()) for window in blocks.tensor_split(count)]

    def _episodes_of(self, block: int) -> range:
        return range(block * self._rows, min((block + 1) * self._rows, self._episodes))

    def _shuffled(self, window: _Window, generator: torch.Generator) -> Tensor:
        """The transitions of a window in random order."""
        parts = []
        for block in window:
            episodes = self._episodes_of(block)
            parts.append(torch.arange(episodes.start * self.steps, episodes.stop * self.steps))
        index = torch.cat(parts)
        return index[torch.randperm(len(index), generator=generator)]

    def _places(self, windows: Sequence[_Window]) -> tuple[Tensor, Tensor]:
        """The number of the window of each block, and the map from a transition to its place in there."""
        window_of, shift = torch.empty(2, self._blocks, dtype=torch.int64)
        for number, window in enumerate(windows):
            place = 0
            for block in window:
                episodes = self._episodes_of(block)
                window_of[block] = number
                shift[block] = place - episodes.start * self.steps
                place += len(episodes) * self.steps
        return window_of, shift

    def _window(self, number: int) -> Transitions:
        """A window of the epoch, which becomes the one in memory; those before it are gone."""
        while self._current is None or self._number < number:
            self._advance()
        if self._number > number:
            raise ValueError(f"window {number} was asked for after window {self._number}")
        return self._current

    def _advance(self) -> None:
        """Takes the window read ahead, gives back the memory of the one before, and reads the next one."""
        if self._pending is None:
            raise ValueError("more was asked for than an epoch has; draw the order of the next one")
        window, future = self._pending
        self._pool.result(future)
        self._drop()
        self._pending = None
        self._slot = 1 - self._slot
        self._number += 1
        rows = torch.cat([torch.arange(e.start, e.stop) for e in map(self._episodes_of, window)])
        self._current = Transitions(
            self._slots[self._slot].frames[: len(rows)], self._actions[rows.to(self.device)], self.device
        )
        if self._coming:
            self._read_ahead()

    def _drop(self) -> None:
        """Gives back the memory of the window that training has gone over."""
        if self._current is not None:
            self._current = None
            self._slots[self._slot].give_back()

    def _read_ahead(self) -> None:
        """Makes the thread read the window that comes next."""
        window = self._coming.popleft()
        self._pending = (window, self._pool.submit(self._read, window, self._slots[1 - self._slot]))

    def _abandon(self) -> None:
        """Makes the thread stop reading ahead, and waits until it has stopped."""
        if self._pending is not None:
            self._stop = True
            self._pool.cancel([self._pending[1]])
            self._stop = False
            self._pending = None

    def _read(self, window: _Window, slot: _Slot) -> None:
        """Fills a slot; runs in the thread."""
        if slot.unused is not None:
            slot.unused.synchronize()
        place = 0
        for block in window:
            if self._stop:
                raise _StoppedError
            count = len(self._episodes_of(block))
            rows = slot.frames[place : place + count]
            if self._staging is None:
                self._dataset.read_block(_FRAMES, block, rows.numpy())
            else:
                staged = self._staging[:count]
                self._dataset.read_block(_FRAMES, block, staged.numpy())
                with torch.cuda.stream(self._stream):
                    rows.copy_(staged, non_blocking=True)
                self._stream.synchronize()  # staging is filled again, or the window is ready
            place += count


_FRAMES = "observation"

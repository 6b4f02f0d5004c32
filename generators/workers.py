"""Running the shards of a dataset, in this process or in several."""

from __future__ import annotations

import concurrent.futures
import ctypes
import multiprocessing
from collections.abc import Callable, Generator, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TypeAlias

from sen_bench.errors import DatasetError
from sen_bench.generators.recipe import Recipe
from sen_bench.generators.shards import ShardMaker
from sen_bench.store import Receipt
from sen_bench.system import InterruptiblePool, heed_parent, interrupts_held

FinishedShards: TypeAlias = Generator[tuple[tuple[int, int], list[Receipt]]]
"""Ranges of episodes with the receipts of their shards, in any order. Closing it stops what still runs."""

RunShards: TypeAlias = Callable[[Path, Recipe, Sequence[tuple[int, int]]], FinishedShards]
"""Makes the shards of a store, one for each range of episodes: `run_shards` here, or a cluster."""


def run_shards(
    root: Path, recipe: Recipe, ranges: Sequence[tuple[int, int]], *, workers: int
) -> FinishedShards:
    """Makes every shard; yields each range with its receipts when it is done, in no fixed order.

    Args:
        root: The store, with the metadata of its arrays.
        recipe: What to generate.
        ranges: The episodes of each shard.
        workers: Processes; with 1 the work is done in this one.

    Raises:
        DatasetError: A worker process was killed.
        Exception: Whatever a shard raises; the other workers are stopped first.
    """
    if workers == 1 or len(ranges) <= 1:
        maker = ShardMaker(root, recipe, checkpoint=lambda: None)
        for start, stop in ranges:
            yield (start, stop), maker.make(start, stop)
        return

    context = multiprocessing.get_context("spawn")
    # No event: its lock may be left held, by a main thread that is interrupted or by a worker that is killed.
    stopped = context.RawValue(ctypes.c_bool, False)  # noqa: FBT003 — its initial value
    executor = concurrent.futures.ProcessPoolExecutor(
        min(workers, len(ranges)), context, _start_worker, (root, recipe, stopped)
    )
    pool = InterruptiblePool(executor)
    futures: dict[concurrent.futures.Future[list[Receipt]], tuple[int, int]] = {}
    try:
        with interrupts_held():  # submissions start the processes
            for episodes in ranges:
                futures[pool.submit(_make_shard, *episodes)] = episodes
        for future in pool.finished(futures):
            yield futures[future], pool.result(future)
    except BrokenProcessPool as error:
        raise DatasetError(
            "a worker process was killed, perhaps for want of memory; try again with fewer workers"
        ) from error
    finally:
        stopped.value = True
        for _ in pool.finished(futures):  # shards that are not begun end at once
            pass
        # The workers have nothing left to do. Told to end, they would wait for each other: for ever
        # if one was killed that held the lock of their queue, which a pool that is shut down does not see.
        for process in list(executor._processes.values()):  # noqa: SLF001 — public only from Python 3.14 on
            process.kill()
        pool.close()


class _Stopped(Exception):  # noqa: N818 — not an error: the parent asked for it and ignores it
    """Another shard failed, or the user interrupted."""


class _ShardWorker:
    """What one worker process keeps between tasks."""

    def __init__(self, root: Path, recipe: Recipe, stopped: ctypes.c_bool) -> None:
        self._root = root
        self._recipe = recipe
        self._stopped = stopped
        self._maker: ShardMaker | None = None

    def make(self, start: int, stop: int) -> list[Receipt]:
        self._checkpoint()
        # The world is made by the first task, because an error in it then reaches the parent unchanged.
        if self._maker is None:
            self._maker = ShardMaker(self._root, self._recipe, self._checkpoint)
        return self._maker.make(start, stop)

    def _checkpoint(self) -> None:
        if self._stopped.value:
            raise _Stopped


_worker: _ShardWorker | None = None


def _start_worker(root: Path, recipe: Recipe, stopped: ctypes.c_bool) -> None:
    global _worker  # noqa: PLW0603 — the only way from a pool's initializer to its tasks
    _worker = _ShardWorker(root, recipe, stopped)
    heed_parent()


def _make_shard(start: int, stop: int) -> list[Receipt]:
    if _worker is None:
        raise RuntimeError("_make_shard called outside a worker process")
    return _worker.make(start, stop)

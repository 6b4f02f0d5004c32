"""Threads and processes that work for a main thread which Ctrl-C may interrupt at any moment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Self, TypeVar

from sen_bench.system.interrupts import DeferredInterrupts

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class InterruptiblePool:
    """An executor of `concurrent.futures`, from which an interrupt at any moment leads out.

    The locks of futures and executors are taken by Python code. An interrupt in the instant after leaves one
    held: the thread that needs it waits for ever, and so do the executor and the end of the process, which
    wait for the thread. Here interrupts are deferred while the two sides speak to each other, and the main
    thread waits in `SimpleQueue.get`, which is C and holds nothing when it is interrupted.

    As a context manager it is closed at the end of the block.

    Args:
        executor: The threads or processes. Nothing else is to be asked of it.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._unfinished: set[Future[Any]] = set()

    def submit(self, work: Callable[..., _Result], *arguments: object) -> Future[_Result]:
        """Has something done; see :meth:`result` and :meth:`finished`.

        Args:
            work: What is called.
            arguments: Its arguments.
        """
        with DeferredInterrupts():
            future = self._executor.submit(work, *arguments)
            self._unfinished.add(future)
            future.add_done_callback(self._unfinished.discard)
        return future

    def result(self, future: Future[_Result]) -> _Result:
        """Waits for what was submitted, and returns what it returned.

        Raises:
            Exception: What it raised.
        """
        next(self.finished([future]))
        with DeferredInterrupts():
            return future.result()

    def finished(self, futures: Iterable[Future[_Result]]) -> Iterator[Future[_Result]]:
        """Waits for several, and yields each when it has ended, by an error or by being cancelled too."""
        awaited = list(futures)
        ended: SimpleQueue[Future[_Result]] = SimpleQueue()
        with DeferredInterrupts():
            for future in awaited:
                future.add_done_callback(ended.put)
        for _ in awaited:
            yield ended.get()

    def map(self, work: Callable[[_Item], _Result], items: Iterable[_Item]) -> Iterator[_Result]:
        """Has the same done with several things; yields the results in the order of the things.

        Whatever ends it early, what is not begun is cancelled and what is begun is waited for.

        Raises:
            Exception: What the first of them raised that failed.
        """
        futures: list[Future[_Result]] = []
        try:
            with DeferredInterrupts():
                futures += [self.submit(work, item) for item in items]
            for future in futures:
                yield self.result(future)
        finally:
            self.cancel(futures)

    def cancel(self, futures: Iterable[Future[Any]]) -> None:
        """Cancels what is not begun, and waits for the rest."""
        unfinished = [future for future in futures if future in self._unfinished]
        with DeferredInterrupts():
            for future in unfinished:
                future.cancel()
        for _ in self.finished(unfinished):
            pass

    def close(self) -> None:
        """Cancels what is not begun, waits for the rest, and ends the threads or processes."""
        self.cancel(self._unfinished.copy())
        with DeferredInterrupts():  # they have nothing left to do
            self._executor.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

"""A worker process of a sweep: carries out orders, reports progress, and lives from run to run."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Final

import torch

from sen_bench.errors import SenBenchError
from sen_bench.results import RunRow
from sen_bench.runs import missing_rows
from sen_bench.sweep.orders import DataOrder, Order
from sen_bench.sweep.outcome import first_line
from sen_bench.system import Advance, Status, WorkStatus, heed_parent, interrupts_held, prepare_device

# Seconds between two progress reports on a piece of work.
_REPORT_EVERY = 0.5
# Seconds that a worker gets to finish what it is writing.
_LAST_SECONDS = 5.0
# The variable from which the libraries of NumPy and PyTorch take their number of threads when loaded.
_THREADS: Final = "OMP_NUM_THREADS"


@dataclass(frozen=True)
class Answer:
    """The outcome of an order.

    Attributes:
        rows: The rows of a run, none if the table had them.
        error: Why it failed, in one line.
    """

    rows: tuple[RunRow, ...] = ()
    error: str | None = None


@dataclass(frozen=True)
class WorkerExit:
    """A worker process ended in the middle of its order.

    Attributes:
        exit_code: The exit code of the process; below 0, minus the number of a signal.
        error: The error that ended it, in one line; None: it could not say.
    """

    exit_code: int | None
    error: str | None = None


Report = str | Status | WorkStatus | Answer | WorkerExit
"""What a worker says: a line that a person should read, where it stands, what came of it."""


def threads_per_job(jobs: int, cores: int) -> int:
    """How many threads each job uses: OMP_NUM_THREADS, or its share of the cores."""
    given = os.environ.get(_THREADS, "")
    return int(given) if given.isdecimal() and int(given) > 0 else max(1, cores // jobs)


def last_moment() -> float:
    """Until when workers that must end may finish what they are writing; by `time.monotonic`."""
    return time.monotonic() + _LAST_SECONDS


class RunWorker:
    """A worker process, as its parent knows it.

    Args:
        threads: Threads that it uses.
        device: The device on which its runs take place.
    """

    def __init__(self, threads: int, device: torch.device) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.device = device
        self.order: Order | None = None
        self._process = context.Process(target=_serve, args=(theirs, threads), name="sen-bench worker")
        with interrupts_held(), _environment(_THREADS, str(threads)):
            self._process.start()
        theirs.close()

    def give(self, order: Order) -> None:
        """Makes it carry out an order; it must have none."""
        self.order = order
        # A worker that has died meanwhile is noticed when its answer is read.
        with _gone_is_no_error():
            self.connection.send((order, self.device))

    def report(self) -> Report:
        """What it says; waits until it does."""
        try:
            report: Report = self.connection.recv()
        except (EOFError, OSError):  # the latter if it was killed in the middle of a message
            self._process.join()
            return WorkerExit(self._process.exitcode)
        return report

    def dismiss(self) -> None:
        """Lets it end, as there is nothing left to do."""
        self.connection.close()
        self.stop_waiting(last_moment())

    def stop(self) -> None:
        """Tells it to stop; call `stop_waiting` next."""
        self._process.terminate()

    def stop_waiting(self, until: float) -> None:
        """Waits for its end until a moment of `time.monotonic`, and then kills it."""
        self._process.join(max(0, until - time.monotonic()))
        self._process.kill()
        self._process.join()
        self.connection.close()


@contextmanager
def _gone_is_no_error() -> Iterator[None]:
    try:
        yield
    except (BrokenPipeError, ConnectionResetError):
        return


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """Sets a variable for processes started within the block."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


class _Relay:
    """Tells the parent."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._last = 0.0

    def message(self, text: str) -> None:
        self._connection.send(text)

    def status(self, status: Status) -> None:
        self._stands(status, end=status.step == status.steps)

    @contextmanager
    def training(self, name: str) -> Iterator[None]:
        del name  # the parent knows
        yield

    @contextmanager
    def work(self, title: str, unit: str) -> Iterator[Advance]:
        yield lambda done, total: self._stands(WorkStatus(title, done, total, unit), end=done == total)

    def _stands(self, state: Status | WorkStatus, *, end: bool) -> None:
        now = time.monotonic()
        if end or now - self._last >= _REPORT_EVERY:
            self._last = now
            self._connection.send(state)


def _serve(connection: Connection, threads: int) -> None:
    """What a worker does until its parent lets it go."""
    heed_parent()
    signal.signal(signal.SIGTERM, _leave)
    torch.set_num_threads(threads)
    prepared: set[torch.device] = set()
    while True:
        try:
            order, device = connection.recv()
        except EOFError:
            return
        if device not in prepared:
            prepare_device(device)
            prepared.add(device)
        connection.send(_carry_out(order, connection))


def _leave(signum: int, frame: FrameType | None) -> None:
    """Ends the process after tidying up."""
    del frame
    sys.exit(128 + signum)


def _carry_out(order: Order, connection: Connection) -> Answer:
    """Does what an order says."""
    relay = _Relay(connection)
    try:
        if isinstance(order, DataOrder):
            order.run.data.ensure(order.split, progress=relay, workers=order.workers)
            return Answer()
        with ExitStack() as stack:
            stack.enter_context(_ExitAtError(connection))
            # Before there is a log in the folder that somebody writes to.
            if order.again:
                order.run.place.begin_anew(relay)
            order.run.place.make()
            stack.enter_context(_output_to(order.run.log))
            rows = missing_rows(order.run, relay, log_to=order.log_to, again=order.again)
            return Answer(tuple(rows))
    except SenBenchError as error:
        return Answer(error=first_line(error))


class _ExitAtError:
    """Ends the process at an error that is not a user's mistake, which may leave it in any state.

    The traceback is in the run's log already.

    Args:
        connection: Where the error is sent.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: object) -> None:
        if isinstance(value, Exception) and not isinstance(value, SenBenchError):
            with _gone_is_no_error():
                self._connection.send(WorkerExit(1, first_line(value)))
            os._exit(1)


@contextmanager
def _output_to(path: Path) -> Iterator[None]:
    """Sends whatever libraries print, in whatever language, to a file."""
    kept = [(stream, os.dup(stream)) for stream in (1, 2)]
    try:
        with path.open("a", encoding="utf-8") as file:
            for stream, _ in kept:
                os.dup2(file.fileno(), stream)
        yield
    finally:
        for stream, before in kept:
            os.dup2(before, stream)
            os.close(before)

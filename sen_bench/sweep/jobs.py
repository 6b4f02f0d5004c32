"""Runs side by side on one machine, each in a worker process that goes on to the next run when it is done."""

from __future__ import annotations

import multiprocessing.connection
import signal
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from sen_bench.runs import Run
from sen_bench.sweep.orders import DataOrder, Queue, RunOrder
from sen_bench.sweep.outcome import Board, Outcome
from sen_bench.sweep.worker import Answer, Death, Worker, last_moment


@dataclass(frozen=True)
class Means:
    """What a machine gives to a sweep.

    Attributes:
        jobs: Runs at the same time.
        threads: That each computes with.
        devices: Taken in turn by the jobs; more jobs than devices share them.
        workers: Processes that generate data at the same time, all jobs together, about.
    """

    jobs: int
    threads: int
    devices: Sequence[torch.device]
    workers: int


def side_by_side(
    runs: Sequence[Run], means: Means, *, board: Board, tensorboard: bool, force: bool
) -> Generator[Outcome, None, None]:
    """Does runs in worker processes, and what they need; writes the rows of each as it ends.

    A run that fails, or whose process dies, does not stop the others. Closing the iterator, or an exception
    such as Ctrl-C, stops all of them: of each the last checkpoint remains.

    Args:
        runs: What is to be done, the longest first.
        means: What there is to do it with.
        board: Is shown how it goes.
        tensorboard: Whether to write TensorBoard events too.
        force: Whether to train anew what is trained already.

    Raises:
        ResultsError: If the tables cannot be written.
    """
    crew = _Crew(runs, means, board, tensorboard=tensorboard, force=force)
    try:
        yield from crew.outcomes()
        crew.dismiss()
    finally:
        crew.stop()


class _Crew:
    """The workers of a sweep; each is started when there is first something for it to do."""

    def __init__(
        self, runs: Sequence[Run], means: Means, board: Board, *, tensorboard: bool, force: bool
    ) -> None:
        self._means = means
        self._board = board
        self._workers: dict[int, Worker] = {}
        self._queue = Queue(
            runs, workers=means.workers, jobs=means.jobs, tensorboard=tensorboard, again=force
        )

    def outcomes(self) -> Iterator[Outcome]:
        """Has everything done."""
        ended: list[tuple[Run, Answer]] = []
        while True:
            self._hand_out()
            # Only now, so that nobody waits for a new order meanwhile.
            for run, answer in ended:
                if answer.rows:
                    run.record(list(answer.rows))
                yield Outcome(run, new=bool(answer.rows), error=answer.error)
            busy = {w.connection: n for n, w in self._workers.items() if w.order is not None}
            if not busy:
                return
            ended = []
            for connection in multiprocessing.connection.wait(list(busy)):
                number = next(n for c, n in busy.items() if c is connection)
                ended += self._take_report(number)

    def _hand_out(self) -> None:
        """Gives every job that has none an order, as long as there are any."""
        for number in range(self._means.jobs):
            worker = self._workers.get(number)
            if worker is not None and worker.order is not None:
                continue
            order = self._queue.next()
            if order is None:
                return
            if worker is None:
                devices = self._means.devices
                worker = Worker(self._means.threads, devices[number % len(devices)])
                self._workers[number] = worker
            if isinstance(order, RunOrder):
                order = replace(order, run=replace(order.run, device=worker.device))
            worker.give(order)
            self._board.show(number, _label(order), None)

    def _take_report(self, number: int) -> list[tuple[Run, Answer]]:
        """Takes in what a worker says; the runs that have thereby ended."""
        worker = self._workers[number]
        order, report = worker.order, worker.report()
        if order is None:
            raise RuntimeError("a worker without an order said something")
        if isinstance(report, str):
            self._board.message(f"{_title(order)}: {report}")
            return []
        if isinstance(report, Death):
            del self._workers[number]
            worker.stop_waiting(last_moment())
            report = Answer(error=_obituary(report))
        if not isinstance(report, Answer):
            self._board.show(number, _label(order), report)
            return []
        worker.order = None
        self._board.clear(number)
        if isinstance(order, RunOrder):
            return [(order.run, report)]
        if report.error is None:
            self._queue.made(order.path)
            return []
        return [(run, report) for run in self._queue.unmade(order.path)]

    def dismiss(self) -> None:
        """Lets all workers end."""
        while self._workers:
            _, worker = self._workers.popitem()
            worker.dismiss()

    def stop(self) -> None:
        """Stops those that are there, at once."""
        for worker in self._workers.values():
            worker.stop()
        # One moment for all: schedulers that send SIGTERM kill soon after.
        until = last_moment()
        for worker in self._workers.values():
            worker.stop_waiting(until)


def _label(order: DataOrder | RunOrder) -> str:
    """What a job is called; which dataset it makes, its state says."""
    return order.run.name if isinstance(order, RunOrder) else "data"


def _title(order: DataOrder | RunOrder) -> str:
    if isinstance(order, RunOrder):
        return order.run.name
    return f"{order.run.task.name} {order.split}"


def _obituary(death: Death) -> str:
    """Why a process that died may have done so, in one line."""
    code = death.exit_code
    if death.error is not None or code is None or code >= 0:
        return death.error or f"its process ended with exit code {code}"
    name = signal.Signals(-code).name
    memory = ", perhaps for want of memory; try again with fewer --jobs" if name == "SIGKILL" else ""
    return f"its process was ended by {name}{memory}"

"""Runs side by side on one machine, each in a worker process that goes on to the next run when it is done."""

from __future__ import annotations

import multiprocessing.connection
import signal
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

import torch

from sen_bench.runs import Run, record_run
from sen_bench.sweep.orders import DataOrder, Queue, RunOrder
from sen_bench.sweep.outcome import Outcome
from sen_bench.sweep.worker import Answer, RunWorker, WorkerExit, last_moment
from sen_bench.system import SweepProgress


@dataclass(frozen=True)
class MachineShare:
    """How much of a machine a sweep may use.

    Attributes:
        jobs: Runs at the same time.
        threads: Threads that each of them uses.
        devices: Devices that the jobs take in turn; if there are more jobs than devices, they share them.
        workers: Roughly how many processes generate data at the same time, over all jobs.
    """

    jobs: int
    threads: int
    devices: Sequence[torch.device]
    workers: int


def side_by_side(
    runs: Sequence[Run], share: MachineShare, *, progress: SweepProgress, log_to: tuple[str, ...], force: bool
) -> Generator[Outcome, None, None]:
    """Does runs in worker processes, and what they need; writes the rows of each as it ends.

    A run that fails, or whose process dies, does not stop the others. Closing the iterator, or an exception
    such as Ctrl-C, stops all of them; the last checkpoint of each remains.

    Args:
        runs: What is to be done, the longest first.
        share: How much of the machine may be used.
        progress: Shows how it goes.
        log_to: The trackers that losses go to as well, by their names.
        force: Whether to train again what is already trained.

    Raises:
        ResultsError: If the tables cannot be written.
    """
    crew = _Crew(runs, share, progress, log_to=log_to, force=force)
    try:
        yield from crew.outcomes()
        crew.dismiss()
    finally:
        crew.stop()


class _Crew:
    """The workers of a sweep; each is started when it first has something to do."""

    def __init__(
        self,
        runs: Sequence[Run],
        share: MachineShare,
        progress: SweepProgress,
        *,
        log_to: tuple[str, ...],
        force: bool,
    ) -> None:
        self._share = share
        self._progress = progress
        self._workers: dict[int, RunWorker] = {}
        self._shown: dict[int, _Shown] = {}
        self._queue = Queue(runs, workers=share.workers, jobs=share.jobs, log_to=log_to, again=force)

    def outcomes(self) -> Iterator[Outcome]:
        """Gets everything done."""
        ended: list[tuple[Run, Answer]] = []
        while True:
            self._hand_out()
            # Only now, so that nobody waits for a new order meanwhile.
            for run, answer in ended:
                if answer.rows:
                    record_run(run, list(answer.rows))
                yield Outcome(run, new=bool(answer.rows), error=answer.error)
            busy = {w.connection: n for n, w in self._workers.items() if w.order is not None}
            if not busy:
                return
            ended = []
            for connection in multiprocessing.connection.wait(list(busy)):
                number = next(n for c, n in busy.items() if c is connection)
                ended += self._take_report(number)

    def _hand_out(self) -> None:
        """Gives an order to every job without one, as long as there are orders."""
        for number in range(self._share.jobs):
            worker = self._workers.get(number)
            if worker is not None and worker.order is not None:
                continue
            order = self._queue.next()
            if order is None:
                return
            if worker is None:
                devices = self._share.devices
                worker = RunWorker(self._share.threads, devices[number % len(devices)])
                self._workers[number] = worker
            if isinstance(order, RunOrder):
                order = replace(order, run=replace(order.run, device=worker.device))
            worker.give(order)
            self._shown[number] = _Shown(self._progress, _label(order))

    def _take_report(self, number: int) -> list[tuple[Run, Answer]]:
        """Takes in what a worker says; returns the runs that ended with it."""
        worker = self._workers[number]
        order, report = worker.order, worker.report()
        if order is None:
            raise RuntimeError("a worker without an order said something")
        if isinstance(report, str):
            self._progress.message(f"{_title(order)}: {report}")
            return []
        if isinstance(report, WorkerExit):
            del self._workers[number]
            worker.stop_waiting(last_moment())
            report = Answer(error=_why_it_ended(report))
        if not isinstance(report, Answer):
            self._shown[number].report(report)
            return []
        worker.order = None
        self._shown.pop(number).close()
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
        """Stops those that are running, at once."""
        while self._shown:
            self._shown.popitem()[1].close()
        for worker in self._workers.values():
            worker.stop()
        # One moment for all: schedulers that send SIGTERM kill soon after.
        until = last_moment()
        for worker in self._workers.values():
            worker.stop_waiting(until)


class _Shown:
    """What is shown of a worker's job, until it is closed.

    Args:
        progress: Shows it.
        name: The name of the job.
    """

    def __init__(self, progress: SweepProgress, name: str) -> None:
        self._context = ExitStack()
        self.report = self._context.enter_context(progress.job(name))

    def close(self) -> None:
        """The job has ended."""
        self._context.close()


def _label(order: DataOrder | RunOrder) -> str:
    """What a job is called; its state says which dataset it makes."""
    return order.run.name if isinstance(order, RunOrder) else "data"


def _title(order: DataOrder | RunOrder) -> str:
    if isinstance(order, RunOrder):
        return order.run.name
    return f"{order.run.task.name} {order.split}"


def _why_it_ended(end: WorkerExit) -> str:
    """Why a worker process may have ended, in one line."""
    code = end.exit_code
    if end.error is not None or code is None or code >= 0:
        return end.error or f"its process ended with exit code {code}"
    name = signal.Signals(-code).name
    memory = ", perhaps for want of memory; try again with fewer --jobs" if name == "SIGKILL" else ""
    return f"its process was ended by {name}{memory}"

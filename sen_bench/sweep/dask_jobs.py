"""Runs on the workers of a Dask cluster, which see the same file system. One task is one run."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from sen_bench.cluster import Token, new_token
from sen_bench.errors import ClusterError, SenBenchError
from sen_bench.generators import shards_on
from sen_bench.results import RunRow
from sen_bench.runs import Run, missing_rows, place_data, record_run
from sen_bench.sweep.outcome import Outcome, first_line
from sen_bench.system import Advance, Progress, Status, prepare_device, resolve_device

if TYPE_CHECKING:
    import distributed

# Seconds between two checks whether the run is still wanted.
_LOOK_EVERY = 2.0
# A process trains one model at a time, however many threads it was given: random seeds are per process.
_ONE_AT_A_TIME = threading.Lock()


def on_workers(
    runs: Sequence[Run],
    client: distributed.Client,
    *,
    progress: Progress,
    log_to: tuple[str, ...],
    force: bool,
) -> Generator[Outcome, None, None]:
    """Does runs on a cluster, and generates what they need there; writes the rows of each as it ends.

    If a worker dies, its run goes to another one, which resumes from the last checkpoint. A run that fails
    does not stop the others.

    Args:
        runs: What is to be done, the longest first; in folders that the workers see under the same path, on
            devices as workers know them.
        client: The connection.
        progress: Shows how it goes.
        log_to: The trackers that losses go to as well, by their names.
        force: Whether to train again what is already trained.

    Raises:
        ClusterError: If the scheduler is lost.
        ResultsError: If the tables cannot be written.
    """
    from distributed import as_completed  # noqa: PLC0415 — an optional package

    ready: list[Run] = []
    broken: dict[str, str] = {}
    made: set[str] = set()
    for run in runs:
        for split in run.splits:
            path = str(run.data.path(split))
            if path not in made | broken.keys():
                try:
                    run.data.ensure(split, progress=progress, run=shards_on(client))
                    made.add(path)
                except SenBenchError as error:
                    broken[path] = first_line(error)
        reasons = [broken[p] for p in map(str, map(run.data.path, run.splits)) if p in broken]
        if reasons:
            yield Outcome(run, error=reasons[0])
        else:
            ready.append(run)
    if force:
        ready = yield from _begin_anew(ready, progress)
    if not ready:
        return
    folder = ready[0].workspace.runs
    folder.mkdir(parents=True, exist_ok=True)
    with new_token(folder, "sweep") as token:
        futures = {
            client.submit(
                _complete,
                run,
                token,
                log_to=log_to,
                again=force,
                key=f"sen-bench-{token.text}-{run.name}",
                resources={"GPU": 1} if run.device.type == "cuda" else {},
                pure=False,
                # The longest comes first.
                priority=-number,
            ): run
            for number, run in enumerate(ready)
        }
        try:
            for future in as_completed(list(futures), loop=client.loop):
                yield _outcome(futures[future], future)
        finally:
            client.cancel(list(futures))


def _begin_anew(runs: Sequence[Run], progress: Progress) -> Generator[Outcome, None, list[Run]]:
    """Moves existing runs aside; here and not on the worker, as another worker may resume its run.

    Returns:
        Those for which this succeeded.
    """
    ready = []
    for run in runs:
        try:
            run.place.begin_anew(progress)
        except SenBenchError as error:
            yield Outcome(run, error=first_line(error))
        else:
            ready.append(run)
    return ready


def _outcome(run: Run, future: distributed.Future[list[RunRow]]) -> Outcome:
    """What became of a run, after putting its rows into the tables.

    Raises:
        ClusterError: If nobody knows, because the scheduler was lost.
    """
    if future.status not in {"finished", "error"}:
        raise ClusterError("the scheduler was lost; give the same command again when it is back")
    if future.status == "error":
        error = future.exception()
        if type(error).__name__ == "KilledWorker":
            return Outcome(run, error="workers died again and again over it, perhaps for want of memory")
        return Outcome(run, error=first_line(error))
    rows = future.result()
    if rows:
        record_run(run, rows)
    return Outcome(run, new=bool(rows))


class _Watched:
    """Shows nothing, as nobody looks at a worker and the log has everything. Ends a run nobody waits for."""

    def __init__(self, token: Token) -> None:
        self._token = token
        self._last = time.monotonic()

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._last >= _LOOK_EVERY:
            self._last = now
            self._token.check()

    def message(self, text: str) -> None:
        del text

    def status(self, status: Status) -> None:
        del status
        self._look()

    @contextmanager
    def training(self, name: str) -> Iterator[None]:
        del name
        yield

    @contextmanager
    def work(self, title: str, unit: str) -> Iterator[Advance]:
        del title, unit
        yield lambda _done, _total: self._look()


def _complete(run: Run, token: Token, *, log_to: tuple[str, ...], again: bool) -> list[RunRow]:
    """The task: trains and scores a model on a worker.

    Raises:
        ClusterError: The worker does not see the client's files, or has no such device.
        SenBenchError: Whatever else makes the run fail.
    """
    token.check()
    for split in run.splits:
        if not run.data.path(split).is_dir():
            raise ClusterError(
                f"the worker on {socket.gethostname()} does not see {run.data.path(split)}; use a --data"
                " folder that all machines share"
            )
    device = resolve_device(str(run.device))
    with _ONE_AT_A_TIME:
        prepare_device(device)
        placed = replace(run, device=device)
        if placed.placement is None:
            placed = place_data(placed, None)
        return missing_rows(placed, _Watched(token), log_to=log_to, again=again)

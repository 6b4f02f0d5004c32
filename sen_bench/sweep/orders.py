"""What is to be done next: runs, the longest first, each after its datasets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sen_bench.runs import Run


@dataclass(frozen=True)
class DataOrder:
    """An order to generate a dataset if it is missing.

    Attributes:
        run: A run that needs it.
        split: Which of its splits.
        workers: Processes that make its shards.
    """

    run: Run
    split: str
    workers: int

    @property
    def path(self) -> Path:
        """The dataset."""
        return self.run.data.path(self.split)


@dataclass(frozen=True)
class RunOrder:
    """An order to train and score a model.

    Attributes:
        run: The run; its datasets are there.
        log_to: The trackers that losses go to as well, by their names.
        again: Whether to do so even if the table of runs has its rows.
    """

    run: Run
    log_to: tuple[str, ...]
    again: bool


Order = DataOrder | RunOrder


class Queue:
    """Hands out orders.

    Args:
        runs: What is to be done, the most urgent first.
        workers: Processes that generate data at the same time, about.
        jobs: Orders that are carried out at the same time.
        log_to: As in `RunOrder`.
        again: As in `RunOrder`.
    """

    def __init__(
        self, runs: Sequence[Run], *, workers: int, jobs: int, log_to: tuple[str, ...], again: bool
    ) -> None:
        self._runs = list(runs)
        self._log_to, self._again = log_to, again
        paths = {run.data.path(split) for run in runs for split in run.splits}
        # Rounded up: where jobs outnumber what there is to generate, or end early, no core is left idle.
        self._workers = math.ceil(workers / max(1, min(jobs, len(paths))))
        self._begun: set[Path] = set()
        self._made: set[Path] = set()

    def next(self) -> Order | None:
        """What is to be done next; None: what is left is waiting for data that is being made."""
        for run in self._runs:
            paths = {run.data.path(split): split for split in run.splits}
            for path, split in paths.items():
                if path not in self._begun:
                    self._begun.add(path)
                    return DataOrder(run, split, self._workers)
            if self._made.issuperset(paths):
                self._runs.remove(run)
                return RunOrder(run, self._log_to, self._again)
        return None

    def made(self, path: Path) -> None:
        """Notes that a dataset is there."""
        self._made.add(path)

    def unmade(self, path: Path) -> list[Run]:
        """Notes that a dataset cannot be made; returns the runs that needed it, which are dropped."""
        lost = [run for run in self._runs if path in map(run.data.path, run.splits)]
        self._runs = [run for run in self._runs if run not in lost]
        return lost

"""Where things are: datasets, runs, result tables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sen_bench.results import write_leaderboard
from sen_bench.tasks import Task


@dataclass(frozen=True)
class Folders:
    """Where things are.

    Attributes:
        data: Datasets, ``<task>/<split>.zarr``.
        runs: Checkpoints and logs, one folder a run.
        results: ``runs.csv``, ``leaderboard.csv`` and ``curves.csv``.
    """

    data: Path
    runs: Path
    results: Path

    @property
    def runs_csv(self) -> Path:
        """The table of runs."""
        return self.results / "runs.csv"

    @property
    def leaderboard_csv(self) -> Path:
        """The table of means over seeds."""
        return self.results / "leaderboard.csv"

    @property
    def curves_csv(self) -> Path:
        """The table of learning curves."""
        return self.results / "curves.csv"

    def refresh_leaderboard(self) -> None:
        """Brings the means up to date, where a process was killed between writing one table and the other."""
        runs, means = self.runs_csv, self.leaderboard_csv
        if runs.exists() and not (means.exists() and means.stat().st_mtime_ns >= runs.stat().st_mtime_ns):
            write_leaderboard(runs, means)


def dataset_path(data: Path, task: Task, split: str) -> Path:
    """Where a split is kept below a data folder."""
    return data / task.name / f"{split}.zarr"

"""Where things are: datasets, runs, result tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from sen_bench.results import ResultsFolder
from sen_bench.tasks import Task


@dataclass(frozen=True)
class Workspace:
    """Where things are; by default where the command line puts them, below the current folder.

    Attributes:
        data: Datasets, ``<task>/<split>.zarr``.
        runs: Checkpoints and logs, one folder per run.
        results: The result tables.
    """

    data: Path = Path("data")
    runs: Path = Path("runs")
    results: ResultsFolder = field(default_factory=lambda: ResultsFolder(Path("results")))


def dataset_path(data: Path, task: Task, split: str) -> Path:
    """Where a split is kept below a data folder; colons of ``module:task`` are none in names of folders."""
    return data / task.name.replace(":", "-") / f"{split}.zarr"

"""What a sweep takes of the machine before it begins: disk and memory, and time to generate its data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sen_bench.errors import SenBenchError
from sen_bench.generators import DatasetEstimate, estimate_dataset
from sen_bench.runs import Footprint, Run
from sen_bench.sweep.estimate import Estimates


@dataclass(frozen=True)
class Needs:
    """What runs take, about.

    Attributes:
        datasets: The datasets that will be generated, by their folders; None: nothing is known of one.
        checkpoints: Bytes of the checkpoints that will be written, where their size is known.
        unknown_checkpoints: How many will be written of unknown size.
        folder: The folder of the checkpoints.
        data_memory: Bytes of training data that the runs hold that go on at the same time; None: unknown.
    """

    datasets: Mapping[Path, DatasetEstimate | None]
    checkpoints: int
    unknown_checkpoints: int
    folder: Path
    data_memory: int | None

    @classmethod
    def of(cls, runs: Sequence[Run], estimates: Estimates, *, jobs: int) -> Needs:
        """What runs that are to be done take.

        Args:
            runs: The runs.
            estimates: What is known of earlier ones.
            jobs: How many go on at the same time.
        """
        data = {run.data.path(split): (run, split) for run in runs for split in run.splits}
        missing = {
            path: _dataset(run, split, path) for path, (run, split) in data.items() if not path.exists()
        }
        sizes = [estimates.checkpoint(run) for run in runs if not run.begun]
        # Runs that differ in their model or seed alone hold the same data.
        places = {(run.task.name, run.preset.name, run.config.train_split): run for run in runs}
        held = [_held(run) for run in places.values()]
        known = [size for size in held if size is not None]
        return cls(
            datasets=missing,
            checkpoints=sum(size for size in sizes if size is not None),
            unknown_checkpoints=sizes.count(None),
            folder=runs[0].workspace.runs if runs else Path(),
            data_memory=min(jobs, len(runs)) * max(known) if known and len(known) == len(held) else None,
        )

    @property
    def disk(self) -> dict[Path, int]:
        """Bytes that will be written, as far as they are known, by folder."""
        sizes = {self.folder: self.checkpoints}
        for path, estimate in self.datasets.items():
            folder = path.parent.parent  # of all tasks
            stored = 0 if estimate is None else estimate.stored or 0
            sizes[folder] = sizes.get(folder, 0) + stored
        return sizes


def _dataset(run: Run, split: str, path: Path) -> DatasetEstimate | None:
    """What a dataset takes; None if its world cannot be made, which is reported when it is the run's turn."""
    try:
        return estimate_dataset(run.data.recipe(split), path)
    except SenBenchError:
        return None


def _held(run: Run) -> int | None:
    """Bytes of training data that a run holds at a time; None if its world cannot be made."""
    try:
        footprint = Footprint.of(run.task.world(), run.train_recipe)
    except SenBenchError:
        return None
    buffer = run.config.training.shuffle_buffer
    return footprint.whole if buffer is None else footprint.streamed(buffer)

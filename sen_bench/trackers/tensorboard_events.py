"""TensorBoard: events in the folder of the run."""

from __future__ import annotations

from collections.abc import Mapping

from torch.utils.tensorboard import SummaryWriter

from sen_bench.trackers.protocol import Outcome, TrackedRun


class TensorBoardTracker:
    """Writes events to ``tensorboard/`` in the folder of a run.

    Args:
        run: The run.
    """

    def __init__(self, run: TrackedRun) -> None:
        self._writer = SummaryWriter(str(run.folder / "tensorboard"), purge_step=run.step + 1)

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Writes a scalar for each value."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self, outcome: Outcome) -> None:
        """Writes the rest."""
        del outcome  # events have no end
        self._writer.close()

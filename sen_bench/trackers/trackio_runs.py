"""Trackio: in its own local folder."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import trackio

from sen_bench.trackers.protocol import Outcome, TrackedRun


class TrackioTracker:
    """Logs to the project "sen-bench" in Trackio's folder, TRACKIO_DIR; ``trackio show`` shows it.

    Args:
        run: The run.
    """

    def __init__(self, run: TrackedRun) -> None:
        with _stdout_kept():
            self._run: Any = trackio.init(
                project="sen-bench",
                name=run.name,
                config=dict(run.settings),
                # A run that is started afresh is another one, though of the same name.
                resume="allow" if run.step else "never",
                embed=False,
                auto_log_gpu=False,
                auto_log_cpu=False,
            )

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Logs the values."""
        self._run.log(dict(values), step=step)

    def close(self, outcome: Outcome) -> None:
        """Waits until everything is written."""
        del outcome  # its runs have no end
        with _stdout_kept():
            # Not the run's own `finish`, after which the module would finish it once more at the exit.
            trackio.finish()


@contextmanager
def _stdout_kept() -> Iterator[None]:
    """Keeps what Trackio prints off stdout, where the results of commands go."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield

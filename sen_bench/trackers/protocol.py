"""What a tracker is: it is built for a run, told numbers, and closed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

#: How a training ended, for now: it may be resumed after each of them but the first.
Outcome = Literal["finished", "failed", "interrupted"]


@dataclass(frozen=True)
class TrackedRun:
    """What a tracker is told about a run when its training begins, or is resumed.

    Attributes:
        name: What the run is called: "3d-blocks/train/sen/cpu/seed-0".
        folder: The folder of its checkpoint and logs, which exists; what a tracker keeps beside them goes
            along when the run is moved aside.
        runs: The folder of all runs.
        settings: Its resolved settings, as JSON has them.
        step: The last step that is kept of an earlier session; 0 for a fresh run. Steps after it, which an
            interrupted session may have logged, are done again.
    """

    name: str
    folder: Path
    runs: Path
    settings: Mapping[str, Any] = field(default_factory=dict)
    step: int = 0


class Tracker(Protocol):
    """Takes down the numbers of one training, in one process.

    Whatever its methods raise is reported in one line, and training goes on without it.
    """

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Takes numbers down.

        Args:
            values: By name, such as "train/loss".
            step: Steps of the optimizer so far; after a collapse that restarts the training, they count from
                1 again.
        """

    def close(self, outcome: Outcome) -> None:
        """Writes what is not written yet; called once, at the end, also after Ctrl-C and errors."""


#: What an entry point of `sen_bench.trackers` names: a class or function that makes a tracker for a run.
TrackerBuilder = Callable[[TrackedRun], Tracker]

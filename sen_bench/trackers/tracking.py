"""The trackers of one training: whatever happens in them, training goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from sen_bench.errors import SenBenchError
from sen_bench.system import Progress, shown
from sen_bench.trackers.protocol import Outcome, TrackedRun, Tracker
from sen_bench.trackers.registry import tracker_builder


@dataclass(frozen=True)
class Tracking:
    """Which trackers follow a run. It can be sent to other processes, which build them.

    Attributes:
        names: Of `tracker_names`.
        run: What they are told about the run.
    """

    names: tuple[str, ...]
    run: TrackedRun

    def begin(self, step: int, progress: Progress) -> TrackingSession:
        """Builds the trackers.

        Args:
            step: The last step that is kept of an earlier session.
            progress: Is told when one fails.

        Raises:
            UnknownNameError: There is none of that name.
            MissingExtraError: Its packages are not installed on this machine.
            ExtensionError: A plugin cannot be imported.
        """
        builders = {name: tracker_builder(name) for name in self.names}
        session = TrackingSession(progress)
        run = replace(self.run, step=step)
        try:
            for name, build in builders.items():
                session.add(name, partial(build, run))
        except BaseException:
            session.close("interrupted")
            raise
        return session


class TrackingSession:
    """Trackers at work. One that fails is reported once, and left out from then on.

    Args:
        progress: Is told when one fails.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._trackers: dict[str, Tracker] = {}

    def add(self, name: str, build: Callable[[], Tracker]) -> None:
        """Builds a tracker and has it follow."""

        def begin() -> None:
            self._trackers[name] = build()

        self._attempt(name, begin)

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Has all trackers take numbers down; see `Tracker.log`."""
        for name, tracker in list(self._trackers.items()):
            self._attempt(name, partial(tracker.log, values, step))

    def close(self, outcome: Outcome) -> None:
        """Closes all trackers."""
        while self._trackers:
            name, tracker = self._trackers.popitem()
            self._attempt(name, partial(tracker.close, outcome))

    def _attempt(self, name: str, function: Callable[[], object]) -> None:
        """Has a tracker do something; an error of it ends nothing but its own work."""
        try:
            function()
        # Whatever it is, as these are the packages of others. An interrupt, or the exit that a sweep asks of
        # its workers, goes on.
        except Exception as error:  # noqa: BLE001
            self._trackers.pop(name, None)
            text = " ".join(str(error).split())
            what = text if isinstance(error, SenBenchError) else f"{type(error).__name__}: {text}"
            self._progress.message(f"tracker {name} failed ({shown(what)}); training goes on without it")

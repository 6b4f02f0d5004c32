"""The plan of a sweep: what is done, what will run and in which order, and how long that may take."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sen_bench.runs import Run, check_run, is_scored
from sen_bench.sweep.estimate import Estimates, bytes_seen
from sen_bench.sweep.needs import Needs


@dataclass(frozen=True)
class PlannedRun:
    """A run, and how far it is.

    Attributes:
        run: The run.
        scored: Whether the table of runs has it, with the same settings and data.
        begun: Whether it was started, and will be resumed.
        seconds: How long it may take from its beginning: an estimate; None: unknown.
        counted: Whether that is from what its steps compute and move, as no earlier run tells.
    """

    run: Run
    scored: bool
    begun: bool
    seconds: float | None
    counted: bool = False


@dataclass(frozen=True)
class Plan:
    """A sweep before it begins.

    Attributes:
        planned: Every run, in the order they were selected.
        jobs: How many go on at the same time; None: as many as a cluster has workers, which may come and go.
        to_do: Those that will run: the longest first, so that no long one is left for the end.
        missing_data: Datasets that will be generated.
        needs: What all of it takes.
    """

    planned: list[PlannedRun]
    jobs: int | None
    to_do: list[Run]
    missing_data: list[Path]
    needs: Needs

    @property
    def done(self) -> list[Run]:
        """Those that will not run again."""
        return [plan.run for plan in self.planned if plan.scored]

    @property
    def unknown(self) -> int:
        """How many of those that will run have no estimate."""
        return sum(plan.seconds is None for plan in self.planned if not plan.scored)

    @property
    def counted(self) -> int:
        """How many of those that will run are estimated from what their steps compute and move."""
        return sum(plan.counted for plan in self.planned if not plan.scored)

    @property
    def seconds(self) -> float:
        """How long those with an estimate may take together, on `jobs` jobs at once or one worker."""
        ends = [0.0] * (self.jobs or 1)
        for seconds in sorted(
            (plan.seconds for plan in self.planned if not plan.scored and plan.seconds is not None),
            reverse=True,
        ):
            heapq.heapreplace(ends, ends[0] + seconds)
        return max(ends)


def make_plan(
    runs: Sequence[Run],
    *,
    jobs: int | None,
    force: bool,
    device: str | None,
    count: Callable[[Sequence[Run]], Mapping[str, float]] | None = None,
) -> Plan:
    """Looks at what is there.

    Args:
        runs: What was selected; at least one.
        jobs: How many go on at the same time; None: unknown.
        force: Whether what is done is to be done again.
        device: What the runs will take place on, as named in rows; None: unknown.
        count: Estimates the seconds of runs of which no earlier one tells, by their names, such as
            `counted_seconds`; None: they stay unknown.

    Raises:
        ConfigError: If a run that is to be done has too little data to train on or to score on, or
            settings that its model cannot be trained with.
        DatasetError: If something else lies where the data of one belongs.
        DeviceError: If the device cannot compute in the precision of one.
        ResultsError: If the table of runs cannot be read.
    """
    estimates = Estimates.for_runs(list(runs))
    planned = [
        PlannedRun(
            run,
            scored=not force and is_scored(run),
            begun=not force and run.begun,
            seconds=None if device is None else estimates.seconds(run, device),
        )
        for run in runs
    ]
    to_do = [plan.run for plan in planned if not plan.scored]
    # Runs that differ in their seed alone need the same.
    kinds = {(run.task.name, run.preset.name, run.config.model, run.splits): run for run in to_do}
    for run in kinds.values():
        check_run(run)
    if count is not None:
        counted = count([plan.run for plan in planned if not plan.scored and plan.seconds is None])
        planned = [
            replace(plan, seconds=counted[plan.run.name], counted=True) if plan.run.name in counted else plan
            for plan in planned
        ]
    if jobs != 1:
        # Any of those without an estimate may be the longest: they come first, the largest before the others.
        # What is known of other devices counts only where nothing is known of this one.
        known = {
            plan.run.name: estimates.seconds(plan.run) if plan.seconds is None else plan.seconds
            for plan in planned
            if not plan.scored
        }
        to_do.sort(
            key=lambda run: (known[run.name] is None, known[run.name] or bytes_seen(run)), reverse=True
        )
    paths = dict.fromkeys(run.data.path(split) for run in to_do for split in run.splits)
    missing = [path for path in paths if not path.exists()]
    return Plan(planned, jobs, to_do, missing, Needs.of(to_do, estimates, jobs=jobs or 1))

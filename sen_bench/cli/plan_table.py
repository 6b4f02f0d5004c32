"""How the plan of a sweep looks on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sen_bench.cli.needs_text import disk_line, generation_time
from sen_bench.system import duration, number_of, size_text

if TYPE_CHECKING:
    from sen_bench.sweep import Plan, PlannedRun


def format_plan(plan: Plan, *, on: str, workers: int | None = None) -> str:
    """The plan as text: a line for each task, split and model, and the totals.

    Args:
        plan: The plan.
        on: Where the runs will take place.
        workers: Processes that generate data; None: unknown.
    """
    groups: dict[tuple[str, str, str], list[PlannedRun]] = {}
    for planned in plan.planned:
        config = planned.run.config
        groups.setdefault((config.task, config.train_split, config.model), []).append(planned)
    header = ("task", "trained on", "model", "seeds", "done", "to run", "estimate a run")
    rows = [header, *((*key, *_cells(group)) for key, group in groups.items())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join([*lines, "", *_sum(plan, on), *_needs(plan, workers)])


def _cells(group: Sequence[PlannedRun]) -> tuple[str, str, str, str]:
    """Seeds, how many are done and will run, and how long one takes."""
    waiting = [planned for planned in group if not planned.scored]
    begun = sum(planned.begun for planned in waiting)
    known = [planned.seconds for planned in waiting if planned.seconds is not None]
    seeds = ",".join(dict.fromkeys(str(planned.run.seed) for planned in group))
    to_run = f"{len(waiting)} ({begun} begun)" if begun else str(len(waiting))
    time = f"~ {duration(sum(known) / len(known))}" if known else "unknown" if waiting else "-"
    if any(planned.counted for planned in waiting):
        time += ", counted"
    return seeds, str(len(group) - len(waiting)), to_run, time


def _sum(plan: Plan, on: str) -> list[str]:
    """The totals, in sentences."""
    lines = [
        f"{number_of(len(plan.planned), 'run')}: {len(plan.done)} done, {len(plan.to_do)} to run on {on}"
    ]
    if not plan.to_do:
        return lines
    lines += [f"datasets to generate: {len(plan.missing_data)}"] if plan.missing_data else []
    if plan.unknown == len(plan.to_do):
        return [*lines, f"time: unknown, as the tables have no run of this preset on {on}"]
    by_rows = len(plan.to_do) - plan.unknown - plan.counted
    rests_on = "estimated from earlier runs of this preset" if by_rows else ""
    if plan.counted:
        of_all = "" if by_rows else "estimated "
        rests_on += (
            f"{', and ' if by_rows else ''}{of_all}for {number_of(plan.counted, 'run')} without such from"
            " the operations"
            " and bytes of a training step and the limits of this machine: rather too short"
        )
    jobs = {None: "by one worker", 1: "one after another"}.get(plan.jobs, f"{plan.jobs} at a time")
    more = f", and {number_of(plan.unknown, 'run')} of unknown length" if plan.unknown else ""
    generation = ", without generating data" if plan.missing_data else ""
    time = f"time: about {duration(plan.seconds)}, {jobs}{more}{generation}"
    return [
        *lines,
        f"{time} ({rests_on}; other load on the machine is not considered)",
    ]


def _needs(plan: Plan, workers: int | None) -> list[str]:
    """What the machine needs for it, in sentences."""
    needs = plan.needs
    if not plan.to_do:
        return []
    lines = []
    if needs.datasets:
        estimates = list(needs.datasets.values())
        lines += [disk_line(estimates), f"time to generate: {generation_time(estimates, workers)}"]
    known = f"about {size_text(needs.checkpoints)}" if needs.checkpoints else ""
    unknown = f"{needs.unknown_checkpoints} of unknown size" if needs.unknown_checkpoints else ""
    if known or unknown:
        lines.append(f"disk for checkpoints: {' and '.join(filter(None, (known, unknown)))}")
    held = "unknown" if needs.data_memory is None else f"about {size_text(needs.data_memory)}"
    at_once = min(plan.jobs or 1, len(plan.to_do))
    lines.append(
        f"memory: {held} for the training data of {number_of(at_once, 'run')} at a time, beside the networks"
    )
    return lines

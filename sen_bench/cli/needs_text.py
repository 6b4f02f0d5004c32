"""What generating datasets takes, in lines for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sen_bench.system import duration, free_disk, number_of, size_text

if TYPE_CHECKING:
    from sen_bench.generators import DatasetEstimate


def describe_generation(estimates: Sequence[DatasetEstimate], workers: int | None) -> list[str]:
    """What the datasets take that are still to be generated; no line if there are none.

    Args:
        estimates: What is known of them.
        workers: Processes at work; None: nobody knows, on a cluster.
    """
    if not estimates:
        return []
    count = number_of(len(estimates), "dataset")
    memory = max(estimate.memory(workers or 1) for estimate in estimates)
    whose = number_of(workers, "worker") if workers else "each worker"
    return [
        f"to generate: {count}, {sum(estimate.frames for estimate in estimates):,} frames",
        disk_line(estimates),
        f"memory: about {size_text(memory)} for {whose}",
        f"time: {generation_time(estimates, workers)}",
    ]


def disk_line(estimates: Sequence[DatasetEstimate | None]) -> str:
    """The disk that datasets take, and what is free where they will be."""
    known = [e.stored for e in estimates if e is not None and e.stored is not None]
    others = [e for e in estimates if e is None or e.stored is None]
    parts = [f"about {size_text(sum(known))}"] if known else []
    if others:
        count = number_of(len(others), "dataset")
        sizes = [e.largest for e in others if e is not None]
        most = f" (at most {size_text(sum(sizes))})" if len(sizes) == len(others) else ""
        parts.append(f"unknown for {count} of worlds that were not measured{most}")
    folders = {_data_folder(e.path) for e in estimates if e is not None}
    free = ", ".join(f"{size_text(free_disk(folder))} free in {folder}" for folder in sorted(folders))
    return f"disk for datasets: {', '.join(parts)}{f'; {free}' if free else ''}"


def generation_time(estimates: Sequence[DatasetEstimate | None], workers: int | None) -> str:
    """How long it takes to generate datasets, from what a frame took where it was measured."""
    if workers is None:
        return "unknown, as it depends on the workers of the cluster"
    times = [None if estimate is None else estimate.seconds(workers) for estimate in estimates]
    known = [seconds for seconds in times if seconds is not None]
    unknown = len(estimates) - len(known)
    if not known:
        return "unknown, as these worlds were not measured"
    more = f", and {unknown} of unknown length" if unknown else ""
    return f"about {duration(sum(known))} with {number_of(workers, 'worker')}{more}"


def _data_folder(path: Path) -> Path:
    """The folder of all datasets, of one of them: ``data`` of ``data/3d-blocks/train.zarr``."""
    return path.parent.parent

"""The figures of studies, as the commands of studies draw them, and `merge` after them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import sen_bench.figures
import sen_bench.results
from sen_bench.cli.study_options import check_drawn, models_in_order

if TYPE_CHECKING:
    from sen_bench.figures import Format
    from sen_bench.results import EfficiencyRow, Metric, OrbitRow
    from sen_bench.tasks import Task


def draw_data_study(
    rows: Sequence[EfficiencyRow],
    task: Task,
    path: Path,
    formats: Sequence[Format],
    *,
    metric: Metric | None = None,
    horizon: int | None = None,
) -> list[Path]:
    """Draws a study of data.

    Args:
        rows: Its table, with at least one row.
        task: The task.
        path: The files, without their endings.
        formats: The file formats to write.
        metric: The score; None: what the task is judged by first.
        horizon: Steps ahead; None: the most.

    Returns:
        The files written.

    Raises:
        ConfigError: No run has that score; there would be an empty figure.
        ResultsError: If a file cannot be written.
    """
    shown = horizon or max(row.horizon for row in rows)
    split, preset = rows[0].train_split, rows[0].preset
    drawn = metric or task.judged_by(shown)
    check_drawn(drawn, (row.metric for row in rows if row.horizon == shown))
    return sen_bench.figures.draw_efficiency(
        rows,
        drawn,
        shown,
        path,
        formats,
        models=models_in_order(task, [row.model for row in rows]),
        title=f"{task.title}, trained on the first episodes of {split}, preset {preset}",
    )


def draw_orbit_study(
    rows: Sequence[OrbitRow],
    task: Task,
    path: Path,
    formats: Sequence[Format],
    *,
    metric: Metric | None = None,
) -> list[Path]:
    """Draws a study of the orbit: a score, and beside it the error, where that is defined.

    Rankings alone do not tell a model from one of no change.

    Args:
        rows: Its table, with at least one row.
        task: The task.
        path: The files, without their endings.
        formats: The file formats to write.
        metric: The score; None: what the task is judged by first.

    Returns:
        The files written.

    Raises:
        ConfigError: No run has that score; there would be an empty figure.
        ResultsError: If a file cannot be written.
    """
    error = sen_bench.results.find_metric("relative_error")
    first = metric or sen_bench.results.headline_metric(
        horizon=1, ranked_locally=False, negatives=task.split("eval").negatives
    )
    defined = {row.metric for row in rows}
    check_drawn(first, defined)
    drawn = [first, error] if first != error and error.name in defined else [first]
    return sen_bench.figures.draw_orbit(
        rows,
        drawn,
        path,
        formats,
        models=models_in_order(task, [row.model for row in rows]),
        title=f"{task.title}, trained on a slice of the orbit, preset {rows[0].preset}",
    )

"""The colours of models: each has its own on the whole page."""

from __future__ import annotations

from collections.abc import Mapping

from sen_bench.report.page_data import PageData
from sen_bench.tasks import Task, reference_model


def model_colours(tables: PageData, tasks: Mapping[str, Task]) -> dict[tuple[str, str], int]:
    """The number of the colour of each model of each task, by the names of both.

    Those that others are compared with, the symmetric embedding networks, have 0. Models that only studies
    and `planning.csv` know come last, so that these change no colour.

    Args:
        tables: What was run.
        tasks: The tasks that can be used here.
    """
    known = [(task.name, model) for task in tasks.values() for model in task.models]
    ran = sorted(set(zip(tables.runs["task"], tables.runs["model"], strict=True)))
    studied = {(row.task, row.model) for row in (*tables.efficiency, *tables.orbit)}
    planned = {(row.task, row.model) for row in tables.planning if row.train_split is not None}
    others = sorted(studied | planned)
    numbers: dict[str, int] = {}
    return {
        (task, model): 0 if model == reference_model(task) else numbers.setdefault(model, len(numbers) + 1)
        for task, model in dict.fromkeys([*known, *ran, *others])
    }

"""Studies of the orbit: models trained on a slice of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from sen_bench.errors import ConfigError
from sen_bench.runs import Run
from sen_bench.sweep.selection import Selection, select_runs
from sen_bench.system import QUIET, Progress
from sen_bench.tasks import get_task

SLICE_SPLIT: Final = "train-slice"


def select_slice(selection: Selection, progress: Progress = QUIET) -> list[Run]:
    """The runs of a study: every model and seed on the slice of one task.

    Args:
        selection: One task, with models, seeds, preset and settings; its training split does not matter.
        progress: Is told what is passed over.

    Raises:
        ConfigError: The task has no slice.
        UnknownNameError: There is no such task or model.
    """
    (name,) = selection.tasks or ("",)
    task = get_task(name)
    if SLICE_SPLIT not in task.splits or not task.split(SLICE_SPLIT).slice:
        raise ConfigError(
            f"{task.name} has no slice to train on: a split {SLICE_SPLIT!r}, for which its world says what"
            " the slice is; docs/adding-a-world.md shows how"
        )
    return select_runs(replace(selection, train_split=SLICE_SPLIT), progress)

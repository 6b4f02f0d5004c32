"""How long runs will take, judged by earlier ones: an estimate, and never more than that."""

from __future__ import annotations

from typing import Final

import pandas as pd

from sen_bench.errors import SenBenchError
from sen_bench.results import KEY, read_runs
from sen_bench.runs import Run

# From the nearest relatives of a run to the farthest: which columns they share with it.
_KIN = (
    ("task", "preset", "model", "train_split"),
    ("task", "preset", "model"),
    ("task", "preset"),
)

_BYTES_A_PARAMETER: Final = 12
"""Of a checkpoint: the parameter, and the two moments that Adam keeps of it, as float32."""


class Estimates:
    """Seconds that runs will take, from the rows of earlier ones of the same preset.

    It uses the means of seconds per transition trained on and of seconds per episode scored, over the rows
    that are nearest by `_KIN`.

    Args:
        rows: From `read_runs`; may be empty.
    """

    def __init__(self, rows: pd.DataFrame) -> None:
        # One row per training: its horizons share everything used here.
        self._rows = rows.drop_duplicates([name for name in KEY if name != "horizon"]) if len(rows) else rows

    @classmethod
    def for_runs(cls, runs: list[Run]) -> Estimates:
        """From the table that the runs will be written to."""
        path = runs[0].workspace.results.runs_csv
        return cls(read_runs(path) if path.exists() else pd.DataFrame())

    def seconds(self, run: Run, device: str | None = None) -> float | None:
        """The seconds of training and scoring a run from the start; None: unknown.

        Args:
            run: The run.
            device: Use only rows of this device, by its name in rows.
        """
        if not len(self._rows):
            return None
        config = run.config
        wanted = {
            "task": config.task,
            "preset": run.preset.name,
            "model": config.model,
            "train_split": config.train_split,
        }
        rows = self._rows if device is None else self._rows[self._rows["device"] == device]
        for columns in _KIN:
            kin = rows[(rows[list(columns)] == [wanted[name] for name in columns]).all(axis=1)]
            kin = kin[(kin["transitions_seen"] > 0) & (kin["eval_episodes"] > 0)]
            if len(kin):
                train = float((kin["train_seconds"] / kin["transitions_seen"]).mean())
                score = float((kin["eval_seconds"] / kin["eval_episodes"]).mean())
                return train * transitions(run) + score * run.data.recipe("eval").episodes
        return None

    def checkpoint(self, run: Run) -> int | None:
        """The bytes of the checkpoint of a run, from the parameters in rows of its model; None: unknown."""
        if not len(self._rows):
            return None
        wanted = {"task": run.config.task, "preset": run.preset.name, "model": run.config.model}
        kin = self._rows[(self._rows[list(wanted)] == list(wanted.values())).all(axis=1)]
        return _BYTES_A_PARAMETER * int(kin["parameters"].max()) if len(kin) else None


def transitions(run: Run) -> int:
    """How many transitions a run trains on, each as often as it sees it."""
    recipe = run.train_recipe
    return recipe.episodes * recipe.horizon * run.config.training.epochs


def bytes_seen(run: Run) -> int:
    """How many bytes of frames it trains on, by which runs are ordered if nothing else is known.

    0 if the world cannot be made: what is wrong is reported when it is the run's turn.
    """
    try:
        world = run.task.world()
    except SenBenchError:
        return 0
    height, width, channels = world.observation_space.shape or ()
    return transitions(run) * height * width * channels * world.frame_stack

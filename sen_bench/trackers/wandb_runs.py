"""Weights & Biases: offline in the folder of the run, or online where WANDB_MODE says so."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from typing import Any

import wandb

from sen_bench.trackers.protocol import Outcome, TrackedRun

_EXIT_CODES: Mapping[Outcome, int] = {"finished": 0, "failed": 1, "interrupted": 255}


class WandbTracker:
    """Logs to ``wandb/`` in the folder of a run, from where ``wandb sync`` uploads it.

    Nothing leaves the machine unless WANDB_MODE=online is set; the other variables of wandb, such as
    WANDB_PROJECT and WANDB_ENTITY, hold too.

    Args:
        run: The run.
    """

    def __init__(self, run: TrackedRun) -> None:
        self._run: Any = wandb.init(
            dir=str(run.folder),
            project=os.environ.get("WANDB_PROJECT", "sen-bench"),
            name=run.name,
            id=_identity(run),
            config=dict(run.settings),
            mode=os.environ.get("WANDB_MODE", "offline"),  # type: ignore[arg-type]
            resume="allow",
            # Sweeps in one process have a run after another, each of its own.
            reinit="create_new",
            # What it would print, and what it would capture of ours, belongs to the terminal.
            settings=wandb.Settings(silent=True, console="off"),
        )
        # Its own steps only ever grow; ours begin again after a restart.
        self._run.define_metric("step", hidden=True)
        self._run.define_metric("train/*", step_metric="step")

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Logs the values beside their step."""
        self._run.log({**values, "step": step})

    def close(self, outcome: Outcome) -> None:
        """Ends the session; a run that was interrupted counts as crashed until it is resumed."""
        self._run.finish(exit_code=_EXIT_CODES[outcome])


def _identity(run: TrackedRun) -> str:
    """By what wandb knows the run: the same when it is resumed, another when it was started afresh."""
    path = run.folder / "wandb" / "run-id.txt"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.write_text(uuid.uuid4().hex, encoding="ascii")
    return path.read_text(encoding="ascii").strip()

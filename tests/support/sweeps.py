"""Sweeps as small as it gets: what selects their runs, and the tables that they leave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import torch

from sen_bench.config.presets import load_preset
from sen_bench.runs.workspace import Workspace
from sen_bench.sweep import Selection

RUNS = 8
"""Models × (two splits of 2D Shapes, two seeds of Rush Hour), of the preset `TWO_TASKS`."""
OPTIONS = ("--preset", "tiny.toml", "--models", "sen,none", "--device", "cpu", "--quiet")


def tables(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables of runs and of means in a folder, without wall times."""
    runs, means = (pd.read_csv(folder / f"results/{name}.csv") for name in ("runs", "leaderboard"))
    return timeless(runs), timeless(means)


def timeless(table: pd.DataFrame) -> pd.DataFrame:
    """A table without wall times."""
    return table.drop(columns=[name for name in table.columns if "seconds" in name])


def selection(**changes: Any) -> Selection:
    """Every run of the preset smoke on the CPU, but for the changes."""
    fields: dict[str, Any] = {
        "tasks": None,
        "models": (),
        "seeds": None,
        "train_split": None,
        "preset": load_preset("smoke"),
        "training": {},
        "workspace": Workspace(),
        "device": torch.device("cpu"),
        **changes,
    }
    return Selection(**fields)

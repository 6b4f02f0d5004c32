"""How well agents reach goals, `planning.csv`: a row for each trained model, and for the two references."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict, Field

from sen_bench.errors import ResultsError
from sen_bench.results.csv_tables import (
    Amount,
    Count,
    CountIfAny,
    Digest,
    DigestIfAny,
    Ratio,
    Share,
    Text,
    TextIfAny,
    frame_of,
    merge_rows,
    read_rows,
)

if TYPE_CHECKING:
    import pandas as pd


class PlanningRow(BaseModel):
    """An agent on one set of problems: the one definition of the columns of `planning.csv`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run_id: Text = Field(description="Name of the run, as in `runs.csv`; `TASK/random` or `TASK/oracle`")
    task: Text = Field(description="Task, as `sen-bench tasks` lists it")
    train_split: TextIfAny = Field(description="As in `runs.csv`; empty for the references")
    model: Text = Field(description="As in `runs.csv`; `random`: no plan, `oracle`: plans in the true world")
    preset: TextIfAny = Field(description="As in `runs.csv`; empty for the references")
    seed: CountIfAny = Field(description="As in `runs.csv`; empty for the references")
    epochs: CountIfAny = Field(description="Epochs trained; empty for the references")
    problems: Count = Field(description="Problems, each solved as it is and as its twin")
    distance: Count = Field(
        description="Steps from start to goal: of the shortest way, if `optimum` is known"
    )
    optimum: CountIfAny = Field(description="Steps of the shortest way; empty if not known")
    planner: Text = Field(description="`beam W`, `cem SAMPLESxROUNDS, E elites`, or `random`")
    horizon: Count = Field(description="The longest plan, in steps")
    execute: CountIfAny = Field(description="Actions taken of a plan before a new one is made; empty: all")
    budget: Count = Field(description="Actions that may be taken")
    goal_unit: Text = Field(description="What the distance to the goal is measured in")
    tolerance: Amount = Field(description="The distance to the goal at which it counts as reached")
    success: Share = Field(description="Share of the goals that were reached at some time within the budget")
    steps: Ratio = Field(description="Mean steps to those goals; empty if none was reached")
    steps_above: Ratio = Field(description="Mean steps above the optimum; empty if one of the two is")
    twin_success: Share = Field(description="`success` in the twins of the problems")
    twin_steps: Ratio = Field(description="`steps` in the twins")
    twin_steps_above: Ratio = Field(description="`steps_above` in the twins")
    twin_same: Share = Field(
        description="Share of problems that ended as their twins did: reached after as many steps, or not"
    )
    seconds: Amount = Field(description="Seconds of planning and acting, problems and twins together")
    device: Text = Field(description="Device planned on")
    problems_digest: Digest = Field(description="Digest of the problems: equal ones are the same problems")
    planning_digest: Digest = Field(description="Digest of all settings of problems and plans")
    train_dataset_digest: DigestIfAny = Field(description="As in `runs.csv`; empty for the references")
    config_digest: DigestIfAny = Field(description="As in `runs.csv`; empty for the references")
    version: Text = Field(description="Version of sen-bench")
    torch_version: Text = Field(description="Version of PyTorch")

    def is_of(self, identity: Mapping[str, object]) -> bool:
        """Whether it is the result of an agent, problems and settings, by the columns that say so."""
        mine = self.model_dump()
        return all(mine[name] == identity[name] for name in _KEY)


_KEY: Final = (
    "run_id",
    "problems_digest",
    "planning_digest",
    "train_dataset_digest",
    "config_digest",
    "epochs",
)
"""What makes two rows the same result; the later one replaces the earlier."""

_ORDER: Final = ("task", "run_id", "distance", "planning_digest", "problems_digest")


def append_planning(path: Path, rows: Iterable[PlanningRow]) -> None:
    """Adds rows to a table, in place of older ones of the same run, problems and settings.

    Args:
        path: The table, `results/planning.csv`; it and its folder are made where missing.
        rows: What to add.

    Raises:
        ResultsError: The file there is not such a table (it is left alone), cannot be written, or stays
            locked.
    """
    merge_rows(path, PlanningRow, "planning", rows, key=_KEY, order=_ORDER)


def read_planning_rows(path: Path) -> list[PlanningRow]:
    """Reads and checks a table, as rows; none if there is no such file.

    Raises:
        ResultsError: The file is not such a table.
    """
    return read_rows(path, PlanningRow, "planning") if path.exists() else []


def read_planning(path: Path) -> pd.DataFrame:
    """Reads and checks a table.

    Args:
        path: The table, as `append_planning` writes it.

    Returns:
        One row an agent and set of problems, as `pandas.read_csv(path)` has them.

    Raises:
        ResultsError: There is no such file, or it is not such a table.
    """
    if not path.exists():
        raise ResultsError(f"no table of planning at {path}; `sen-bench plan RUN` writes it")
    return frame_of(read_planning_rows(path), PlanningRow)


def format_planning(rows: Sequence[PlanningRow]) -> str:
    """Rows as plain text for a terminal, shares in percent; in brackets the same in the twins."""
    header = ("task", "agent", "planner", "reached %", "steps", "above the optimum", "as its twin %")
    table = [header, *(_cells(row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in table)


def _cells(row: PlanningRow) -> tuple[str, ...]:
    agent = row.model if row.preset is None else f"{row.model} ({row.preset}, seed {row.seed})"
    return (
        row.task,
        agent,
        row.planner,
        f"{100 * row.success:.0f} ({100 * row.twin_success:.0f})",
        f"{_number(row.steps)} ({_number(row.twin_steps)})",
        f"{_number(row.steps_above)} ({_number(row.twin_steps_above)})",
        f"{100 * row.twin_same:.0f}",
    )


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"

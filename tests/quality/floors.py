"""Checks the scores of trained models against committed floors and ceilings: `make quality`.

`floors.csv` has a row for each bound, with the score it was set from and why it is not nearer to that. See
docs/ci.md.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import click
import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError

from sen_bench.errors import SenBenchError
from sen_bench.results.rows import read_runs
from sen_bench.results.scores import AVERAGED
from tests.support.reports import plain_table, run_program

FLOORS: Final = Path(__file__).with_name("floors.csv")


class FloorsError(SenBenchError):
    """A file of floors that cannot be used."""


class Bound(BaseModel):
    """A row of `floors.csv`.

    Attributes:
        preset: As in `runs.csv`, like the next four.
        task: The task.
        train_split: What was trained on.
        model: The model.
        horizon: Steps predicted ahead.
        metric: A column of scores of `runs.csv`.
        bound: Whether the limit is a floor or a ceiling.
        limit: What the score of every run must keep to.
        measured: The score that the limit was set from.
        reason: Why the limit is where it is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: str
    task: str
    train_split: str
    model: str
    horizon: int
    metric: str
    bound: Literal["at least", "at most"]
    limit: float
    measured: float
    reason: str

    @property
    def row(self) -> tuple[str, str, str, str, int]:
        """What selects the rows of `runs.csv`."""
        return self.preset, self.task, self.train_split, self.model, self.horizon

    def keeps(self, score: float) -> bool:
        """Whether a score is on the right side; one that is undefined is not."""
        return score >= self.limit if self.bound == "at least" else score <= self.limit


def read_floors(path: Path) -> list[Bound]:
    """Reads a file of floors.

    Raises:
        FloorsError: If it cannot be read, or a row is no bound or contradicts what it was set from.
    """
    bounds = []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for line, cells in enumerate(csv.DictReader(file), start=2):
                bound = Bound.model_validate(cells)
                if bound.metric not in {metric.name for metric in AVERAGED}:
                    raise FloorsError(f"{path}: line {line}: {bound.metric!r} is not a score of runs.csv")
                if not bound.keeps(bound.measured):
                    raise FloorsError(f"{path}: line {line}: the measured score itself breaks the limit")
                bounds.append(bound)
    except OSError as error:
        raise FloorsError(f"{path}: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise FloorsError(f"{path}: line {line}, {where}: {first['msg']}") from error
    return bounds


@dataclass(frozen=True)
class Line:
    """A bound and what it is about.

    Attributes:
        bound: The bound.
        scores: Of every run it applies to; none if there was no such run.
    """

    bound: Bound
    scores: tuple[float, ...]

    @property
    def verdict(self) -> str:
        """Capitals are failures."""
        if not self.scores:
            return "MISSING"
        if all(map(self.bound.keeps, self.scores)):
            return "ok"
        return "TOO LOW" if self.bound.bound == "at least" else "TOO HIGH"

    @property
    def failed(self) -> bool:
        """Whether it fails the check."""
        return self.verdict != "ok"


def check(bounds: Sequence[Bound], runs: pd.DataFrame) -> list[Line]:
    """Holds every bound against the runs of its preset, task, split, model and horizon; failures come first.

    Args:
        bounds: The bounds.
        runs: Of `read_runs`.
    """
    lines = []
    for bound in bounds:
        preset, task, split, model, horizon = bound.row
        chosen = runs[
            (runs["preset"] == preset)
            & (runs["task"] == task)
            & (runs["train_split"] == split)
            & (runs["model"] == model)
            & (runs["horizon"] == horizon)
        ]
        lines.append(Line(bound, tuple(float(score) for score in chosen[bound.metric])))
    return sorted(lines, key=lambda line: not line.failed)


def format_lines(lines: Sequence[Line]) -> str:
    """A table, and under it which bounds were broken."""
    rows = [
        (
            *map(str, line.bound.row),
            line.bound.metric,
            ", ".join(f"{score:.3g}" for score in line.scores) or "-",
            f"{line.bound.bound} {line.bound.limit:g}",
            f"{line.bound.measured:.3g}",
            line.verdict,
        )
        for line in lines
    ]
    said = [plain_table(_COLUMNS, rows), ""]
    for line in lines:
        if line.failed:
            preset, task, split, model, horizon = line.bound.row
            said.append(
                f"{line.verdict}: {line.bound.metric} of {model} on {task} ({split}), preset {preset},"
                f" {horizon} steps; {line.bound.reason}"
            )
    failures = sum(line.failed for line in lines)
    said.append(f"{failures} of {len(lines)} failed" if failures else f"all {len(lines)} limits kept")
    return "\n".join(said)


_COLUMNS: Final[dict[str, Literal["left", "right"]]] = {
    "preset": "left",
    "task": "left",
    "trained on": "left",
    "model": "left",
    "steps": "right",
    "metric": "left",
    "score": "right",
    "limit": "left",
    "was": "right",
    "verdict": "left",
}


@click.command()
@click.argument("runs_csv", type=click.Path(path_type=Path))
@click.option("--floors", type=click.Path(path_type=Path), default=FLOORS, show_default=True)
def main(runs_csv: Path, floors: Path) -> None:
    """Print how the runs of RUNS_CSV keep to the floors, and exit with 1 if one does not."""
    lines = check(read_floors(floors), read_runs(runs_csv))
    click.echo(format_lines(lines))
    sys.exit(any(line.failed for line in lines))


if __name__ == "__main__":
    run_program(main)

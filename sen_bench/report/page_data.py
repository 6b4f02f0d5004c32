"""What the page is made from: the tables of results."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from sen_bench.results import (
    CURVE_COLUMNS,
    PUBLISHED_CSV,
    EfficiencyRow,
    OrbitRow,
    PlanningRow,
    ResultsFolder,
    aggregate,
    read_curves,
    read_planning_rows,
    read_published,
    read_references,
    read_runs,
    read_study,
)
from sen_bench.tasks import reference_model


@dataclass(frozen=True)
class PageData:
    """The tables of results.

    Attributes:
        runs: A row for each run and horizon.
        leaderboard: Their statistics over seeds.
        published: The paper's numbers.
        curves: Points of the learning curves; empty if none were recorded.
        references: What exact latents score without a model; empty if that was not found out.
        efficiency: All studies of how much data models need; empty if there is none.
        orbit: All studies of what models know of the orbit of which they saw a slice.
        planning: How well agents reach goals; empty if that was not asked.
    """

    runs: pd.DataFrame
    leaderboard: pd.DataFrame
    published: pd.DataFrame
    curves: pd.DataFrame
    references: pd.DataFrame
    efficiency: tuple[EfficiencyRow, ...] = ()
    orbit: tuple[OrbitRow, ...] = ()
    planning: tuple[PlanningRow, ...] = ()


def read_page_data(results: Path, published: Path = PUBLISHED_CSV) -> PageData:
    """Reads the tables of a folder of results.

    The statistics are computed from the runs, so that they cover just these.

    Args:
        results: The folder, with `runs.csv` and, where there are such, `curves.csv`, `references.csv`,
            `planning.csv` and the tables of studies.
        published: A table of published numbers other than the one in the package.

    Raises:
        ResultsError: There are no runs, or a file is not such a table.
    """
    folder = ResultsFolder(results)
    runs, curves, references = read_runs(folder.runs_csv), folder.curves_csv, folder.references_csv
    return PageData(
        runs,
        aggregate(runs, reference_model),
        read_published(published),
        read_curves(curves) if curves.exists() else pd.DataFrame(columns=list(CURVE_COLUMNS)),
        read_references(references) if references.exists() else pd.DataFrame(columns=["reference"]),
        tuple(row for path in folder.study_tables("data") for row in read_study(path, EfficiencyRow)),
        tuple(row for path in folder.study_tables("orbit") for row in read_study(path, OrbitRow)),
        tuple(read_planning_rows(folder.planning_csv)),
    )

"""What the page is made from: the tables of results."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from sen_bench.results import (
    CURVE_COLUMNS,
    PUBLISHED_CSV,
    ResultsFolder,
    aggregate,
    read_curves,
    read_published,
    read_references,
    read_runs,
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
    """

    runs: pd.DataFrame
    leaderboard: pd.DataFrame
    published: pd.DataFrame
    curves: pd.DataFrame
    references: pd.DataFrame


def read_page_data(results: Path, published: Path = PUBLISHED_CSV) -> PageData:
    """Reads the tables of a folder of results.

    The statistics are computed from the runs, so that they cover just these.

    Args:
        results: The folder, with `runs.csv` and, where there are such, `curves.csv` and `references.csv`.
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
    )

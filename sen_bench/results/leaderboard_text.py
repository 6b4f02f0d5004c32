"""A leaderboard as text in one of several formats."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sen_bench.errors import ConfigError
from sen_bench.results.csv_tables import csv_bytes
from sen_bench.results.leaderboard import Record
from sen_bench.results.leaderboard_view import (
    LeaderboardView,
    chosen_metrics,
    leaderboard_frame,
    leaderboard_records,
)
from sen_bench.results.paper_formats import to_latex, to_markdown
from sen_bench.results.paper_table import make_paper_table
from sen_bench.results.rows import GROUP
from sen_bench.results.text_formats import TEXT_FORMATS, TextFormat

if TYPE_CHECKING:
    import pandas as pd


def render_leaderboard(
    rows: Sequence[Record], kind: TextFormat, view: LeaderboardView, *, intervals: bool = False
) -> str:
    """The leaderboard as text.

    Args:
        rows: Of `read_leaderboard`.
        kind: The format. CSV and JSON have all digits and every statistic; what is undefined is empty or
            null there. Markdown and LaTeX are rounded for a paper.
        view: What `rows` were selected by.
        intervals: Whether Markdown and LaTeX have interquartile means with intervals.

    Returns:
        Lines, without a line feed after the last.

    Raises:
        ConfigError: If intervals are asked for where there are none to choose.
    """
    if intervals and view.with_published:
        raise ConfigError("published numbers are means; leave out either them or the interquartile means")
    if intervals and kind in {"csv", "json"}:
        raise ConfigError(f"{kind} always has both means and interquartile means; ask for no choice of them")
    if kind == "csv":
        return csv_bytes(leaderboard_frame(rows, view)).decode().removesuffix("\n")
    if kind == "json":
        return json.dumps([{name: _plain(value) for name, value in row.items()} for row in rows], indent=2)
    table = make_paper_table(rows, view.metrics, intervals=intervals)
    return to_markdown(table) if kind == "markdown" else to_latex(table)


def format_leaderboard(table: pd.DataFrame, kind: TextFormat = "markdown", *, iqm: bool = False) -> str:
    r"""A leaderboard from Python as the table of a paper, or as CSV or JSON.

    Args:
        table: Of `sen_bench.leaderboard`; rows may have been left out since.
        kind: "markdown", "latex" (needs ``\usepackage{booktabs}``), "csv" or "json".
        iqm: Whether Markdown and LaTeX have interquartile means with intervals instead of means ± deviations.

    Raises:
        ConfigError: If there is no such format, or it has no such statistics.

    Examples:
        >>> text = format_leaderboard(sen_bench.leaderboard(), "latex")  # doctest: +SKIP
    """
    import pandas as pd  # noqa: PLC0415 — tables are listed without it

    given: object = table
    if not isinstance(given, pd.DataFrame) or not {*GROUP, "runs"} <= set(given.columns):
        raise ConfigError("format_leaderboard: table must be a DataFrame with the columns of a leaderboard")
    if kind not in TEXT_FORMATS:
        raise ConfigError(f"{kind!r} is no format of tables; there are {', '.join(TEXT_FORMATS)}")
    view = LeaderboardView(
        metrics=chosen_metrics(map(str, table.columns)), with_published="source" in table.columns
    )
    return render_leaderboard(leaderboard_records(table), kind, view, intervals=iqm)


def _plain(value: object) -> object:
    """A value that JSON has: null for what is undefined."""
    return None if isinstance(value, float) and math.isnan(value) else value

"""The leaderboard as a table for a terminal."""

from __future__ import annotations

import io
import math
from typing import Any, Final

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table


def format_table(leaderboard: pd.DataFrame) -> str:
    """The leaderboard for a terminal, plain text: shares in percent, mean ± std where there are several runs.

    Rows that differ only in data or configuration get a column with the beginnings of their digests; columns
    that are empty in all rows are left out.

    Args:
        leaderboard: Of `aggregate` or `write_leaderboard`.

    Returns:
        Lines without trailing spaces or colour codes.
    """
    if leaderboard.empty:
        return "no results yet"
    ambiguous = bool(leaderboard.duplicated(["task", "train_split", "preset", "horizon", "model"]).any())
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    for heading in ("task", "trained on", "preset", "steps", "model"):
        table.add_column(heading)
    if ambiguous:
        table.add_column("train / eval data / config")
    table.add_column("runs")
    # A column that is undefined for every row (HH@1 of a task without negatives) is left out.
    shown = [column for column in _SHOWN if leaderboard[f"{column[1]}_mean"].notna().any()]
    for heading in (*(heading for heading, _, _ in shown), "parameters", "minutes"):
        table.add_column(heading, justify="right")
    for row in leaderboard.to_dict("records"):
        cells = [str(row[name]) for name in ("task", "train_split", "preset", "horizon", "model")]
        if ambiguous:
            names = ("train_dataset_digest", "eval_dataset_digest", "config_digest")
            short = " / ".join(str(row[name]).rpartition(":")[2][:6] for name in names)
            cells.append(f"{short} ({row['eval_episodes']})")
        cells.append(
            f"{row['runs']} ({row['collapsed']} collapsed)" if row["collapsed"] else str(row["runs"])
        )
        cells += [write(row, metric) for _, metric, write in shown]
        cells += [f"{row['parameters']:,}", f"{(row['train_seconds'] + row['eval_seconds']) / 60:.1f}"]
        table.add_row(*cells)
    text = io.StringIO()
    # As wide as the rows need: a terminal wraps or scrolls, a pipe keeps one row a line.
    Console(file=text, width=1000, color_system=None, markup=False, emoji=False, highlight=False).print(table)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()).strip("\n")


def _percent(row: dict[Any, Any], metric: str) -> str:
    mean, std = 100 * row[f"{metric}_mean"], 100 * row[f"{metric}_std"]
    if math.isnan(mean):
        return "-"
    return f"{mean:.1f}" if math.isnan(std) else f"{mean:.1f} ± {std:.1f}"


def _number(row: dict[Any, Any], metric: str) -> str:
    mean, std = row[f"{metric}_mean"], row[f"{metric}_std"]
    if math.isnan(mean):
        return "-"
    return f"{mean:.3g}" if math.isnan(std) else f"{mean:.3g} ± {std:.2g}"


# Heading, metric and how it is written, of each column of scores for the terminal.
_SHOWN: Final = (
    ("H@1 %", "hits_at_1", _percent),
    ("H@5 %", "hits_at_5", _percent),
    ("H@10 %", "hits_at_10", _percent),
    ("MRR %", "mrr", _percent),
    ("HH@1 %", "hh_at_1", _percent),
    ("EE(S)", "ee_embedding", _number),
    ("EE(z)", "ee_latent", _number),
    ("DIE(S)", "die_embedding", _number),
    ("DIE(model)", "die_model", _number),
)

"""The leaderboard as a table for a terminal."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from rich import box
from rich.console import Console
from rich.table import Table

import sen_bench.results
import sen_bench.system

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sen_bench.results import Metric, Record, ReferencePlace, ReferenceRow


def format_table(
    leaderboard: Sequence[Record],
    metrics: Sequence[Metric] = (),
    *,
    iqm: bool = False,
    exact: Mapping[ReferencePlace, ReferenceRow] = MappingProxyType({}),
) -> str:
    """The leaderboard as plain text for a terminal: shares in percent, mean ± std if there are several runs.

    Beside a score, in brackets, stands what predicting no change scores: on the model's own latents, or on
    exact ones where that was not recorded; an equals sign marks errors that are no better. A star marks the
    scores whose intervals are apart from those of the symmetric embedding network. Rows that differ only in
    data or configuration get a column with the beginnings of their digests; if not all runs were on the same
    devices, each row names its own; columns that are empty in all rows are left out.

    Args:
        leaderboard: Of `read_leaderboard`.
        metrics: The scores to show; empty: all that are shown by default and that some row has.
        iqm: Whether to show interquartile means, with intervals if there are enough runs, instead of means
            and standard deviations.
        exact: Of `read_exact_no_change`.

    Returns:
        Lines without trailing spaces or colour codes.
    """
    if not leaderboard:
        return "no results yet"
    names = ("task", "train_split", "preset", "horizon", "model")
    ambiguous = len({tuple(row[name] for name in names) for row in leaderboard}) < len(leaderboard)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    for heading in ("task", "trained on", "preset", "steps", "model"):
        table.add_column(heading)
    if ambiguous:
        table.add_column("train / eval data / config")
    table.add_column("runs")
    # A column that is undefined in every row (HH@1 of a task without negatives) is left out.
    shown = list(metrics) or [
        metric
        for metric in sen_bench.results.SHOWN
        if not all(math.isnan(row[f"{metric.name}_mean"]) for row in leaderboard)
    ]
    for heading in (*(metric.title for metric in shown), "parameters", "minutes"):
        table.add_column(heading, justify="right")
    # Minutes on a CPU beside minutes on a GPU say nothing about models.
    several_devices = len({row["devices"] for row in leaderboard if row["devices"] is not None}) > 1
    if several_devices:
        table.add_column("on")
    marked: set[bool] = set()
    for row in leaderboard:
        told = sen_bench.results.is_published(row)
        cells = [*(str(row[name]) for name in names[:-1]), sen_bench.results.model_title(row)]
        if ambiguous:
            cells.append("-" if told else _digests(row))
        cells.append("-" if told else _runs(row))
        beside = [_in_brackets(row, metric, exact) for metric in shown]
        marked |= {"‡" in text for text in beside if text}
        cells += [_score(row, *pair, iqm=iqm) for pair in zip(shown, beside, strict=True)]
        cells += ["-", "-"] if told else [f"{row['parameters']:,}", _minutes(row)]
        if several_devices:
            cells.append("-" if told else str(row["devices"]))
        table.add_row(*map(sen_bench.system.shown, cells))
    text = io.StringIO()
    # As wide as the rows need: a terminal wraps or scrolls, a pipe keeps one row a line.
    Console(file=text, width=1000, color_system=None, markup=False, emoji=False, highlight=False).print(table)
    lines = [line.rstrip() for line in text.getvalue().strip("\n").splitlines()]
    notes = [_BRACKETS[is_exact] for is_exact in sorted(marked)]
    notes += _notes(leaderboard, shown)
    lines += ["", *notes] if notes else []
    return "\n".join(lines)


def _digests(row: Record) -> str:
    """The beginnings of the digests of data and settings, and how many episodes were ranked."""
    names = ("train_dataset_digest", "eval_dataset_digest", "config_digest")
    short = " / ".join(str(row[name]).rpartition(":")[2][:6] for name in names)
    return f"{short} ({row['eval_episodes']})"


def _runs(row: Record) -> str:
    return f"{row['runs']} ({row['collapsed']} collapsed)" if row["collapsed"] else str(row["runs"])


def _minutes(row: Record) -> str:
    return f"{(row['train_seconds'] + row['eval_seconds']) / 60:.1f}"


def _notes(leaderboard: Sequence[Record], shown: Sequence[Metric]) -> list[str]:
    """What the marks mean that the table has."""
    notes = []
    if "relative_error" in {metric.name for metric in shown} and any(
        sen_bench.results.no_better_than_no_change(row["relative_error_mean"]) for row in leaderboard
    ):
        notes.append(f"= no better than no change: relative error of {sen_bench.results.NO_BETTER:g} or more")
    if any(row.get(f"{metric.name}_vs_sen") in _APART for row in leaderboard for metric in shown):
        notes.append("* interval apart from that of the symmetric embedding network, better or worse")
    sources = dict.fromkeys(row["source"] for row in leaderboard if sen_bench.results.is_published(row))
    notes += [f"published: {source}" for source in sources]
    return notes


def _score(row: Record, metric: Metric, beside: str, *, iqm: bool) -> str:
    """A score with what is known about its spread, what no change scores, and a star if it is apart."""
    name = metric.name
    if math.isnan(row[f"{name}_mean"]):
        return "-"
    if iqm:
        low, high = row[f"{name}_iqm_low"], row[f"{name}_iqm_high"]
        spread = "" if math.isnan(low) else f" [{_number(low, metric)}, {_number(high, metric)}]"
    else:
        std = row[f"{name}_std"]
        spread = "" if math.isnan(std) else f" ± {_number(std, metric, digits=2)}"
    star = " *" if row.get(f"{name}_vs_sen") in _APART else ""
    if name == "relative_error" and sen_bench.results.no_better_than_no_change(row["relative_error_mean"]):
        beside = " ="
    return _number(row[f"{name}_iqm" if iqm else f"{name}_mean"], metric) + spread + beside + star


def _in_brackets(row: Record, metric: Metric, exact: Mapping[ReferencePlace, ReferenceRow]) -> str:
    """What predicting no change scores, or nothing where there is no such score."""
    if math.isnan(row[f"{metric.name}_mean"]):
        return ""
    no_change = sen_bench.results.no_change(metric)
    value = math.nan if no_change is None else row.get(f"{no_change.name}_mean", math.nan)
    if not math.isnan(value):
        return f" ({_number(value, metric)})"
    known = exact.get((row["task"], row["horizon"], row["eval_dataset_digest"]))
    value = getattr(known, metric.name, math.nan)
    return "" if math.isnan(value) else f" (‡{_number(value, metric)})"


def _number(value: float, metric: Metric, *, digits: int = 3) -> str:
    return f"{100 * value:.1f}" if metric.is_share else f"{value:.{digits}g}"


_BRACKETS: Final = {
    False: "(…) predicting that nothing changes, from the model's own latents",
    True: "(‡…) predicting that nothing changes, from exact latents; the model's own were not scored so",
}

_APART: Final = ("better", "worse")

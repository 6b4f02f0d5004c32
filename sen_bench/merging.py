"""Puts result tables that were made apart into one: of several machines, or of somebody else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sen_bench.curves import CURVE_KEY, CurveRow, append_curves, read_curve_rows
from sen_bench.errors import ResultsError
from sen_bench.folders import Folders
from sen_bench.leaderboard import KEY, RunRow, append_rows, read_run_rows
from sen_bench.tables import values


@dataclass(frozen=True)
class Merged:
    """What came of it: names of runs, in the order of the tables.

    Attributes:
        added: Runs with rows that were not there.
        replaced: Runs with rows that were there with other contents.
        same: Runs all of whose rows were there.
    """

    added: tuple[str, ...]
    replaced: tuple[str, ...]
    same: tuple[str, ...]


def merge_results(sources: Sequence[Path], results: Path, *, replace: bool = False) -> Merged:
    """Adds the runs of other result folders, with their learning curves, and renews the leaderboard.

    Rows are the same result as `append_rows` has it: same run, horizon, data and settings. Where two such
    differ in anything, be it the time they took, nothing is written unless told to replace.

    Args:
        sources: Folders with a ``runs.csv``, and a ``curves.csv`` where there are curves.
        results: The folder to add to; made where missing.
        replace: Whether to take the rows of the sources (of the last that has them) where they differ.

    Raises:
        ResultsError: A source has no such table, or it is broken; the folder is a source itself; results
            differ. Nothing is written then. Or the tables cannot be written.
    """
    target = Folders(Path(), Path(), results)
    there = _by_key(read_run_rows(target.runs_csv)) if target.runs_csv.exists() else {}
    new: dict[tuple[str, ...], RunRow] = {}
    curves: dict[tuple[str, ...], list[CurveRow]] = {}
    seen: dict[str, None] = {}
    replaced: dict[str, None] = {}
    for source in sources:
        if source.resolve() == results.resolve():
            raise ResultsError(f"{source} cannot be merged into itself")
        folders = Folders(Path(), Path(), source)
        rows = _by_key(read_run_rows(folders.runs_csv))
        changed = {key: row for key, row in rows.items() if _differs(row, new.get(key) or there.get(key))}
        others = [row for key, row in changed.items() if key in new or key in there]
        other = {row.run_id: None for row in others}
        if other and not replace:
            first, *more = other
            rest = f" and {len(more)} more" if more else ""
            raise ResultsError(
                f"{first}{rest}: {source} has other rows of the same data and settings than are there;"
                " --replace takes them"
            )
        replaced |= other
        seen |= {row.run_id: None for row in rows.values()}
        new |= changed
        # The curve of a training whose scores are replaced is none of the other's, which may have none.
        curves |= {values(row, CURVE_KEY): [] for row in others}
        curves |= _curves_of(changed.values(), folders.curves_csv)
    # The curves first: a run that stands in the table of runs is done, and never recorded again.
    if curves:
        append_curves(target.curves_csv, [row for curve in curves.values() for row in curve], also=curves)
    if new:
        append_rows(target.runs_csv, new.values())
    target.refresh_leaderboard()
    touched = {row.run_id for row in new.values()}
    return Merged(
        added=tuple(name for name in seen if name in touched and name not in replaced),
        replaced=tuple(replaced),
        same=tuple(name for name in seen if name not in touched),
    )


def _by_key(rows: list[RunRow]) -> dict[tuple[str, ...], RunRow]:
    return {values(row, KEY): row for row in rows}


def _differs(row: RunRow, other: RunRow | None) -> bool:
    # As text, because an undefined score is unlike itself as a number.
    return other is None or repr(row) != repr(other)


def _curves_of(rows: Iterable[RunRow], path: Path) -> dict[tuple[str, ...], list[CurveRow]]:
    """The learning curves of some runs, by `CURVE_KEY`; runs of earlier versions have none."""
    wanted = {values(row, CURVE_KEY) for row in rows}
    curves: dict[tuple[str, ...], list[CurveRow]] = {}
    for row in read_curve_rows(path) if path.exists() else []:
        if (key := values(row, CURVE_KEY)) in wanted:
            curves.setdefault(key, []).append(row)
    return curves

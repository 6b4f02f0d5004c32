"""Merges result tables that were made separately, on several machines or by somebody else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from sen_bench.errors import ResultsError
from sen_bench.results.csv_tables import locked, values
from sen_bench.results.curves import CURVE_KEY, CurveRow, append_curves, read_curve_rows
from sen_bench.results.folder import ResultsFolder
from sen_bench.results.leaderboard import ReferenceModel
from sen_bench.results.rows import KEY, RunRow, append_rows, read_run_rows


@dataclass(frozen=True)
class Merged:
    """What a merge did: names of runs, in the order of the tables.

    Attributes:
        added: Runs with rows that were missing in the target.
        replaced: Runs with rows that the target had with other contents.
        same: Runs whose rows the target already had.
    """

    added: tuple[str, ...]
    replaced: tuple[str, ...]
    same: tuple[str, ...]


def merge_results(
    sources: Sequence[Path], results: Path, reference_model: ReferenceModel, *, replace: bool = False
) -> Merged:
    """Adds the runs of other result folders, with their learning curves, and renews the leaderboard.

    As in `append_rows`, two rows are the same result if they have the same run, horizon, data and settings.
    If two such rows differ in anything, even the time they took, nothing is written unless `replace` is set.

    Args:
        sources: Folders with a ``runs.csv``, and with a ``curves.csv`` if there are curves.
        results: The folder to add to; created if missing.
        reference_model: Names the symmetric embedding network of each task, for the leaderboard.
        replace: Whether to take the rows of the sources where they differ; of several, those of the last.

    Raises:
        ResultsError: A source has no such table, or a broken one; the target is one of the sources; or
            results differ. Nothing is written then. Also if the tables cannot be written.
    """
    if any(source.resolve() == results.resolve() for source in sources):
        raise ResultsError(f"{results} cannot be merged into itself")
    # Read all sources before anything is made in the target.
    new = _Contents()
    for source in sources:
        table = _Contents.read(source)
        new.take(table, table.changes(new, replace=replace))
    target = ResultsFolder(results)
    # Of two processes, the later one must see what the earlier one wrote, or it would replace it unasked.
    with locked(target.runs_csv):
        there = _Contents.read(results) if target.runs_csv.exists() else _Contents()
        changes = new.changes(there, replace=replace)
        replaced = {changes[key].run_id: None for key in changes if key in there.rows}
        curves = new.curves_of(changes, instead_of=there)
        # The curves first: a run that stands in the table of runs is done, and never recorded again.
        if curves:
            append_curves(target.curves_csv, [row for curve in curves.values() for row in curve], also=curves)
        if changes:
            append_rows(target.runs_csv, changes.values())
    if changes:
        target.write_leaderboard(reference_model)
    elif target.runs_csv.exists():
        target.refresh_leaderboard(reference_model)
    touched = {row.run_id for row in changes.values()}
    names = {row.run_id: None for row in new.rows.values()}
    return Merged(
        added=tuple(name for name in names if name in touched and name not in replaced),
        replaced=tuple(replaced),
        same=tuple(name for name in names if name not in touched),
    )


_Key: TypeAlias = tuple[str, ...]


@dataclass
class _Contents:
    """Rows of one folder, or of several that were put together.

    Attributes:
        rows: By `KEY`.
        curves: By `CURVE_KEY`.
        sources: The folder that each row is from, by `KEY`.
    """

    rows: dict[_Key, RunRow] = field(default_factory=dict)
    curves: dict[_Key, list[CurveRow]] = field(default_factory=dict)
    sources: dict[_Key, Path] = field(default_factory=dict)

    @classmethod
    def read(cls, source: Path) -> _Contents:
        folder = ResultsFolder(source)
        rows = {values(row, KEY): row for row in read_run_rows(folder.runs_csv)}
        curves: dict[_Key, list[CurveRow]] = {}
        for row in read_curve_rows(folder.curves_csv) if folder.curves_csv.exists() else []:
            curves.setdefault(values(row, CURVE_KEY), []).append(row)
        return cls(rows, curves, dict.fromkeys(rows, source))

    def changes(self, there: _Contents, *, replace: bool) -> dict[_Key, RunRow]:
        """The rows that another table does not have, or has with other contents.

        Raises:
            ResultsError: It has one with other contents, which is not to be replaced.
        """
        changed = {key: row for key, row in self.rows.items() if _differs(row, there.rows.get(key))}
        others = {row.run_id: key for key, row in changed.items() if key in there.rows}
        if others and not replace:
            first, *more = others
            rest = f" and {len(more)} more" if more else ""
            raise ResultsError(
                f"{first}{rest}: the rows in {self.sources[others[first]]} differ from those already there,"
                " which have the same data and settings; --replace takes them"
            )
        return changed

    def curves_of(self, changes: dict[_Key, RunRow], *, instead_of: _Contents) -> dict[_Key, list[CurveRow]]:
        """The curves that belong to some rows; runs of earlier versions have none.

        Where the scores of a run are replaced, so is its curve: by an empty one if the new run has none.
        """
        curves: dict[_Key, list[CurveRow]] = {}
        for key, row in changes.items():
            name = values(row, CURVE_KEY)
            if name in self.curves or key in instead_of.rows:
                curves[name] = self.curves.get(name, [])
        return curves

    def take(self, other: _Contents, changes: dict[_Key, RunRow]) -> None:
        """Adds rows of other contents with their curves, replacing those that are here."""
        self.curves |= other.curves_of(changes, instead_of=self)
        self.rows |= changes
        self.sources |= {key: other.sources[key] for key in changes}


def _differs(row: RunRow, other: RunRow | None) -> bool:
    # As text, because NaN, an undefined score, is not equal to itself.
    return other is None or repr(row) != repr(other)

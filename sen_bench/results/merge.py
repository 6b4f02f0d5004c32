"""Merges result tables that were made separately, on several machines or by somebody else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias, get_args

from sen_bench.errors import ResultsError
from sen_bench.results.csv_tables import locked, values
from sen_bench.results.curves import CURVE_KEY, CurveRow, append_curves, read_curve_rows
from sen_bench.results.folder import ResultsFolder, StudyKind
from sen_bench.results.leaderboard import ReferenceModel
from sen_bench.results.merged_studies import RenewedStudy, read_descriptions, renew_studies
from sen_bench.results.orbit_generalisation import (
    ORBIT_RUN_KEY,
    OrbitRunRow,
    append_orbit_runs,
    classes_of_run,
    read_orbit_runs,
)
from sen_bench.results.rows import KEY, RunRow, append_rows, read_run_rows


@dataclass(frozen=True)
class Merged:
    """What a merge did: names of runs, in the order of the tables.

    Attributes:
        added: Runs with rows that were missing in the target.
        replaced: Runs with rows that the target had with other contents.
        same: Runs whose rows the target already had.
        studies: The same for the runs behind the studies of each kind that a source has.
        renewed: The studies whose tables were computed anew.
    """

    added: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    same: tuple[str, ...] = ()
    studies: Mapping[StudyKind, Merged] = field(default_factory=dict)
    renewed: tuple[RenewedStudy, ...] = ()


_Place: TypeAlias = StudyKind | None
_PLACES: Final[tuple[_Place, ...]] = (None, *get_args(StudyKind))


def merge_results(
    sources: Sequence[Path], results: Path, reference_model: ReferenceModel, *, replace: bool = False
) -> Merged:
    """Adds the runs of other result folders, with their learning curves, and renews the leaderboard.

    As in `append_rows`, two rows are the same result if they have the same run, horizon, data and settings.
    If two such rows differ in anything, even the time they took, nothing is written unless `replace` is set.

    The runs behind studies are merged likewise, in ``studies/data`` and ``studies/orbit``, with their scores
    by class. The tables of these studies are then computed anew from the merged rows, by `renew_studies`;
    figures are not drawn here.

    Args:
        sources: Folders with a ``runs.csv``, or studies with one, and with a ``curves.csv`` if there are
            curves.
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
    for source in sources:
        if not any(_folder(source, place).runs_csv.exists() for place in _PLACES):
            read_run_rows(ResultsFolder(source).runs_csv)  # says that there are none
    new = {
        place: _Contents.together(there, replace=replace)
        for place in _PLACES
        if (there := [folder for source in sources if (folder := _folder(source, place)).runs_csv.exists()])
    }
    described = {kind: read_descriptions(kind, [results, *sources]) for kind in new if kind is not None}
    with ExitStack() as locks:
        # Of two processes, the later one must see what the earlier one wrote, or it would replace it unasked.
        for place in new:
            locks.enter_context(locked(_folder(results, place).runs_csv))
        steps = {
            place: _Step.planned(contents, _folder(results, place), replace=replace)
            for place, contents in new.items()
        }
        for step in steps.values():
            step.write()
    for step in steps.values():
        step.write_leaderboard(reference_model)
    renewed = tuple(
        study
        for kind, descriptions in described.items()
        for study in renew_studies(
            kind, descriptions, ResultsFolder(results), new[kind].runs(), reference_model
        )
    )
    merged = {place: step.merged() for place, step in steps.items()}
    main = merged.pop(None, Merged())
    studies = {kind: part for kind, part in merged.items() if kind is not None}
    return Merged(main.added, main.replaced, main.same, studies, renewed)


def _folder(results: Path, place: _Place) -> ResultsFolder:
    """The folder of tables itself, or that of its studies of a kind."""
    folder = ResultsFolder(results)
    return folder if place is None else ResultsFolder(folder.study_folder(place))


_Key: TypeAlias = tuple[str, ...]


@dataclass
class _Contents:
    """Rows of one folder, or of several that were put together.

    Attributes:
        rows: By `KEY`.
        curves: By `CURVE_KEY`.
        classes: Scores by class that belong to these rows, by `ORBIT_RUN_KEY`.
        sources: The folder that each row is from, by `KEY`.
    """

    rows: dict[_Key, RunRow] = field(default_factory=dict)
    curves: dict[_Key, list[CurveRow]] = field(default_factory=dict)
    classes: dict[_Key, list[OrbitRunRow]] = field(default_factory=dict)
    sources: dict[_Key, Path] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: ResultsFolder) -> _Contents:
        recorded = read_run_rows(folder.runs_csv)
        rows = {values(row, KEY): row for row in recorded}
        curves: dict[_Key, list[CurveRow]] = {}
        for line in read_curve_rows(folder.curves_csv) if folder.curves_csv.exists() else []:
            curves.setdefault(values(line, CURVE_KEY), []).append(line)
        classes: dict[_Key, list[OrbitRunRow]] = {}
        for score in read_orbit_runs(folder.orbit_csv):
            classes.setdefault(values(score, ORBIT_RUN_KEY), []).append(score)
        runs: dict[_Key, list[RunRow]] = {}
        for row in recorded:
            runs.setdefault(values(row, ORBIT_RUN_KEY), []).append(row)
        own = {
            run: found
            for run, of_run in runs.items()
            if (found := classes_of_run(classes.get(run, ()), [row.model_dump() for row in of_run]))
        }
        return cls(rows, curves, own, dict.fromkeys(rows, folder.path))

    @classmethod
    def together(cls, folders: Sequence[ResultsFolder], *, replace: bool) -> _Contents:
        """What several folders hold.

        Raises:
            ResultsError: A table is broken, or results differ and are not to be replaced.
        """
        whole = cls()
        for folder in folders:
            contents = cls.read(folder)
            changes = contents.changes(whole, replace=replace)
            classes = contents.class_changes(whole, replace=replace)
            whole.curves |= contents.curves_of(changes, instead_of=whole)
            whole.classes |= classes
            whole.rows |= changes
            whole.sources |= {key: contents.sources[key] for key in changes}
        return whole

    def runs(self) -> set[_Key]:
        """Its runs, by `ORBIT_RUN_KEY`."""
        return {values(row, ORBIT_RUN_KEY) for row in self.rows.values()}

    def changes(self, there: _Contents, *, replace: bool) -> dict[_Key, RunRow]:
        """The rows that another table does not have, or has with other contents.

        Raises:
            ResultsError: It has one with other contents, which is not to be replaced.
        """
        changed = {key: row for key, row in self.rows.items() if _differs(row, there.rows.get(key))}
        others = {row.run_id: self.sources[key] for key, row in changed.items() if key in there.rows}
        if others and not replace:
            raise _conflict(others, "rows")
        return changed

    def class_changes(self, there: _Contents, *, replace: bool) -> dict[_Key, list[OrbitRunRow]]:
        """The scores by class that another table does not have, or has with other contents, likewise.

        Those of rows that are replaced need not be removed: they do not belong to the new ones.

        Raises:
            ResultsError: It has others, which are not to be replaced.
        """
        changed = {run: rows for run, rows in self.classes.items() if _differs(rows, there.classes.get(run))}
        others = {rows[0].run_id: self._source(run) for run, rows in changed.items() if run in there.classes}
        if others and not replace:
            raise _conflict(others, "scores by class")
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

    def _source(self, run: _Key) -> Path:
        """The folder that a run is from."""
        return next(self.sources[key] for key, row in self.rows.items() if values(row, ORBIT_RUN_KEY) == run)


@dataclass(frozen=True)
class _Step:
    """What becomes of one folder of tables, whose lock the caller holds.

    Attributes:
        target: The folder.
        new: What is added to it.
        there: What it holds.
        changes: The rows that are written, by `KEY`.
        classes: The scores by class that are written, by `ORBIT_RUN_KEY`.
    """

    target: ResultsFolder
    new: _Contents
    there: _Contents
    changes: dict[_Key, RunRow]
    classes: dict[_Key, list[OrbitRunRow]]

    @classmethod
    def planned(cls, new: _Contents, target: ResultsFolder, *, replace: bool) -> _Step:
        there = _Contents.read(target) if target.runs_csv.exists() else _Contents()
        changes = new.changes(there, replace=replace)
        return cls(target, new, there, changes, new.class_changes(there, replace=replace))

    def write(self) -> None:
        # The table of runs last: a run that stands in it is done, and never recorded again.
        curves = self.new.curves_of(self.changes, instead_of=self.there)
        if curves:
            lines = [row for curve in curves.values() for row in curve]
            append_curves(self.target.curves_csv, lines, also=curves)
        if self.classes:
            append_orbit_runs(self.target.orbit_csv, [row for rows in self.classes.values() for row in rows])
        if self.changes:
            append_rows(self.target.runs_csv, self.changes.values())

    def write_leaderboard(self, reference_model: ReferenceModel) -> None:
        if self.changes:
            self.target.write_leaderboard(reference_model)
        elif self.target.runs_csv.exists():
            self.target.refresh_leaderboard(reference_model)

    def merged(self) -> Merged:
        replaced = {row.run_id: None for key, row in self.changes.items() if key in self.there.rows}
        touched = {row.run_id for row in self.changes.values()}
        names = {row.run_id: None for row in self.new.rows.values()}
        return Merged(
            added=tuple(name for name in names if name in touched and name not in replaced),
            replaced=tuple(replaced),
            same=tuple(name for name in names if name not in touched),
        )


def _conflict(others: Mapping[str, Path], what: str) -> ResultsError:
    """What is said of runs that differ, by the folders that they are from."""
    first, *more = others
    rest = f" and {len(more)} more" if more else ""
    return ResultsError(
        f"{first}{rest}: the {what} in {others[first]} differ from those already there, which have the same"
        " data and settings; --replace takes them"
    )


def _differs(ours: object, theirs: object) -> bool:
    # As text, because NaN, an undefined score, is not equal to itself.
    return repr(ours) != repr(theirs)

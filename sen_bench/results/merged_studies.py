"""The tables of studies whose runs were merged, computed anew from the rows of all of them.

A table of a study says of every model, and of every part of the data, which runs it is made of: by the
digests of their data and their settings. So the tables of several folders say which of the merged runs belong
to the study, of which all seeds are taken. Where they disagree, because one was made with other data or
settings, the first one decides, which is that of the target if it has one: a study compares like with like.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from sen_bench.results.csv_tables import values
from sen_bench.results.folder import ResultsFolder, StudyKind
from sen_bench.results.leaderboard import ReferenceModel
from sen_bench.results.orbit_generalisation import (
    ORBIT_RUN_KEY,
    OrbitRow,
    OrbitRunRow,
    classes_of_run,
    orbit_rows,
    read_orbit_runs,
)
from sen_bench.results.rows import RunRow, read_run_rows
from sen_bench.results.sample_efficiency import RIVAL, EfficiencyRow, StudiedPart, efficiency_rows
from sen_bench.results.study_tables import read_study, write_study

_Row: TypeAlias = EfficiencyRow | OrbitRow
_Key: TypeAlias = tuple[Any, ...]

_STUDY: Final = ("task", "train_split", "preset")
_PLACE: Final = (*_STUDY, "eval_dataset_digest")
_DATA: Final = ("train_dataset_digest", "eval_dataset_digest")


@dataclass(frozen=True)
class RenewedStudy:
    """A study after its runs were merged.

    Attributes:
        kind: What it asks about.
        table: Its table.
        remarks: In a line each, what is not in it and why.
        efficiency: What the table of a study of data holds now; none if it is left as it is.
        orbit: Likewise, of a study of the orbit.
    """

    kind: StudyKind
    table: Path
    remarks: tuple[str, ...]
    efficiency: tuple[EfficiencyRow, ...] = ()
    orbit: tuple[OrbitRow, ...] = ()


@dataclass(frozen=True)
class StudyDescription:
    """The table of a study in one folder: which runs it is made of.

    Attributes:
        name: The file, without its ending.
        results: The folder of result tables that it is in.
        parts: A row for each model and part of the data, with the digest of its settings if that is known.
    """

    name: str
    results: Path
    parts: tuple[_Row, ...]


def read_descriptions(kind: StudyKind, folders: Sequence[Path]) -> list[StudyDescription]:
    """Reads the tables of all studies of a kind in folders of result tables, in the order of the folders.

    Tables that do not say which settings their runs have, as those of earlier versions, are completed by the
    runs in the same folder, if these are of one kind only.

    Raises:
        ResultsError: A table is broken.
    """
    found = []
    for results in folders:
        beside = ResultsFolder(ResultsFolder(results).study_folder(kind))
        recorded: list[RunRow] = []
        for path in ResultsFolder(results).study_tables(kind):
            rows: Sequence[_Row] = read_study(path, EfficiencyRow if kind == "data" else OrbitRow)
            parts = list({_part(row): row for row in rows}.values())
            if any(row.config_digest is None for row in parts) and beside.runs_csv.exists():
                recorded = recorded or read_run_rows(beside.runs_csv)
                parts = [_completed(row, recorded) for row in parts]
            if parts:
                found.append(StudyDescription(path.stem, results, tuple(parts)))
    return found


def renew_studies(
    kind: StudyKind,
    descriptions: Sequence[StudyDescription],
    results: ResultsFolder,
    merged: AbstractSet[_Key],
    reference_model: ReferenceModel,
) -> Iterator[RenewedStudy]:
    """Computes the tables of studies anew, as the commands of studies do, and writes them.

    Args:
        kind: What the studies ask about.
        descriptions: Of all tables, those of the target first.
        results: The target, whose tables of runs are merged already.
        merged: The runs that the sources have, by `ORBIT_RUN_KEY`. Studies that have nothing of them, and no
            table in a source, are left alone.
        reference_model: Names the symmetric embedding network of each task.

    Yields:
        Each study that was touched, after its table was written. Where nothing is known of any of its runs,
        or the table of the target does not say which they are, it is left as it is.

    Raises:
        ResultsError: A table cannot be read or written.
    """
    folder = ResultsFolder(results.study_folder(kind))
    recorded: dict[_Key, list[RunRow]] = {}
    for row in read_run_rows(folder.runs_csv):
        recorded.setdefault(values(row, ORBIT_RUN_KEY), []).append(row)
    for name in dict.fromkeys(each.name for each in descriptions):
        tables = [each for each in descriptions if each.name == name]
        table = folder.path / f"{name}.csv"
        parts, remarks = _agreed(tables)
        runs = {
            part: [run for run, rows in recorded.items() if _is_of(rows[0], row)]
            for part, row in parts.items()
        }
        if lost := [part[0] for part, keys in runs.items() if not keys]:
            remarks.append(f"without rows of {_listed(lost)} that have no runs in runs.csv")
        touched = any(merged & set(keys) for keys in runs.values())
        if not touched and all(each.results == results.path for each in tables):
            continue
        if tables[0].results == results.path and not all(row.config_digest for row in tables[0].parts):
            why = "it is left as it is, as it does not say with which settings its runs were made; give the"
            yield RenewedStudy(kind, table, (f"{why} command of the study again",))
        elif kind == "data":
            of_parts = {part: [row for key in keys for row in recorded[key]] for part, keys in runs.items()}
            efficiency = tuple(efficiency_rows(_studied(parts, of_parts), rival=RIVAL))
            if efficiency:
                write_study(table, efficiency, EfficiencyRow)
            yield RenewedStudy(kind, table, tuple(remarks), efficiency=efficiency)
        else:
            classes, missing = _classes(read_orbit_runs(folder.orbit_csv), recorded, runs.values())
            orbit = tuple(orbit_rows(classes, first=reference_model(tables[0].parts[0].task)))
            if orbit:
                write_study(table, orbit, OrbitRow)
            yield RenewedStudy(kind, table, (*remarks, *missing), orbit=orbit)


def _part(row: _Row) -> _Key:
    """What a row is about: the model, and how much data it was trained on, in studies of that."""
    return (row.model, row.episodes if isinstance(row, EfficiencyRow) else None)


def _is_of(run: RunRow, row: _Row) -> bool:
    """Whether a run is one of those behind a row, whose settings may be unknown."""
    preset = run.preset
    if isinstance(row, EfficiencyRow) and preset.startswith(f"{row.preset}+"):
        preset = row.preset  # parts of the data are variants of the preset
    place = (run.task, run.train_split, preset, run.model) == (*values(row, _STUDY), row.model)
    settings = row.config_digest in {None, run.config_digest}
    return place and settings and values(run, _DATA) == values(row, _DATA)


def _completed(row: _Row, recorded: Iterable[RunRow]) -> _Row:
    """A row with the digest of the settings that its runs have, if those in the table of runs agree on it."""
    found = {run.config_digest for run in recorded if _is_of(run, row)}
    return row if len(found) != 1 else row.model_copy(update={"config_digest": found.pop()})


def _agreed(tables: Sequence[StudyDescription]) -> tuple[dict[_Key, _Row], list[str]]:
    """The parts of a study on which tables agree, and remarks on those that are left out."""
    first = tables[0].parts[0]
    parts: dict[_Key, _Row] = {}
    trained: dict[int | None, str] = {}
    others: dict[Path, list[str]] = {}
    for table in tables:
        for row in table.parts:
            part = _part(row)
            comparable = (
                row.config_digest is not None
                and values(row, _PLACE) == values(first, _PLACE)
                and trained.setdefault(part[1], row.train_dataset_digest) == row.train_dataset_digest
                and parts.setdefault(part, row).config_digest == row.config_digest
            )
            if not comparable:
                others.setdefault(table.results, []).append(row.model)
    remarks = [
        f"without {_listed(models)} of {folder}, whose data or settings are others, or not known"
        for folder, models in others.items()
    ]
    return parts, remarks


def _listed(models: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(models))


def _studied(parts: Mapping[_Key, _Row], runs: Mapping[_Key, Sequence[RunRow]]) -> list[StudiedPart]:
    """The parts of a study of data, with the rows of all their runs."""
    return [
        StudiedPart(
            fraction=row.fraction,
            episodes=row.episodes,
            transitions=row.transitions,
            epochs=row.epochs,
            steps=row.steps,
            preset=row.preset,
            runs=[run.model_dump() for run in runs[part]],
        )
        for part, row in parts.items()
        if isinstance(row, EfficiencyRow) and runs[part]
    ]


def _classes(
    scored: Sequence[OrbitRunRow], recorded: Mapping[_Key, Sequence[RunRow]], runs: Iterable[Sequence[_Key]]
) -> tuple[list[OrbitRunRow], list[str]]:
    """The scores by class of the runs of a study, and a remark if some have none."""
    by_run: dict[_Key, list[OrbitRunRow]] = {}
    for row in scored:
        by_run.setdefault(values(row, ORBIT_RUN_KEY), []).append(row)
    found: list[OrbitRunRow] = []
    missing = []
    for key in (key for keys in runs for key in keys):
        own = classes_of_run(by_run.get(key, ()), [row.model_dump() for row in recorded[key]])
        found += own
        if not own:
            missing.append(recorded[key][0].run_id)
    if not missing:
        return found, []
    more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
    remark = f"{missing[0]}{more}: no scores by class of these weights; `sen-bench study orbit` makes them"
    return found, [f"{remark} where the checkpoint is"]

"""Studies that were made apart become the study of one machine: its rows, its tables, its figures."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from sen_bench.errors import ResultsError, UnknownNameError
from sen_bench.results.curves import append_curves, curve_of
from sen_bench.results.folder import ResultsFolder, StudyKind
from sen_bench.results.merge import merge_results
from sen_bench.results.orbit_generalisation import (
    OrbitRow,
    OrbitRunRow,
    append_orbit_runs,
    orbit_rows,
    scores_digest,
)
from sen_bench.results.rows import RunRow, append_rows
from sen_bench.results.sample_efficiency import EfficiencyRow, StudiedPart, efficiency_rows
from sen_bench.results.study_tables import write_study
from sen_bench.results.table_digests import digest_file
from tests.support.commands import done, refused
from tests.support.rows import make_row


def _reference(task: str) -> str:
    assert task == "2d-shapes"
    return "sen"


MODELS = ("sen", "none")
EPISODES = (10, 100)
SEEDS = (0, 1, 2)


def _digest(*what: object) -> str:
    return "sha256:" + "".join(f"{ord(letter):02x}" for letter in "-".join(map(str, what)))


def _run(
    split: str, preset: str, model: str, seed: int, horizon: int, score: float, **changes: Any
) -> RunRow:
    return make_row(
        run_id=f"2d-shapes/{split}/{model}/{preset}/seed-{seed}",
        task="2d-shapes",
        train_split=split,
        model=model,
        preset=preset,
        seed=seed,
        horizon=horizon,
        hits_at_1=score,
        relative_error=1 - score,
        hh_at_1=math.nan,
        config_digest=_digest(preset, model),
        **changes,
    )


def _runs_of_data(model: str, episodes: int, seed: int, **changes: Any) -> list[RunRow]:
    """A run on a part of the data: the whole of it is that of the preset, as in the command."""
    preset = "tiny" if episodes == max(EPISODES) else f"tiny+epochs=9+first_episodes={episodes}"
    score = 0.1 + 0.1 * MODELS[::-1].index(model) + 0.002 * episodes + 0.07 * seed
    digest = _digest("first", episodes)
    return [
        _run("train", preset, model, seed, h, score / h, train_dataset_digest=digest, **changes)
        for h in (1, 10)
    ]


def _run_of_orbit(model: str, seed: int, **changes: Any) -> RunRow:
    return _run("train-slice", "tiny", model, seed, 1, 0.1 + 0.3 * (model == "sen") + 0.1 * seed, **changes)


def _classes(run: RunRow, **changes: Any) -> list[OrbitRunRow]:
    """Two classes of a run, of 10 and 30 transitions, which make up the whole."""
    names = ("run_id", "task", "train_split", "model", "preset", "seed", "collapsed", "hh_at_1")
    digests = ("train_dataset_digest", "eval_dataset_digest", "config_digest", "version", "torch_version")
    common = {name: getattr(run, name) for name in (*names, *digests)}
    common |= {"mrr": run.hits_at_1, "no_change_hits_at_1": 0.1 * run.seed, "no_change_mrr": 0.3}
    common |= {"no_change_hh_at_1": math.nan, "relative_error": run.relative_error}
    own = scores_digest([run.model_dump()])
    return [
        OrbitRunRow(
            **{
                **common,
                "orbit_class": name,
                "distance_low": degrees,
                "distance_high": degrees,
                "transitions": transitions,
                "hits_at_1": run.hits_at_1 + more,
                "scores_digest": own,
                **changes,
            }
        )
        for name, degrees, transitions, more in (
            ("in the slice", 0.0, 10, 0.03),
            ("beyond the orbit", math.nan, 30, -0.01),
        )
    ]


def _record(folder: ResultsFolder, rows: Sequence[RunRow]) -> None:
    line = {"event": "steps", "attempt": 0, "epoch": 1, "step": 10, "samples": 1280}
    line |= {"loss": 0.4, "positive": 0.1, "negative": 0.2, "separation": 0.5}
    append_curves(folder.curves_csv, [point for row in rows for point in curve_of(row, [line])])
    append_rows(folder.runs_csv, rows)
    folder.write_leaderboard(_reference)


def _data(results: Path, runs: Sequence[tuple[str, int, int]]) -> Path:
    """A folder with a study of data: of models, episodes and seeds."""
    folder = ResultsFolder(ResultsFolder(results).study_folder("data"))
    rows = {place: _runs_of_data(*place) for place in runs}
    _record(folder, [row for each in rows.values() for row in each])
    parts = [
        StudiedPart(
            episodes / max(EPISODES),
            episodes,
            50 * episodes,
            4,
            300,
            "tiny",
            [row.model_dump() for place, each in rows.items() if place[:2] == part for row in each],
        )
        for part in dict.fromkeys(place[:2] for place in runs)
        for _, episodes in [part]
    ]
    table = folder.path / "2d-shapes-train-tiny.csv"
    write_study(table, efficiency_rows(parts, rival="none"), EfficiencyRow)
    return results


def _orbit(results: Path, runs: Sequence[tuple[str, int]], **changes: Any) -> Path:
    """A folder with a study of the orbit: of models and seeds."""
    folder = ResultsFolder(ResultsFolder(results).study_folder("orbit"))
    rows = [_run_of_orbit(*run, **changes) for run in runs]
    _record(folder, rows)
    classes = [row for run in rows for row in _classes(run)]
    append_orbit_runs(folder.orbit_csv, classes)
    write_study(folder.path / "2d-shapes-tiny.csv", orbit_rows(classes, first="sen"), OrbitRow)
    return results


ALL_DATA = [(model, episodes, seed) for model in MODELS for episodes in EPISODES for seed in SEEDS]
ALL_ORBIT = [(model, seed) for model in MODELS for seed in SEEDS]


def _files(results: Path, *endings: str) -> dict[str, bytes]:
    return {
        str(path.relative_to(results)): path.read_bytes()
        for path in results.rglob("*")
        if path.suffix in (endings or (".csv", ".sha256"))
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one machine would have written."""
    return _orbit(_data(tmp_path_factory.mktemp("whole"), ALL_DATA), ALL_ORBIT)


@pytest.mark.parametrize(
    ("is_here", "into_one"),
    [
        pytest.param(lambda run: run[-1] < 2, True, id="by seed, into one of them"),
        pytest.param(lambda run: run[0] == "sen", False, id="by model, into nothing"),
        pytest.param(lambda run: run[-2] in {"none", 10}, False, id="by part, into nothing"),
    ],
)
def test_the_tables_are_those_of_one_machine(
    tmp_path: Path, whole: Path, is_here: Callable[[tuple[Any, ...]], bool], *, into_one: bool
) -> None:
    here, there = (
        _orbit(
            _data(tmp_path / name, [run for run in ALL_DATA if is_here(run) == chosen]),
            [run for run in ALL_ORBIT if is_here(run) == chosen],
        )
        for name, chosen in (("here", True), ("there", False))
    )
    results = here if into_one else tmp_path / "results"
    sources = [there] if into_one else [there, here]
    for _ in range(2):  # again, and nothing is left to do
        merged = merge_results(sources, results, _reference)
        assert _files(results) == _files(whole)
        assert [(study.kind, study.remarks) for study in merged.renewed] == [("data", ()), ("orbit", ())]
    assert merged.added == merged.same == merged.studies["data"].added == ()
    assert not (results / "runs.csv").exists(), "the leaderboard has no rows of a study"


def test_studies_of_several_tasks_lie_side_by_side_and_others_are_left_alone(tmp_path: Path) -> None:
    here, there = _data(tmp_path / "here", ALL_DATA), _orbit(tmp_path / "there", ALL_ORBIT)
    before = _files(here)
    assert [study.kind for study in merge_results([there], here, _reference).renewed] == ["orbit"]
    assert _files(here) == before | _files(there)


def test_the_command_draws_what_it_computed_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, seeds in (("one", {0}), ("two", {1, 2})):
        _orbit(Path(name), [run for run in ALL_ORBIT if run[1] in seeds])
    figure = Path("studies/orbit/2d-shapes-tiny.pdf")
    (Path("two") / figure).write_text("of two seeds")
    told = done("merge", "one", "two", "--results", "both")
    assert told.stdout.splitlines() == [
        "both/studies/orbit: runs added: 6, replaced: 0, there already: 0",
        "both/studies/orbit/2d-shapes-tiny.csv",
        f"both/{figure}",
    ]
    assert told.stderr.count("added 2d-shapes/train-slice/") == 6
    drawn = (Path("both") / figure).read_bytes()
    assert drawn.startswith(b"%PDF")

    def not_here(name: str) -> None:
        raise UnknownNameError("task", name, ["rush-hour"])

    monkeypatch.setattr("sen_bench.cli.merge_command.get_task", not_here)
    (Path("both") / figure).write_bytes(b"older")
    told = done("merge", "one", "--results", "both")
    assert "2d-shapes-tiny.csv: its figure is not drawn anew: " in told.stderr
    assert told.stdout.splitlines()[-1] == "both/studies/orbit/2d-shapes-tiny.csv"
    assert (Path("both") / figure).read_bytes() == b"older"


@pytest.mark.parametrize("kind", ["rows", "scores by class"])
def test_what_differs_is_refused_and_nothing_written_or_replaced(tmp_path: Path, kind: str) -> None:
    here = _orbit(tmp_path / "here", ALL_ORBIT)
    changes = {"mrr": 0.9} if kind == "rows" else {}
    there = _orbit(_data(tmp_path / "there", ALL_DATA), ALL_ORBIT[:1], **changes)
    folder = ResultsFolder(ResultsFolder(there).study_folder("orbit"))
    if kind != "rows":
        append_orbit_runs(folder.orbit_csv, _classes(_run_of_orbit("sen", 0), torch_version="2.0.0"))
    before = _files(here)
    name = "2d-shapes/train-slice/sen/tiny/seed-0"
    line = refused("merge", str(there), "--results", str(here))
    assert f"{name}: the {kind} in {folder.path} differ from those already there" in line
    assert _files(here) == before, "nothing of the other study either"
    merged = merge_results([there], here, _reference, replace=True)
    assert merged.studies["orbit"].replaced == ((name,) if kind == "rows" else ())
    own = pd.read_csv(folder.orbit_csv)
    assert len(own) == 2
    table = pd.read_csv(here / "studies/orbit/orbit.csv")
    taken = table[table["run_id"] == name].reset_index(drop=True)
    pd.testing.assert_frame_equal(taken, own)
    assert len(table) == 2 * len(ALL_ORBIT)
    assert (here / "studies/data/2d-shapes-train-tiny.csv").exists()


def test_runs_of_other_data_are_not_compared_with_those_that_are_there(tmp_path: Path) -> None:
    here = _orbit(tmp_path / "here", ALL_ORBIT[:3])
    other = {"eval_dataset_digest": _digest("other")}
    there = _orbit(tmp_path / "there", ALL_ORBIT, **other)
    before = (here / "studies/orbit/2d-shapes-tiny.csv").read_bytes()
    (study,) = merge_results([there], here, _reference).renewed
    why = "whose data or settings are others, or not known"
    assert study.remarks == (f"without sen, none of {there}, {why}",)
    assert (here / "studies/orbit/2d-shapes-tiny.csv").read_bytes() == before
    assert len(pd.read_csv(here / "studies/orbit/runs.csv")) == 9, "their rows are there"


def test_stale_or_missing_scores_by_class_are_neither_taken_nor_drawn(tmp_path: Path) -> None:
    """As after a kill between a row and its scores by class, on the other machine."""
    here, there = _orbit(tmp_path / "here", ALL_ORBIT[:1]), _orbit(tmp_path / "there", ALL_ORBIT[1:3])
    orbit = ResultsFolder(ResultsFolder(there).study_folder("orbit"))
    append_rows(orbit.runs_csv, [_run_of_orbit("sen", 2).model_copy(update={"hits_at_1": 0.9})])
    (study,) = merge_results([there], here, _reference).renewed
    (remark,) = study.remarks
    assert remark.startswith("2d-shapes/train-slice/sen/tiny/seed-2: no scores by class of these weights")
    assert set(pd.read_csv(here / "studies/orbit/orbit.csv")["seed"]) == {0, 1}
    assert set(pd.read_csv(study.table)["runs"]) == {2}


def test_a_table_has_nothing_whose_runs_are_gone(tmp_path: Path) -> None:
    there = _data(tmp_path / "there", ALL_DATA)
    runs = ResultsFolder(ResultsFolder(there).study_folder("data")).runs_csv
    digest_file(runs).unlink()
    pd.read_csv(runs).query("model == 'sen'").to_csv(runs, index=False)
    (study,) = merge_results([there], tmp_path / "results", _reference).renewed
    assert study.remarks == ("without rows of none that have no runs in runs.csv",)
    assert {row.model for row in study.efficiency} == {"sen"}


@pytest.mark.parametrize("kind", ["data", "orbit"])
def test_tables_that_do_not_say_their_settings_have_those_of_the_runs_beside_them(
    tmp_path: Path, whole: Path, kind: StudyKind
) -> None:
    here = _orbit(_data(tmp_path / "here", ALL_DATA[::2]), ALL_ORBIT[::2])
    (table,) = ResultsFolder(here).study_tables(kind)
    pd.read_csv(table).drop(columns="config_digest").to_csv(table, index=False)
    digest_file(table).unlink()
    merge_results([whole], here, _reference)
    assert _files(here) == _files(whole)

    # Two settings under one name: which of them it is, nobody knows.
    pd.read_csv(table).drop(columns="config_digest").to_csv(table, index=False)
    digest_file(table).unlink()
    runs = ResultsFolder(ResultsFolder(here).study_folder(kind)).runs_csv
    other = _runs_of_data("sen", 10, 0) if kind == "data" else [_run_of_orbit("sen", 0)]
    append_rows(runs, [row.model_copy(update={"config_digest": _digest("other")}) for row in other])
    before = table.read_bytes()
    left = next(s for s in merge_results([whole], here, _reference).renewed if s.kind == kind)
    assert "it is left as it is, as it does not say with which settings" in left.remarks[0]
    assert table.read_bytes() == before


def test_a_broken_table_of_a_study_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    there = _orbit(_data(tmp_path / "there", ALL_DATA), ALL_ORBIT)
    (there / "studies/orbit/2d-shapes-tiny.csv").write_text("task\n")
    with pytest.raises(ResultsError, match="is not a table of such a study"):
        merge_results([there], tmp_path / "results", _reference)
    assert not (tmp_path / "results").exists()

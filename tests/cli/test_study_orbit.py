"""`sen-bench study orbit`: runs on a slice, scored by the distance from it, and resumes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from sen_bench.training import TrainingResult, train
from tests.support.commands import done, invoke, refused
from tests.support.presets import SLICED

STUDY = Path("results/studies/orbit")
COMMAND = (
    *("study", "orbit", "--task", "2d-shapes", "--preset", "tiny.toml", "--models", "sen,none"),
    *("--device", "cpu", "--workers", "1", "--quiet"),
)
FILES = [f"{STUDY}/2d-shapes-tiny.{kind}" for kind in ("csv", "png", "svg")]


@pytest.fixture
def workspace(here: Path) -> Path:
    (here / "tiny.toml").write_text(SLICED)
    return here


def test_a_study_is_a_table_and_a_figure_and_is_not_done_again(workspace: Path) -> None:
    assert done(*COMMAND).stdout.splitlines() == FILES
    table = pd.read_csv(FILES[0])
    assert set(table["train_split"]) == {"train-slice"}
    assert list(dict.fromkeys(table["model"])) == ["sen", "none"]
    for _, rows in table[table["metric"] == "mrr"].groupby("model"):
        assert rows["transitions"].sum() == 40, "each transition is in one class"
        assert rows["orbit_class"].tolist()[-1] == "beyond the orbit"
    # The classes make up the whole.
    runs = pd.read_csv(STUDY / "runs.csv").query("horizon == 1 and model == 'sen'")
    sen = table.query("metric == 'mrr' and model == 'sen'")
    for name, column in (("mean", "mrr"), ("no_change", "no_change_mrr")):
        mean = (sen[name] * sen["transitions"]).sum() / sen["transitions"].sum()
        assert mean == pytest.approx(runs[column].item())
    assert not Path("results/runs.csv").exists(), "the leaderboard has no rows of a study"

    first = {name: Path(name).read_bytes() for name in (*FILES, f"{STUDY}/orbit.csv")}
    # Made apart and merged, the same.
    for model in ("none", "sen"):
        alone = (model if word == "sen,none" else word for word in COMMAND)
        done(*alone, "--results", f"of-{model}")
    done("merge", "of-none", "of-sen", "--results", "both")
    assert {name: Path("both", *Path(name).parts[1:]).read_bytes() for name in first} == first
    for checkpoint in workspace.glob("runs/**/checkpoint.pt"):
        checkpoint.unlink()  # neither trained nor scored again
    assert done(*COMMAND).stdout.splitlines() == FILES
    assert {name: Path(name).read_bytes() for name in first} == first


@pytest.mark.usefixtures("workspace")
def test_a_plan_or_a_mistake_does_nothing() -> None:
    assert "2 runs: 0 done, 2 to run on cpu" in done(*COMMAND, "--dry-run").stdout
    assert "EE(S) is not in the table of this study; choose one of H@1, MRR" in refused(
        *COMMAND, "--metric", "EE(S)"
    )
    assert "HH@1 is of hard negatives, and 2d-shapes has none" in refused(*COMMAND, "--metric", "HH@1")
    reacher = refused("study", "orbit", "--task", "reacher", "--preset", "smoke")
    assert "reacher has no slice to train on: a split 'train-slice'" in reacher
    assert "No such option '--fractions'" in invoke(*COMMAND, "--fractions", "1").stderr
    assert not Path("results").exists()
    assert not Path("runs").exists()


@pytest.mark.usefixtures("workspace")
def test_scores_of_another_training_are_not_taken_for_those_of_the_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As after a kill between the row of a new training and its scores by class."""

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    def trained_otherwise(*given: Any, seed: int, **named: Any) -> TrainingResult:
        return train(*given, seed=seed + 1, **named)

    command = tuple("none" if word == "sen,none" else word for word in COMMAND)
    done(*command)
    orbit = f"{STUDY}/orbit.csv"
    first, first_table = pd.read_csv(orbit), Path(FILES[0]).read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("sen_bench.runs.steps.train", trained_otherwise)
        patch.setattr("sen_bench.runs.orbit.score_orbit", interrupt)
        assert invoke(*command, "--force").exit_code == 130
    pd.testing.assert_frame_equal(pd.read_csv(orbit), first)
    done(*command)
    again = pd.read_csv(orbit)
    (run,) = pd.read_csv(STUDY / "runs.csv").query("horizon == 1").to_dict("records")
    for column in ("hits_at_1", "mrr"):
        assert (again[column] * again["transitions"]).sum() / 40 == pytest.approx(run[column])
    assert not set(again["relative_error"]) & set(first["relative_error"])
    assert Path(FILES[0]).read_bytes() != first_table
    monkeypatch.setattr("sen_bench.runs.orbit.score_orbit", interrupt)
    done(*command)  # they are of these weights, so that nothing is scored again

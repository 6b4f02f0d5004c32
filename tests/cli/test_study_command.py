"""`sen-bench study data`: a table and a figure of runs that differ in their data alone, and resumes."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.support.commands import done, invoke, refused
from tests.support.presets import TWO_TASKS

STUDY = Path("results/studies/data")
COMMAND = (
    *("study", "data", "--task", "2d-shapes", "--preset", "tiny.toml", "--models", "sen,none"),
    *("--device", "cpu", "--workers", "1", "--quiet"),
)
FILES = [f"{STUDY}/2d-shapes-train-tiny.{kind}" for kind in ("csv", "png", "svg")]


@pytest.fixture
def workspace(here: Path) -> Path:
    (here / "tiny.toml").write_text(TWO_TASKS)
    return here


def test_a_study_is_a_table_and_a_figure_and_is_not_done_again(workspace: Path) -> None:
    assert done(*COMMAND, "--fractions", "0.25").stdout.splitlines() == FILES
    checkpoint = next(workspace.glob("runs/**/sen/*first_episodes=2*/seed-0/checkpoint.pt"))
    before = checkpoint.stat().st_mtime_ns
    # Goes on with what is there; the whole split is trained on as by any run.
    assert done(*COMMAND, "--fractions", "0.25,1").stdout.splitlines() == FILES
    assert checkpoint.stat().st_mtime_ns == before
    assert (workspace / "runs/2d-shapes/train/sen/tiny/seed-0/checkpoint.pt").exists()
    assert len(list(workspace.glob("data/**/train.zarr"))) == 1, "no data is copied"

    table = pd.read_csv(FILES[0])
    assert table.groupby(["model", "episodes"]).first()[["transitions", "epochs", "steps"]].to_dict(
        "index"
    ) == {
        (model, episodes): {"transitions": 5 * episodes, "epochs": epochs, "steps": 12}
        for model in ("none", "sen")
        for episodes, epochs in ((2, 12), (8, 3))
    }
    assert set(table["horizon"]) == {1, 3}
    hits = table[(table["model"] == "sen") & (table["metric"] == "hits_at_1")]
    assert set(hits["rival"]) == {"none"}
    runs = pd.read_csv(STUDY / "runs.csv")
    assert set(table["train_dataset_digest"]) == set(runs["train_dataset_digest"])
    assert len(set(runs["train_dataset_digest"])) == 2
    assert not Path("results/runs.csv").exists(), "the leaderboard has no rows of a study"
    first = {name: Path(name).read_bytes() for name in FILES}
    assert done(*COMMAND, "--fractions", "0.25,1").stdout.splitlines() == FILES
    assert {name: Path(name).read_bytes() for name in FILES} == first
    # Not drawn, as a figure without a line would take the place of this one: E of none is not equivariant.
    none = ("none" if word == "sen,none" else word for word in COMMAND)
    alone = refused(*none, "--fractions", "0.25", "--metric", "EE(z)")
    assert "EE(z) is undefined for all of these runs; name one of H@1, " in alone
    assert {name: Path(name).read_bytes() for name in FILES[1:]} == {name: first[name] for name in FILES[1:]}

    # A part of the data on each of two machines, and merged, the same.
    for fraction in ("0.25", "1"):
        done(*COMMAND, "--fractions", fraction, "--results", f"of-{fraction}")
    done("merge", "of-0.25", "of-1", "--results", "both")
    assert {name: Path("both", *Path(name).parts[1:]).read_bytes() for name in FILES} == first


@pytest.mark.usefixtures("workspace")
def test_a_plan_or_a_mistake_does_nothing() -> None:
    plan = done(*COMMAND, "--fractions", "1", "--dry-run").stdout
    assert "2 runs: 0 done, 2 to run on cpu" in plan
    horizon = refused(*COMMAND, "--fractions", "1", "--horizon", "2")
    assert "--horizon 2: these runs are scored so many steps ahead: 1, 3;" in horizon
    assert "'0.1;1' are no fractions; write for example" in invoke(*COMMAND, "--fractions", "0.1;1").stderr
    assert "more than 0 and at most 1, not 2" in refused(*COMMAND, "--fractions", "2")
    assert "is not in the table of this study" in refused(*COMMAND, "--metric", "no_change_mrr")
    assert "HH@1 is of hard negatives, and 2d-shapes has none" in refused(*COMMAND, "--metric", "HH@1")
    assert not Path("results").exists()
    assert not Path("runs").exists()

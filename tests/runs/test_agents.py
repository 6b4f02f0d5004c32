"""`sen-bench plan`: goals reached with trained models, beside those of no plan and of perfect plans."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from sen_bench.results import read_planning
from sen_bench.results.planning_rows import PlanningRow
from tests.paths import ROOT
from tests.support.commands import done, refused

GOLDEN = ROOT / "tests" / "golden" / "workspace-1" / "runs"
FEW = ("--problems", "3", "--distance", "2", "--device", "cpu", "--quiet")
SMALL = (*FEW, "--width", "3")
SAMPLED = (*FEW, "--samples", "6", "--rounds", "2", "--elites", "2")


@pytest.fixture
def runs(here: Path) -> Path:
    """The golden runs of 2D Shapes."""
    shutil.copytree(GOLDEN / "2d-shapes", here / "runs" / "2d-shapes")
    return here / "runs"


def _run(task: str, model: str) -> str:
    return f"runs/{task}/train/{model}/golden/seed-0"


@pytest.mark.usefixtures("runs")
def test_a_row_for_the_model_and_for_the_references_and_nothing_a_second_time() -> None:
    first = done("plan", _run("2d-shapes", "sen"), *SMALL).stdout
    assert [line.split()[1] for line in first.splitlines()[1:4]] == ["random", "oracle", "sen"]
    rows = pd.read_csv("results/planning.csv")
    pd.testing.assert_frame_equal(rows, read_planning(Path("results/planning.csv")))
    assert tuple(rows.columns) == tuple(PlanningRow.model_fields)
    by_model = {row["model"]: row for row in rows.to_dict("records")}
    oracle = by_model["oracle"]
    assert (oracle["success"], oracle["steps"], oracle["steps_above"]) == (1.0, 2.0, 0.0)
    assert (oracle["twin_success"], oracle["twin_same"]) == (1.0, 1.0)
    assert by_model["sen"]["run_id"] == "2d-shapes/train/sen/golden/seed-0"
    assert by_model["random"]["run_id"] == "2d-shapes/random"
    assert [name for name, row in by_model.items() if isinstance(row["config_digest"], str)] == ["sen"]
    assert len(set(rows["problems_digest"])) == 1
    before = Path("results/planning.csv").stat().st_mtime_ns
    assert done("plan", _run("2d-shapes", "sen"), *SMALL).stdout == first
    assert Path("results/planning.csv").stat().st_mtime_ns == before
    done("plan", _run("2d-shapes", "none"), *SMALL)
    assert sorted(pd.read_csv("results/planning.csv")["model"]) == ["none", "oracle", "random", "sen"]
    done("plan", _run("2d-shapes", "sen"), *SMALL, "--force")
    assert Path("results/planning.csv").stat().st_mtime_ns > before
    assert len(pd.read_csv("results/planning.csv")) == 4
    done("plan", _run("2d-shapes", "sen"), *SMALL, "--seed", "1")
    assert pd.read_csv("results/planning.csv").groupby("problems_digest").size().tolist() != [4]


@pytest.mark.usefixtures("runs")
def test_a_beam_or_a_budget_that_is_too_small_for_the_oracle_is_said() -> None:
    loud = [option for option in SMALL if option != "--quiet"]
    said = done("plan", _run("2d-shapes", "none"), *loud, "--width", "1").stderr
    assert "the oracle itself may miss goals 2 steps away; 2 is enough for it" in said
    assert "nothing can be reached" not in said
    said = done("plan", _run("2d-shapes", "none"), *loud, "--budget", "1").stderr
    assert "nothing can be reached: a budget of 1 is less than the shortest way, 2 steps" in said


@pytest.mark.usefixtures("runs")
def test_an_animation_shows_problems_above_their_twins() -> None:
    output = done("plan", _run("2d-shapes", "sen"), *SMALL, "--animation", "ways.gif").stdout
    assert output.splitlines()[-1] == "ways.gif"
    with Image.open("ways.gif") as picture:
        # The start and four actions, if no problem of the three was solved before.
        assert 3 <= getattr(picture, "n_frames", 1) <= 5
        assert picture.height > 6 * 100
    assert "an animation is a .gif, not 'ways.png'" in refused(
        "plan", _run("2d-shapes", "sen"), *SMALL, "--animation", "ways.png"
    )


@pytest.mark.parametrize(("task", "model"), [("reacher", "none"), ("teapot-small", "matmul")])
def test_in_worlds_of_other_actions_too(task: str, model: str, here: Path) -> None:
    shutil.copytree(GOLDEN / task / "train" / model, here / "runs" / task / "train" / model)
    options, others = (SAMPLED, "width") if task == "reacher" else (SMALL, "samples, elites")
    said = refused("plan", _run(task, model), *FEW, "--width", "3", "--samples", "5", "--elites", "2")
    assert f"error: {others}: not used for {task}, whose actions are " in said
    done("plan", _run(task, model), *options)
    rows = pd.read_csv("results/planning.csv")
    by_model = {row["model"]: row for row in rows.to_dict("records")}
    planner = "cem 6x2, 2 elites" if task == "reacher" else "beam 3"
    assert {name: row["planner"] for name, row in by_model.items()} == {
        model: planner,
        "oracle": planner,
        "random": "random",
    }
    assert bool(rows["optimum"].isna().all()) == (task == "reacher")
    assert by_model["random"]["twin_same"] == by_model["oracle"]["twin_same"] == 1.0


@pytest.mark.usefixtures("runs")
def test_what_cannot_be_planned_is_refused_in_one_line() -> None:
    assert "is not a run's folder" in refused("plan", "nowhere")
    run = _run("2d-shapes", "sen")
    assert "execute must be from 1 to the horizon, 2" in refused("plan", run, *SMALL, "--execute", "3")
    Path("file").touch()
    said = refused("plan", run, *SMALL, "--animation", "file/ways.gif")
    assert "cannot write file/ways.gif: file is not a folder" in said
    assert "cannot write file/x: file is not a folder" in refused("plan", run, *SMALL, "--results", "file/x")
    (Path(run) / "checkpoint.pt").unlink()
    assert "there is no checkpoint" in refused("plan", run, *SMALL)
    assert not Path("results/planning.csv").exists()

"""The complete examples in the guides run as they stand."""

from __future__ import annotations

import json
import math
import os
import re
import runpy
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sen_bench.config.presets import SplitSize
from sen_bench.generators import generate
from sen_bench.store import open_dataset
from sen_bench.tasks.models import resolve_model
from sen_bench.tasks.registry import get_task
from tests.paths import DOCS
from tests.support.commands import done, invoke
from tests.support.plugins import forget, install


def _python_blocks(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), flags=re.DOTALL)


def _toml_blocks(page: str) -> list[str]:
    return re.findall(r"```toml\n(.*?)```", (DOCS / page).read_text(), flags=re.DOTALL)


@pytest.fixture
def ring(tmp_path: Path) -> Path:
    """A folder with the module ring.py and the script make_ring.py of the guide."""
    module, script, _ = _python_blocks("adding-a-world.md")
    (tmp_path / "ring.py").write_text(module)
    (tmp_path / "make_ring.py").write_text(script)
    return tmp_path


def _process(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs Python in a folder, whatever it ends with."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def _run(folder: Path, *arguments: str) -> str:
    process = _process(folder, *arguments)
    assert process.returncode == 0, process.stderr
    return process.stdout


def test_the_world_of_the_guide_generates_a_dataset(ring: Path) -> None:
    digest = _run(ring, "make_ring.py").strip()
    output = _run(ring, "-m", "sen_bench", "info", "data/ring-forward/eval.zarr")
    assert digest in output
    assert "50 episodes of 10 steps" in output
    share = open_dataset(ring / "data/ring-forward/eval.zarr").load("action").mean()
    assert 0.65 < share < 0.85
    _run(ring, "-m", "sen_bench", "view", "data/ring-forward/eval.zarr", "--twin", "--out", "ring.png")
    assert (ring / "ring.png").stat().st_size > 0


def test_the_world_of_the_guide_keeps_the_contract(ring: Path) -> None:
    assert _run(ring, "-m", "sen_bench", "check-world", "ring:Ring").endswith(": keeps the contract\n")
    module = (ring / "ring.py").read_text()
    right = "(states + np.asarray(elements)[..., None]) % PLACES"
    assert right in module
    (ring / "ring.py").write_text(module.replace(right, right.replace("PLACES", "9")))
    mistaken = _process(ring, "-m", "sen_bench", "check-world", "ring:Ring")
    assert mistaken.returncode == 1
    assert "failed  equivariance: step(g·s, g·a) is not g·step(s, a) for element" in mistaken.stdout


@pytest.fixture
def ring_task(ring: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working folder of the guide: the world, the task, and the preset small.toml."""
    (ring / "ring_task.py").write_text(_python_blocks("adding-a-world.md")[2])
    (ring / "small.toml").write_text(_toml_blocks("adding-a-world.md")[0])
    monkeypatch.chdir(ring)
    yield ring
    forget(ring)


@pytest.mark.usefixtures("ring_task")
def test_the_task_of_the_guide_goes_all_the_way_to_the_leaderboard() -> None:
    done("check", "ring_task:ring", "--states", "4")
    done("run", "ring_task:ring", "--preset", "small.toml", "--device", "cpu", "--workers", "1", "--quiet")
    assert "bead" in done("leaderboard").output
    rows = pd.read_csv("results/runs.csv").set_index("horizon")
    assert list(rows.index) == [1, 5, 10]
    assert rows["model"].eq("bead").all()
    assert rows["task"].eq("ring_task:ring").all()
    done("study", "orbit", "--task", "ring_task:ring", "--preset", "small.toml", "--device", "cpu", "--quiet")
    study = pd.read_csv("results/studies/orbit/ring_task-ring-small.csv").query("metric == 'mrr'")
    assert study["distance_high"].dropna().tolist() == [0, 45, 90, 135]
    assert study["transitions"].sum() == 50
    run = "runs/ring_task-ring/train/bead/small/seed-0"
    done("plan", run, "--problems", "3", "--distance", "2", "--device", "cpu", "--quiet")
    planning = pd.read_csv("results/planning.csv").set_index("model")
    assert list(planning.index) == ["bead", "oracle", "random"]
    assert planning.loc[["oracle"], ["success", "twin_success", "twin_same"]].eq(1.0).all(axis=None)


def test_the_task_of_the_guide_is_listed_once_published(
    ring_task: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = tomllib.loads(_toml_blocks("adding-a-world.md")[1])["project"]["entry-points"]
    monkeypatch.syspath_prepend(install(ring_task, "ring", points, {}))
    assert "A bead on a ring" in done("tasks").output
    done("check", "ring", "--states", "4")


@pytest.fixture
def keypoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder with the model, the preset and the scripts of the guide to models, installed."""
    module, projected, pieces, augmentation, task = _python_blocks("adding-a-model.md")
    preset, reacher, entry_points = _toml_blocks("adding-a-model.md")
    (tmp_path / "reacher.toml").write_text(reacher)
    (tmp_path / "small.toml").write_text(preset)
    modules = {
        "keypoints": module,
        "projected": projected,
        "pieces": pieces,
        "augment": augmentation,
        "ring_task": task,
        "ring": _python_blocks("adding-a-world.md")[0],
    }
    points = tomllib.loads(entry_points)["project"]["entry-points"]
    monkeypatch.syspath_prepend(install(tmp_path, "ring-and-points", points, modules))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    forget(tmp_path)


def test_the_model_of_the_guide_is_checked_counted_and_trained(keypoints: Path) -> None:
    model = ("3d-blocks", "--model", "keypoints:Keypoints", "--preset", "small.toml", "--quiet")
    checked = invoke("check", *model, "--json")
    assert checked.exit_code == 0, checked.output
    (report,) = json.loads(checked.stdout)
    assert all(entry["transition"] < 1e-6 for entry in report["elements"])
    trained = invoke("run", *model, "--device", "cpu", "--workers", "1")
    assert trained.exit_code == 0, trained.output
    rows = pd.read_csv(keypoints / "results/runs.csv")
    assert rows["model"].eq("keypoints:Keypoints").all()
    (row,) = json.loads(invoke("models", *model, "--json").stdout)
    assert row["options"] == {"channels": 8}
    assert rows["parameters"].eq(row["parameters"]["total"]).all()
    run = keypoints / "runs/3d-blocks/train/keypoints-Keypoints/small/seed-0"
    assert (run / "config.json").exists()
    drawn = invoke("figures", str(run), "--device", "cpu", "--format", "png", "--out", "figures")
    assert drawn.exit_code == 0, drawn.output
    assert drawn.stdout.splitlines() == ["figures/learning-curve.png", "figures/latents.png"]


def test_the_second_model_of_the_guide_is_trained_by_its_preset(keypoints: Path) -> None:
    sizes = ("data.train.episodes=4", "data.eval.episodes=4", "training.epochs=1")
    smaller = [argument for size in sizes for argument in ("--set", size)]
    done(
        *("run", "reacher", "--model", "projected:Projected", "--preset", "reacher.toml", *smaller),
        *("--device", "cpu", "--workers", "1", "--quiet"),
    )
    (row,) = pd.read_csv(keypoints / "results/runs.csv").to_dict("records")
    assert row["model"] == "projected:Projected"
    assert math.isnan(row["ee_embedding"])
    # What is not trained is no parameter.
    first, last = 192 * 256 + 256, 256 * 4 + 4
    between, norm = 256 * 256 + 256, 2 * 256
    assert row["parameters"] == first + between + last + (6 * 256 + 256) + between + norm + last


@pytest.mark.parametrize(
    ("right", "wrong", "part"),
    [
        ("return self.scale * embedding", "return self.scale * embedding + 0.1", "E"),
        (
            "[moves[directions[:, 2]], moves[directions[:, 1]]]",
            "[moves[directions[:, 1]], moves[directions[:, 2]]]",
            "T",
        ),
    ],
)
def test_the_mistakes_that_the_guide_speaks_of_are_found(
    keypoints: Path, right: str, wrong: str, part: str
) -> None:
    module = (keypoints / "keypoints.py").read_text()
    assert right in module
    (keypoints / "mistaken.py").write_text(module.replace(right, wrong))
    checked = invoke("check", "3d-blocks", "--model", "mistaken:Keypoints", "--states", "2")
    assert checked.exit_code == 1
    assert f"NOT EQUIVARIANT: mistaken:Keypoints: {part} of Keypoints" in checked.stderr


@pytest.mark.usefixtures("keypoints")
def test_the_piece_of_the_guide_is_equivariant(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path("pieces.py")
    assert float(capsys.readouterr().out) < 1e-14


def test_the_augmentation_of_the_guide_trains_on_the_split_and_its_twins(
    keypoints: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runpy.run_path("augment.py")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["1 steps", "5 steps", "10 steps"]
    with_twins = open_dataset(keypoints / "data/augmented/train.zarr")
    recipe = get_task("3d-blocks").recipe("train", SplitSize(episodes=20, horizon=20))
    plain = generate(recipe, keypoints / "plain.zarr").dataset
    np.testing.assert_array_equal(with_twins.load("observation"), plain.load("observation"))
    last = (keypoints / "runs/augmented/none/seed-0/metrics.jsonl").read_text().splitlines()[-1]
    assert json.loads(last)["step"] == 2 * math.ceil(2 * 20 * 20 / 64)


def test_the_plugins_of_the_guide_are_found(keypoints: Path) -> None:
    assert resolve_model(get_task("3d-blocks"), "keypoints", {}).builder.__module__ == "keypoints"
    assert get_task("ring").title == "A bead on a ring"
    output = _run(keypoints, "-m", "sen_bench", "generate", "ring", "--workers", "1", "--quiet")
    assert output.splitlines() == [f"data/ring/{split}.zarr: written" for split in ("train", "eval")]


def test_the_script_from_python_runs(tmp_path: Path) -> None:
    experiment, script, piece = _python_blocks("python.md")
    assert len(experiment.splitlines()) < 25
    (preset,) = re.findall(r"```toml\n(.*?)```", (DOCS / "python.md").read_text(), flags=re.DOTALL)
    (tmp_path / "small.toml").write_text(preset)
    (tmp_path / "experiment.py").write_text(experiment)
    output = _run(tmp_path, "experiment.py")
    assert {line.split()[1] for line in output.splitlines()[-4:]} == {"sen", "none"}
    assert (tmp_path / "twins.png").stat().st_size > 0
    (tmp_path / "script.py").write_text(script)
    (tmp_path / "piece.py").write_text(piece)
    # In one process, as each would import PyTorch anew.
    both = "import runpy; [runpy.run_path(name, run_name='__main__') for name in ('script.py', 'piece.py')]"
    first, last, *of_piece = _run(tmp_path, "-c", both).splitlines()[-4:]
    assert float(last) < float(first)
    assert (tmp_path / "shapes.png").stat().st_size > 0
    assert of_piece == ["torch.Size([24, 4, 4])", "True"]

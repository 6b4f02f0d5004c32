"""Tasks of a user's own, by package.module:task."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import torch

from sen_bench.errors import ExtensionError
from sen_bench.runs import open_run
from sen_bench.system import plugins
from sen_bench.tasks import get_task
from tests.support.commands import done, refused
from tests.support.plugins import TASK, Install, run_drift
from tests.support.presets import OF_DRIFT


@pytest.mark.parametrize("name", ["own_task:drift", "own_task:make_drift"])
def test_a_task_or_a_function_that_makes_it_is_run_by_its_name(plug: Install, here: Path, name: str) -> None:
    plug({}, own_task=TASK)
    assert get_task(name).name == name
    (here / "small.toml").write_text(OF_DRIFT.replace("tasks.drift", f'tasks."{name}"'))
    run_drift(task=name)
    rows = pd.read_csv("results/runs.csv")
    assert rows["task"].eq(name).all()
    folder = here / "runs" / name.replace(":", "-") / "train/mean/small/seed-0"
    assert rows["run_id"].eq(folder.relative_to(here / "runs").as_posix()).all()
    run = open_run(folder, data=here / "data", device=torch.device("cpu"))
    assert run.task.name == name
    assert "mean" in done("models", name, "--quiet").stdout
    done("generate", name, "--episodes", "2", "--horizon", "1", "--workers", "1", "--out", "other")
    assert (here / "other" / name.replace(":", "-") / "eval.zarr").is_dir()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("own_task:draft", "has no 'draft'"),
        ("no_such_module:drift", "No module named 'no_such_module'"),
        ("tests.support.own_models:NUMBER", "is a int; it must be a sen_bench.tasks.Task"),
    ],
)
def test_what_is_no_task_is_refused_by_one_line(plug: Install, name: str, message: str) -> None:
    plug({}, own_task=TASK)
    with pytest.raises(ExtensionError, match=message):
        get_task(name)
    assert message in refused("generate", name)


BARE = TASK.replace('models={"mean": Mean}', "models={}")


def test_a_task_without_models_trains_those_of_plugins(plug: Install, here: Path) -> None:
    models = {"drift.shifted": "tests.support.own_models:ShiftedEncoder"}
    plug({plugins.TASKS: {"drift": "drift_task:drift"}, plugins.MODELS: models}, drift_task=BARE)
    run_drift()
    rows = pd.read_csv(here / "results/runs.csv")
    assert rows["model"].eq("shifted").all()
    assert sorted(rows["horizon"]) == [1, 2]


def test_a_task_of_a_module_without_models_trains_the_one_that_is_named(plug: Install, here: Path) -> None:
    plug({}, own_task=BARE)
    name, model = "own_task:drift", "tests.support.own_models:ShiftedEncoder"
    (here / "small.toml").write_text(OF_DRIFT.replace("tasks.drift", f'tasks."{name}"'))
    assert "has no models of its own; name one by --model" in refused("run", name, "--preset", "small.toml")
    run_drift("--model", model, task=name)
    rows = pd.read_csv(here / "results/runs.csv")
    assert rows["task"].eq(name).all()
    assert rows["model"].eq(model).all()


def test_a_task_is_trained_and_checked_by_its_name(plug: Install, here: Path) -> None:
    plug({}, own_task=TASK)
    name = "own_task:drift"
    (here / "small.toml").write_text(OF_DRIFT.replace("tasks.drift", f'tasks."{name}"'))
    done("generate", name, "--workers", "1")
    done("train", name, "--preset", "small.toml", "--device", "cpu", "--quiet")
    assert (here / "runs/own_task-drift/train/mean/small/seed-0/checkpoint.pt").is_file()
    (report,) = json.loads(done("check", name, "--states", "2", "--json", "--quiet").stdout)
    assert (report["task"], report["model"]) == (name, "mean")


def test_a_task_may_name_its_models(plug: Install) -> None:
    named = TASK.replace('{"mean": Mean}', '{"mean": "tests.support.own_models:Mean"}')
    plug({plugins.TASKS: {"drift": "drift_task:drift"}}, drift_task=named)
    assert type(get_task("drift").build_model("mean")).__name__ == "Mean"

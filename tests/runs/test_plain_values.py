"""What people call from Python refuses a value of the wrong type in one line, and takes what is as good."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

import sen_bench as sb

SIZE: dict[str, Any] = {"episodes": 3, "horizon": 2, "progress": False}
RECIPE = sb.Recipe(task="drift", split="train", world_id="a/Drift-v0")

# A Python that does not know better: mypy would refuse each of these.
face: Any = sb

WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "no task": (lambda: face.get_task(None), "get_task: name must be text, not None"),
    "task 3": (lambda: face.get_task(3), "get_task: name must be text, not 3"),
    "tasks": (lambda: face.get_task(["2d-shapes"]), r"get_task: name must be text, not \['2d-shapes'\]"),
    "no split": (lambda: face.load("2d-shapes", None), "load: split must be text, not None"),
    "split 0": (lambda: face.load("2d-shapes", 0), "load: split must be text, not 0"),
    "progress": (
        lambda: face.load("2d-shapes", "eval", progress="yes"),
        "load: progress must be a Progress, True or False, not 'yes'",
    ),
    "null in data": (
        lambda: sb.load("2d-shapes", "eval", data="a\0b"),
        r"load: data must be free of null characters, not 'a\\x00b'",
    ),
    "settings": (
        lambda: face.run("2d-shapes", "sen", settings=["a=1"]),
        "settings must be a mapping such as",
    ),
    "setting": (lambda: face.run("2d-shapes", "sen", settings="a=1"), "settings must be a mapping such as"),
    "workers": (
        lambda: face.run("2d-shapes", "sen", workers="two"),
        "run: workers must be a whole number, not 'two'",
    ),
    "no data": (
        lambda: face.run("2d-shapes", "sen", data=None),
        "run: data must be a path or text, not None",
    ),
    "runs": (lambda: face.run("2d-shapes", "sen", runs=3), "run: runs must be a path or text, not 3"),
    "seed": (lambda: face.run("2d-shapes", "sen", seed=True), "run: seed must be a whole number, not True"),
    "model": (lambda: face.run("2d-shapes", 3), "run: model must be text or a class or function, not 3"),
    "results": (lambda: face.leaderboard(None), "leaderboard: results must be a path or text, not None"),
    "nothing to open": (lambda: face.open_dataset(None), "open_dataset: place must be a path or text"),
    "nothing to verify": (lambda: face.verify(None), "verify: path must be a Dataset, a path or text"),
    "null in a place": (
        lambda: sb.open_dataset("a\0b"),
        "open_dataset: place must be free of null characters",
    ),
    "null in a path": (lambda: sb.verify(Path("a\0b")), "verify: path must be free of null characters"),
    "transitions": (
        lambda: face.TransitionDataset(None),
        "TransitionDataset: dataset must be a Dataset, a path",
    ),
    "twin": (lambda: face.TransitionDataset("x", twin="yes"), "twin must be True or False, not 'yes'"),
    "memory": (lambda: face.TransitionDataset("x", memory="lots"), "'lots' is not a size; write 512MiB"),
    "memory 1.5": (lambda: face.TransitionDataset("x", memory=1.5), "memory must be a whole number or text"),
    "target": (lambda: face.generate(RECIPE, 3), "generate: target must be a path or text, not 3"),
    "no recipe": (lambda: face.generate(None, "x"), "generate: recipe must be a Recipe, not None"),
    "recipe": (lambda: face.generate({"task": "x"}, "x"), "recipe must be a Recipe, not {'task': 'x'}"),
    "task of a recipe": (
        lambda: sb.Recipe("../x", "eval", "w"),
        "task must be a name of letters, .* not '../x'",
    ),
    "split of a recipe": (
        lambda: sb.Recipe("x", "e/l", "w"),
        "split must be a name of letters, .* not 'e/l'",
    ),
    "world": (lambda: face.make_world(None), "make_world: world_id must be text, not None"),
    "world id": (lambda: face.register_world(None, None), "register_world: world_id must be text, not None"),
    "odd world id": (lambda: sb.register_world("x y", "a:B"), "'x y' is no id of a world"),
    "entry point": (lambda: sb.register_world("a/C-v0", "json"), "'json': write module:Class"),
    "unwrapped": (
        lambda: face.check_world(gymnasium.make("sen_bench.envs:sen_bench/Shapes2D-v0")),
        r"world must be a World, not an OrderEnforcing; give its \.unwrapped",
    ),
    "array": (
        lambda: face.assert_equivariant(
            abs, np.ones(3), group=RECIPE, transform_inputs=abs, transform_output=abs
        ),
        "assert_equivariant: inputs must be a Tensor, not a ndarray",
    ),
}


@pytest.mark.parametrize(("call", "message"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_type_is_refused_in_one_line(
    call: Callable[[], object], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(sb.SenBenchError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> sb.Dataset:
    return sb.load("2d-shapes", "eval", data=tmp_path_factory.mktemp("plain"), **SIZE)


@pytest.fixture(scope="module")
def model() -> sb.WorldModel:
    return sb.get_task("2d-shapes").build_model("sen", {"embedding_channels": 2, "hidden": 4})


@pytest.mark.parametrize("horizons", [1, None, [1.5], "1,3", [True], [1, 1], [], ["1"], {1: 2}, {1}])
def test_horizons_are_whole_numbers_each_once(dataset: sb.Dataset, model: Any, horizons: Any) -> None:
    with pytest.raises(sb.SenBenchError, match="horizons") as caught:
        sb.evaluate(model, dataset, horizons)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        (None, "None"),
        ("sen", "'sen'"),
        (torch.nn.Linear(2, 2), "a Linear"),
        (sb.WorldModel, "the class World"),
    ],
)
def test_only_a_model_is_evaluated(dataset: sb.Dataset, wrong: Any, what: str) -> None:
    with pytest.raises(sb.SenBenchError, match=f"evaluate: model must be a WorldModel, not {what}"):
        sb.evaluate(wrong, dataset, horizons=[1])


def test_a_model_and_a_dataset_in_the_wrong_order_are_refused(dataset: Any, model: Any) -> None:
    with pytest.raises(sb.SenBenchError, match="model must be a WorldModel, not a Dataset"):
        sb.evaluate(dataset, model)


def test_a_model_of_another_world_is_told_what_it_cannot_take(dataset: sb.Dataset) -> None:
    reacher = sb.get_task("reacher").build_model("none")
    what = (
        r"ReacherModel cannot take these episodes, with observations \[3, 50, 50\] and actions int64 \[\]: "
    )
    with pytest.raises(sb.SenBenchError, match=what) as caught:
        sb.evaluate(reacher, dataset, horizons=[1], progress=False)
    assert "\n" not in str(caught.value)


def test_a_world_whose_class_does_not_exist_is_refused_when_it_is_made(monkeypatch: Any) -> None:
    monkeypatch.setattr("sen_bench.envs.registration.WORLDS", {})
    monkeypatch.setattr(gymnasium.envs.registration, "registry", {})
    sb.register_world("a/B-v0", "nope:Nope")
    with pytest.raises(
        sb.SenBenchError, match=r"world 'nope:Nope' cannot be imported: .*No module named 'nope'"
    ):
        sb.make_world("a/B-v0")


def test_numbers_of_numpy_are_numbers(dataset: sb.Dataset, model: sb.WorldModel) -> None:
    number: Any = np.int64
    margin: Any = np.float32(1)
    expected = sb.evaluate(model, dataset, [1, 2], seed=3, progress=False)
    for horizons in ([number(1), np.int32(2)], range(1, 3), (1, 2)):
        scores = sb.evaluate(
            model,
            dataset,
            horizons,
            seed=number(3),
            margin=margin,
            progress=False,
        )
        assert scores.equals(expected)
    assert sb.TransitionDataset(dataset, memory=number(5)).memory == 5
    folder = dataset.path.parents[1]
    size = {**SIZE, "episodes": number(3), "workers": number(1), "seed": number(0)}
    assert sb.load("2d-shapes", "eval", data=folder, **size).content_digest == dataset.content_digest


def test_a_dataset_that_is_open_is_verified(dataset: sb.Dataset) -> None:
    assert sb.verify(dataset).checks == sb.verify(dataset.path).checks


def test_signatures_and_help_stay() -> None:
    assert str(inspect.signature(sb.get_task)) == "(name: 'str') -> 'Task'"
    assert sb.get_task.__doc__ is not None
    assert sb.get_task.__doc__.startswith("The task of that name")
    with pytest.raises(TypeError, match=r"get_task\(\) missing 1 required positional argument: 'name'"):
        face.get_task()

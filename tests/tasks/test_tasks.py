"""Every task that is registered generates what its specification says, to the same bytes by any workers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sen_bench.checks import verify
from sen_bench.config.presets import SplitSize
from sen_bench.errors import UnknownNameError
from sen_bench.generators import generate
from sen_bench.generators.shards import plan_shards
from sen_bench.tasks.registry import get_task, reference_model, task_names
from tests.support.datasets import tree

TASKS = task_names()


def test_tasks_are_those_of_the_paper_in_its_order() -> None:
    assert TASKS == ["2d-shapes", "3d-blocks", "rush-hour", "reacher", "teapot-small", "teapot-large"]


def test_an_unknown_task_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="unknown task 'reecher'; did you mean 'reacher'"):
        get_task("reecher")


def test_symmetric_embedding_networks_are_those_of_the_paper() -> None:
    found = {name: get_task(name).symmetric_models for name in TASKS}
    teapots = dict.fromkeys(("teapot-small", "teapot-large"), ("matmul", "tfn"))
    assert found == dict.fromkeys(TASKS, ("sen",)) | teapots
    assert all(model in get_task(name).models for name, models in found.items() for model in models)
    assert {name: reference_model(name) for name in TASKS} == {
        name: models[0] for name, models in found.items()
    }


def test_a_task_that_is_not_installed_has_no_model_to_compare_with() -> None:
    assert reference_model("elsewhere") is None


@pytest.mark.parametrize("name", TASKS)
def test_every_split_generates_at_any_size(name: str, tmp_path: Path) -> None:
    task = get_task(name)
    world = task.world()
    for split, spec in task.splits.items():
        steps = 1 if spec.slice else 2
        size = SplitSize(episodes=3, horizon=steps)
        dataset = generate(task.recipe(split, size), tmp_path / f"{split}.zarr").dataset
        assert (dataset.episodes, dataset.horizon, dataset.has_twin) == (3, steps, spec.twin)
        assert ("negative/observation" in dataset.arrays) == spec.negatives
        state, action = dataset.load("state"), dataset.load("action")
        step = world.step_states(state[:, -2], action[:, -1])
        np.testing.assert_allclose(world.state_difference(step, state[:, -1]), 0, atol=1e-12)
        np.testing.assert_array_equal(dataset.load("observation"), world.render_states(state))
        if spec.twin:
            twin = dataset.load("twin/state")
            np.testing.assert_array_equal(dataset.load("twin/observation"), world.render_states(twin))
        assert verify(dataset.path, regenerate=1).checks[-1] == "1 of 3 episodes regenerated"


@pytest.mark.slow
@pytest.mark.usefixtures("warm_workers")
@pytest.mark.parametrize("name", [name for name in TASKS if get_task(name).world().renderer == "exact"])
def test_the_bytes_do_not_depend_on_the_workers(name: str, tmp_path: Path) -> None:
    """Of three workers one makes two shards, the others one each, in whatever order.

    Workers that are started as those of users are seen in tests/generators/test_generators.py.
    """
    task = get_task(name)
    recipe = task.recipe("eval", SplitSize(episodes=1_000_000))
    per_chunk = plan_shards(recipe, task.world()).blocks.per_chunk
    recipe = task.recipe("eval", SplitSize(episodes=4 * per_chunk))
    alone, shared = (tree(generate(recipe, tmp_path / f"{n}.zarr", workers=n).path) for n in (1, 3))
    assert alone == shared
    assert len([file for file in alone if file.startswith("observation/c/")]) >= 4

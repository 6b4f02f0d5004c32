"""Datasets of a slice: what recipes may ask for, and that episodes are transitions of the slice."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sen_bench.envs import make_world
from sen_bench.errors import ConfigError
from sen_bench.generators import Policy, Recipe, roll_out
from sen_bench.tasks import get_task, task_names

SLICE = Recipe(task="2d-shapes", split="train-slice", world_id="sen_bench/Shapes2D-v0", horizon=1, slice=True)


def test_older_recipes_say_nothing_of_slices() -> None:
    assert SLICE.to_json()["slice"] is True
    assert Recipe.from_json(SLICE.to_json()) == SLICE
    assert "slice" not in replace(SLICE, slice=False).to_json()


@pytest.mark.parametrize("change", [{"horizon": 2}, {"warmup": 1}, {"policy": Policy(allowed=(0,))}])
def test_a_slice_is_the_worlds_choice(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="a horizon of 1, no warmup and the uniform policy"):
        replace(SLICE, **change)


@pytest.mark.parametrize("task", [name for name in task_names() if "train-slice" in get_task(name).splits])
def test_episodes_are_transitions_of_the_slice_each_by_itself(task: str) -> None:
    recipe = get_task(task).recipe("train-slice")
    world = make_world(recipe.world_id, **recipe.world_options)
    drawn = roll_out(world, recipe, 0, 30)
    assert (world.slice_distance(drawn.state[:, 0], drawn.action[:, 0]) == 0).all()
    np.testing.assert_array_equal(drawn.state[:, 1], world.step_states(drawn.state[:, 0], drawn.action[:, 0]))
    later = roll_out(world, recipe, 20, 30)
    np.testing.assert_array_equal(later.state, drawn.state[20:])
    np.testing.assert_array_equal(later.action, drawn.action[20:])
    assert len(np.unique(drawn.state[:, 0].reshape(30, -1), axis=0)) > 25

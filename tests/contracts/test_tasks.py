"""What every registered task keeps; a new one is tested by being registered."""

from __future__ import annotations

import json

import pytest

from sen_bench.config import RunConfig, SplitSize, load_preset, preset_names
from sen_bench.generators import Recipe
from sen_bench.tasks import get_task, task_names
from tests.support.configs import config_of
from tests.support.registry import MODELS


@pytest.mark.parametrize("task", task_names())
def test_recipes_survive_json(task: str) -> None:
    for split in get_task(task).splits:
        for size in (None, SplitSize(episodes=3)):
            recipe = get_task(task).recipe(split, size, seed=5)
            again = Recipe.from_json(json.loads(json.dumps(recipe.to_json())))
            assert again == recipe
            assert again.digest == recipe.digest


@pytest.mark.parametrize("task", task_names())
def test_splits_have_recipes_of_their_own(task: str) -> None:
    digests = {get_task(task).recipe(split).digest for split in get_task(task).splits}
    assert len(digests) == len(get_task(task).splits) >= 2


@pytest.mark.parametrize(("task", "model"), MODELS)
def test_settings_of_runs_survive_json(task: str, model: str) -> None:
    for preset in map(load_preset, preset_names()):
        if task not in preset.tasks:
            continue
        for split in get_task(task).train_splits:
            config = config_of(task, model, split, preset.for_task(task))
            again = RunConfig.model_validate(json.loads(json.dumps(config.model_dump(mode="json"))))
            assert again == config
            assert (again.digest, again.weights_digest) == (config.digest, config.weights_digest)

"""Studies of data: nested parts, as many steps, and what changes with an epoch after as many steps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from sen_bench.config import RunConfig, TaskPreset, TrainingConfig, load_preset
from sen_bench.errors import ConfigError, UnknownNameError
from sen_bench.results import ResultsFolder
from sen_bench.runs import Workspace
from sen_bench.sweep import Selection, select_fractions
from sen_bench.sweep.fractions import _for_as_many_steps, steps_of
from tests.support.configs import config_of


def _selection(**changes: Any) -> Selection:
    given: dict[str, Any] = {
        "tasks": ("2d-shapes",),
        "models": ("sen", "none"),
        "seeds": (0, 1),
        "train_split": "train",
        "preset": load_preset("tiny.toml"),
        "training": {},
        "workspace": Workspace(Path("data"), Path("runs"), ResultsFolder(Path("results"))),
        "device": torch.device("cpu"),
    }
    return Selection(**{**given, **changes})


def test_parts_are_the_beginning_of_each_other_and_of_the_split() -> None:
    parts = select_fractions(_selection(), [1, 0.25, 0.5])
    assert [part.fraction for part in parts] == [0.25] * 4 + [0.5] * 4 + [1] * 4
    assert [part.episodes for part in parts] == [2] * 4 + [4] * 4 + [8] * 4
    recipe = parts[-1].run.data.recipe("train")
    for part in parts:
        assert part.run.train_recipe == replace(recipe, episodes=part.episodes)
        assert part.run.data.path("train") == parts[-1].run.data.path("train"), "no data of its own"
    assert {part.run.preset.name for part in parts if part.fraction == 1} == {"tiny"}
    assert [(part.run.config.model, part.run.seed) for part in parts[:4]] == [
        ("sen", 0),
        ("sen", 1),
        ("none", 0),
        ("none", 1),
    ]


@pytest.mark.parametrize(("fraction", "episodes"), [(0.01, 1), (0.3, 2), (0.35, 3), (0.95, 8)])
def test_shares_are_rounded_to_whole_episodes_and_are_one_at_least(fraction: float, episodes: int) -> None:
    (part,) = select_fractions(_selection(seeds=(0,), models=("sen",)), [fraction])
    assert (part.fraction, part.episodes, part.transitions) == (fraction, episodes, 5 * episodes)


def test_every_part_gets_the_steps_of_the_whole() -> None:
    parts = select_fractions(_selection(seeds=(0,), models=("sen",)), [0.25, 0.5, 1])
    # Epochs of 1, 2 and 4 steps: 10, 20 and 40 transitions in batches of 10.
    assert [part.run.config.training.epochs for part in parts] == [12, 6, 3]
    assert [part.steps for part in parts] == [12, 12, 12]


def test_settings_beside_the_preset_hold_for_every_part() -> None:
    settings = {"training.epochs": 5, "models.sen.hidden": 6, "training.batch_size_from_epoch.3": 20}
    selection = _selection(seeds=(0,), models=("sen",), settings=settings)
    half, whole = select_fractions(selection, [0.5, 1])
    assert whole.run.preset.name.startswith("tiny+")
    for part in (half, whole):
        assert part.run.config.model_options["hidden"] == 6
    # Two epochs of four steps, then three of two; in the half four of two, then six of one.
    assert whole.run.config.training.batch_size_from_epoch == {3: 20}
    assert half.run.config.training.batch_size_from_epoch == {5: 20}
    assert (half.run.config.training.epochs, half.steps, whole.steps) == (10, 14, 14)


TRAINING = TrainingConfig.model_validate(
    {
        "epochs": 9,
        "batch_size": 32,
        "batch_size_from_epoch": {4: 64, 20: 8},
        "negatives_from_epoch": {3: {"same_episode": 0.5}, 4: {"same_episode": 1}},
        "learning_rate_of_from_epoch": {9: {"encoder": 0.1}},
    }
)


def test_what_begins_with_an_epoch_begins_after_as_many_steps() -> None:
    """Steps of the whole: 2 × 157, then 157, 5 × 79 and 79; of the part: 16 × 20, 8 × 20, 40 × 10, 8 × 10."""
    assert _for_as_many_steps(TRAINING, 5000, 640) == {
        "training.epochs": 72,
        "training.batch_size_from_epoch": {"25": 64},
        "training.negatives_from_epoch": {"17": {"same_episode": 0.5}, "25": {"same_episode": 1.0}},
        "training.learning_rate_of_from_epoch": {"65": {"embedding": 1.0, "encoder": 0.1}},
    }


@pytest.mark.parametrize("part", [3, 65, 100, 640, 999, 4000])
def test_steps_differ_by_less_than_an_epoch_of_each_phase(part: int) -> None:
    settings = _for_as_many_steps(TRAINING, 5000, part)
    changed = {name.partition(".")[2]: value for name, value in settings.items()}
    shorter = TrainingConfig.model_validate({**TRAINING.model_dump(), **changed})
    of_whole, of_part = (steps_of(_config(one), count) for one, count in ((TRAINING, 5000), (shorter, part)))
    assert of_whole == 945
    assert abs(of_part - of_whole) <= 4 * -(-part // 32)


def _config(training: TrainingConfig) -> RunConfig:
    return config_of("2d-shapes", "sen", "train", TaskPreset(training=training))


@pytest.mark.parametrize(
    ("fractions", "settings", "words"),
    [
        ([], {}, "name at least one fraction"),
        ([0, 1], {}, "more than 0 and at most 1, not 0"),
        ([1.5], {}, "more than 0 and at most 1, not 1.5"),
        ([0.1, 0.12], {}, "fractions 0.1 and 0.12 are both 1 of 8 episodes"),
        ([1], {"training.first_episodes": 3}, "is what a study of data varies"),
    ],
)
def test_studies_that_make_no_sense_are_refused(
    fractions: list[float], settings: dict[str, object], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        select_fractions(_selection(settings=settings), fractions)


def test_one_split_must_be_named() -> None:
    with pytest.raises(ConfigError, match="name the split to train on"):
        select_fractions(_selection(train_split=None), [1])
    with pytest.raises(UnknownNameError):
        select_fractions(_selection(train_split="trainn"), [1])

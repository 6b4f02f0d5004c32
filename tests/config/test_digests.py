"""The digests by which runs of record are found again are what they were."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sen_bench.config import RunConfig, TaskPreset, TrainingConfig, load_preset
from sen_bench.config.settings import NegativeSampling, RateFactors
from tests.paths import ROOT
from tests.support.configs import config_of

GOLDEN = ROOT / "tests" / "golden" / "workspace-1" / "digests.json"
"""Preset -> task -> split -> model -> its two digests, of commit 05af193."""


def test_configurations_of_record_have_their_digests() -> None:
    golden = json.loads(GOLDEN.read_text())
    now = {
        preset: {
            task: {
                split: {model: _digests(preset, task, split, model) for model in of_split}
                for split, of_split in of_task.items()
            }
            for task, of_task in of_preset.items()
        }
        for preset, of_preset in golden.items()
    }
    assert now == golden


@pytest.mark.parametrize(
    ("setting", "default", "changed"),
    [
        ("loss", "public", "text"),
        ("negatives", {}, {"same_episode": 0.5}),
        ("negatives", {"same_episode": 0}, {"same_episode": 0.5, "margin_other": 8}),
        ("negatives", {"per_object": False}, {"per_object": True}),
        ("negatives_from_epoch", {}, {2: {"same_episode": 0.5}}),
        ("learning_rate_of", {"encoder": 1}, {"encoder": 0.3}),
        ("learning_rate_of", {"codes": None}, {"codes": 0.1}),
        ("learning_rate_of_from_epoch", {}, {2: {"embedding": 0.3}}),
        ("learning_rate_of_from_epoch", {}, {2: {"embedding": 0.3, "codes": 0.1}}),
        ("first_episodes", None, 100),
        ("bystander_weight", 0, 10),
    ],
)
def test_younger_settings_count_where_they_differ_from_the_paper(
    setting: str, default: Any, changed: Any
) -> None:
    plain, same, other = (
        config_of("rush-hour", "sen", "train", TaskPreset(training=TrainingConfig(epochs=2, **settings)))
        for settings in ({}, {setting: default}, {setting: changed})
    )
    assert (same.digest, same.weights_digest) == (plain.digest, plain.weights_digest)
    assert other.digest != plain.digest
    assert other.weights_digest != plain.weights_digest
    assert RunConfig.model_validate_json(other.model_dump_json()).digest == other.digest


def test_rates_of_parts_without_codes_have_the_digests_that_they_had() -> None:
    """The row was written before codes had a rate of their own."""
    training = TrainingConfig(epochs=2, learning_rate_of_from_epoch={2: RateFactors(embedding=0.3)})
    config = config_of("rush-hour", "sen", "train", TaskPreset(training=training))
    assert config.digest == "adbce223de6150e7"
    coded = training.learning_rate_of_from_epoch | {2: RateFactors(embedding=0.3, codes=0.3)}
    training = training.model_copy(update={"learning_rate_of_from_epoch": coded})
    assert config_of("rush-hour", "sen", "train", TaskPreset(training=training)).digest != config.digest


def test_negatives_without_margins_of_objects_have_the_digests_that_they_had() -> None:
    """The row was written before the margin could be asked of each object."""
    training = TrainingConfig(
        epochs=2,
        negatives=NegativeSampling(same_episode=0.25),
        negatives_from_epoch={2: NegativeSampling(same_episode=0.5, margin_other=8)},
    )
    assert config_of("rush-hour", "sen", "train", TaskPreset(training=training)).digest == "7ec0586f67fddcad"


def _digests(preset: str, task: str, split: str, model: str) -> dict[str, str]:
    config = config_of(task, model, split, load_preset(preset).for_task(task))
    return {"config": config.digest, "weights": config.weights_digest}

"""The digests by which runs of record are found again are what they were."""

from __future__ import annotations

import json

from sen_bench.config import load_preset
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


def _digests(preset: str, task: str, split: str, model: str) -> dict[str, str]:
    config = config_of(task, model, split, load_preset(preset).for_task(task))
    return {"config": config.digest, "weights": config.weights_digest}

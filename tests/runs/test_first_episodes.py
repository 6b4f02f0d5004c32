"""A run on the first episodes of a split is the run on a dataset that has only these, to the bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

import sen_bench as sb
from sen_bench.errors import ConfigError
from sen_bench.runs.experiment import RunResult
from tests.support.presets import TINY


def _run(settings: dict[str, Any]) -> RunResult:
    return sb.run(
        "3d-blocks", "none", preset="tiny.toml", settings=settings, device="cpu", progress=False, epochs=1
    )


def test_it_is_the_run_on_a_dataset_of_so_many_episodes(here: Path) -> None:
    (here / "tiny.toml").write_text(TINY)
    first, made = _run({"training.first_episodes": 3}), _run({"data.train.episodes": 3})
    assert first.name == "3d-blocks/train/none/tiny+epochs=1+first_episodes=3/seed-0"
    pd.testing.assert_frame_equal(first.scores, made.scores)
    theirs = made.model.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in first.model.state_dict().items())
    assert len(set(sb.leaderboard()["train_dataset_digest"])) == 1
    assert sorted(path.parent.parent.name for path in here.glob("data/**/train.zarr")) == [
        "tiny",
        "tiny+data.train.episodes=3",
    ], "the first episodes have no dataset of their own"


def test_more_episodes_than_there_are_are_refused_before_anything_is_generated(here: Path) -> None:
    (here / "tiny.toml").write_text(TINY)
    with pytest.raises(ConfigError, match="the first 5 episodes of train, which has 4; lower training"):
        _run({"training.first_episodes": 5})
    assert not (here / "data").exists()

"""A model that changes how the process computes changes nothing for the runs after it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from tests.support import meddling_models
from tests.support.commands import done
from tests.support.presets import TWO_TASKS
from tests.support.sweeps import timeless

MEDDLING, WATCHING = (f"tests.support.meddling_models:{name}" for name in ("Meddling", "Watching"))


def run(models: str, folder: str) -> pd.DataFrame:
    """The rows of `Watching`."""
    done(
        *(
            "run",
            "2d-shapes",
            "--preset",
            "tiny.toml",
            "--models",
            models,
            "--seeds",
            "0,1",
            "--device",
            "cpu",
        ),
        *("--quiet", "--runs", f"{folder}/runs", "--results", f"{folder}/results"),
    )
    rows = pd.read_csv(f"{folder}/results/runs.csv")
    return timeless(rows[rows["model"] == WATCHING]).reset_index(drop=True)


def test_settings_of_one_model_do_not_reach_the_next(here: Path) -> None:
    (here / "tiny.toml").write_text(TWO_TASKS)
    before = meddling_models.state()
    alone = run(WATCHING, "alone")
    expected = list(meddling_models.seen)
    meddling_models.seen.clear()
    after_another = run(f"{MEDDLING},{WATCHING}", "together")
    assert meddling_models.seen == expected
    assert meddling_models.state() == before
    pd.testing.assert_frame_equal(after_another, alone)

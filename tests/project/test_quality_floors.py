"""The check behind `make quality`: which runs fall below their floors, on results made up for it."""

from __future__ import annotations

import csv
import math
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sen_bench.config import TrainingConfig
from sen_bench.config.presets import Preset, load_preset
from sen_bench.config.variants import make_variant, parse_setting
from sen_bench.results.rows import append_rows
from tests.paths import ROOT
from tests.quality.floors import FLOORS, Bound, FloorsError, main, read_floors
from tests.support.configs import config_of
from tests.support.rows import make_row

SEN = {
    "preset": "smoke",
    "task": "3d-blocks",
    "train_split": "train",
    "model": "sen",
    "horizon": "10",
    "metric": "hits_at_10",
    "bound": "at least",
    "limit": "0.5",
    "measured": "0.8",
    "reason": "room for seeds",
}
NONE = SEN | {"model": "none", "bound": "at most", "limit": "0.3", "measured": "0.1", "reason": "ties"}


def write_floors(path: Path, *rows: dict[str, str]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, SEN)
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def judge(tmp_path: Path) -> Any:
    def call(*bounds: dict[str, str], **scores: float) -> Result:
        """Checks runs of `sen` and `none` with these H@10."""
        rows = [
            make_row(run_id=model, model=model, hits_at_10=score, hits_at_5=0.0, seed=0)
            for model, score in scores.items()
        ]
        append_rows(tmp_path / "runs.csv", rows)
        floors = write_floors(tmp_path / "floors.csv", *bounds)
        return CliRunner().invoke(main, [str(tmp_path / "runs.csv"), "--floors", str(floors)])

    return call


def test_scores_at_their_limits_pass(judge: Any) -> None:
    done = judge(SEN, NONE, sen=0.5, none=0.3)
    assert done.exit_code == 0
    assert done.output.splitlines()[-1] == "all 2 limits kept"


def test_a_model_below_its_floor_fails_and_is_named(judge: Any) -> None:
    done = judge(NONE, SEN, sen=0.49, none=0.3)
    assert done.exit_code == 1
    rows = done.output.splitlines()
    assert rows[2].split()[3] == "sen"
    assert rows[2].endswith("TOO LOW")
    assert rows[3].endswith("ok")
    named = "hits_at_10 of sen on 3d-blocks (train), preset smoke, 10 steps"
    assert rows[-2] == f"TOO LOW: {named}; room for seeds"
    assert rows[-1] == "1 of 2 failed"


def test_a_score_too_good_to_be_true_fails(judge: Any) -> None:
    done = judge(NONE, none=1.0)
    assert done.exit_code == 1
    assert "TOO HIGH: hits_at_10 of none" in done.output


def test_a_run_that_is_missing_fails(judge: Any) -> None:
    done = judge(SEN, NONE, none=0.1)
    assert done.exit_code == 1
    assert "MISSING: hits_at_10 of sen" in done.output


def test_a_bound_is_held_against_runs_of_its_own_preset_only(judge: Any) -> None:
    done = judge(SEN, SEN | {"preset": "paper"}, sen=0.6)
    assert done.exit_code == 1
    assert [line.split()[0] for line in done.output.splitlines() if line.endswith("ok")] == ["smoke"]
    assert "MISSING: hits_at_10 of sen on 3d-blocks (train), preset paper" in done.output


def test_every_seed_must_keep_to_the_floor(tmp_path: Path) -> None:
    rows = [make_row(run_id=f"seed-{n}", seed=n, hits_at_10=score) for n, score in enumerate((0.9, 0.4))]
    append_rows(tmp_path / "runs.csv", rows)
    floors = write_floors(tmp_path / "floors.csv", SEN)
    done = CliRunner().invoke(main, [str(tmp_path / "runs.csv"), "--floors", str(floors)])
    assert done.exit_code == 1
    assert "0.9, 0.4" in done.output


@pytest.mark.parametrize("side", ["at least", "at most"])
def test_an_undefined_score_keeps_no_limit(side: str) -> None:
    assert not Bound.model_validate(SEN | {"bound": side}).keeps(math.nan)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"metric": "hits_at_1_optimistic"}, "line 2: 'hits_at_1_optimistic' is not a score"),
        ({"bound": "about"}, "line 2, bound: "),
        ({"horizon": "ten"}, "line 2, horizon: "),
        ({"measured": "0.4"}, "line 2: the measured score itself breaks the limit"),
    ],
)
def test_floors_that_cannot_be_used_are_refused(tmp_path: Path, change: dict[str, str], said: str) -> None:
    with pytest.raises(FloorsError, match=said):
        read_floors(write_floors(tmp_path / "floors.csv", SEN | change))


def test_floors_that_are_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FloorsError, match="No such file"):
        read_floors(tmp_path / "floors.csv")


def settings_in(name: str) -> tuple[str, list[str]]:
    """The preset that a variant's name begins with, and its settings as on a command line."""
    base, *settings = name.split("+")
    # Names leave out the section of training.
    fields = TrainingConfig.model_fields
    return base, [f"training.{text}" if re.split(r"[.=]", text)[0] in fields else text for text in settings]


def committed_preset(name: str, task: str) -> Preset:
    """The preset, or the variant of it, that runs of a committed floor are of."""
    base, settings = settings_in(name)
    return make_variant(load_preset(base), task, dict(map(parse_setting, settings)))


def test_the_committed_floors_are_of_runs_that_their_presets_make() -> None:
    bounds = read_floors(FLOORS)
    assert {bound.bound for bound in bounds} == {"at least", "at most"}
    for bound in bounds:
        preset = committed_preset(bound.preset, bound.task)
        assert preset.name == bound.preset
        config = config_of(bound.task, bound.model, bound.train_split, preset.for_task(bound.task))
        assert bound.horizon in config.evaluation.horizons


def test_the_check_trains_every_preset_that_has_floors() -> None:
    recipe = (ROOT / "Makefile").read_text().partition("\nquality:")[2].partition("\n\n")[0]
    for name in {bound.preset for bound in read_floors(FLOORS)}:
        base, settings = settings_in(name)
        assert f"--preset {base} " in recipe
        assert all(f"--set {setting} " in recipe for setting in settings)


@pytest.mark.parametrize(("task", "local_hits"), [("rush-hour", 0.004), ("reacher", 0.0)])
def test_predicting_no_change_breaks_every_bound_of_motion(task: str, local_hits: float) -> None:
    no_change = {"relative_error": 1.0, "local_hits_at_1": local_hits}
    bounds = [b for b in read_floors(FLOORS) if b.task == task and b.preset.startswith("motion")]
    assert {bound.metric for bound in bounds} == no_change.keys()
    assert not any(bound.keeps(no_change[bound.metric]) for bound in bounds)

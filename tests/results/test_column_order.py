"""The order of columns is a promise: those of today stay where they are, and new ones come after them."""

from __future__ import annotations

import importlib.util
import json
import math
import sys
from types import ModuleType
from typing import Any

import pytest

from sen_bench.results import leaderboard, rows, scores
from sen_bench.results.csv_tables import Ratio
from sen_bench.results.scores import Metric
from tests.paths import ROOT

GOLDEN = json.loads((ROOT / "tests" / "golden" / "columns.json").read_text(encoding="utf-8"))


def test_the_columns_are_those_of_today() -> None:
    assert list(rows.COLUMNS) == GOLDEN["runs.csv"]
    assert list(leaderboard.LEADERBOARD_COLUMNS) == GOLDEN["leaderboard.csv"]


def _with(metric: Metric, module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module of tables as it would be if there were one more score."""
    for name in ("METRICS", "AVERAGED", "COMPARED"):
        monkeypatch.setattr(scores, name, (*getattr(scores, name), metric))
    spec = importlib.util.spec_from_file_location(f"{module.__name__}_of_a_toy", module.__file__)
    assert spec is not None
    assert spec.loader is not None
    anew = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, anew)
    spec.loader.exec_module(anew)
    return anew


TOY = Metric("toy", Ratio, "latents", "a toy", heading="Toy", higher_is_better=True, appended="last")


def test_a_new_score_comes_after_all_columns_of_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    table = _with(TOY, rows, monkeypatch)
    assert list(table.COLUMNS) == [*GOLDEN["runs.csv"], "toy"]
    assert math.isnan(table.RunRow.model_fields["toy"].default)


def test_a_new_score_comes_after_all_columns_of_the_leaderboard(monkeypatch: pytest.MonkeyPatch) -> None:
    table = _with(TOY, leaderboard, monkeypatch)
    statistics = [f"toy_{name}" for name in ("mean", "std", "iqm", "iqm_low", "iqm_high", "vs_sen")]
    assert list(table.LEADERBOARD_COLUMNS) == [*GOLDEN["leaderboard.csv"], *statistics]

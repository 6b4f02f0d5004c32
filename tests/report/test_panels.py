"""Panels: learning curves that end where they are comparable, on a scale that one line cannot flatten."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from sen_bench.report.charts import Points
from sen_bench.report.entries import entries
from sen_bench.report.page_data import PageData, read_page_data
from sen_bench.report.panels import Panel, curve_panels, loss_limits
from sen_bench.results.rows import append_rows
from tests.support.rows import make_row


def _line(*losses: float) -> Points:
    return Points("", 0, tuple(float(k) for k in range(len(losses))), losses)


def test_the_scale_of_losses_covers_all_that_is_near() -> None:
    assert loss_limits([_line(1.0, 0.1), _line(2.0, 0.05)]) == (0.05, 2.0)


def test_one_collapsed_or_exploding_line_cannot_flatten_the_others() -> None:
    good = [_line(1.0, 0.1), _line(1.1, 0.11), _line(0.9, 0.12)]
    assert loss_limits([*good, _line(1.0, 1e-9)])[0] == pytest.approx(0.0105, rel=0.06)
    assert loss_limits([*good, _line(1.0, 1e9)])[1] == pytest.approx(10.5, rel=0.06)


def test_losses_of_nothing_have_a_scale_too() -> None:
    assert loss_limits([_line(0.0, math.nan)]) == (0.1, 1.0)


def _panel(folder: Path, losses: dict[str, list[float]], steps: list[int]) -> Panel:
    rows = [make_row(run_id=name, seed=seed) for seed, name in enumerate(losses)]
    append_rows(folder / "runs.csv", rows)
    data = read_page_data(folder)
    points: list[dict[str, Any]] = [
        {
            "run_id": row.run_id,
            "train_dataset_digest": row.train_dataset_digest,
            "config_digest": row.config_digest,
            "attempt": 0,
            "step": step,
            "transitions": 32.0 * step,
            "loss": loss,
        }
        for row in rows
        for step, loss in zip(steps, losses[row.run_id], strict=True)
    ]
    drawn = PageData(data.runs, data.leaderboard, data.published, pd.DataFrame(points), data.references)
    (panel,) = curve_panels(entries(drawn), drawn.curves)
    return panel


def _ends(panel: Panel) -> tuple[tuple[str, ...], ...]:
    assert panel.numbers is not None
    return panel.numbers.rows


def test_a_curve_of_an_older_table_is_drawn_without_its_short_end(tmp_path: Path) -> None:
    assert _ends(_panel(tmp_path, {"a": [1.0, 0.1, 0.01, 0.9]}, [80, 160, 240, 242])) == (("a", "1", "0.01"),)


def test_a_curve_that_ends_in_a_whole_stretch_is_drawn_to_its_end(tmp_path: Path) -> None:
    assert _ends(_panel(tmp_path, {"a": [1.0, 0.1, 0.01, 0.9]}, [80, 160, 240, 330])) == (("a", "1", "0.9"),)


def test_lines_that_leave_the_scale_are_said(tmp_path: Path) -> None:
    losses = {name: [1.0, 0.2, 0.1] for name in "abc"}
    assert "leave" not in _panel(tmp_path, losses, [80, 160, 240]).lines[0].summary
    panel = _panel(tmp_path, {**losses, "d": [1.0, 1e6, 1e6]}, [80, 160, 240])
    assert "1 of 4 lines leave the scale" in panel.lines[0].summary

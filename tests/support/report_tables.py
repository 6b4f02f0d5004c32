"""Tables of results that show all that the page can: several seeds, presets, a collapse, gaps, odd names."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from sen_bench.results.csv_tables import frame_of, write_table
from sen_bench.results.curves import CurveRow, curve_of
from sen_bench.results.published import PublishedRow
from sen_bench.results.rows import RunRow, append_rows
from tests.support.rows import make_row

STRANGE = "<script>alert('x')</script>&\"runs\""
"""A name that would be markup if it were not escaped."""

# Task, split, model, preset, seeds, horizons, score at one step.
_RUNS: tuple[tuple[str, str, str, str, int, tuple[int, ...], float], ...] = (
    ("2d-shapes", "train", "sen", "cpu", 3, (1, 5, 10), 0.99),
    ("2d-shapes", "train", "full", "cpu", 3, (1, 5, 10), 0.9),
    ("2d-shapes", "train", "none", "cpu", 3, (1, 5, 10), 0.95),
    ("2d-shapes", "train-limited", "sen", "cpu", 3, (1, 5, 10), 0.98),
    ("2d-shapes", "train-limited", "none", "cpu", 3, (1, 5, 10), 0.5),
    ("2d-shapes", "train-limited", "sen", "paper", 1, (1, 5, 10), 0.999),
    ("3d-blocks", "train", "sen", "cpu", 1, (1, 5, 10), 0.99),
    ("teapot-large", "train", "matmul", "cpu", 3, (1,), 0.95),
    ("teapot-large", "train", "tfn", "cpu", 3, (1,), 0.2),
    ("teapot-large", "train", "none", "cpu", 3, (1,), 0.3),
    ("reacher", "train", "own:Model", "mine", 2, (1,), 0.7),
)


def report_rows() -> list[RunRow]:
    """The rows of runs.csv."""
    rows = [
        _row(task, split, model, preset, seed, horizon, score - 0.02 * seed)
        for task, split, model, preset, seeds, horizons, score in _RUNS
        for seed in range(seeds)
        for horizon in horizons
    ]
    strange = make_row(
        run_id=STRANGE,
        task="rush-hour",
        model="none",
        preset="cpu",
        collapsed=True,
        device=f"{STRANGE} GPU",
    )
    return [*rows, strange]


def _row(task: str, split: str, model: str, preset: str, seed: int, horizon: int, score: float) -> RunRow:
    hits = max(score, 0.0) ** horizon
    teapot = task.startswith("teapot")
    return make_row(
        run_id=f"{task}/{split}/{model.replace(':', '-')}/{preset}/seed-{seed}",
        task=task,
        train_split=split,
        model=model,
        preset=preset,
        seed=seed,
        horizon=horizon,
        hits_at_1=hits,
        hits_at_5=min(1.0, hits**0.5),
        hits_at_10=min(1.0, hits**0.3),
        mrr=hits**0.8,
        hh_at_1=score if teapot else math.nan,
        ee_embedding=2 * (1 - score) + 1e-4,
        ee_latent=math.nan if model == "none" else 1 - score,
        die_embedding=math.nan if teapot else (1 - score) / 10,
        die_model=math.nan if teapot else (1 - score) / 3,
        relative_error=1.2 * (1 - score),
        device="NVIDIA H100 80GB HBM3" if preset == "paper" else "cpu",
        precision="bfloat16" if preset == "paper" else "float32",
        config_digest=f"sha256:{task}-{split}-{model}-{preset}",
    )


def write_report_tables(results: Path) -> Path:
    """Writes runs.csv, curves.csv and published.csv into a folder, and returns it."""
    rows = report_rows()
    append_rows(results / "runs.csv", rows)
    curves = [
        curve for row in {row.run_id: row for row in rows}.values() for curve in curve_of(row, _log(row))
    ]
    write_table(results / "curves.csv", frame_of(curves, CurveRow))
    published = [
        ("2d-shapes", "train-limited", "none", "hits_at_10", 1, 0.028, 0.006, "a paper", "perhaps ten steps"),
        ("2d-shapes", "train-limited", "sen", "mrr", 1, 0.999, 0.0, "a paper", "perhaps ten steps"),
        ("teapot-large", "train", "matmul", "hh_at_1", 1, 1.0, 0.0, "a paper", None),
        ("teapot-large", "train", "none", "hh_at_1", 1, 0.074, 0.014, "a paper", None),
        ("reacher", "train-limited", "sen", "mrr", 1, 0.594, 0.046, "a paper", None),
    ]
    told = [
        # Without the last columns, as tables of one's own may be.
        PublishedRow.model_validate(dict(zip(PublishedRow.model_fields, row, strict=False)))
        for row in published
    ]
    write_table(results / "published.csv", frame_of(told, PublishedRow))
    return results


def _log(row: RunRow) -> list[dict[str, Any]]:
    """A metrics log; that of teapots is an old one, which does not say how many transitions were seen."""
    lines = []
    for k in range(1, 41):
        loss = 0.01 + math.exp(-k / 6 - row.seed / 5 - row.hits_at_1) + 0.003 * math.sin(9 * k)
        line = {"event": "steps", "attempt": 0, "epoch": 1 + k // 10, "step": 100 * k, "loss": loss}
        seen = {} if row.task.startswith("teapot") else {"samples": 10_000 * k}
        lines.append({**line, **seen, "positive": loss / 2, "negative": loss / 2, "separation": 0.9})
    return lines

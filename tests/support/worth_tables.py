"""Tables of studies and of planning, with numbers that sentences about them can be told from by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sen_bench.results.folder import ResultsFolder
from sen_bench.results.orbit_generalisation import OrbitRow, OrbitRunRow, orbit_rows
from sen_bench.results.planning_rows import PlanningRow, append_planning
from sen_bench.results.sample_efficiency import EfficiencyRow, StudiedPart, efficiency_rows
from sen_bench.results.study_tables import write_study
from tests.support.rows import make_row

NARROW = "cpu+models.none.hidden=128+models.sen.hidden=64"


def part(
    task: str, model: str, transitions: int, scores: Sequence[float], *, preset: str = NARROW, **changes: Any
) -> StudiedPart:
    """A part of the data, a score for each seed: H@1 ten steps ahead; HH@1 one step ahead of a teapot."""
    teapot = task.startswith("teapot")
    runs = [
        make_row(
            task=task,
            model=model,
            seed=seed,
            horizon=1 if teapot else 10,
            hits_at_1=score,
            hh_at_1=score if teapot else math.nan,
            **{"relative_error": 1 - score, **changes},
        ).model_dump()
        for seed, score in enumerate(scores)
    ]
    return StudiedPart(transitions / 10_000, transitions // 10, transitions, 4, 300, preset, runs)


DATA = [
    part("2d-shapes", "none", 100, [0.1, 0.2, 0.3], relative_error=0.95),
    part("2d-shapes", "none", 10_000, [0.5, 0.6, 0.7]),
    part("2d-shapes", "sen", 100, [0.3, 0.4, 0.5]),
    part("2d-shapes", "sen", 10_000, [0.8, 0.9, 1.0]),
]

TEAPOT_DATA = [
    part("teapot-large", "none", 300, [0.1], preset="paper"),
    part("teapot-large", "none", 10_000, [0.2], preset="paper"),
    part("teapot-large", "matmul", 300, [0.5], preset="paper"),
    part("teapot-large", "matmul", 10_000, [0.9], preset="paper", collapsed=True),
]


def orbit_run(model: str, seed: int, low: float, high: float, score: float) -> OrbitRunRow:
    """A run on a class of transitions."""
    name = "beyond the orbit" if math.isnan(high) else f"{high:g} degrees" if high else "in the slice"
    return OrbitRunRow(
        run_id=f"2d-shapes/train-slice/{model}/cpu/seed-{seed}",
        task="2d-shapes",
        train_split="train-slice",
        model=model,
        preset=NARROW,
        seed=seed,
        orbit_class=name,
        distance_low=low,
        distance_high=high,
        transitions=10,
        hits_at_1=score,
        mrr=score,
        hh_at_1=math.nan,
        relative_error=1 - score,
        no_change_hits_at_1=0.1,
        no_change_mrr=0.1,
        no_change_hh_at_1=math.nan,
        collapsed=False,
        train_dataset_digest="a" * 64,
        eval_dataset_digest="b" * 64,
        config_digest="c" * 64,
        version="0.1.0",
        torch_version="2.0.0",
    )


ORBIT = [
    orbit_run(model, seed, low, high, score)
    for model, scores in (("none", (0.9, 0.5, 0.05, 0.02)), ("sen", (0.8, 0.8, 0.7, 0.2)))
    for seed in range(2)
    for (low, high), score in zip(((0, 0), (90, 90), (180, 180), (math.nan, math.nan)), scores, strict=True)
]


def planned(
    task: str, split: str | None, model: str, success: float, twins: float, seed: int = 0
) -> PlanningRow:
    """An agent on a hundred problems; `split` None: a reference."""
    trained = split is not None
    return PlanningRow(
        run_id=f"{task}/{split}/{model}/cpu/seed-{seed}" if trained else f"{task}/{model}",
        task=task,
        train_split=split,
        model=model,
        preset="cpu" if trained else None,
        seed=seed if trained else None,
        epochs=3 if trained else None,
        problems=100,
        distance=5,
        optimum=5,
        planner="beam 16",
        horizon=5,
        execute=None,
        budget=10,
        goal_unit="steps",
        tolerance=0.0,
        success=success,
        steps=6.0 if success else math.nan,
        steps_above=1.0 if success else math.nan,
        twin_success=twins,
        twin_steps=6.0,
        twin_steps_above=1.0,
        twin_same=0.75,
        seconds=1.0,
        device="cpu",
        problems_digest="sha256:problems",
        planning_digest="sha256:plans",
        train_dataset_digest="sha256:aaaaaaaa" if trained else None,
        config_digest=f"sha256:{task}-{split}-{model}-cpu" if trained else None,
        version="0.1.0",
        torch_version="2.0.0",
    )


PLANNING = [
    *(planned("2d-shapes", "train-limited", "sen", 0.94 + 0.02 * seed, 0.9, seed) for seed in range(3)),
    *(planned("2d-shapes", "train-limited", "none", 0.0, 0.01, seed) for seed in range(3)),
    planned("2d-shapes", None, "random", 0.02, 0.02),
    planned("2d-shapes", None, "oracle", 1.0, 1.0),
    planned("teapot-large", "train", "tfn", 0.1, 0.1),
]


def write_worth_tables(results: Path) -> None:
    """Writes all of these into a folder of results."""
    folder = ResultsFolder(results)
    data, orbit = folder.study_folder("data"), folder.study_folder("orbit")
    for name, parts in (("2d-shapes", DATA), ("teapot-large", TEAPOT_DATA)):
        write_study(data / f"{name}.csv", efficiency_rows(parts, rival="none"), EfficiencyRow)
    write_study(orbit / "2d-shapes.csv", orbit_rows(ORBIT), OrbitRow)
    append_planning(folder.planning_csv, PLANNING)

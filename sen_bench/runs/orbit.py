"""What the model of a run knows of the orbit of the slice that it was trained on."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch

from sen_bench import __version__
from sen_bench.data import Episodes
from sen_bench.errors import ConfigError
from sen_bench.evaluation import default_memory, orbit_classes, score_orbit
from sen_bench.results import (
    OrbitRunRow,
    append_orbit_runs,
    classes_of_run,
    read_orbit_runs,
    scores_digest,
)
from sen_bench.runs.run import Run
from sen_bench.runs.steps import recorded_rows
from sen_bench.runs.trained import trained_model
from sen_bench.system import Progress, float32_products, settings_restored


@settings_restored()
def score_classes(run: Run, progress: Progress, *, again: bool = False) -> list[OrbitRunRow]:
    """Scores a trained run by how far transitions are from its slice, and records it.

    That is done once. Scores of an earlier training, which differs in what the table of runs says that it
    scored, are replaced.

    Args:
        run: The run, which is recorded in the table of runs.
        progress: Shows how it goes.
        again: Whether to do so even if it is recorded.

    Returns:
        A row a class, the nearest first; none if the run is not recorded.

    Raises:
        CheckpointError: If the trained model is gone.
        ConfigError: If the run was not trained on a slice.
        DatasetError: If the data is missing or broken.
        ResultsError: If a table cannot be read or written.
    """
    if not run.task.split(run.config.train_split).slice:
        raise ConfigError(f"{run.name} is not trained on a slice; its split is {run.config.train_split}")
    table = run.workspace.results.orbit_csv
    recorded: list[Any] = recorded_rows(run).to_dict("records")
    there = [] if again else classes_of_run(read_orbit_runs(table), recorded)
    if there or not recorded:
        return there
    dataset, world = run.data.open("eval"), run.task.world()
    distances = world.slice_distance(
        dataset.load("state")[:, dataset.frame_stack - 1], dataset.load("action")[:, 0]
    )
    classes = orbit_classes(distances, world.slice_edges)
    model, _ = trained_model(run)
    half = (default_memory(run.device) if run.eval_memory is None else run.eval_memory) // 2
    precision = run.config.training.precision
    with float32_products(run.device, precision):
        scores = score_orbit(
            model,
            Episodes(dataset, run.device, times=(0, 1), memory=half),
            classes,
            ranking_memory=half,
            seed=run.config.evaluation.seed,
            autocast=torch.bfloat16 if precision == "bfloat16" else None,
            progress=progress,
            title=f"score {run.name} by class",
        )
    rows = [
        OrbitRunRow(
            task=run.config.task,
            train_split=run.config.train_split,
            model=run.config.model,
            preset=run.preset.name,
            seed=run.seed,
            orbit_class=each.label,
            distance_low=each.low,
            distance_high=each.high,
            **asdict(score),
            collapsed=bool(recorded[0]["collapsed"]),
            **{name: recorded[0][name] for name in ("run_id", *_DIGESTS)},
            version=__version__,
            torch_version=torch.__version__,
            scores_digest=scores_digest(recorded),
        )
        for each, score in zip(classes, scores, strict=True)
    ]
    append_orbit_runs(table, rows)
    return rows


_DIGESTS = ("train_dataset_digest", "eval_dataset_digest", "config_digest")

"""From a model to rows of the table of runs."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

import torch

from sen_bench import __version__
from sen_bench.baselines import WorldModel, parameter_count
from sen_bench.data import Episodes
from sen_bench.evaluation import HorizonScores, default_memory, evaluate
from sen_bench.results import RunRow
from sen_bench.runs.run import Run
from sen_bench.system import Progress, device_name, float32_products


def score_rows(run: Run, model: WorldModel, progress: Progress, **trained: Any) -> list[RunRow]:  # noqa: ANN401
    """Scores a model on the eval split of a run, as its settings say.

    Args:
        run: The run, whose eval data is there.
        model: Its model, in evaluation mode on its device.
        progress: Shows how it goes.
        **trained: The columns of `RunRow` that say how the model was trained, and what the rows are called.

    Returns:
        A row for each horizon.

    Raises:
        DatasetError: If the data is missing or broken.
        DeviceError: If the device cannot compute in the precision of the run.
    """
    dataset = run.data.open("eval")
    began = time.perf_counter()
    narrow = run.config.training.precision == "bfloat16"
    horizons = run.config.evaluation.horizons
    half = (default_memory(run.device) if run.eval_memory is None else run.eval_memory) // 2
    with float32_products(run.device, run.config.training.precision):
        scores = evaluate(
            model,
            Episodes(dataset, run.device, times=(0, *horizons), memory=half),
            horizons=horizons,
            ranking_memory=half,
            seed=run.config.evaluation.seed,
            autocast=torch.bfloat16 if narrow else None,
            margin=run.config.training.hinge,
            progress=progress,
            title=f"evaluate {run.config.model}",
        )
    seconds = time.perf_counter() - began
    return [
        RunRow(
            task=run.config.task,
            train_split=run.config.train_split,
            model=run.config.model,
            preset=run.preset.name,
            seed=run.seed,
            **score_columns(score),
            parameters=parameter_count(model),
            eval_seconds=round(seconds, 1),
            device=device_name(run.device),
            precision=run.config.training.precision,
            eval_dataset_digest=dataset.content_digest,
            eval_files_digest=dataset.files_digest,
            version=__version__,
            torch_version=torch.__version__,
            **trained,
        )
        for score in scores
    ]


def score_columns(score: HorizonScores) -> dict[str, Any]:
    """The scores under the names they have in the table."""
    columns = asdict(score)
    columns["eval_episodes"] = columns.pop("episodes")
    return columns

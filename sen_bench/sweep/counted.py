"""How long runs will take where no earlier one tells: from what their steps compute and move."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from sen_bench.config import TrainingConfig
from sen_bench.costs import StepCost, gathering_cost, measured_limits, step_cost
from sen_bench.errors import SenBenchError
from sen_bench.runs import Run
from sen_bench.sweep.estimate import transitions
from sen_bench.system import QUIET, Progress

_FRAMES = 2
"""Frames that a step embeds for each transition."""


def counted_seconds(runs: Sequence[Run], *, threads: int, progress: Progress = QUIET) -> Mapping[str, float]:
    """Seconds of training and scoring runs from the start, from the cost of their steps.

    Training is its steps, as `StepCost.expected` has them with this machine's limits, each epoch in batches
    of its own size, and gathering these. Scoring is the forward passes of all frames of its episodes, and of
    their twins. What is left out (ranking, a machine below its limits) makes them longer.

    Args:
        runs: The runs.
        threads: Threads that each uses on a CPU.
        progress: Shows how many of the models are counted.

    Returns:
        Seconds by the names of runs, without those whose step cannot be counted: what is wrong with them is
        reported when it is their turn.
    """
    # Runs that differ in their data or seed alone take the same steps.
    alike: dict[str, list[Run]] = {}
    for run in runs:
        config = run.config
        about = (config.task, config.model, config.model_options, config.training)
        alike.setdefault(repr(about), []).append(run)
    seconds: dict[str, float] = {}
    with progress.work("count", "models") as advance:
        for number, group in enumerate(alike.values(), start=1):
            costs = _costs(group[0])
            if costs is not None:
                seconds |= {run.name: _seconds(run, costs, threads) for run in group}
            advance(number, len(alike))
    return seconds


def _costs(run: Run) -> dict[int, tuple[StepCost, StepCost]] | None:
    """What a step of a run takes by the size of its batch, and gathering it; None if it is not countable."""
    config = run.config
    try:
        model, world = run.task.build_model(config.model, config.model_options), run.task.world()
        return {
            size: (
                step_cost(model, world, batch=size, precision=config.training.precision),
                gathering_cost(world, batch=size),
            )
            for size in sorted(set(_batch_sizes(config.training)))
        }
    except SenBenchError:
        return None


def _batch_sizes(training: TrainingConfig) -> list[int]:
    """The size of the batches of each epoch."""
    return [training.batch_size_in(epoch) for epoch in range(1, training.epochs + 1)]


def _seconds(run: Run, costs: Mapping[int, tuple[StepCost, StepCost]], threads: int) -> float:
    training = run.config.training
    limits = measured_limits(run.device, training.precision, threads)
    samples = transitions(run) // training.epochs
    steps = {size: sum(cost.expected(limits) for cost in costs[size]) for size in costs}
    trained = sum(steps[size] * math.ceil(samples / size) for size in _batch_sizes(training))
    largest = max(costs)
    of_transition = costs[largest][0].expected(limits) / largest
    scored = run.data.recipe("eval")
    frames = scored.episodes * (scored.horizon + 1) * (2 if scored.twin else 1)
    # A product takes part in the forward pass once and in its gradient twice.
    return trained + of_transition * frames / _FRAMES / 3

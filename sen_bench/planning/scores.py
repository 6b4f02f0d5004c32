"""How well problems were solved, beside their twins."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sen_bench.planning.acting import Outcomes


@dataclass(frozen=True)
class PlanningScores:
    """The scores of one agent.

    Attributes:
        success: Share of the goals that were reached within the budget.
        steps: Mean steps to those; NaN if there are none.
        steps_above: How many more these are than the shortest ways have; NaN where those are not known.
        twin_success: `success` in the twins.
        twin_steps: `steps` in the twins.
        twin_steps_above: `steps_above` in the twins.
        twin_same: Share of the problems that ended as their twins did: both reached after as many steps, or
            neither.
    """

    success: float
    steps: float
    steps_above: float
    twin_success: float
    twin_steps: float
    twin_steps_above: float
    twin_same: float


def score_outcomes(outcomes: Outcomes, twins: Outcomes, optimum: int | None) -> PlanningScores:
    """The scores of what became of problems and of their twins.

    Args:
        outcomes: Of the problems.
        twins: Of the twins, in the same order.
        optimum: Steps of the shortest way; None if it is not known.
    """
    same = (outcomes.success == twins.success) & (outcomes.steps == twins.steps)
    return PlanningScores(*_three(outcomes, optimum), *_three(twins, optimum), float(same.mean()))


def _three(outcomes: Outcomes, optimum: int | None) -> tuple[float, float, float]:
    """Success, steps, and steps above the optimum."""
    reached = outcomes.steps[outcomes.success]
    steps = float(reached.mean()) if len(reached) else math.nan
    return float(outcomes.success.mean()), steps, math.nan if optimum is None else steps - optimum

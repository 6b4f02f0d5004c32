"""Plans carried out in the true world, many problems at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from sen_bench.envs import World
from sen_bench.planning.beam import beam_search
from sen_bench.planning.cem import cross_entropy
from sen_bench.planning.dynamics import Dynamics
from sen_bench.planning.moves import Moves
from sen_bench.planning.plans import PlanSettings
from sen_bench.planning.problems import Problems
from sen_bench.system import QUIET, Progress

_TOGETHER: Final = 20
"""Problems that are solved at a time: enough for large batches, few enough to see how far it is."""


@dataclass(frozen=True)
class Outcomes:
    """What became of problems.

    Attributes:
        success: Whether the goal was reached within the budget, bool `[N]`.
        steps: Actions taken until then, or the budget, int64 `[N]`.
        states: The states, `[N, budget + 1, ...]`; after success, the last one again.
    """

    success: NDArray[np.bool_]
    steps: NDArray[np.int64]
    states: NDArray[Any]


def act(
    world: World,
    moves: Moves,
    dynamics: Dynamics | None,
    problems: Problems,
    settings: PlanSettings,
    *,
    progress: Progress = QUIET,
    title: str = "plan",
) -> Outcomes:
    """Has an agent solve problems: plan, act in the true world, and plan anew from what is seen then.

    Args:
        world: The world.
        moves: What can be done in it.
        dynamics: What plans are made with; None: moves are drawn at random.
        problems: The problems.
        settings: What may be spent on them.
        progress: Is told how many are done.
        title: What the work is called there.

    Returns:
        The outcomes, in the order of the problems.
    """
    parts = []
    with progress.work(title, "problems") as advance, torch.inference_mode():
        for begin in range(0, len(problems), _TOGETHER):
            index = np.arange(begin, min(begin + _TOGETHER, len(problems)))
            agent = _Agent(moves, dynamics, problems.part(slice(begin, begin + _TOGETHER)), settings, index)
            parts.append(agent.solve(world))
            advance(int(index[-1]) + 1, len(problems))
    return Outcomes(
        np.concatenate([part.success for part in parts]),
        np.concatenate([part.steps for part in parts]),
        np.concatenate([part.states for part in parts]),
    )


class _Agent:
    """Solves a few problems side by side.

    Args:
        moves: What can be done.
        dynamics: What plans are made with; None: nothing.
        problems: The problems.
        settings: What may be spent on them.
        numbers: The numbers of the problems among all, on which their random numbers depend.
    """

    def __init__(
        self,
        moves: Moves,
        dynamics: Dynamics | None,
        problems: Problems,
        settings: PlanSettings,
        numbers: NDArray[np.int64],
    ) -> None:
        self._moves, self._dynamics = moves, dynamics
        self._problems, self._settings = problems, settings
        self._generators = [
            np.random.default_rng(np.random.SeedSequence(settings.seed, spawn_key=(1, int(number))))
            for number in numbers
        ]
        self._goals = None if dynamics is None else dynamics.observe(problems.goals)

    def solve(self, world: World) -> Outcomes:
        """Takes actions until every goal is reached or the budget is spent."""
        problems, settings = self._problems, self._settings
        count = len(problems)
        window = problems.starts.copy()
        states = np.repeat(window[:, -1:], settings.budget + 1, axis=1)
        success, steps = np.zeros(count, bool), np.full(count, settings.budget)
        shape = (
            (count, settings.horizon, self._moves.width) if self._moves.width else (count, settings.horizon)
        )
        plans = np.zeros(shape, np.float64 if self._moves.width else np.int64)
        taken, lengths = np.zeros(count, np.int64), np.zeros(count, np.int64)
        for step in range(1, settings.budget + 1):
            open_ones = np.flatnonzero(~success)
            if not len(open_ones):
                break
            due = open_ones[taken[open_ones] >= lengths[open_ones]]
            if len(due):
                plans[due], lengths[due] = self._plan(window[due], due)
                taken[due] = 0
            actions = self._moves.actions(plans[open_ones, taken[open_ones]], problems.elements[open_ones])
            taken[open_ones] += 1
            following = world.step_states(window[open_ones, -1], actions)
            window[open_ones] = np.concatenate([window[open_ones, 1:], following[:, None]], axis=1)
            states[open_ones, step:] = following[:, None]
            reached = world.goal_distance(following, problems.goals[open_ones, -1]) <= settings.tolerance
            success[open_ones[reached]] = True
            steps[open_ones[reached]] = step
        return Outcomes(success, steps, states)

    def _plan(self, window: NDArray[Any], due: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Plans for some problems from what is seen of them: moves, and how many of them are to be taken."""
        settings, moves = self._settings, self._moves
        generators = [self._generators[number] for number in due]
        if self._dynamics is None or self._goals is None:
            drawn = [[moves.draw(rng) for _ in range(settings.horizon)] for rng in generators]
            return np.asarray(drawn), np.full(len(due), settings.horizon)
        latents = self._dynamics.observe(window)
        goals = self._goals[torch.from_numpy(due).to(self._goals.device)]
        elements = self._problems.elements[due]
        plans: NDArray[Any]
        if moves.count is not None:
            plans, lengths = beam_search(
                self._dynamics,
                moves,
                latents,
                goals,
                elements,
                horizon=settings.horizon,
                width=settings.width,
            )
        else:
            plans, lengths = cross_entropy(
                self._dynamics,
                moves,
                latents,
                goals,
                elements,
                generators,
                horizon=settings.horizon,
                samples=settings.samples,
                rounds=settings.rounds,
                elites=settings.elites,
            )
        return plans, lengths if settings.execute is None else np.minimum(lengths, settings.execute)

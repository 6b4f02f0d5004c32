"""Acting: perfect knowledge reaches every goal at the optimum, and exact symmetry acts alike in the twins."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sen_bench.baselines import WorldModel
from sen_bench.envs import World, make_world
from sen_bench.errors import ConfigError
from sen_bench.planning.acting import Outcomes, act
from sen_bench.planning.beam import beam_search
from sen_bench.planning.dynamics import LearnedDynamics, TrueDynamics
from sen_bench.planning.moves import moves_of
from sen_bench.planning.plans import PlanSettings
from sen_bench.planning.problems import Problems, draw_problems, least_width
from sen_bench.planning.scores import score_outcomes
from sen_bench.tasks.registry import get_task
from tests.support.recorder import Recorder

GRID = ("2d-shapes", "3d-blocks", "rush-hour")
QUICK = PlanSettings(problems=8, distance=3, horizon=3, budget=6, width=4)


def _problems(world: World, settings: PlanSettings) -> tuple[Problems, Problems]:
    return draw_problems(
        world,
        moves_of(world),
        count=settings.problems,
        distance=settings.distance,
        seed=settings.seed,
        tolerance=settings.tolerance,
    )


def _both(world: World, dynamics: Any, settings: PlanSettings) -> tuple[Outcomes, Outcomes, Problems]:
    problems, twins = _problems(world, settings)
    moves = moves_of(world)
    outcomes, of_twins = (act(world, moves, dynamics, each, settings) for each in (problems, twins))
    return outcomes, of_twins, twins


def _same_after_elements(world: World, outcomes: Outcomes, of_twins: Outcomes, twins: Problems) -> bool:
    """Whether an agent did in the twins what it did in the problems, state by state."""
    moved = np.stack(
        [world.transform_state(g, way) for g, way in zip(twins.elements, outcomes.states, strict=True)]
    )
    return np.allclose(of_twins.states, moved, atol=1e-9)


@pytest.mark.parametrize("task", GRID)
@pytest.mark.parametrize("execute", [None, 1])
def test_true_dynamics_reach_every_goal_of_a_grid_world_at_the_optimum(
    task: str, execute: int | None
) -> None:
    world = get_task(task).world()
    settings = PlanSettings(problems=30, distance=4, horizon=4, budget=8, width=6, execute=execute)
    assert settings.width == least_width(settings.distance)
    outcomes, of_twins, twins = _both(world, TrueDynamics(world), settings)
    scores = score_outcomes(outcomes, of_twins, settings.distance)
    assert (
        (scores.success, scores.steps_above) == (scores.twin_success, scores.twin_steps_above) == (1.0, 0.0)
    )
    assert scores.twin_same == 1.0
    assert _same_after_elements(world, outcomes, of_twins, twins)


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        ({"actions": "small"}, PlanSettings(problems=5, distance=3, horizon=3, budget=6, tolerance=6.0)),
        ({"actions": "large"}, PlanSettings(problems=5, distance=1, horizon=1, budget=4, tolerance=6.0)),
    ],
    ids=["small", "large"],
)
def test_true_dynamics_turn_the_teapot_to_its_goal(options: dict[str, Any], settings: PlanSettings) -> None:
    world = make_world("sen_bench/Teapot-v0", **options)
    outcomes, of_twins, twins = _both(world, TrueDynamics(world), settings)
    assert outcomes.success.all()
    assert score_outcomes(outcomes, of_twins, 1).twin_same == 1.0
    assert _same_after_elements(world, outcomes, of_twins, twins)


def test_true_dynamics_bend_the_arm_to_its_goal() -> None:
    world = make_world("sen_bench/Reacher-v0")
    settings = PlanSettings(problems=2, distance=3, horizon=3, budget=6, samples=48, rounds=3, tolerance=0.1)
    outcomes, of_twins, _ = _both(world, TrueDynamics(world), settings)
    assert outcomes.success.all()
    scores = score_outcomes(outcomes, of_twins, None)
    assert scores.twin_same == 1.0
    assert math.isnan(scores.steps_above)


class _ExactMaps:
    """E and T of an object model on maps of the true positions: an S that is exactly equivariant."""

    def __init__(self, model: WorldModel, world: World) -> None:
        self._model = model.double().eval()
        self._side = world.grid_size  # type: ignore[attr-defined]

    def observe(self, window: np.ndarray) -> Tensor:
        states = torch.from_numpy(window[:, -1])
        cells = states[..., 0] * self._side + states[..., 1]
        maps = torch.nn.functional.one_hot(cells, self._side**2).double()
        return self._model.encode(maps.view(*cells.shape, self._side, self._side))

    def predict_each(self, latents: Tensor, actions: np.ndarray) -> Tensor:
        return self._model.transitions(latents, torch.from_numpy(actions))

    def distance(self, latents: Tensor, goals: Tensor) -> Tensor:
        return self._model.distance(latents, goals)


@pytest.mark.parametrize(("kind", "same"), [("sen", True), ("none", False)])
def test_an_exactly_equivariant_agent_does_the_same_in_the_twins(kind: str, *, same: bool) -> None:
    task = get_task("2d-shapes")
    torch.manual_seed(0)
    dynamics = _ExactMaps(task.build_model(kind, {"hidden": 8}), task.world())
    outcomes, of_twins, twins = _both(task.world(), dynamics, QUICK)
    assert _same_after_elements(task.world(), outcomes, of_twins, twins) == same
    if same:
        assert score_outcomes(outcomes, of_twins, QUICK.distance).twin_same == 1.0


@pytest.mark.parametrize("task", ["2d-shapes", "teapot-small", "reacher"])
def test_random_actions_are_the_same_in_the_twins(task: str) -> None:
    world = get_task(task).world()
    outcomes, of_twins, twins = _both(world, None, PlanSettings(problems=3, distance=2, horizon=2, budget=4))
    assert _same_after_elements(world, outcomes, of_twins, twins)
    assert set(outcomes.steps[~outcomes.success]) <= {4}


class _Line:
    """A world of its own: latents are numbers, and moves add 2, 1, 1 and -1 to them."""

    steps = torch.tensor([2.0, 1.0, 1.0, -1.0])
    count, width = 4, 0

    def actions(self, moves: np.ndarray, elements: np.ndarray) -> np.ndarray:
        assert len(elements) == len(moves)
        return moves

    def predict_each(self, latents: Tensor, actions: np.ndarray) -> Tensor:
        return latents[:, None] + self.steps[actions][..., None]

    def distance(self, latents: Tensor, goals: Tensor) -> Tensor:
        return (latents - goals).abs()[:, 0].double()


@pytest.mark.parametrize(
    ("goal", "plan"),
    [(1.0, [1]), (3.0, [0, 1]), (4.0, [0, 0]), (-2.0, [3, 3]), (0.0, [1, 3]), (0.4, [1, 3])],
    ids=["first of two", "shortest, first", "twice", "back", "away and back", "nearest, not exact"],
)
def test_ties_go_to_the_shortest_plan_and_the_first_moves(goal: float, plan: list[int]) -> None:
    line: Any = _Line()
    moves, lengths = beam_search(
        line, line, torch.zeros(1, 1), torch.tensor([[goal]]), np.zeros(1), horizon=3, width=3
    )
    assert moves[0, : lengths[0]].tolist() == plan


def test_one_latent_takes_one_place_of_the_beam() -> None:
    """Moves of different objects in any order lead to one state, which else would fill the beam."""
    world = get_task("2d-shapes").world()
    settings = PlanSettings(problems=12, distance=4, horizon=4, budget=4, width=least_width(4))
    outcomes = act(world, moves_of(world), TrueDynamics(world), _problems(world, settings)[0], settings)
    assert outcomes.success.all()


class _Switches:
    """A world of its own: nine switches that moves turn on, in any order."""

    count, width = 9, 0

    def __init__(self) -> None:
        self.on_the_way: list[int] = []

    def actions(self, moves: np.ndarray, elements: np.ndarray) -> np.ndarray:
        assert len(elements) == len(moves)
        return moves

    def predict_each(self, latents: Tensor, actions: np.ndarray) -> Tensor:
        taken = len(self.on_the_way)
        self.on_the_way.append(len({tuple(latent) for latent in latents.tolist() if sum(latent) == taken}))
        return torch.maximum(latents[:, None], torch.eye(9)[actions])

    def distance(self, latents: Tensor, goals: Tensor) -> Tensor:
        return (goals - latents).sum(dim=1).double()


def test_a_beam_as_wide_as_there_are_states_on_shortest_ways_loses_none_of_them() -> None:
    switches: Any = _Switches()
    beam_search(
        switches,
        switches,
        torch.zeros(1, 9),
        torch.ones(1, 9),
        np.zeros(1),
        horizon=9,
        width=least_width(9),
    )
    assert switches.on_the_way == [math.comb(9, taken) for taken in range(9)]


def test_a_learned_model_sees_frames_and_leaves_its_mode(recorder: Recorder) -> None:
    task = get_task("teapot-small")
    model = task.build_model("matmul", {"embedding_channels": 2}).eval()
    world = task.world()
    settings = PlanSettings(problems=3, distance=2, horizon=2, budget=2, tolerance=6.0)
    dynamics = LearnedDynamics(model, world, torch.device("cpu"))
    outcomes = act(
        world,
        moves_of(world),
        dynamics,
        _problems(world, settings)[0],
        settings,
        progress=recorder,
        title="x",
    )
    assert outcomes.states.shape == (3, 3, 3, 3)
    assert list(recorder.works) == ["x problems"]
    assert not model.training


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"problems": 0}, "problems must be at least 1, not 0"),
        ({"horizon": 3, "execute": 4}, "execute must be from 1 to the horizon, 3, not 4"),
        ({"elites": 200}, "200 elites cannot be chosen of 128 samples"),
        ({"tolerance": math.nan}, "tolerance must be a number from 0 on, not nan"),
    ],
)
def test_settings_that_make_no_sense_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        PlanSettings(**given)


def test_options_of_the_planner_that_is_not_used_leave_the_digest() -> None:
    beam, sampled = (moves_of(get_task(name).world()) for name in ("2d-shapes", "reacher"))
    usual = PlanSettings().digest
    assert PlanSettings(samples=256, rounds=2, elites=3).for_moves(beam).digest == usual
    assert PlanSettings(width=3).for_moves(sampled).digest == usual
    assert PlanSettings(width=3).for_moves(beam).digest == PlanSettings(width=3).digest != usual
    assert PlanSettings(elites=3).for_moves(sampled).digest == PlanSettings(elites=3).digest != usual

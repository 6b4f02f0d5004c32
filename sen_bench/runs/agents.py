"""Goals reached with the model of a run, beside what no plan and perfect plans reach."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any, Final

import torch

from sen_bench import __version__
from sen_bench.planning import (
    Dynamics,
    LearnedDynamics,
    Outcomes,
    PlanSettings,
    Problems,
    Rotations,
    TrueDynamics,
    act,
    check_planner_options,
    draw_problems,
    least_width,
    moves_of,
    score_outcomes,
)
from sen_bench.results import PlanningRow, append_planning, read_planning_rows
from sen_bench.runs.run import Run
from sen_bench.runs.trained import model_so_far
from sen_bench.system import Progress, device_name, number_of, seeded, settings_restored
from sen_bench.tasks import Task

_DISTANCE: Final = 5
_LEAST_BUDGET: Final = 3

RANDOM: Final = "random"
ORACLE: Final = "oracle"


def plan_settings(task: Task, **given: Any) -> PlanSettings:  # noqa: ANN401 — fields of `PlanSettings`
    """The settings of planning for a task, where not said otherwise.

    Goals are five steps away, or one where all rotations are actions, so that no goal is farther. The longest
    plan is as long, and twice as many actions may be taken, at least three. When a goal counts as reached is
    the world's to say.

    Args:
        task: The task.
        **given: What is said otherwise, by the names of the fields; None says nothing.

    Raises:
        ConfigError: A number is impossible, nothing can be planned in such a world, or an option is of the
            planner that is not used there.
    """
    said = {name: value for name, value in given.items() if value is not None}
    world = task.world()
    moves = moves_of(world)
    check_planner_options(said, moves, task.name)
    usual = 1 if isinstance(moves, Rotations) else _DISTANCE
    distance = said.get("distance", usual)
    unsaid = {
        "distance": distance,
        "horizon": distance,
        "budget": max(2 * distance, _LEAST_BUDGET),
        "tolerance": world.goal_tolerance,
    }
    return PlanSettings(**{**unsaid, **said})


@settings_restored()
def plan_run(
    run: Run, settings: PlanSettings, progress: Progress, *, force: bool = False
) -> list[PlanningRow]:
    """Has the model of a run reach goals, and records how well, beside the two references.

    What the table of planning has already is not done again. Each agent is recorded as soon as it is done.

    Args:
        run: The run; it is planned with its model as far as it is trained.
        settings: The problems, and what may be spent on them.
        progress: Shows how it goes.
        force: Whether to do again what is recorded.

    Returns:
        The rows: random actions, the oracle, the model.

    Raises:
        CheckpointError: If training has not begun, or was of another run.
        ConfigError: If there are no problems of this kind.
        ResultsError: If the table cannot be read or written.
    """
    model, checkpoint = model_so_far(run)
    world = run.task.world()
    learned = LearnedDynamics(model, world, run.device)
    moves = moves_of(world)
    settings = settings.for_moves(moves)
    problems, twins = _problems(run, settings, progress)
    needed = least_width(settings.distance)
    if world.goal_unit == "steps" and settings.width < needed:
        progress.message(
            f"with a width of {settings.width} the oracle itself may miss goals"
            f" {number_of(settings.distance, 'step')}"
            f" away; {needed} is enough for it"
        )
    if problems.optimum is not None and settings.budget < problems.optimum:
        progress.message(
            f"nothing can be reached: a budget of {settings.budget} is less than the shortest way,"
            f" {number_of(problems.optimum, 'step')}"
        )
    beam = f"beam {settings.width}"
    sampled = f"cem {settings.samples}x{settings.rounds}, {settings.elites} elites"
    planner = sampled if moves.count is None else beam
    common = {
        "task": run.config.task,
        "problems": settings.problems,
        "distance": settings.distance,
        "optimum": problems.optimum,
        "horizon": settings.horizon,
        "execute": settings.execute,
        "budget": settings.budget,
        "goal_unit": world.goal_unit,
        "tolerance": settings.tolerance,
        "problems_digest": twins.digest,
        "planning_digest": settings.digest,
        "version": __version__,
        "torch_version": torch.__version__,
    }
    agents: list[tuple[dict[str, Any], Dynamics | None]] = [
        (_reference(run, RANDOM, RANDOM), None),
        (_reference(run, ORACLE, planner), TrueDynamics(world)),
        (
            {
                "run_id": run.name,
                "train_split": run.config.train_split,
                "model": run.config.model,
                "preset": run.preset.name,
                "seed": run.seed,
                "epochs": checkpoint.epoch,
                "planner": planner,
                "device": device_name(run.device),
                "train_dataset_digest": f"sha256:{checkpoint.identity['dataset']}",
                "config_digest": f"sha256:{run.config.digest}",
            },
            learned,
        ),
    ]
    table = run.workspace.results.planning_csv
    there = [] if force else read_planning_rows(table)
    rows = []
    for said, dynamics in agents:
        identity = {**common, **said}
        found = [row for row in there if row.is_of(identity)]
        if found:
            rows.append(found[0])
            continue
        began = time.perf_counter()
        title = f"plan {said['model']}"
        with seeded(settings.seed, run.device):
            outcomes = act(world, moves, dynamics, problems, settings, progress=progress, title=title)
            of_twins = act(
                world, moves, dynamics, twins, settings, progress=progress, title=f"{title}, twins"
            )
        scores = asdict(score_outcomes(outcomes, of_twins, problems.optimum))
        seconds = round(time.perf_counter() - began, 1)
        rows.append(PlanningRow(**identity, **scores, seconds=seconds))
        append_planning(table, rows[-1:])
    return rows


@settings_restored()
def planned_ways(
    run: Run, settings: PlanSettings, count: int, progress: Progress
) -> list[tuple[Problems, Outcomes]]:
    """The ways that the model of a run takes in the first problems and in their twins.

    Args:
        run: The run.
        settings: The problems, and what may be spent on them.
        count: How many problems.
        progress: Shows how it goes.

    Returns:
        The problems and what became of them, and the same of their twins.

    Raises:
        CheckpointError: If training has not begun, or was of another run.
        ConfigError: If there are no problems of this kind.
    """
    model, _ = model_so_far(run)
    world = run.task.world()
    learned = LearnedDynamics(model, world, run.device)
    ways = []
    for problems in _problems(run, settings, progress):
        first = problems.part(slice(count))
        with seeded(settings.seed, run.device):
            outcomes = act(
                world, moves_of(world), learned, first, settings, progress=progress, title="plan to draw"
            )
        ways.append((first, outcomes))
    return ways


def _problems(run: Run, settings: PlanSettings, progress: Progress) -> tuple[Problems, Problems]:
    """The problems of a task, which are the same for all its runs, and their twins."""
    world = run.task.world()
    return draw_problems(
        world,
        moves_of(world),
        count=settings.problems,
        distance=settings.distance,
        seed=settings.seed,
        tolerance=settings.tolerance,
        warmup=run.task.split("eval").warmup,
        progress=progress,
    )


def _reference(run: Run, name: str, planner: str) -> dict[str, Any]:
    """What a row of a reference says of the agent."""
    unknown = ("train_split", "preset", "seed", "epochs", "train_dataset_digest", "config_digest")
    return {
        "run_id": f"{run.config.task}/{name}",
        "model": name,
        "planner": planner,
        "device": "cpu",
        **dict.fromkeys(unknown),
    }

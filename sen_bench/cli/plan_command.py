"""The command that has trained models reach goals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

import sen_bench.figures
import sen_bench.results
import sen_bench.runs
import sen_bench.system
from sen_bench.cli.options import device_option, quiet_option, results_option
from sen_bench.config import SEED_LIMIT
from sen_bench.system import Terminal

_DRAWN = 3
"""Problems of an animation."""

_number = click.IntRange(min=1)


@click.command("plan")
@click.argument("run", type=click.Path(file_okay=False, path_type=Path))
@click.option("--problems", type=_number, help="Problems, each also solved as its twin.  [default: 100]")
@click.option(
    "--distance",
    type=_number,
    help="Steps from start to goal, of the shortest way where that is known.  [default: 5; teapot-large: 1]",
)
@click.option(
    "--budget", type=_number, help="Actions that may be taken.  [default: twice the distance, at least 3]"
)
@click.option("--horizon", type=_number, help="The longest plan, in steps.  [default: the distance]")
@click.option(
    "--execute",
    type=_number,
    help="Actions of a plan that are taken before the next is made; 1 plans anew after each."
    "  [default: all of a plan]",
)
@click.option(
    "--width",
    type=_number,
    help="Sequences that the beam search keeps at each depth, where actions are a list.  [default: 16]",
)
@click.option(
    "--samples",
    type=_number,
    help="Sequences in a round of the cross-entropy method, where actions are continuous.  [default: 128]",
)
@click.option("--rounds", type=_number, help="Its rounds, where actions are continuous.  [default: 5]")
@click.option(
    "--elites",
    type=_number,
    help="Sequences that each of its next rounds is drawn from, likewise.  [default: 12]",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    help="Distance at which a goal counts as reached, in the world's unit.  [default: 0 moves in grid worlds,"
    " 6 degrees for the teapot, 0.1 radians for Reacher]",
)
@click.option(
    "--seed", type=click.IntRange(min=0, max=SEED_LIMIT - 1), help="Seed of the problems.  [default: 0]"
)
@click.option(
    "--animation",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.gif",
    help=f"Also draw what the model does in the first {_DRAWN} problems and their twins.",
)
@click.option("--force", is_flag=True, help="Plan again what results/planning.csv has already.")
@device_option
@results_option
@quiet_option
def plan_command(
    run: Path,
    animation: Path | None,
    device: str,
    results: Path,
    *,
    force: bool,
    quiet: bool,
    **settings: float | None,
) -> None:
    """Have a trained model reach goals: plan in its latent space, and act in the true world.

    RUN is the run's folder, as `sen-bench train` prints it. From a frame of a start and a frame of a goal
    the model's own predictions are searched for actions that lead from one latent to the other. These are
    taken in the true world, and from what is seen then it plans anew, until the goal is reached or the budget
    is spent. Every problem is also solved as its twin, seen after a group element. Beside the model, actions
    drawn at random and an oracle that plans in the true world solve the same problems. The rows go into
    results/planning.csv; what is there already is not done again.

    \b
    Examples:
      sen-bench plan runs/3d-blocks/train/sen/cpu/seed-0
      sen-bench plan runs/3d-blocks/train/sen/cpu/seed-0 --distance 3 --animation blocks.gif
      sen-bench plan runs/2d-shapes/train-limited/none/cpu/seed-0 --execute 1 --width 32
      sen-bench plan runs/reacher/train/sen/cpu/seed-0 --samples 256 --tolerance 0.2
    """
    terminal = Terminal(quiet=quiet)
    where = sen_bench.system.resolve_device(device)
    sen_bench.system.prepare_device(where)
    chosen = sen_bench.runs.open_run(run, data=Path(), device=where)
    chosen = replace(
        chosen, workspace=replace(chosen.workspace, results=sen_bench.results.ResultsFolder(results))
    )
    plans = sen_bench.runs.plan_settings(chosen.task, **settings)
    if animation is not None:
        sen_bench.figures.check_animation(animation)
    sen_bench.system.check_output(results, folder=True)
    rows = sen_bench.runs.plan_run(chosen, plans, terminal, force=force)
    click.echo(sen_bench.results.format_planning(rows))
    click.echo("in brackets: in the twins")
    if animation is not None:
        ways = sen_bench.runs.planned_ways(chosen, plans, _DRAWN, terminal)
        sen_bench.figures.save_ways(chosen.task.world(), ways, animation)
        click.echo(str(animation))

"""The study of data: how much of it models need."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import sen_bench.config
import sen_bench.results
import sen_bench.runs
import sen_bench.sweep
from sen_bench.cli.options import SettingsCommand
from sen_bench.cli.run_commands import selection_of
from sen_bench.cli.study_figures import draw_data_study
from sen_bench.cli.study_options import metric_of, metric_option, study_options, task_option
from sen_bench.errors import ConfigError
from sen_bench.figures import DEFAULT_FORMATS
from sen_bench.system import Terminal
from sen_bench.tasks import get_task

if TYPE_CHECKING:
    from sen_bench.cli.sweeping import Sweeping
    from sen_bench.figures import Format
    from sen_bench.results import StudiedPart
    from sen_bench.runs import Run
    from sen_bench.sweep import FractionRun, Selection


class Fractions(click.ParamType[tuple[float, ...]]):
    """Shares of a split, with commas between them."""

    name = "fractions"

    def convert(
        self, value: str | tuple[float, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """Parses the text."""
        if isinstance(value, tuple):
            return value
        try:
            return tuple(float(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} are no fractions; write for example 0.01,0.1,1", param, ctx)


@click.command("data", cls=SettingsCommand)
@task_option
@click.option(
    "--fractions",
    type=Fractions(),
    default="0.01,0.03,0.1,0.3,1",
    show_default=True,
    metavar="F,...",
    help="Shares of the episodes to train on, each the beginning of the next.",
)
@click.option("--train-split", default="train", show_default=True, metavar="SPLIT", help="Split to train on.")
@metric_option
@click.option(
    "--horizon", type=click.IntRange(min=1), metavar="STEPS", help="Steps ahead to draw.  [default: the most]"
)
@study_options
@click.pass_context
def data_command(
    context: click.Context,
    /,
    task: str,
    fractions: tuple[float, ...],
    metric_name: str | None,
    horizon: int | None,
    formats: tuple[Format, ...],
    how: Sweeping,
    *,
    quiet: bool,
    results: Path,
    **settings: Any,  # noqa: ANN401 — the other options of settings_options, and whether to compile
) -> None:
    """Find out how much data models need: score them against the transitions that they were trained on.

    Every model is trained on the first episodes of the split, for as many steps as with all of it, so that
    only the data differs. No data is copied. The table also says how many times as many transitions `none`
    needs for the score of another model. Give three seeds at least to get intervals.

    Everything is written to studies/data in the folder of result tables: the table and the figure, named for
    task, split and preset, and the tables of the runs behind them. What is already done is not done again; to
    resume an interrupted study, give the same command again. docs/studies.md shows how to read it.

    \b
    Examples:
      sen-bench study data --task 2d-shapes --preset smoke --fractions 0.1,1 --models sen,none
      sen-bench study data --task 2d-shapes --seeds 0-2 --dry-run
      sen-bench study data --task 3d-blocks --seeds 0-2 --device cuda --jobs 4
      sen-bench study data --task 2d-shapes --seeds 0-2 --set models.sen.hidden=64 --metric MRR
    """
    terminal = Terminal(quiet=quiet)
    chosen = get_task(task)
    metric = metric_of(metric_name, sen_bench.results.SHOWN, chosen)
    folder = sen_bench.results.ResultsFolder(results).study_folder("data")
    selection = selection_of(
        (chosen.name,),
        how.place(),
        anew=how.force,
        elsewhere=how.where is not None,
        results=folder,
        **settings,
    )
    parts = sen_bench.sweep.select_fractions(selection, fractions, terminal)
    _check_horizon(parts[0].run, horizon)
    carried = how.carry_out([part.run for part in parts], terminal)
    if carried is None:
        return
    studied = _studied(parts, selection)
    if studied:
        split = parts[0].run.config.train_split
        name = f"{chosen.name.replace(':', '-')}-{split}-{studied[0].preset}"
        rows = sen_bench.results.efficiency_rows(studied, rival=sen_bench.results.RIVAL)
        sen_bench.results.write_study(folder / f"{name}.csv", rows, sen_bench.results.EfficiencyRow)
        click.echo(str(folder / f"{name}.csv"))
        for path in draw_data_study(
            rows, chosen, folder / name, formats or DEFAULT_FORMATS, metric=metric, horizon=horizon
        ):
            click.echo(str(path))
    carried.end(context, terminal)


def _check_horizon(run: Run, horizon: int | None) -> None:
    """Refuses a horizon at which nothing is scored, before anything is done.

    Raises:
        ConfigError: If it is such a one.
    """
    horizons = run.config.evaluation.horizons
    if horizon is not None and horizon not in horizons:
        raise ConfigError(
            f"--horizon {horizon}: these runs are scored so many steps ahead:"
            f" {', '.join(map(str, horizons))}; name one of them, or --set evaluation.horizons=[…]"
        )


def _studied(parts: Sequence[FractionRun], selection: Selection) -> list[StudiedPart]:
    """The parts with what their runs scored, as far as they have; each model by itself."""
    rows: dict[tuple[str, float], list[Any]] = {}
    first: dict[tuple[str, float], FractionRun] = {}
    for part in parts:
        place = (part.run.config.model, part.fraction)
        first.setdefault(place, part)
        rows.setdefault(place, []).extend(sen_bench.runs.recorded_rows(part.run).to_dict("records"))
    preset = sen_bench.config.make_variant(selection.preset, parts[0].run.task.name, selection.settings).name
    return [
        sen_bench.results.StudiedPart(
            fraction=part.fraction,
            episodes=part.episodes,
            transitions=part.transitions,
            epochs=part.run.config.training.epochs,
            steps=part.steps,
            preset=preset,
            runs=rows[place],
        )
        for place, part in first.items()
        if rows[place]
    ]

"""The commands that do one step of a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

import sen_bench.config
import sen_bench.costs
import sen_bench.results
import sen_bench.runs
import sen_bench.sweep
import sen_bench.system
from sen_bench.cli.console import print_result
from sen_bench.cli.leaderboard_table import format_table
from sen_bench.cli.options import (
    SettingsCommand,
    run_options,
    settings_of,
    trackers_of,
    training_options,
)
from sen_bench.cli.profile_table import format_profile
from sen_bench.errors import ConfigError, ExtensionError
from sen_bench.system import Terminal, number_of
from sen_bench.tasks import ranked_locally, reference_model

if TYPE_CHECKING:
    import torch

    from sen_bench.runs import Run
    from sen_bench.sweep import Selection
    from sen_bench.training import Profile


def selection_of(
    tasks: tuple[str, ...] | None,
    device: torch.device,
    *,
    models: tuple[tuple[str, ...], ...],
    seeds: tuple[int, ...] | None,
    preset: str,
    train_split: str | None,
    data: Path,
    runs: Path,
    results: Path,
    data_memory: int | None,
    eval_memory: int | None,
    compiled: bool | None = None,
    graph: bool | None = None,
    anew: bool = False,
    elsewhere: bool = False,
    settings: tuple[tuple[str, object], ...] = (),
    **training: str | None,
) -> Selection:
    """What the options ask for.

    Args:
        tasks: Names of tasks; None: every task.
        device: Where the runs take place.
        models: Names of models, a tuple for each time that the option was given.
        seeds: The seeds; None: as many as the preset says.
        preset: Name or file of the preset.
        train_split: The split to train on; None: every one there is for it.
        data: Folder of the datasets.
        runs: Folder of checkpoints and logs.
        results: Folder of the result tables.
        data_memory: Bytes on the device for training data; None: what suits it.
        eval_memory: Bytes on the device for evaluation; None: what suits it.
        compiled: Whether training steps are compiled; None: as suits the device and the length of a run.
        graph: Whether they are CUDA graphs; None: likewise.
        anew: Whether runs start over, however far they are.
        elsewhere: Whether the work is done by processes elsewhere, to which the folders must mean the same.
        settings: What is to be otherwise than in the preset, which makes a variant of it.
        training: What is to be otherwise than in the preset's training, without making a variant.

    Raises:
        ConfigError: If a setting is given twice, or a value cannot be used.
    """
    if elsewhere:
        data, runs, results = data.absolute(), runs.absolute(), results.absolute()
    return sen_bench.sweep.Selection(
        tasks=tasks,
        models=tuple(name for names in models for name in names),
        seeds=seeds,
        train_split=train_split,
        preset=sen_bench.config.load_preset(preset),
        settings=settings_of(settings),
        training={key: value for key, value in training.items() if value is not None},
        workspace=sen_bench.runs.Workspace(data, runs, sen_bench.results.ResultsFolder(results)),
        device=device,
        compiled=compiled,
        graph=graph,
        data_memory=data_memory,
        eval_memory=eval_memory,
        anew=anew,
        elsewhere=elsewhere,
    )


def _runs(task: str, device: str, **settings: Any) -> list[Run]:  # noqa: ANN401 — as click has them
    """The runs of one task that the options select, checked before any work begins."""
    where = sen_bench.system.resolve_device(device)
    sen_bench.system.prepare_device(where)
    return sen_bench.sweep.select_runs(selection_of((task,), where, **settings))


@click.command("train", cls=SettingsCommand)
@run_options
@training_options
@click.option(
    "--profile",
    is_flag=True,
    help="Also measure where the time of a few steps goes: prints a summary and writes a trace for"
    " ui.perfetto.dev into the run's folder. Training goes on as without it.",
)
def train_command(
    *,
    log_to: tuple[tuple[str, ...], ...],
    tensorboard: bool,
    force: bool,
    profile: bool,
    quiet: bool,
    **selection: Any,  # noqa: ANN401
) -> None:
    """Train models on datasets that exist already; give the same command again to resume.

    \b
    Examples:
      sen-bench train 3d-blocks --model sen --preset cpu
      sen-bench train 3d-blocks --model sen --preset paper --device cuda --compile
      sen-bench train 3d-blocks --model sen --preset smoke --profile
      sen-bench train 3d-blocks --model sen --preset smoke --log-to mlflow
      sen-bench train 3d-blocks --model sen --preset smoke --set training.epochs=8
    """
    terminal = Terminal(quiet=quiet)
    trackers = trackers_of(log_to, tensorboard=tensorboard)
    for run in _runs(anew=force, **selection):
        result = sen_bench.runs.train_run(
            run,
            terminal,
            log_to=trackers,
            force=force,
            profiled=_profile_printer(run, terminal) if profile else None,
        )
        state = ", COLLAPSED" if result.collapsed else ""
        click.echo(f"{run.folder}: {number_of(result.epochs, 'epoch')}, {result.seconds:.0f} s{state}")


def _profile_printer(run: Run, terminal: Terminal) -> Callable[[Profile], None]:
    """What prints the profile of a run's training, with the limit that its steps are held against.

    A model of a user's own that cannot be counted is profiled without one.
    """
    config = run.config
    cost = None
    try:
        cost = sen_bench.costs.step_cost(
            run.task.build_model(config.model, config.model_options),
            run.task.world(),
            batch=config.training.batch_size,
            precision=config.training.precision,
        )
    except ExtensionError as error:
        terminal.message(f"the profile will say no limit: {error}")
    # Before training, whose seconds go into the tables.
    limits = sen_bench.costs.measured_limits(run.device, config.training.precision)
    return lambda profile: print_result(terminal, format_profile(profile, cost, limits))


def _run_of_external(
    *,
    models: tuple[tuple[str, ...], ...],
    seeds: tuple[int, ...] | None,
    data_memory: int | None,
    on_collapse: str | None,
    settings: tuple[tuple[str, object], ...],
    **selection: Any,  # noqa: ANN401 — as click has them
) -> Run:
    """The run in whose place the weights of a file are scored.

    Raises:
        ConfigError: If it is not one model and one seed, or an option says only how to train.
    """
    for_training = {"--data-memory": data_memory, "--on-collapse": on_collapse}
    unused = [option for option, value in for_training.items() if value is not None]
    unused += [f"--set {name}" for name in sen_bench.runs.training_only(name for name, _ in settings)]
    if unused:
        raise ConfigError(f"{', '.join(unused)}: for training only, and --checkpoint holds trained weights")
    names = [name for some in models for name in some]
    if len(set(names)) != 1:
        raise ConfigError("--checkpoint holds the weights of one model; say which by --model")
    if seeds is not None and len(seeds) != 1:
        raise ConfigError("--checkpoint holds the weights of one seed; give one number to --seeds, or none")
    (run,) = _runs(
        models=models,
        seeds=seeds or (0,),
        data_memory=data_memory,
        on_collapse=on_collapse,
        settings=settings,
        **selection,
    )
    return run


@click.command("evaluate", cls=SettingsCommand)
@run_options
@click.option(
    "--checkpoint",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.pt",
    help="Score the weights in this file, trained elsewhere, instead of those of runs: a state dict of the"
    " one --model. Its rows are marked external.",
)
@click.option(
    "--layout",
    type=click.Choice(("own", "public")),
    help="Whose names the weights of --checkpoint have: the model's own, or those of the paper's public code"
    " (3D Blocks).  [default: own]",
)
def evaluate_command(
    *,
    quiet: bool,
    checkpoint: Path | None,
    layout: Literal["own", "public"] | None,
    **selection: Any,  # noqa: ANN401
) -> None:
    """Score trained models and put them into the result tables.

    \b
    Examples:
      sen-bench evaluate 3d-blocks --model sen --preset cpu
      sen-bench evaluate 3d-blocks --preset paper --seeds 0-2 --device cuda
      sen-bench evaluate 3d-blocks --train-split train-limited --eval-memory 8GiB
    Weights that were trained elsewhere, of a model of the task, of your own, and of the paper's public code:
      sen-bench evaluate 3d-blocks --checkpoint sen.pt --model sen --preset paper
      sen-bench evaluate 3d-blocks --checkpoint mine.pt --model my_models:Keypoints --preset mine.toml
      sen-bench evaluate 3d-blocks --checkpoint model.pt --layout public --model none --preset paper
    """
    terminal = Terminal(quiet=quiet)
    if checkpoint is None and layout is not None:
        raise ConfigError("--layout says how to read --checkpoint FILE; give that too")
    sen_bench.system.check_output(selection["results"], folder=True)
    if checkpoint is None:
        runs = _runs(**selection)
        for run in runs:
            sen_bench.runs.record_run(run, sen_bench.runs.evaluate_run(run, terminal))
    else:
        runs = [_run_of_external(**selection)]
        scored = sen_bench.runs.evaluate_external(runs[0], checkpoint, terminal, layout=layout or "own")
        sen_bench.runs.record_external(runs[0], scored)
    view = sen_bench.results.LeaderboardView(tasks={runs[0].task.name})
    runs_csv = runs[0].workspace.results.runs_csv
    rows = sen_bench.results.read_leaderboard(runs_csv, reference_model, view, ranked_locally=ranked_locally)
    click.echo(format_table(rows))

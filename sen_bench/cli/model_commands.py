"""The commands about models as such: which there are, and whether they are as equivariant as they claim."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import sen_bench.checks
import sen_bench.config
import sen_bench.costs
import sen_bench.runs
import sen_bench.system
import sen_bench.tasks
from sen_bench.checks import TOLERANCE
from sen_bench.cli.cost_table import format_costs
from sen_bench.cli.describe import describe_errors, describe_models
from sen_bench.cli.options import SettingsCommand, quiet_option, set_option, settings_of
from sen_bench.config import SEED_LIMIT
from sen_bench.errors import ConfigError, ExtensionError
from sen_bench.system import Terminal
from sen_bench.tasks import (
    get_task,
    model_names,
    task_names,
)

if TYPE_CHECKING:
    from sen_bench.baselines import WorldModel
    from sen_bench.checks import ElementErrors
    from sen_bench.config import ModelOptions, Preset
    from sen_bench.tasks import Task

#: Exit code of a check that a model does not pass; mistakes of the user have another.
EXIT_NOT_EQUIVARIANT = 1

_models_option = click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME|MODULE:CLASS",
    help="Model, or package.module:Class of your own; repeat for several.  [default: all]",
)
_preset_option = click.option(
    "--preset",
    metavar="NAME|FILE.toml",
    help="Take the models' widths from this preset.  [default: their own, the paper's]",
)
_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def _options(preset: Preset | None, task: Task) -> Mapping[str, ModelOptions]:
    """The options of the models of a task: those of the preset, if there is one."""
    return {} if preset is None else preset.for_task(task.name).models


def _changed(
    options: Mapping[str, ModelOptions], task: Task, models: list[str], settings: Mapping[str, object]
) -> Mapping[str, ModelOptions]:
    """Options of the models of a task, with the settings beside them, which are about models to be checked.

    Raises:
        ConfigError: If a setting cannot be used, or is none of a model that is checked.
        UnknownNameError: If the task has no such model.
    """
    for name in settings:
        # Before its section is looked at: advice on a setting of training would be of no use here.
        if not re.match(r"\s*models\s*\.", name):
            raise ConfigError(f"--set {name}: check accepts only settings of models, as models.sen.hidden=64")
    sen_bench.tasks.check_setting_names(task, settings)
    sen_bench.tasks.check_settings(settings, models, [])
    preset = sen_bench.config.Preset(
        name="checked", description="", tasks={task.name: sen_bench.config.TaskPreset(models=dict(options))}
    )
    return sen_bench.config.make_variant(preset, task.name, settings).for_task(task.name).models


@click.command("models")
@click.argument("task", required=False)
@_models_option
@_preset_option
@click.option(
    "--cost",
    is_flag=True,
    help="Count what a training step takes instead: operations, and bytes read and written.",
)
@click.option(
    "--batch",
    type=click.IntRange(min=2),
    help="Transitions in a batch, for --cost.  [default: that of the preset, or of paper]",
)
@click.option(
    "--precision",
    type=click.Choice(["float32", "bfloat16"]),
    help="Precision of the networks, for --cost.  [default: that of the preset, or float32]",
)
@_json_option
@quiet_option
def models_command(
    task: str | None,
    models: tuple[str, ...],
    preset: str | None,
    batch: int | None,
    precision: str | None,
    *,
    cost: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """List the models of TASK, or of all tasks: what they are, and how many parameters they have.

    A parameter belongs to the first of S, E and T whose output depends on it. Models of a task have the same
    budget if the largest has at most 10 % more parameters than the smallest.

    With --cost, what a training step takes: floating-point operations of products and convolutions, and bytes
    read and written, counted from the networks as they run on a CPU, without computing or measuring anything.

    \b
    Examples:
      sen-bench models
      sen-bench models 3d-blocks --preset smoke
      sen-bench models 3d-blocks --model sen --model my_models:Keypoints
      sen-bench models 3d-blocks --cost
      sen-bench models --cost --preset cpu --precision bfloat16 --json
    """
    if models and task is None:
        raise ConfigError("--model says which models of one task; name the task too")
    if not cost and (batch is not None or precision is not None):
        raise ConfigError("--batch and --precision say what to count; give --cost too")
    terminal = Terminal(quiet=quiet)
    loaded = None if preset is None else sen_bench.config.load_preset(preset)
    rows: list[dict[str, Any]] = []
    selected = _selected(task, models, loaded)
    with terminal.work("count" if cost else "build", "models") as advance:
        for number, (name, model) in enumerate(selected, start=1):
            try:
                chosen = get_task(name)
                rows.append(
                    _cost_row(chosen, model, loaded, batch, precision)
                    if cost
                    else _row(chosen, model, loaded)
                )
            except ExtensionError as error:
                if models:
                    raise
                rows.append({"task": name, "model": model, "error": str(error)})
            advance(number, len(selected))
    show = format_costs if cost else describe_models
    click.echo(json.dumps(rows, indent=2) if as_json else show(rows))


def _selected(task: str | None, models: tuple[str, ...], preset: Preset | None) -> list[tuple[str, str]]:
    """Pairs of task and model; for all tasks, or those that the preset mentions, if there is one."""
    if task is not None:
        chosen = get_task(task)
        _options(preset, chosen)
        offered = [] if models else model_names(chosen)
        return [(task, model) for model in offered or sen_bench.tasks.choose_models(chosen, models)]
    pairs = []
    for name in task_names():
        if preset is not None and name not in preset.tasks:
            continue
        try:
            pairs += [(name, model) for model in model_names(get_task(name))]
        except ExtensionError:
            pairs.append((name, "-"))  # it is raised again, and then shown, when its models are built
    return pairs


def _row(task: Task, name: str, preset: Preset | None) -> dict[str, Any]:
    options = _options(preset, task).get(name, {})
    model = task.build_model(name, options)
    counts = sen_bench.checks.count_parameters(model, task.world())
    return {
        "task": task.name,
        "model": name,
        "class": type(model).__name__,
        "equivariant": model.equivariant,
        "image_equivariance": model.image_equivariance,
        "on_request": name in task.models_on_request,
        "options": dict(options),
        "parameters": asdict(counts),
    }


def _cost_row(
    task: Task, name: str, preset: Preset | None, batch: int | None, precision: str | None
) -> dict[str, Any]:
    """What a training step of a model takes, with the batch and precision of the preset unless given."""
    options = _options(preset, task).get(name, {})
    sizes = sen_bench.config.load_preset("paper") if preset is None else preset
    training = sizes.tasks.get(task.name, sen_bench.config.TaskPreset()).training
    batch = training.batch_size if batch is None else batch
    if precision is None:
        precision = "float32" if preset is None else training.precision
    cost = sen_bench.costs.step_cost(
        task.build_model(name, options), task.world(), batch=batch, precision=precision
    )
    return {
        "task": task.name,
        "model": name,
        "options": dict(options),
        "cost": {"precision": precision, **asdict(cost)},
    }


@click.command("check", cls=SettingsCommand)
@click.argument("task", required=False)
@_models_option
@click.option(
    "--run",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Check the trained model in this folder of a run, instead of untrained ones.",
)
@_preset_option
@set_option
@click.option("--all-elements", "everything", is_flag=True, help="Try every element of a finite group.")
@click.option(
    "--states",
    type=click.IntRange(min=1, max=10_000),
    default=8,
    show_default=True,
    help="States to try, each with an action.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    default=TOLERANCE,
    show_default=True,
    help="Largest error that still counts as equivariant.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0, max=SEED_LIMIT - 1),
    default=0,
    show_default=True,
    help="Seed of weights and states.",
)
@_json_option
@quiet_option
@click.pass_context
def check_command(
    ctx: click.Context,
    task: str | None,
    models: tuple[str, ...],
    folder: Path | None,
    preset: str | None,
    settings: tuple[tuple[str, object], ...],
    states: int,
    tolerance: float,
    seed: int,
    *,
    everything: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Measure how equivariant the parts S, E and T of models of TASK are, element by element.

    States and actions are drawn from the task's world, so no dataset is needed. Networks run in float64. E, T
    and S on images must commute with the group where the model claims it; if one does not, the exit code
    is 1. S on states is only measured: it is what a symmetric embedding has to learn.

    \b
    Examples:
      sen-bench check 3d-blocks --model sen
      sen-bench check 3d-blocks --model my_models:Keypoints --all-elements
      sen-bench check 3d-blocks --model sen --preset smoke --set models.sen.hidden=64
      sen-bench check --run runs/3d-blocks/train/sen/cpu/seed-0
    """
    subjects = _subjects(task, models, folder, preset, settings_of(settings), seed)
    terminal = Terminal(quiet=quiet)
    reports, broken = [], []
    for about, on, model in subjects:
        world = on.world()
        samples = sen_bench.checks.Samples.draw(world, states, warmup=on.split("eval").warmup, seed=seed)
        group = world.symmetry.group
        choose = sen_bench.checks.all_elements if everything else sen_bench.checks.chosen_elements
        elements = choose(group, seed=seed)
        errors = sen_bench.checks.equivariance_errors(
            model, samples, elements=elements, progress=terminal, title=f"check {about['model']}"
        )
        lines = sen_bench.checks.broken_claims(model, errors, tolerance=tolerance)
        broken += [f"{about['model']}: {line}" for line in lines]
        claims = {"equivariant": model.equivariant, "image_equivariance": model.image_equivariance}
        reports.append({**about, **claims, "broken": lines, "elements": [_json(entry) for entry in errors]})
        if not as_json:
            click.echo(describe_errors(about, world.symmetry.group, elements, errors))
    if as_json:
        click.echo(json.dumps(reports, indent=2))
    for line in broken:
        terminal.message(f"NOT EQUIVARIANT: {line}")
    if broken:
        ctx.exit(EXIT_NOT_EQUIVARIANT)


def _json(entry: ElementErrors) -> dict[str, Any]:
    """The errors of an element; None for an undefined one, as JSON has no NaN."""
    return {
        key: None if isinstance(value, float) and math.isnan(value) else value
        for key, value in asdict(entry).items()
    }


def _subjects(
    task: str | None,
    models: tuple[str, ...],
    folder: Path | None,
    preset: str | None,
    settings: Mapping[str, object],
    seed: int,
) -> list[tuple[dict[str, Any], Task, WorldModel]]:
    """What to check: a description, the task and the model of each."""
    import torch  # noqa: PLC0415 — only now that there is work for it

    if folder is not None:
        if task is not None or models or preset is not None or settings:
            raise ConfigError("--run says which task, model and widths to check; leave the others out")
        run = sen_bench.runs.open_run(folder, data=Path(), device=torch.device("cpu"))
        model, checkpoint = sen_bench.runs.model_so_far(run)
        about = {"task": run.task.name, "model": run.config.model, "trained_epochs": checkpoint.epoch}
        return [(about, run.task, model)]
    if task is None:
        raise ConfigError(f"name a task, or a run by --run FOLDER; tasks: {', '.join(task_names())}")
    chosen = get_task(task)
    names = sen_bench.tasks.choose_models(chosen, models)
    widths = _changed(
        _options(None if preset is None else sen_bench.config.load_preset(preset), chosen),
        chosen,
        names,
        settings,
    )
    subjects = []
    for name in names:
        with sen_bench.system.settings_restored(), sen_bench.system.seeded(seed, torch.device("cpu")):
            model = chosen.build_model(name, widths.get(name, {}))
        subjects.append(({"task": chosen.name, "model": name, "trained_epochs": 0}, chosen, model))
    return subjects

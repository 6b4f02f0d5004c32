"""Which runs a sweep consists of: tasks × their training splits × their models × seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch

from sen_bench.config import (
    Preset,
    TaskPreset,
    change_training,
    check_seeds,
    make_variant,
    parse_memory,
    setting_path,
)
from sen_bench.errors import ConfigError, ExtensionError, UnknownNameError
from sen_bench.runs import Run, Workspace, place_data
from sen_bench.system import QUIET, Progress, is_object_name
from sen_bench.tasks import (
    Task,
    check_preset,
    check_setting_names,
    check_settings,
    choose_models,
    concerns,
    default_models,
    get_task,
    model_names,
    resolve_model,
    run_config,
    task_names,
)


@dataclass(frozen=True)
class Selection:
    """What was asked for.

    Attributes:
        tasks: Names of tasks; None: every task that the preset has sizes for.
        models: Names of models; none: each task's default models.
        seeds: Seeds; None: as many as the preset says.
        train_split: The split to train on; None: every one that the task has for it, but for slices.
        preset: The sizes.
        training: What is to be otherwise than in the preset's training, under the preset's name.
        workspace: Where data, runs and results are.
        device: Where the runs take place.
        compiled: Whether training steps are compiled; None: as suits the device and the length of a run.
        graph: Whether they are CUDA graphs; None: likewise.
        data_memory: Memory on the device for training data, in bytes; None: what suits it.
        eval_memory: Memory on the device for evaluation, in bytes; None: what suits it.
        anew: Whether runs are started afresh, however far they are.
        elsewhere: Whether the device belongs to another machine, about which nothing is known here.
        settings: What is to be otherwise than in the preset, by dotted names; makes a variant of it. Where
            there are several tasks, settings of models and splits are for those that run with them.

    Raises:
        ConfigError: If a seed, an amount of memory or a setting of training cannot be used.
    """

    tasks: tuple[str, ...] | None
    models: tuple[str, ...]
    seeds: tuple[int, ...] | None
    train_split: str | None
    preset: Preset
    training: Mapping[str, object]
    workspace: Workspace
    device: torch.device
    compiled: bool | None = None
    graph: bool | None = None
    data_memory: int | None = None
    eval_memory: int | None = None
    anew: bool = False
    elsewhere: bool = False
    settings: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.seeds is not None:
            object.__setattr__(self, "seeds", check_seeds(self.seeds))
        for name in ("data_memory", "eval_memory"):
            object.__setattr__(self, name, parse_memory(getattr(self, name)))
        change_training(TaskPreset(), self.training)

    @property
    def several(self) -> bool:
        """Whether tasks may lack what others have: they are then passed over."""
        return self.tasks is None or len(self.tasks) > 1


@dataclass(frozen=True)
class _Part:
    """What is run of a task.

    Attributes:
        task: The task.
        models: Its models that are run.
        splits: The splits that they are trained on.
    """

    task: Task
    models: list[str]
    splits: list[str]


def select_runs(selection: Selection, progress: Progress = QUIET) -> list[Run]:
    """The runs that were asked for, all checked; at least one.

    Args:
        selection: What was asked for.
        progress: Is told which tasks are passed over.

    Raises:
        UnknownNameError: If no task has such a model or split, or there is no such task.
        ConfigError: If the preset does not fit, a setting would change nothing, or nothing is left to run.
    """
    tasks = list(_tasks(selection, progress))
    _check_somebody_has(selection, tasks)
    parts = [part for task in tasks if (part := _part_of(selection, task, progress)) is not None]
    if not parts:
        raise ConfigError("nothing is left to run: no task has both such models and such a split")
    # A setting need not concern every task, but one that concerns none is a slip.
    idle = [
        setting
        for setting in selection.settings
        if not any(concerns(setting, part.models, part.splits) for part in parts)
    ]
    check_settings(
        idle,
        [model for part in parts for model in part.models],
        [split for part in parts for split in part.splits],
    )
    runs = [run for part in parts for run in _runs_of(selection, part)]
    return [_placed(run, selection, alone=len(runs) == 1) for run in runs]


def _tasks(selection: Selection, progress: Progress) -> Iterator[Task]:
    """The tasks; of all tasks, those that can be run."""
    if selection.tasks is not None:
        yield from map(get_task, dict.fromkeys(selection.tasks))
        return
    for name in sorted(selection.preset.tasks.keys() - set(task_names())):
        progress.message(
            f"{name} is skipped: preset {selection.preset.name!r} has sizes for it, but there is no such task"
        )
    for name in task_names():
        try:
            task = get_task(name)
        except ExtensionError as error:
            progress.message(f"{name} is skipped: {error}")
            continue
        if name not in selection.preset.tasks:
            progress.message(f"{name} is skipped: preset {selection.preset.name!r} says nothing about it")
        elif not selection.models and not default_models(task):
            progress.message(f"{name} is skipped: it has no models")
        else:
            yield task


def _check_somebody_has(selection: Selection, tasks: list[Task]) -> None:
    """Refuses a model or split that no task has: that is a slip, not a choice."""
    if not selection.several:
        check_setting_names(tasks[0], selection.settings)
        return
    models = dict.fromkeys(name for task in tasks for name in model_names(task))
    for name in selection.models:
        if name not in models and not is_object_name(name):
            raise UnknownNameError("model", name, models)
    splits = dict.fromkeys(name for task in tasks for name in task.train_splits)
    if selection.train_split is not None and selection.train_split not in splits:
        raise UnknownNameError("split", selection.train_split, splits)
    for setting in selection.settings:
        section, name, *_ = setting_path(setting)
        if not any(_has(task, setting) for task in tasks):
            known = models if section == "models" else {split for task in tasks for split in task.splits}
            raise UnknownNameError("model" if section == "models" else "split", name, known)


def _part_of(selection: Selection, task: Task, progress: Progress) -> _Part | None:
    """What is run of one task; None if it is passed over."""
    names = list(selection.models)
    splits = task.default_train_splits if selection.train_split is None else [selection.train_split]
    if selection.several:
        if names and not (names := [n for n in names if is_object_name(n) or n in model_names(task)]):
            progress.message(f"{task.name} is skipped: it has no such model")
            return None
        if not (splits := [split for split in splits if split in task.train_splits]):
            progress.message(f"{task.name} is skipped: it has no split {selection.train_split}")
            return None
    return _Part(task, choose_models(task, names), splits)


def _runs_of(selection: Selection, part: _Part) -> Iterator[Run]:
    """The runs of one task."""
    task = part.task
    preset = _variant(selection, part)
    of_task = change_training(preset.for_task(task.name), selection.training)
    check_preset(task, of_task)
    resolved = [resolve_model(task, model, of_task.models.get(model, {})) for model in part.models]
    seeds = range(of_task.seeds) if selection.seeds is None else selection.seeds
    for split in part.splits:
        for model in resolved:
            config = run_config(model, split, of_task)
            for seed in seeds:
                yield Run(
                    task,
                    preset,
                    config,
                    seed,
                    selection.workspace,
                    selection.device,
                    compiled=selection.compiled,
                    graph=selection.graph,
                    eval_memory=selection.eval_memory,
                )


def _placed(run: Run, selection: Selection, *, alone: bool) -> Run:
    """The run, with it decided where its data is held, if that can be known here.

    Raises:
        ConfigError: If the memory is too little; or it is the only one, and its world cannot be made.
    """
    memory = selection.data_memory
    if selection.elsewhere and memory is None and (selection.anew or not run.begun):
        return run
    try:
        return place_data(run, memory, anew=selection.anew)
    except ConfigError:
        if alone or memory is not None:
            raise
        # What is wrong with it is reported when it is its turn; the others go on.
        return run


def _variant(selection: Selection, part: _Part) -> Preset:
    """The preset of a task, with the settings beside it that concern what is run of the task.

    Raises:
        ConfigError: If the preset says nothing about the task, or there is no such setting or value.
    """
    settings = {
        name: value for name, value in selection.settings.items() if concerns(name, part.models, part.splits)
    }
    return make_variant(selection.preset, part.task.name, settings)


def _has(task: Task, setting: str) -> bool:
    """Whether a task has what a setting is about."""
    section, name, *_ = setting_path(setting)
    if section == "models":
        return is_object_name(name) or name in model_names(task)
    return section != "data" or name in task.splits

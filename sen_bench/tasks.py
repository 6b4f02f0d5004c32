"""The registry of tasks: each ties a world, its splits, its models and its horizons together."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sen_bench.baselines.model import WorldModel
from sen_bench.baselines.objects import (
    BLOCKS_3D,
    KINDS,
    RUSH_HOUR,
    SHAPES_2D,
    ObjectSpaces,
    build_object_model,
)
from sen_bench.baselines.reacher import build_reacher_model
from sen_bench.baselines.teapot import build_teapot_model
from sen_bench.config.presets import SplitSize, TaskPreset
from sen_bench.config.settings import EvaluationConfig, ModelOption, RunConfig
from sen_bench.envs import World, make_world
from sen_bench.errors import ConfigError, ExtensionError, UnknownNameError
from sen_bench.generators import Policy, Recipe
from sen_bench.system import plugins

#: Builds an untrained model: called with the world's ``symmetry``, the ``observation_shape`` of what a model
#: is shown at once (height, width and the channels of all stacked frames), and the width options.
ModelBuilder = Callable[..., WorldModel]

UP, RIGHT, DOWN, LEFT = range(4)
"""The directions in the actions of grid worlds, which are numbered ``4 * object + direction``."""

DEFAULT_DATA_SEED = 0
"""Seed of the datasets of record; splits differ all the same, because the split enters every draw."""


@dataclass(frozen=True)
class Split:
    """A split of a task at the paper's size.

    Attributes:
        episodes: How many episodes.
        horizon: Steps in an episode.
        purpose: In words, what it is for.
        twin: Whether every episode is stored with its twin.
        negatives: Whether hard negatives of every transition are stored.
        policy: Which actions are drawn.
        warmup: Steps before the first frame that are not recorded.
    """

    episodes: int
    horizon: int
    purpose: str
    twin: bool = False
    negatives: bool = False
    policy: Policy = field(default_factory=Policy)
    warmup: int = 0


@dataclass(frozen=True)
class Task:
    """A row of the benchmark.

    Attributes:
        name: What it is called on the command line.
        title: What it is called in the paper.
        world_id: The Gymnasium id of its world.
        world_options: The options of the world.
        splits: By name. ``train`` and ``eval`` are there always.
        models: By name, what builds each model. A task may have none of its own. Others are added by plugins,
            see `model_names`.
        symmetric_models: Which of its models are symmetric embedding networks, the ones the paper proposes.
            The first is what the leaderboard compares the others with; empty: it compares none.
    """

    name: str
    title: str
    world_id: str
    splits: Mapping[str, Split]
    models: Mapping[str, ModelBuilder]
    world_options: Mapping[str, Any] = field(default_factory=dict)
    symmetric_models: tuple[str, ...] = ()

    def world(self) -> World:
        """A new instance of the world."""
        return make_world(self.world_id, **self.world_options)

    def split(self, name: str) -> Split:
        """The split of that name.

        Raises:
            UnknownNameError: If the task has none.
        """
        if name not in self.splits:
            raise UnknownNameError(f"split of {self.name}", name, self.splits)
        return self.splits[name]

    @property
    def train_splits(self) -> list[str]:
        """The splits that models are trained on: ``train``, and those called ``train-…``."""
        return [name for name in self.splits if name == "train" or name.startswith("train-")]

    def model_names(self) -> list[str]:
        """The models that can be asked for by a plain name: those of the task, then those of plugins.

        A plugin adds a model by an entry point ``TASK.MODEL`` in the group ``sen_bench.models``.
        """
        added = (name.partition(".") for name in plugins.plugin_names(plugins.MODELS))
        return list(dict.fromkeys([*self.models, *(model for task, _, model in added if task == self.name)]))

    def check_models(self, names: list[str]) -> list[str]:
        """The names given, each once, or all of the task's own models where none is given.

        Raises:
            UnknownNameError: If there is no such model.
            ExtensionError: If a name means two models.
            ConfigError: If none is given and the task has no models of its own.
        """
        if not names and not self.models:
            raise ConfigError(
                f"{self.name} has no models of its own; name one by --model, as package.module:Class"
            )
        known = self.model_names()
        for name in names:
            if name not in known and not plugins.is_object_name(name):
                raise UnknownNameError(f"model of {self.name}", name, known)
        chosen = [name for name in known if name in names] if names else list(self.models)
        for name in chosen:
            self._check_one_meaning(name)
        return chosen + [name for name in dict.fromkeys(names) if name not in known]

    def builder(self, model: str) -> ModelBuilder:
        """What builds a model.

        Args:
            model: A name of `model_names`, or ``package.module:Class``: any `ModelBuilder`.

        Raises:
            UnknownNameError: If there is no such model.
            ExtensionError: If it cannot be imported or called, or its name means two models.
        """
        self.check_models([model])
        if model in self.models:
            return self.models[model]
        built: Any = (
            plugins.import_object(model, "model")
            if plugins.is_object_name(model)
            else plugins.load_plugin(plugins.MODELS, f"{self.name}.{model}")
        )
        if not callable(built):
            raise ExtensionError(f"model {model!r} of {self.name} is neither a class nor a function")
        builder: ModelBuilder = built
        return builder

    def _check_one_meaning(self, model: str) -> None:
        origins = plugins.plugin_origins(plugins.MODELS, f"{self.name}.{model}")
        if model in self.models and origins:
            raise ExtensionError(
                f"model {model!r} of {self.name} is one of the task's own, and {' and '.join(origins)} offers"
                " another of that name; rename that one, or uninstall it"
            )

    def recipe(self, split: str, size: SplitSize | None = None, *, seed: int = DEFAULT_DATA_SEED) -> Recipe:
        """What to generate for a split.

        Args:
            split: Its name.
            size: Episodes and steps, where they are not to be the paper's.
            seed: The seed of the dataset.

        Raises:
            UnknownNameError: If the task has no such split.
        """
        spec = self.split(split)
        size = size or SplitSize()
        return Recipe(
            task=self.name,
            split=split,
            world_id=self.world_id,
            world_options=dict(self.world_options),
            episodes=spec.episodes if size.episodes is None else size.episodes,
            horizon=spec.horizon if size.horizon is None else size.horizon,
            seed=seed,
            policy=spec.policy,
            twin=spec.twin,
            negatives=spec.negatives,
            warmup=spec.warmup,
        )

    def build_model(self, name: str, options: Mapping[str, ModelOption]) -> WorldModel:
        """Makes an untrained model.

        Args:
            name: A name of `model_names`, or ``package.module:Class``.
            options: Its options; those of the task's own models are whole numbers.

        Raises:
            UnknownNameError: If there is no such model.
            ExtensionError: If it is one of others, and cannot be imported or is no `WorldModel`.
            ConfigError: If the model has no such option, or cannot be built with it.
        """
        builder = self.builder(name)
        self._check_options(name, builder, options)
        world = self.world()
        height, width, channels = world.observation_space.shape or ()
        given = {
            "symmetry": world.symmetry,
            "observation_shape": (height, width, channels * world.frame_stack),
            **options,
        }
        what = f"model {name!r} of {self.name}"
        try:
            model = builder(**given)
        except (RuntimeError, TypeError) as error:  # as torch says that no memory holds such tensors
            if name not in self.models:
                raise  # the mistake is in code of others, who need to see where
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise ConfigError(f"{what} cannot be built with {dict(options)}: {reason}") from error
        if not isinstance(model, WorldModel):
            raise ExtensionError(
                f"{what} is a {type(model).__name__}; it must be a subclass of"
                " sen_bench.baselines.model.WorldModel"
            )
        return model

    def _check_options(self, name: str, builder: ModelBuilder, options: Mapping[str, ModelOption]) -> None:
        if name in self.models:
            for option, value in options.items():
                if not isinstance(value, int) or isinstance(value, bool):
                    raise ConfigError(
                        f"model {name!r} of {self.name}: {option} must be a whole number, not {value!r}"
                    )
        given = dict.fromkeys(("symmetry", "observation_shape"))
        for option in given.keys() & options.keys():
            raise ConfigError(f"model {name!r} of {self.name}: {option} is the world's, and no option")
        try:
            inspect.signature(builder).bind(**given, **options)
        except TypeError as error:
            raise ConfigError(f"model {name!r} of {self.name}: {error}") from error

    def run_config(self, model: str, train_split: str, preset: TaskPreset) -> RunConfig:
        """The resolved settings of a run.

        Raises:
            UnknownNameError: If the task has no such model or training split, or the preset names one it
                has not.
            ExtensionError: If the model is one of others, and cannot be imported.
            ConfigError: If the preset gives the model an option that it does not have, or a horizon is longer
                than the episodes it is measured on.
        """
        self.check_models([model, *preset.models])
        builder, options = self.builder(model), preset.models.get(model, {})
        self._check_options(model, builder, options)
        if train_split not in self.train_splits:
            raise UnknownNameError(f"training split of {self.name}", train_split, self.train_splits)
        for split in preset.data:
            self.split(split)
        self._check_horizons(preset.evaluation, preset.data.get("eval"))
        return RunConfig(
            task=self.name,
            train_split=train_split,
            model=model,
            model_options=options,
            model_code=plugins.source_digest(builder),
            training=preset.training,
            evaluation=preset.evaluation,
        )

    def _check_horizons(self, evaluation: EvaluationConfig, size: SplitSize | None) -> None:
        steps = self.recipe("eval", size).horizon
        longest = max(evaluation.horizons)
        if longest > steps:
            raise ConfigError(
                f"{self.name} is to be evaluated {longest} steps ahead, but its eval episodes have {steps};"
                " shorten evaluation.horizons or lengthen data.eval.horizon in the preset"
            )


_GRID_SPLITS = {
    "train": Split(1000, 100, "training"),
    "eval": Split(10_000, 10, "evaluation, with twins", twin=True),
}


def _limited(purpose: str, directions: tuple[int, ...]) -> Split:
    """A training split of a grid world in which only some directions are drawn."""
    allowed = tuple(action for action in range(20) if action % 4 in directions)
    return Split(
        100_000,
        1,
        f"training {purpose} (generalisation from limited actions)",
        policy=Policy(allowed=allowed),
    )


def _object_models(spaces: ObjectSpaces) -> dict[str, ModelBuilder]:
    """The models of a grid world."""
    return {kind: partial(build_object_model, kind, spaces=spaces) for kind in KINDS}


_SHAPES_2D = Task(
    name="2d-shapes",
    title="2D Shapes",
    world_id="sen_bench/Shapes2D-v0",
    splits={**_GRID_SPLITS, "train-limited": _limited("with the direction up only", (UP,))},
    models=_object_models(SHAPES_2D),
    symmetric_models=("sen",),
)

_BLOCKS_3D = Task(
    name="3d-blocks",
    title="3D Blocks",
    world_id="sen_bench/Blocks3D-v0",
    splits={**_GRID_SPLITS, "train-limited": _limited("without the direction left", (UP, RIGHT, DOWN))},
    models=_object_models(BLOCKS_3D),
    symmetric_models=("sen",),
)

_RUSH_HOUR = Task(
    name="rush-hour",
    title="Rush Hour",
    world_id="sen_bench/RushHour-v0",
    splits=_GRID_SPLITS,
    models=_object_models(RUSH_HOUR),
    symmetric_models=("sen",),
)

_REACHER = Task(
    name="reacher",
    title="Reacher",
    world_id="sen_bench/Reacher-v0",
    splits={
        "train": Split(2000, 10, "training", warmup=50),
        "eval": Split(1000, 10, "evaluation, with twins", twin=True, warmup=50),
        "train-limited": Split(
            2000,
            10,
            "training without negative torques of joint 1 (generalisation from limited actions)",
            policy=Policy(absolute=(1,)),
            warmup=50,
        ),
    },
    models={kind: partial(build_reacher_model, kind) for kind in KINDS},
    symmetric_models=("sen",),
)

_TEAPOTS = tuple(
    Task(
        name=f"teapot-{actions}",
        title=f"3D Teapot, {actions} actions",
        world_id="sen_bench/Teapot-v0",
        world_options={"actions": actions},
        splits={
            "train": Split(100_000, 1, "training"),
            # The paper does not say how many; this is our choice.
            "eval": Split(10_000, 1, "evaluation, with twins and hard negatives", twin=True, negatives=True),
        },
        models={kind: partial(build_teapot_model, kind) for kind in ("matmul", "tfn", "none")},
        symmetric_models=("matmul", "tfn"),
    )
    for actions in ("small", "large")
)

_TASKS = {task.name: task for task in (_SHAPES_2D, _BLOCKS_3D, _RUSH_HOUR, _REACHER, *_TEAPOTS)}


def task_names() -> list[str]:
    """The names of all tasks: those of the paper in its order, then those of plugins.

    A plugin adds a task by an entry point in the group ``sen_bench.tasks``, a `Task` or a function that makes
    it; the entry point's name is the task's.
    """
    return list(dict.fromkeys([*_TASKS, *plugins.plugin_names(plugins.TASKS)]))


def get_task(name: str) -> Task:
    """The task of that name.

    Raises:
        UnknownNameError: If there is none.
        ExtensionError: If it is a plugin's and cannot be used, or its name means two tasks.
    """
    if name not in task_names():
        raise UnknownNameError("task", name, task_names())
    origins = plugins.plugin_origins(plugins.TASKS, name)
    if name not in _TASKS:
        return _plugged_task(name, " and ".join(origins))
    if origins:
        raise ExtensionError(
            f"task {name!r} is one of sen-bench's own, and {' and '.join(origins)} offers another of that"
            " name; rename that one, or uninstall it"
        )
    return _TASKS[name]


def _plugged_task(name: str, origin: str) -> Task:
    """The task that a plugin offers.

    Raises:
        ExtensionError: If it cannot be imported, is no task, or is called otherwise.
    """
    task = plugins.load_plugin(plugins.TASKS, name)
    if not isinstance(task, Task) and callable(task):
        task = plugins.call_plugin(f"task {name!r} of {origin}", task)
    if not isinstance(task, Task):
        raise ExtensionError(
            f"task {name!r} of {origin} is a {type(task).__name__}; it must be a sen_bench.tasks.Task"
        )
    if task.name != name:
        raise ExtensionError(f"task {name!r} of {origin} calls itself {task.name!r}; both must be equal")
    return task

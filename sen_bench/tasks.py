"""The registry of tasks: each ties a world, its splits, its models and its horizons together."""

from __future__ import annotations

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
from sen_bench.config import EvaluationConfig, RunConfig, SplitSize, TaskPreset
from sen_bench.envs import World, make_world
from sen_bench.errors import ConfigError, UnknownNameError
from sen_bench.generators import Policy, Recipe

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
        models: By name, what builds each model. A task may have none: then it is a dataset only.
    """

    name: str
    title: str
    world_id: str
    splits: Mapping[str, Split]
    models: Mapping[str, ModelBuilder]
    world_options: Mapping[str, Any] = field(default_factory=dict)

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

    def check_models(self, names: list[str]) -> list[str]:
        """The names given, or all models where none is; in the order of the task.

        Raises:
            UnknownNameError: If the task has no such model.
            ConfigError: If it has no models at all.
        """
        if not self.models:
            raise ConfigError(
                f"{self.name} has no models yet, only datasets: `sen-bench generate {self.name}` writes them"
            )
        for name in names:
            if name not in self.models:
                raise UnknownNameError(f"model of {self.name}", name, self.models)
        return [name for name in self.models if not names or name in names]

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

    def build_model(self, name: str, options: Mapping[str, int]) -> WorldModel:
        """Makes an untrained model.

        Raises:
            UnknownNameError: If the task has no such model.
            ConfigError: If the task has no models, or the model has no such option.
        """
        self.check_models([name])
        world = self.world()
        height, width, channels = world.observation_space.shape or ()
        shape = (height, width, channels * world.frame_stack)
        try:
            return self.models[name](symmetry=world.symmetry, observation_shape=shape, **options)
        except TypeError as error:
            raise ConfigError(f"model {name!r} of {self.name}: {error}") from error

    def run_config(self, model: str, train_split: str, preset: TaskPreset) -> RunConfig:
        """The resolved settings of a run.

        Raises:
            UnknownNameError: If the task has no such model or split, or the preset names one it has not.
            ConfigError: If it has no models, or a horizon is longer than the episodes it is measured on.
        """
        self.check_models([model, *preset.models])
        for split in (train_split, *preset.data):
            self.split(split)
        self._check_horizons(preset.evaluation, preset.data.get("eval"))
        return RunConfig(
            task=self.name,
            train_split=train_split,
            model=model,
            model_options=preset.models.get(model, {}),
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
)

_BLOCKS_3D = Task(
    name="3d-blocks",
    title="3D Blocks",
    world_id="sen_bench/Blocks3D-v0",
    splits={**_GRID_SPLITS, "train-limited": _limited("without the direction left", (UP, RIGHT, DOWN))},
    models=_object_models(BLOCKS_3D),
)

_RUSH_HOUR = Task(
    name="rush-hour",
    title="Rush Hour",
    world_id="sen_bench/RushHour-v0",
    splits=_GRID_SPLITS,
    models=_object_models(RUSH_HOUR),
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
    )
    for actions in ("small", "large")
)

_TASKS = {task.name: task for task in (_SHAPES_2D, _BLOCKS_3D, _RUSH_HOUR, _REACHER, *_TEAPOTS)}


def task_names() -> list[str]:
    """The names of all tasks, in the order of the paper."""
    return list(_TASKS)


def get_task(name: str) -> Task:
    """The task of that name.

    Raises:
        UnknownNameError: If there is none.
    """
    if name not in _TASKS:
        raise UnknownNameError("task", name, _TASKS)
    return _TASKS[name]

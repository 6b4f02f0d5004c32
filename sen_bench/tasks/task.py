"""A task: a world, its splits, its models and its horizons."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sen_bench.baselines import WorldModel
from sen_bench.config import EvaluationConfig, ModelOption, RunConfig, SplitSize, TaskPreset
from sen_bench.envs import World, make_world
from sen_bench.errors import ConfigError, ExtensionError, UnknownNameError
from sen_bench.generators import Policy, Recipe
from sen_bench.system import plugins

#: Builds an untrained model: called with the world's ``symmetry``, the ``observation_shape`` of what a model
#: is shown at once (height, width and the channels of all stacked frames), and the width options.
ModelBuilder = Callable[..., WorldModel]


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

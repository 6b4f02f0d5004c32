"""A task: a world, its splits, its models and its horizons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sen_bench.errors import UnknownNameError
from sen_bench.generators import Policy, Recipe
from sen_bench.tasks.models import resolve_model

if TYPE_CHECKING:
    from sen_bench.baselines import WorldModel
    from sen_bench.config import ModelOption, SplitSize
    from sen_bench.envs import World
    from sen_bench.results import Metric
    from sen_bench.tasks.models import AnyBuilder

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
        slice: Whether its transitions are those of the world's slice, see `World.sample_slice`. It is trained
            on where it is named only: it answers a question of its own.
    """

    episodes: int
    horizon: int
    purpose: str
    twin: bool = False
    negatives: bool = False
    policy: Policy = field(default_factory=Policy)
    warmup: int = 0
    slice: bool = False


@dataclass(frozen=True)
class Task:
    """A row of the benchmark.

    Attributes:
        name: What it is called on the command line.
        title: What it is called in the paper.
        world_id: The Gymnasium id of its world.
        world_options: The options of the world.
        splits: By name. ``train`` and ``eval`` are there always.
        models: By name, what builds each model: a `ModelBuilder`, or its name, ``package.module:attribute``.
            A task may have none of its own; plugins add others, see `model_names`.
        symmetric_models: Which of its models are symmetric embedding networks, the ones the paper proposes.
            The first is what the leaderboard compares the others with; empty: it compares none.
        models_on_request: Which of its models are run only where they are named: references from elsewhere,
            which are no part of the comparison of record.
        ranked_locally: Whether its models are ranked by local H@1, where all of its runs of a split and
            preset have it [ours]. H@1 does not suffice where a model can do well that predicts no change.
    """

    name: str
    title: str
    world_id: str
    splits: Mapping[str, Split]
    models: Mapping[str, AnyBuilder]
    world_options: Mapping[str, Any] = field(default_factory=dict)
    symmetric_models: tuple[str, ...] = ()
    models_on_request: tuple[str, ...] = ()
    ranked_locally: bool = False

    def world(self) -> World:
        """A new instance of the world."""
        # Worlds bring Gymnasium, of which a list of tasks has no need.
        from sen_bench.envs import make_world  # noqa: PLC0415

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

    @property
    def default_train_splits(self) -> list[str]:
        """Those of them that are meant where none is named: all but slices."""
        return [name for name in self.train_splits if not self.splits[name].slice]

    def judged_by(self, horizon: int) -> Metric:
        """The score that it is judged by first.

        Args:
            horizon: Steps ahead.
        """
        from sen_bench.results import headline_metric  # noqa: PLC0415 — it imports pydantic

        return headline_metric(
            horizon, ranked_locally=self.ranked_locally, negatives=self.split("eval").negatives
        )

    def recipe(self, split: str, size: SplitSize | None = None, *, seed: int = DEFAULT_DATA_SEED) -> Recipe:
        """What to generate for a split.

        Args:
            split: Its name.
            size: Episodes and steps, if not the paper's.
            seed: The seed of the dataset.

        Raises:
            UnknownNameError: If the task has no such split.
        """
        spec = self.split(split)
        return Recipe(
            task=self.name,
            split=split,
            world_id=self.world_id,
            world_options=dict(self.world_options),
            episodes=spec.episodes if size is None or size.episodes is None else size.episodes,
            horizon=spec.horizon if size is None or size.horizon is None else size.horizon,
            seed=seed,
            policy=spec.policy,
            twin=spec.twin,
            negatives=spec.negatives,
            warmup=spec.warmup,
            slice=spec.slice,
        )

    def build_model(self, name: str, options: Mapping[str, ModelOption] | None = None) -> WorldModel:
        """Makes an untrained model; its weights come from PyTorch's random numbers.

        Args:
            name: A model of the task, a plugin's for it, or ``package.module:Class``.
            options: Its options; those of the task's own models are whole numbers or words. None: its
                defaults.

        Raises:
            UnknownNameError: If there is no such model.
            ExtensionError: If it is third-party code, and cannot be imported or is not a `WorldModel`.
            ConfigError: If the model has no such option, or cannot be built with it.
        """
        return resolve_model(self, name, options or {}).build()

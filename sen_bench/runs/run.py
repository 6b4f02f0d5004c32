"""A run: one model of one task, trained and scored with one seed; a value, on which `steps` are taken."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch

from sen_bench.config import Preset, RunConfig
from sen_bench.generators import Recipe
from sen_bench.runs.datasets import RunData
from sen_bench.runs.folder import RunFolder
from sen_bench.runs.log import LOG_FILE
from sen_bench.runs.placement import Placement
from sen_bench.runs.workspace import Workspace
from sen_bench.store import Dataset
from sen_bench.tasks import Task, get_task
from sen_bench.training import CHECKPOINT_FILE


@dataclass(frozen=True)
class Run:
    """One model, one seed: its settings, and where everything that belongs to it is.

    Attributes:
        task: The task.
        preset: The preset, with what it says about data sizes.
        config: The resolved settings.
        seed: The seed.
        workspace: Where data, runs and results are.
        device: Where it runs.
        compiled: Whether the training step is compiled; None: as suits the device and
            the run's length.
        eval_memory: Bytes that evaluation may use on the device; None: `evaluation.default_memory`.
        placement: Where the training data is held, as `place_data` decides it; None: not decided yet.
        graph: Whether the training step is one CUDA graph; None: as suits the device and the run's length.
    """

    task: Task
    preset: Preset
    config: RunConfig
    seed: int
    workspace: Workspace
    device: torch.device
    compiled: bool | None = None
    eval_memory: int | None = None
    placement: Placement | None = None
    graph: bool | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        # A task goes to other processes by its name: its models may not be picklable.
        others = tuple(getattr(self, field.name) for field in fields(self) if field.name != "task")
        return _named, (self.task.name, *others)

    @property
    def name(self) -> str:
        """What the run is called, also as a path below the folder of runs."""
        config = self.config
        # Colons stand between paths in places, and no folder of Windows has one in its name.
        task, model = (name.replace(":", "-") for name in (config.task, config.model))
        return f"{task}/{config.train_split}/{model}/{self.preset.name}/seed-{self.seed}"

    @property
    def splits(self) -> tuple[str, str]:
        """The splits it needs: the one it trains on, and the one it is scored on."""
        return self.config.train_split, "eval"

    @property
    def data(self) -> RunData:
        """Its datasets."""
        return RunData(self.task, self.preset, self.workspace.data)

    @property
    def train_recipe(self) -> Recipe:
        """What the data that it trains on is generated from; of the first episodes of a split, alone."""
        recipe, first = self.data.recipe(self.config.train_split), self.config.training.first_episodes
        return recipe if first is None else replace(recipe, episodes=first)

    def open_train_data(self) -> Dataset:
        """Opens the data that it trains on: its split, or the first episodes of that.

        Raises:
            DatasetError: If the split is missing, broken, of another recipe, or has too few episodes.
        """
        dataset, first = self.data.open(self.config.train_split), self.config.training.first_episodes
        return dataset if first is None else dataset.first(first)

    @property
    def folder(self) -> Path:
        """Where its checkpoint and logs are."""
        return self.workspace.runs / self.name

    @property
    def place(self) -> RunFolder:
        """The same folder, with what keeps other processes out of it."""
        return RunFolder(self.folder, self.name)

    @property
    def checkpoint(self) -> Path:
        """Its checkpoint."""
        return self.folder / CHECKPOINT_FILE

    @property
    def log(self) -> Path:
        """What was said about it."""
        return self.folder / LOG_FILE

    @property
    def begun(self) -> bool:
        """Whether an epoch of it is trained."""
        return self.checkpoint.exists()

    def identity(self, train_digest: str) -> dict[str, str]:
        """What a checkpoint of this run must say about itself.

        Args:
            train_digest: The content digest of the data it is trained on.
        """
        return {
            "task": self.config.task,
            "model": self.config.model,
            "train_split": self.config.train_split,
            "seed": str(self.seed),
            "settings": self.config.weights_digest,
            "dataset": train_digest,
        }


def _named(task: str, *others: Any) -> Run:  # noqa: ANN401 — the fields of a run that follow its task
    """A run sent by another process."""
    return Run(get_task(task), *others)

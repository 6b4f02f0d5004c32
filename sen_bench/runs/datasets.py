"""The datasets of a task in the sizes that a preset asks for."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from sen_bench.config import Preset
from sen_bench.errors import DatasetError
from sen_bench.generators import (
    GenerationResult,
    Recipe,
    RunShards,
    check_unfinished,
    equal_dataset,
    generate,
)
from sen_bench.runs.workspace import dataset_path
from sen_bench.store import Dataset, open_dataset
from sen_bench.system import Progress
from sen_bench.tasks import Task


@dataclass(frozen=True)
class RunData:
    """The datasets of a task in the sizes that a preset asks for.

    Attributes:
        task: The task.
        preset: The preset, with what it says about data sizes.
        folder: The folder of all datasets.
    """

    task: Task
    preset: Preset
    folder: Path

    def recipe(self, split: str) -> Recipe:
        """What a split is generated from.

        Raises:
            UnknownNameError: If the task has no such split.
        """
        return self.task.recipe(split, self.preset.for_task(self.task.name).data.get(split))

    def path(self, split: str) -> Path:
        """Where a split is: a preset with its own sizes has its own folder."""
        resized = self.preset.for_task(self.task.name).data
        name = self.preset.data_name or self.preset.name
        return dataset_path(self.folder / name if resized else self.folder, self.task, split)

    def check(self, split: str) -> None:
        """Refuses what lies in the place of a split, or is unfinished beside it, if it is something else.

        Raises:
            DatasetError: If it is broken, or of another recipe.
        """
        path = self.path(split).absolute()
        way_out = f"`{self._command(split)}` moves it aside and generates it anew"
        if path.exists():
            equal_dataset(path, self.recipe(split), way_out=way_out)
        else:
            check_unfinished(path, self.recipe(split), way_out=way_out)

    def _command(self, split: str) -> str:
        """The command that generates a split in any case."""
        recipe, out = self.recipe(split), self.path(split).parents[1]
        size = ["--episodes", str(recipe.episodes), "--horizon", str(recipe.horizon)]
        return shlex.join(
            ["sen-bench", "generate", self.task.name, "--split", split, *size, "--out", str(out), "--force"]
        )

    def ensure(
        self, split: str, *, progress: Progress, workers: int = 1, run: RunShards | None = None
    ) -> GenerationResult:
        """Generates a split if it is missing; waits for one that another process is generating.

        Args:
            split: Its name.
            progress: Shows how it goes.
            workers: Processes that make its shards.
            run: What makes them, instead of such processes.

        Raises:
            DatasetError: If another dataset is in its place.
        """
        self.check(split)
        return generate(
            self.recipe(split),
            self.path(split),
            workers=workers,
            run=run,
            wait=True,
            progress=progress,
            title=f"generate {self.task.name} {split}",
        )

    def open(self, split: str) -> Dataset:
        """Opens a split.

        Raises:
            DatasetError: If it is missing, broken, or of another recipe.
        """
        path = self.path(split)
        if not path.exists():
            preset, _, settings = self.preset.name.partition("+")
            command = f"sen-bench run {self.task.name} --preset {preset}{' --set …' if settings else ''}"
            raise DatasetError(f"there is no dataset {path}; `{command}` generates what is missing")
        dataset = open_dataset(path)
        if dataset.recipe_digest != self.recipe(split).digest:
            raise DatasetError(
                f"{path} was generated with other settings than preset {self.preset.name} asks for;"
                f" `{self._command(split)}` moves it aside and generates it anew"
            )
        return dataset

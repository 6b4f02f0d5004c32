"""The settings that a run leaves in its folder, `config.json`, from which it can be rebuilt."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch
from pydantic import ValidationError

from sen_bench import __version__
from sen_bench.config import Preset, RunConfig, TaskPreset, TrainingConfig, check_seeds
from sen_bench.errors import CheckpointError, ConfigError, first_problem
from sen_bench.runs.folder import one_line
from sen_bench.runs.run import Run
from sen_bench.runs.workspace import Workspace
from sen_bench.system import write_atomically
from sen_bench.tasks import get_task

CONFIG_FILE: Final = "config.json"
"""The file of the settings, in the folder of a run."""


@dataclass(frozen=True)
class Settings:
    """What makes a run what it is.

    Attributes:
        preset: The preset; one read from a file has only the run's task.
        config: The resolved settings.
        seed: The seed.
    """

    preset: Preset
    config: RunConfig
    seed: int

    @classmethod
    def read(cls, folder: Path) -> Settings:
        """Reads them from the folder of a run.

        Raises:
            CheckpointError: If it is not the folder of a run.
            ConfigError: If its settings cannot be read.
        """
        path = folder / CONFIG_FILE
        settings = _contents(folder)
        try:
            name, seed, sizes = (settings.pop(key) for key in ("preset", "seed", "data"))
            data_name = settings.pop("data_name", None)
            del settings["version"]
            if type(seed) is not int:
                raise ConfigError(f"{path}: seed must be a whole number, not {seed!r}; {_REMEDY}")
            check_seeds([seed])
            config = RunConfig.model_validate(settings)
            preset = TaskPreset(
                data=sizes,
                training=config.training,
                evaluation=config.evaluation,
                models={config.model: config.model_options},
            )
            of_task = Preset(name=name, description="", tasks={config.task: preset}, data_name=data_name)
        except ValidationError as error:
            raise ConfigError(f"{path}: {first_problem(error)}") from error
        except KeyError as error:
            raise ConfigError(f"{path} lacks {error}; {_REMEDY}") from None
        return cls(of_task, config, seed)

    def write(self, folder: Path) -> None:
        """Writes them into the folder of a run.

        Raises:
            CheckpointError: If the system refuses.
        """
        text = json.dumps(self.contents(), indent=2) + "\n"
        with one_line(f"cannot write {folder / CONFIG_FILE}"):
            write_atomically(folder / CONFIG_FILE, lambda path: path.write_text(text, encoding="utf-8"))

    def contents(self) -> dict[str, Any]:
        """What is written, as JSON has it."""
        sizes = self.preset.for_task(self.config.task).data
        return {
            "preset": self.preset.name,
            **({"data_name": self.preset.data_name} if self.preset.data_name else {}),
            "seed": self.seed,
            "version": __version__,
            "data": {split: size.model_dump(mode="json") for split, size in sizes.items()},
            **self.config.model_dump(mode="json"),
        }


_REMEDY = "`sen-bench train` with the settings of the run writes it anew"


def begun_training(folder: Path) -> TrainingConfig:
    """How a run was started, by whatever version of sen-bench: files of early versions lack some settings.

    Args:
        folder: The folder of the run.

    Raises:
        CheckpointError: If it is not the folder of a run.
        ConfigError: If its settings cannot be read.
    """
    try:
        return TrainingConfig.model_validate(_contents(folder).get("training"))
    except ValidationError as error:
        raise ConfigError(f"{folder / CONFIG_FILE}: training {first_problem(error)}; {_REMEDY}") from error


def _contents(folder: Path) -> dict[str, Any]:
    """The settings in the folder of a run, not validated yet.

    Raises:
        CheckpointError: If it is not the folder of a run.
        ConfigError: If they cannot be read, or are not a table of settings.
    """
    path = folder / CONFIG_FILE
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise CheckpointError(
            f"{folder} is not a run's folder: it has no {CONFIG_FILE}; `sen-bench train` prints its folders"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} cannot be read: {error}; {_REMEDY}") from error
    if not isinstance(settings, dict):
        raise ConfigError(f"{path} holds no settings; {_REMEDY}")
    return settings


def open_run(folder: Path, *, data: Path, device: torch.device) -> Run:
    """The run whose training wrote a folder, from the settings it left there.

    Args:
        folder: The folder, ``<runs>/<task>/<split>/<model>/<preset>/seed-<n>``.
        data: The folder of the datasets.
        device: Where it is to run.

    Raises:
        CheckpointError: If it is not the folder of a run.
        ConfigError: If its settings cannot be read.
    """
    settings = Settings.read(folder)
    task = get_task(settings.config.task)
    run = Run(task, settings.preset, settings.config, settings.seed, Workspace(data), device)
    place, below = folder.absolute(), Path(run.name).parts
    if place.parts[-len(below) :] != below:
        raise CheckpointError(f"{folder} is not where its run belongs: in a folder {run.name}")
    return replace(run, workspace=Workspace(data, place.parents[len(below) - 1]))

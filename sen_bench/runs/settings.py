"""The settings that a run leaves in its folder, `config.json`, from which the same run is made again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from sen_bench import __version__
from sen_bench.config import Preset, RunConfig, TaskPreset
from sen_bench.errors import CheckpointError, ConfigError, first_problem
from sen_bench.system import write_atomically

_FILE = "config.json"


@dataclass(frozen=True)
class Settings:
    """What makes a run what it is.

    Attributes:
        preset: The preset; one that was read has the run's task only.
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
            CheckpointError: If it is no folder of a run.
            ConfigError: If its settings cannot be read.
        """
        path = folder / _FILE
        try:
            settings = json.loads(path.read_text(encoding="utf-8"))
            name, seed, sizes = (settings.pop(key) for key in ("preset", "seed", "data"))
            del settings["version"]
            config = RunConfig.model_validate(settings)
            preset = TaskPreset(
                data=sizes,
                training=config.training,
                evaluation=config.evaluation,
                models={config.model: config.model_options},
            )
        except (FileNotFoundError, NotADirectoryError):
            raise CheckpointError(
                f"{folder} is no folder of a run: it has no {_FILE}; `sen-bench train` prints its folders"
            ) from None
        except ValidationError as error:
            raise ConfigError(f"{path}: {first_problem(error)}") from error
        except KeyError as error:
            raise ConfigError(
                f"{path} lacks {error}; `sen-bench train` with the settings of the run writes it anew"
            ) from None
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise ConfigError(f"{path} cannot be read: {error}") from error
        return cls(Preset(name=name, description="", tasks={config.task: preset}), config, seed)

    def write(self, folder: Path) -> None:
        """Writes them into the folder of a run."""
        sizes = self.preset.for_task(self.config.task).data
        settings = {
            "preset": self.preset.name,
            "seed": self.seed,
            "version": __version__,
            "data": {split: size.model_dump(mode="json") for split, size in sizes.items()},
            **self.config.model_dump(mode="json"),
        }
        text = json.dumps(settings, indent=2) + "\n"
        write_atomically(folder / _FILE, lambda path: path.write_text(text, encoding="utf-8"))

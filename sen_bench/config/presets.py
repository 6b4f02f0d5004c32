"""Presets: named sizes of the tasks, from TOML."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationError

from sen_bench.config.known import preset_names
from sen_bench.config.problems import setting_problem
from sen_bench.config.settings import Count, EvaluationConfig, ModelOptions, TrainingConfig, _Strict
from sen_bench.errors import ConfigError, UnknownNameError
from sen_bench.system import is_plain_name

_SETTINGS = re.compile(r"(\+[A-Za-z0-9_.,+=-]+)?")


def _name(name: str) -> str:
    """Refuses a name that folders of runs or tables of results cannot have; variants have settings in it."""
    base, plus, settings = name.partition("+")
    if not is_plain_name(base) or not _SETTINGS.fullmatch(plus + settings):
        raise ValueError(
            "rows and folders need a name of letters, digits, '_', '.' and '-' that is neither a number"
            " nor a word such as true or None"
        )
    return name


class SplitSize(_Strict):
    """How much of a split a preset uses; what is not given is the paper's."""

    episodes: Count | None = None
    horizon: Count | None = None


class TaskPreset(_Strict):
    """What a preset says about one task.

    Attributes:
        data: The sizes of splits, where they are not the paper's.
        training: How its models are trained.
        evaluation: How they are scored.
        models: Options of its models.
        seeds: How many seeds each is trained with, from 0 on, unless the user says which.
    """

    data: dict[str, SplitSize] = Field(default_factory=dict)
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    models: dict[str, ModelOptions] = Field(default_factory=dict)
    seeds: Count = 1


class Preset(_Strict):
    """A named set of sizes for the tasks it mentions.

    Attributes:
        name: Its name, in folders and tables too; that of a variant is `make_variant`'s.
        description: What it is for.
        tasks: What it says about each task.
        data_name: The name that its datasets have a folder of, where its sizes are not the paper's; None: its
            own.
    """

    name: Annotated[str, AfterValidator(_name)]
    description: str
    tasks: dict[str, TaskPreset]
    data_name: Annotated[str, AfterValidator(_name)] | None = None

    @property
    def is_variant(self) -> bool:
        """Whether it is a preset with other settings beside it."""
        return "+" in self.name

    def for_task(self, task: str) -> TaskPreset:
        """What the preset says about a task.

        Raises:
            ConfigError: If it says nothing.
        """
        if task not in self.tasks:
            others = [name for name in preset_names() if task in load_preset(name).tasks]
            own = self.name.partition("+")[0] not in preset_names()
            raise ConfigError(
                f"preset {self.name!r} is not for {task}, only for"
                f" {', '.join(sorted(self.tasks)) or 'no task'};"
                f" {_other_ways(task, others, own=own)}"
            )
        return self.tasks[task]


def _other_ways(task: str, presets: Sequence[str], *, own: bool) -> str:
    """What to do where a preset is not for a task.

    Args:
        task: The task.
        presets: The presets of sen-bench that are for it.
        own: Whether the preset is a file of the user's, which can be changed.
    """
    key = f'"{task}"' if ":" in task else task
    section = f"a section [tasks.{key}]"
    ways = [f"use preset {' or '.join(presets)}"] if presets else []
    if own:
        ways.append(f"give it {section}")
    elif not presets:
        ways.append(f"write a preset with {section}")
    return ", or ".join(ways)


def _text_of(name: str) -> str:
    """The TOML of a preset that comes with the package."""
    return (resources.files("sen_bench.presets") / f"{name}.toml").read_text(encoding="utf-8")


def load_preset(name_or_path: str) -> Preset:
    """Reads a preset by its name, or from a TOML file of the user's own.

    Args:
        name_or_path: A name of :func:`preset_names`, or a path that ends in ``.toml``.

    Raises:
        UnknownNameError: If there is no preset of that name.
        ConfigError: If the file cannot be read, is not TOML, or has a key or value that is not allowed; or if
            it has the name of a preset in the package, whose results its own would be mistaken for.
    """
    if name_or_path.endswith(".toml"):
        path = Path(name_or_path)
        name = path.stem
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot read the preset {path}: {error}") from error
        if name in preset_names() and text != _text_of(name):
            raise ConfigError(f"preset {path}: {name} is a preset of sen-bench; give the file another name")
    elif name_or_path in preset_names():
        name = name_or_path
        text = _text_of(name)
    else:
        raise UnknownNameError("preset", name_or_path, preset_names())
    try:
        settings = tomllib.loads(text)
        for key in ("name", "data_name"):
            if key in settings:
                raise ConfigError(f"preset {name_or_path}: {key}: it is that of the file; remove the key")
        if "+" in name:
            raise ConfigError(f"preset {name_or_path}: '+' is for variants; give the file another name")
        return Preset.model_validate({"name": name, **settings})
    except ValidationError as error:
        raise ConfigError(f"preset {name_or_path}: {setting_problem(Preset, error)}") from error
    except (ValueError, RecursionError) as error:  # also of numbers too long and lists too deep to be read
        raise ConfigError(f"preset {name_or_path} is not TOML: {error}") from error

"""Presets and resolved settings: TOML in, validated models out, one digest per configuration."""

from __future__ import annotations

import hashlib
import json
import reprlib
import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from sen_bench.errors import ConfigError, UnknownNameError
from sen_bench.system.names import is_plain_name

Precision = Literal["float32", "bfloat16"]
OnCollapse = Literal["continue", "stop", "restart"]
Schedule = Literal["constant", "cosine"]

ModelOption = bool | int | float | str | list[bool | int | float | str]

Count = Annotated[int, Field(gt=0, strict=True)]

BatchSize = Annotated[int, Field(ge=2, strict=True)]

SEED_LIMIT = 2**63
"""One more than the largest seed that all generators take."""

#: Options of a model, such as ``{"hidden": 64}``; which ones exist is the model's business.
ModelOptions = dict[str, ModelOption]


def _name(name: str) -> str:
    """Refuses a name that folders of runs or tables of results cannot have."""
    if not is_plain_name(name):
        raise ValueError(
            "rows and folders need a name of letters, digits, '_', '.' and '-' that is no number and no word"
            " such as true or None"
        )
    return name


def _distinct(numbers: tuple[int, ...]) -> tuple[int, ...]:
    """Refuses numbers of which one stands twice: each makes a row of its own in the tables of results."""
    if len(set(numbers)) < len(numbers):
        raise ValueError("each may stand there once")
    return numbers


class _Strict(BaseModel):
    """Settings are immutable, and a key that is not known is an error rather than ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SplitSize(_Strict):
    """How much of a split a preset uses; what is not given is as in the paper."""

    episodes: Count | None = None
    horizon: Count | None = None


class TrainingConfig(_Strict):
    """How a model is trained. The defaults are the paper's.

    Attributes:
        epochs: Passes over the training transitions.
        batch_size: Transitions in a batch.
        batch_size_from_epoch: By the number of an epoch, transitions in a batch from that epoch on [ours].
        learning_rate: Of Adam, at the start.
        schedule: What becomes of the learning rate: ``constant``, as in the paper, or ``cosine``, half a wave
            down to 0 at the end of the last epoch [ours].
        hinge: Margin of the negative term of the loss.
        shuffle_buffer: Transitions that are in memory and shuffled at a time, in whole blocks of the stored
            dataset and at least one of them, where the data is streamed [ours]. None: all of it is in memory
            and shuffled as a whole, as in the paper.
        precision: ``float32``, or ``bfloat16`` for autocast in the networks; losses stay float32.
        on_collapse: What follows when all latents have become equal.
    """

    epochs: Count = 100
    batch_size: BatchSize = 1024
    batch_size_from_epoch: dict[Annotated[int, Field(ge=2)], BatchSize] = Field(default_factory=dict)
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = 5e-4
    schedule: Schedule = "constant"
    hinge: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    shuffle_buffer: Count | None = None
    precision: Precision = "float32"
    on_collapse: OnCollapse = "continue"


class EvaluationConfig(_Strict):
    """How a model is scored.

    Attributes:
        horizons: Numbers of steps ahead that are predicted and ranked, each once.
        seed: Draws the random pairs of the distance invariance errors.
    """

    horizons: Annotated[tuple[Count, ...], Field(min_length=1), AfterValidator(_distinct)] = (1, 5, 10)
    seed: Annotated[int, Field(ge=0, lt=SEED_LIMIT, strict=True)] = 0


class TaskPreset(_Strict):
    """What a preset says about one task.

    Attributes:
        data: The sizes of splits, where they are not the paper's.
        training: How its models are trained.
        evaluation: How they are scored.
        models: Options of its models.
        seeds: With how many seeds each is trained, from 0 on, unless the user says which.
    """

    data: dict[str, SplitSize] = Field(default_factory=dict)
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    models: dict[str, ModelOptions] = Field(default_factory=dict)
    seeds: Count = 1


class Preset(_Strict):
    """A named set of sizes for the tasks it mentions."""

    name: Annotated[str, AfterValidator(_name)]
    description: str
    tasks: dict[str, TaskPreset]

    def for_task(self, task: str) -> TaskPreset:
        """What the preset says about a task.

        Raises:
            ConfigError: If it says nothing.
        """
        if task not in self.tasks:
            raise ConfigError(f"preset {self.name!r} has no section [tasks.{task}]")
        return self.tasks[task]


class RunConfig(_Strict):
    """Everything that decides the numbers of a run, except its seed, its datasets and its device.

    Attributes:
        task: The task.
        train_split: The split that is trained on.
        model: The model.
        model_options: Its options.
        model_code: Digest of the file that defines the model, where that is not part of sen-bench.
        training: How it is trained.
        evaluation: How it is scored.
    """

    task: str
    train_split: str
    model: str
    model_options: ModelOptions
    model_code: str | None = None
    training: TrainingConfig
    evaluation: EvaluationConfig

    @property
    def digest(self) -> str:
        """The digest of all settings; the same for every seed."""
        return _digest(self._settings())

    @property
    def weights_digest(self) -> str:
        """The digest of what decides the weights after an epoch: all but the evaluation and how many epochs.

        A run can therefore be trained on under settings that ask for more epochs; not where the learning rate
        follows a schedule, which the number of epochs stretches.
        """
        settings = self._settings()
        del settings["evaluation"]
        if self.training.schedule == "constant":
            del settings["training"]["epochs"]
        return _digest(settings)

    def _settings(self) -> dict[str, Any]:
        """All settings as JSON; those younger than the first result rows only where they are not as then."""
        settings = self.model_dump(mode="json")
        if self.training.schedule == "constant":
            del settings["training"]["schedule"]
        if not self.training.batch_size_from_epoch:
            del settings["training"]["batch_size_from_epoch"]
        if self.training.shuffle_buffer is None:
            del settings["training"]["shuffle_buffer"]
        if self.model_code is None:
            del settings["model_code"]
        return settings


def _digest(settings: dict[str, Any]) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of settings, whatever the order of their keys."""
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def preset_names() -> list[str]:
    """The names of the presets that come with the package."""
    folder = resources.files("sen_bench.presets")
    return sorted(
        entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")
    )


def _text_of(name: str) -> str:
    """The TOML of a preset that comes with the package."""
    return (resources.files("sen_bench.presets") / f"{name}.toml").read_text(encoding="utf-8")


def load_preset(name_or_path: str) -> Preset:
    """Reads a preset by its name, or from a TOML file of the user's own.

    Args:
        name_or_path: A name of :func:`preset_names`, or a path that ends in ``.toml``.

    Raises:
        UnknownNameError: If there is no preset of that name.
        ConfigError: If the file cannot be read, is no TOML, or has a key or value that is not allowed; or if
            it has the name of a preset that comes with the package, for which its results would be taken.
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
        if "name" in settings:
            raise ConfigError(f"preset {name_or_path}: name: it is that of the file; remove the key")
        return Preset.model_validate({"name": name, **settings})
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"preset {name_or_path} is not TOML: {error}") from error
    except ValidationError as error:
        raise ConfigError(f"preset {name_or_path}: {first_problem(error)}") from error


def first_problem(error: ValidationError) -> str:
    """The first complaint of a validation error, in one line, with the key it is about."""
    problem: dict[str, Any] = dict(error.errors()[0])
    where = ".".join(str(part) for part in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    return f"{where}: {message} (got {reprlib.repr(problem['input'])})"

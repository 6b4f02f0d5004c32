"""The models of a task: which there are, and from a name and options to what can be built."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import sen_bench.baselines
import sen_bench.system
from sen_bench.errors import ConfigError, ExtensionError, UnknownNameError
from sen_bench.system import plugins

if TYPE_CHECKING:
    from sen_bench.baselines import WorldModel
    from sen_bench.config import ModelOption
    from sen_bench.envs import World

ModelBuilder: TypeAlias = "Callable[..., WorldModel]"
"""Builds an untrained model: a class or a function, called by keyword with the world's ``symmetry``, with the
``observation_shape`` of what a model is shown at once (height, width and the channels of all stacked frames),
and with the options of the preset."""


@dataclass(frozen=True)
class NamedBuilder:
    """A builder by its name: imported when it is wanted, so that listing tasks imports no network.

    Attributes:
        function: Where the `ModelBuilder` is, ``package.module:attribute``.
        given: Arguments that the task gives it, by keyword; presets cannot change them.
    """

    function: str
    given: Mapping[str, Any] = field(default_factory=dict)

    def load(self) -> ModelBuilder:
        """The builder, with the arguments of the task.

        Raises:
            ExtensionError: If it cannot be imported.
        """
        function = plugins.import_object(self.function, "model")
        return functools.partial(function, **self.given) if self.given else function


AnyBuilder: TypeAlias = "ModelBuilder | NamedBuilder | str"
"""What a task may give as a model: a builder, or the name of one, ``package.module:attribute``."""


class TaskWithModels(Protocol):
    """What models need to know of a `Task`, which in its turn builds them."""

    @property
    def name(self) -> str:
        """Its name on the command line."""

    @property
    def models(self) -> Mapping[str, AnyBuilder]:
        """Its own models, by name."""

    @property
    def models_on_request(self) -> Collection[str]:
        """Which of these are run only where they are named."""

    @property
    def train_splits(self) -> list[str]:
        """The splits that they are trained on."""

    def world(self) -> World:
        """A new instance of its world."""


_UNKNOWN_ACTION: Final = (
    "; where it is not known how the group acts on embeddings, transform_embedding returns"
    " torch.full_like(embedding, math.nan)"
)


@dataclass(frozen=True)
class ResolvedModel:
    """A model of a task, ready to be built: imported, and its options checked. Made by `resolve_model`.

    Attributes:
        task: The task.
        name: The model's name in the task, or ``package.module:Class``.
        builder: What builds it.
        options: The options that the builder is given.
        code: Digest of the file that defines the builder; None where that is part of sen-bench.
    """

    task: TaskWithModels
    name: str
    builder: ModelBuilder
    options: Mapping[str, ModelOption]
    code: str | None

    def build(self) -> WorldModel:
        """Makes an untrained model; its weights come from PyTorch's random numbers.

        Raises:
            ConfigError: If a model of the task's own cannot be built with these options.
            ExtensionError: If the class lacks a method that models have, or makes no `WorldModel`.
        """
        world = self.task.world()
        height, width, channels = world.observation_space.shape or ()
        what = f"model {self.name!r} of {self.task.name}"
        if missing := sorted(getattr(self.builder, "__abstractmethods__", ())):
            raise ExtensionError(
                f"{what} does not define {', '.join(missing)}, which every WorldModel has"
                + (_UNKNOWN_ACTION if "transform_embedding" in missing else "")
            )
        try:
            model = self.builder(
                symmetry=world.symmetry,
                observation_shape=(height, width, channels * world.frame_stack),
                **self.options,
            )
        except (RuntimeError, TypeError) as error:  # as torch says that no memory holds such tensors
            if self.name not in self.task.models:
                raise  # the mistake is in code of others, who need to see where
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise ConfigError(f"{what} cannot be built with {dict(self.options)}: {reason}") from error
        if not isinstance(model, sen_bench.baselines.WorldModel):
            raise ExtensionError(
                f"{what} is a {type(model).__name__}; it must be a subclass of"
                " sen_bench.baselines.model.WorldModel"
            )
        return model


def model_names(task: TaskWithModels) -> list[str]:
    """The models that can be asked for by a plain name: those of the task, then those of plugins.

    A plugin adds a model by an entry point ``TASK.MODEL`` in the group ``sen_bench.models``.
    """
    added = (name.partition(".") for name in plugins.plugin_names(plugins.MODELS))
    return list(dict.fromkeys([*task.models, *(model for home, _, model in added if home == task.name)]))


def default_models(task: TaskWithModels) -> list[str]:
    """The models that are meant where none is named: the task's own; if it has none, those of plugins.

    Those that are run on request only are left out.
    """
    own = [name for name in task.models if name not in task.models_on_request]
    return own or model_names(task)


def choose_models(task: TaskWithModels, names: Iterable[str]) -> list[str]:
    """The models named, each once, or `default_models` where none is named.

    Raises:
        UnknownNameError: If there is no such model.
        ExtensionError: If a name means two models.
        ConfigError: If none is named and there is none.
    """
    wanted = list(dict.fromkeys(names)) or default_models(task)
    if not wanted:
        raise ConfigError(
            f"{task.name} has no models of its own; name one by --model, as package.module:Class"
        )
    known = model_names(task)
    for name in wanted:
        if name not in known and not plugins.is_object_name(name):
            raise UnknownNameError(f"model of {task.name}", name, known)
        origins = plugins.plugin_origins(plugins.MODELS, f"{task.name}.{name}")
        if name in task.models and origins:
            raise ExtensionError(
                f"model {name!r} of {task.name} is one of the task's own, and {' and '.join(origins)} offers"
                " another of that name; rename that one, or uninstall it"
            )
    return sorted(wanted, key=lambda name: known.index(name) if name in known else len(known))


def resolve_model(task: TaskWithModels, name: str, options: Mapping[str, ModelOption]) -> ResolvedModel:
    """Finds and imports a model, and checks its options.

    Args:
        task: The task.
        name: A name of `model_names`, or ``package.module:Class``: any `ModelBuilder`.
        options: The options that it is to be built with; those of the task's own models are whole numbers or
            words.

    Raises:
        UnknownNameError: If there is no such model.
        ExtensionError: If it cannot be imported or called, or its name means two models.
        ConfigError: If the model has no such option, or not with such a value.
    """
    choose_models(task, [name])
    what = f"model {name!r} of {task.name}"
    entry: Any
    # Only the first to import a module would have what that changes: settings belong where a model is built.
    with sen_bench.system.settings_restored():
        if name in task.models:
            entry = task.models[name]
        elif plugins.is_object_name(name):
            entry = NamedBuilder(name)
        else:
            entry = plugins.load_plugin(plugins.MODELS, f"{task.name}.{name}")
        if isinstance(entry, str):
            entry = NamedBuilder(entry)
        builder: Any = entry.load() if isinstance(entry, NamedBuilder) else entry
    if not callable(builder):
        raise ExtensionError(f"{what} is neither a class nor a function")
    if name in task.models:
        _check_types(what, builder, options)
    _check_options(what, builder, options, entry.given if isinstance(entry, NamedBuilder) else {})
    return ResolvedModel(task, name, builder, dict(options), plugins.source_digest(builder))


def _check_types(what: str, builder: ModelBuilder, options: Mapping[str, ModelOption]) -> None:
    """Refuses values for a task's own models that are no whole numbers, or no words where it says str."""
    parameters = inspect.signature(builder).parameters
    for option, value in options.items():
        if option in parameters and parameters[option].annotation in {str, "str"}:
            if not isinstance(value, str):
                raise ConfigError(f"{what}: {option} must be a word, not {value!r}")
        elif not isinstance(value, int) or isinstance(value, bool):
            raise ConfigError(f"{what}: {option} must be a whole number, not {value!r}")


def _check_options(
    what: str, builder: ModelBuilder, options: Mapping[str, ModelOption], given: Mapping[str, Any]
) -> None:
    """Refuses options that the builder does not take, or that are not for a preset to give."""
    of_world = dict.fromkeys(("symmetry", "observation_shape"))
    for option in options:
        if option in of_world or option in given:
            giver = "world" if option in of_world else "task"
            raise ConfigError(f"{what}: {option} is the {giver}'s, and no option")
    try:
        inspect.signature(builder).bind(**of_world, **options)
    except TypeError as error:
        raise ConfigError(f"{what}: {error}") from error

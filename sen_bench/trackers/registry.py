"""The trackers by name: those that come with sen-bench, then those of plugins."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sen_bench.errors import ConfigError, ExtensionError, MissingExtraError, UnknownNameError
from sen_bench.system import plugins
from sen_bench.trackers.protocol import TrackerBuilder


@dataclass(frozen=True)
class _BuiltIn:
    """A tracker that comes with sen-bench, under the name of the extra that its packages come with.

    Attributes:
        module: The module, of this room, with the class `name`.
        name: The class.
        packages: What it imports.
    """

    module: str
    name: str
    packages: tuple[str, ...]


_BUILT_IN: Mapping[str, _BuiltIn] = {
    "tensorboard": _BuiltIn("tensorboard_events", "TensorBoardTracker", ("tensorboard",)),
    "wandb": _BuiltIn("wandb_runs", "WandbTracker", ("wandb",)),
    "trackio": _BuiltIn("trackio_runs", "TrackioTracker", ("trackio",)),
    "mlflow": _BuiltIn("mlflow_runs", "MlflowTracker", ("mlflow", "sqlalchemy", "alembic")),
}


def tracker_names() -> list[str]:
    """The names of all trackers: those that come with sen-bench, then those of plugins.

    A plugin adds one by an entry point in the group ``sen_bench.trackers``, a class or function that makes a
    `Tracker` for a `TrackedRun`.
    """
    return list(dict.fromkeys([*_BUILT_IN, *plugins.plugin_names(plugins.TRACKERS)]))


def check_trackers(names: Iterable[str]) -> tuple[str, ...]:
    """Makes sure that trackers can be used, before any work begins. Their packages are not imported for it.

    Args:
        names: Their names.

    Returns:
        The same names, each once.

    Raises:
        ConfigError: The names are one text instead of several.
        UnknownNameError: There is none of that name.
        MissingExtraError: Its packages are not installed.
        ExtensionError: A plugin cannot be used.
    """
    if isinstance(names, str):
        raise ConfigError(f"trackers must be a list of names, such as [{names!r}]")
    chosen = tuple(dict.fromkeys(names))
    for name in chosen:
        if name in _BUILT_IN:
            _check_built_in(name)
        else:
            tracker_builder(name)
    return chosen


def tracker_builder(name: str) -> TrackerBuilder:
    """What makes the trackers of a name.

    Raises:
        UnknownNameError: There is none of that name.
        MissingExtraError: Its packages are not installed.
        ExtensionError: A plugin cannot be used.
    """
    builder: Any
    if name in _BUILT_IN:
        _check_built_in(name)
        module = importlib.import_module(f"sen_bench.trackers.{_BUILT_IN[name].module}")
        builder = getattr(module, _BUILT_IN[name].name)
    elif name in plugins.plugin_names(plugins.TRACKERS):
        builder = plugins.load_plugin(plugins.TRACKERS, name)
        if not callable(builder):
            raise ExtensionError(
                f"tracker {name!r} is a {type(builder).__name__}; it must be a class or function that makes"
                " a tracker for a run"
            )
    else:
        raise UnknownNameError("tracker", name, tracker_names())
    return builder  # type: ignore[no-any-return]


def _check_built_in(name: str) -> None:
    """Makes sure that a tracker of ours has its packages, and its name to itself.

    Raises:
        MissingExtraError: A package is missing.
        ExtensionError: A plugin has the same name.
    """
    if origins := plugins.plugin_origins(plugins.TRACKERS, name):
        raise ExtensionError(
            f"tracker {name!r} is one of sen-bench's own, and {' and '.join(origins)} offers another of that"
            " name; rename that one, or uninstall it"
        )
    if not all(map(_is_installed, _BUILT_IN[name].packages)):
        raise MissingExtraError(f"--log-to {name}", name)


def _is_installed(package: str) -> bool:
    """Whether there is a package. A folder of that name, which these tools like to leave, is none."""
    spec = importlib.util.find_spec(package)
    return spec is not None and spec.origin is not None

"""Third-party code: imported by its name, found by its entry point, told apart by its digest."""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.metadata
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

from sen_bench.errors import ExtensionError, SenBenchError
from sen_bench.system.names import is_plain_name

TASKS = "sen_bench.tasks"
"""Group of entry points, each a task or a function that makes one; the entry point's name is the task's."""

MODELS = "sen_bench.models"
"""Group of entry points, each a builder of a model; the entry point's name is TASK.MODEL."""

TRACKERS = "sen_bench.trackers"
"""Group of entry points, each what makes a tracker for a run; the entry point's name is the tracker's."""

_OBJECT = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


def is_object_name(name: str) -> bool:
    """Whether a name has the form ``package.module:Class``."""
    return _OBJECT.fullmatch(name) is not None


def import_object(name: str, what: str) -> Any:  # noqa: ANN401 - whatever has that name
    """The object called ``package.module:Class``.

    Args:
        name: Its name.
        what: What it is wanted as ("model"), for the message.

    Raises:
        ExtensionError: The name has another form, there is no such module or object, or the module is the
            script or notebook that is running, which other processes cannot import.
    """
    if not is_object_name(name):
        raise ExtensionError(f"{what} {name!r} cannot be imported: write package.module:Class")
    module_name, _, attribute = name.partition(":")
    if module_name == "__main__":
        raise ExtensionError(
            f"{what} {attribute} is defined in __main__; put it into a module (a file such as my_{what}.py)"
            " and import it, so that other processes and later runs find it"
        )
    with _one_line(f"{what} {name!r} cannot be imported"):
        module = importlib.import_module(module_name)
    try:
        return getattr(module, attribute)
    except AttributeError:
        where = getattr(module, "__file__", None) or "its package"
        raise ExtensionError(f"{what} {name!r} cannot be imported: {where} has no {attribute!r}") from None


def plugin_names(group: str) -> list[str]:
    """The names under which installed distributions offer something, sorted; nothing is imported.

    Args:
        group: `TASKS`, `MODELS` or `TRACKERS`.
    """
    return sorted({point.name for point in _entry_points(group, tuple(sys.path))})


def plugin_origins(group: str, name: str) -> list[str]:
    """The distributions that offer something under a name, with their versions; nothing is imported."""
    return sorted(_origin(point) for point in _entry_points(group, tuple(sys.path)).select(name=name))


def load_plugin(group: str, name: str) -> Any:  # noqa: ANN401 - whatever the entry point names
    """Imports what an installed distribution offers.

    Args:
        group: `TASKS`, `MODELS` or `TRACKERS`.
        name: A name of `plugin_names`.

    Raises:
        ExtensionError: It cannot be imported, several distributions offer it, or its name is not one that a
            folder and a table can have.
    """
    points = list(_entry_points(group, tuple(sys.path)).select(name=name))
    if len(points) > 1:
        origins = " and ".join(plugin_origins(group, name))
        raise ExtensionError(f"{name!r} is offered by {origins}; uninstall all but one")
    parts = name.split(".") if group == MODELS else [name]
    if len(parts) != (2 if group == MODELS else 1) or not all(map(_is_name, parts)):
        form = {TASKS: "TASK", MODELS: "TASK.MODEL", TRACKERS: "TRACKER"}[group]
        raise ExtensionError(
            f"{_origin(points[0])} offers {name!r} in the entry points {group}: a name there has the form"
            f" {form}, of lower-case letters, digits, - and _"
        )
    with _one_line(f"{name!r} of {_origin(points[0])} cannot be imported"):
        return points[0].load()


def call_plugin(what: str, function: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever it returns
    """Calls third-party code.

    Raises:
        ExtensionError: It raised anything but an error of sen-bench, which is passed on.
    """
    with _one_line(f"{what} failed"):
        return function()


def source_digest(thing: Callable[..., Any]) -> str | None:
    """What tells one version of someone's code from another.

    Args:
        thing: A class, a function or a `functools.partial` of one.

    Returns:
        ``sha256:`` and 16 hexadecimal digits of the file that defines it, whose imports are not covered;
        None for code of sen-bench, which its version identifies.

    Raises:
        ExtensionError: It was not defined in a file.
    """
    while isinstance(thing, functools.partial):
        thing = thing.func
    home = getattr(thing, "__module__", None) or type(thing).__module__
    if home.partition(".")[0] == __name__.partition(".")[0]:
        return None
    file = getattr(sys.modules.get(home), "__file__", None)
    if file is None:
        raise ExtensionError(
            f"{thing!r} is not defined in a file, so its version cannot be recorded; put it into a"
            " module and import it"
        )
    return f"sha256:{hashlib.sha256(Path(file).read_bytes()).hexdigest()[:16]}"


@functools.lru_cache(maxsize=3)  # the three groups
def _entry_points(group: str, path: tuple[str, ...]) -> EntryPoints:
    """The entry points of what is installed; looked for again only when Python's path is another."""
    del path  # it tells what was found from what would be found
    return importlib.metadata.entry_points(group=group)


def _is_name(name: str) -> bool:
    """Whether it has the form of a name of a task or a model."""
    return _NAME.fullmatch(name) is not None and is_plain_name(name)


def _origin(point: EntryPoint) -> str:
    return "an unknown distribution" if point.dist is None else f"{point.dist.name} {point.dist.version}"


@contextmanager
def _one_line(failure: str) -> Iterator[None]:
    """Turns whatever third-party code raises into an error of one line that says where.

    Raises:
        ExtensionError: Instead of anything but an error of sen-bench.
    """
    try:
        yield
    except SenBenchError:
        raise
    # Whatever it is: third-party code may raise anything, or call sys.exit, and must break nothing else.
    except (Exception, SystemExit) as error:
        text = " ".join(str(error).split())
        # The mistake is neither in this file nor in Python's own import system.
        frames = traceback.extract_tb(error.__traceback__)
        theirs = [f for f in frames if f.filename != __file__ and "importlib" not in f.filename]
        where = f" ({theirs[-1].filename}, line {theirs[-1].lineno})" if theirs else ""
        raise ExtensionError(f"{failure}: {type(error).__name__}: {text}{where}") from error

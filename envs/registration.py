"""The registry of worlds: ids to classes, which are imported when a world is made."""

from __future__ import annotations

import functools
import importlib
import inspect
from typing import Any

import gymnasium

from sen_bench.envs.world import World
from sen_bench.errors import UnknownNameError, WorldError
from sen_bench.system import call_plugin, import_object, is_object_name, plain_values

WORLDS: dict[str, str] = {}
"""Id -> "module:Class" of every registered world."""


@plain_values
def register_world(world_id: str, entry_point: str) -> None:
    """Makes a world known to `make_world` and to `gymnasium.make`.

    Args:
        world_id: "namespace/Name-v0".
        entry_point: "module:Class" of a subclass of `World`, imported when the first such world is made.

    Raises:
        WorldError: The id is taken by another entry point, or one of the two has another form.
    """
    if WORLDS.get(world_id, entry_point) != entry_point:
        raise WorldError(f"world {world_id!r} is already registered as {WORLDS[world_id]!r}")
    if not is_object_name(entry_point):
        raise WorldError(f"world {world_id!r} cannot be registered as {entry_point!r}: write module:Class")
    if world_id not in gymnasium.registry:
        try:
            gymnasium.register(id=world_id, entry_point=entry_point)
        except gymnasium.error.Error as error:
            raise WorldError(f"{world_id!r} is no id of a world, which is namespace/Name-v0") from error
    WORLDS[world_id] = entry_point


@plain_values
def make_world(world_id: str, **options: Any) -> World:  # noqa: ANN401
    """Builds a world, without Gymnasium's wrappers.

    Args:
        world_id: A registered id, or "module:id" where importing the module registers it.
        options: The world's own options.

    Raises:
        ExtensionError: The module, or the class that is registered, cannot be imported.
        UnknownNameError: No world has this id.
        WorldError: The world has no such option, or does not accept this value.
    """
    module, _, name = world_id.rpartition(":")
    if module:
        call_plugin(f"importing {module}", functools.partial(importlib.import_module, module))
    if name not in WORLDS:
        raise UnknownNameError("world", name, WORLDS)
    kind = import_object(WORLDS[name], "world")
    if not (isinstance(kind, type) and issubclass(kind, World)):
        raise WorldError(f"{WORLDS[name]!r}, registered as {name!r}, is not a subclass of World")
    return _built(kind, name, options)


def import_world(name: str, **options: Any) -> World:  # noqa: ANN401
    """Builds a world that need not be registered.

    Args:
        name: "package.module:Class", or what `make_world` takes.
        options: The world's own options.

    Raises:
        ExtensionError: The module or the class cannot be imported, or making the world fails.
        UnknownNameError: No world has this id.
        WorldError: The class is not a subclass of `World`, or the world has no such option, or not with this
            value.
    """
    if not is_object_name(name):
        return make_world(name, **options)
    kind = import_object(name, "world")
    if not (isinstance(kind, type) and issubclass(kind, World)):
        raise WorldError(f"{name!r} is not a subclass of sen_bench.envs.World")
    world: World = call_plugin(f"making the world {name}", lambda: _built(kind, name, options))
    return world


def _built(kind: type[World], name: str, options: dict[str, Any]) -> World:
    """A world of a class.

    Raises:
        WorldError: It has no such option, or not with this value.
    """
    try:
        inspect.signature(kind).bind(**options)
    except TypeError as error:
        raise WorldError(f"world {name!r}: {error}") from error
    return kind(**options)


register_world("sen_bench/Shapes2D-v0", "sen_bench.envs.shapes2d:Shapes2D")
register_world("sen_bench/Blocks3D-v0", "sen_bench.envs.blocks3d:Blocks3D")
register_world("sen_bench/RushHour-v0", "sen_bench.envs.rushhour:RushHour")
register_world("sen_bench/Reacher-v0", "sen_bench.envs.reacher:Reacher")
register_world("sen_bench/Teapot-v0", "sen_bench.envs.teapot:Teapot")

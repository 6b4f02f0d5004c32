"""The registry of tasks: those of the paper, then those of plugins."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sen_bench.errors import ExtensionError, UnknownNameError
from sen_bench.system import plain_values, plugins
from sen_bench.tasks.paper import _TASKS
from sen_bench.tasks.task import Task


def task_names() -> list[str]:
    """The names of all tasks: those of the paper in its order, then those of plugins.

    A plugin adds a task by an entry point in the group ``sen_bench.tasks``, a `Task` or a function that makes
    it; the entry point's name is the task's.
    """
    return list(dict.fromkeys([*_TASKS, *plugins.plugin_names(plugins.TASKS)]))


@plain_values
def get_task(name: str) -> Task:
    """The task of that name.

    Args:
        name: A name of `task_names`, or ``package.module:task`` of your own: a `Task`, or a function that
            makes it. Such a task is called by all of that, also in tables, folders and presets.

    Raises:
        UnknownNameError: If there is none.
        ExtensionError: If it is third-party code and cannot be used, or its name means two tasks.
    """
    if plugins.is_object_name(name):
        return replace(_made(plugins.import_object(name, "task"), f"task {name!r}"), name=name)
    if name not in task_names():
        raise UnknownNameError("task", name, task_names())
    origins = plugins.plugin_origins(plugins.TASKS, name)
    if name not in _TASKS:
        return _plugged_task(name, " and ".join(origins))
    if origins:
        raise ExtensionError(
            f"task {name!r} is one of sen-bench's own, and {' and '.join(origins)} offers another of that"
            " name; rename that one, or uninstall it"
        )
    return _TASKS[name]


def reference_model(task: str) -> str | None:
    """The model that the leaderboard compares the others of a task with: the first of its symmetric ones.

    Returns:
        Its name; None where the task has no such model, is not installed here, or belongs to a plugin that is
        broken, which must not keep anybody from the results of other tasks.
    """
    known = _usable(task)
    return known.symmetric_models[0] if known is not None and known.symmetric_models else None


def ranked_locally(task: str) -> bool:
    """Whether the models of a task are ranked by local H@1; not where `reference_model` knows no model."""
    known = _usable(task)
    return known is not None and known.ranked_locally


def _usable(task: str) -> Task | None:
    """The task of a name that a table has; None where it is not installed or its plugin is broken."""
    try:
        return get_task(task) if task in task_names() else None
    except ExtensionError:
        return None


def _plugged_task(name: str, origin: str) -> Task:
    """The task that a plugin offers.

    Raises:
        ExtensionError: If it cannot be imported, is no task, or is called otherwise.
    """
    task = _made(plugins.load_plugin(plugins.TASKS, name), f"task {name!r} of {origin}")
    if task.name != name:
        raise ExtensionError(f"task {name!r} of {origin} calls itself {task.name!r}; both must be equal")
    return task


def _made(task: Any, what: str) -> Task:  # noqa: ANN401 — whatever others offer as a task
    """The task that is offered, or that the function that is offered makes.

    Raises:
        ExtensionError: If it is neither, or the function fails.
    """
    if not isinstance(task, Task) and callable(task):
        task = plugins.call_plugin(what, task)
    if not isinstance(task, Task):
        raise ExtensionError(f"{what} is a {type(task).__name__}; it must be a sen_bench.tasks.Task")
    return task

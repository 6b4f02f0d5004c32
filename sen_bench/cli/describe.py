"""Tasks and datasets in words, for a terminal."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from rich import box
from rich.console import Console
from rich.table import Table

import sen_bench.checks
import sen_bench.symmetry
from sen_bench.errors import DatasetError, SenBenchError
from sen_bench.generators import UNIFORM
from sen_bench.system import number_of, shown
from sen_bench.tasks import get_task, model_names, task_names

if TYPE_CHECKING:
    from torch import Tensor

    from sen_bench.checks import ElementErrors
    from sen_bench.store import Dataset
    from sen_bench.symmetry import SO3, Group
    from sen_bench.tasks import Task


def _text(table: Table) -> str:
    """A table as plain text, as wide as it needs to be."""
    buffer = io.StringIO()
    Console(file=buffer, width=200, color_system=None, markup=False, emoji=False).print(table)
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()).strip("\n")


def _add_row(table: Table, *cells: object) -> None:
    """Adds a row to a table; what comes from plugins and datasets is only shown."""
    table.add_row(*map(shown, cells))


def describe_tasks() -> str:
    """All tasks: for each its world, group, models and splits, or what is wrong with it."""
    blocks = []
    for name in task_names():
        try:
            task = get_task(name)
            world = task.world()
        except SenBenchError as error:
            blocks.append(shown(f"{name}   cannot be used: {error}"))
            continue
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for heading in ("split", "episodes", "steps", "for"):
            table.add_column(heading, justify="right" if heading in {"episodes", "steps"} else "left")
        for split, spec in task.splits.items():
            _add_row(table, split, spec.episodes, spec.horizon, spec.purpose)
        lines = (
            f"{name}   {task.title}",
            f"  world   {task.world_id}, observations {world.observation_space}",
            f"  actions {world.action_space}",
            f"  group   {world.symmetry.description}",
            f"  models  {_models(task)}",
        )
        blocks.append("\n".join((*map(shown, lines), *(f"  {line}" for line in _text(table).splitlines()))))
    return "\n\n".join(blocks)


def _models(task: Task) -> str:
    """The models of a task in words, those that are run on request at the end."""
    names = [name for name in model_names(task) if name not in task.models_on_request]
    text = ", ".join(names) or "none of its own"
    return text + (f"; if named: {', '.join(task.models_on_request)}" if task.models_on_request else "")


def list_tasks() -> list[dict[str, Any]]:
    """All tasks as ``sen-bench tasks --json`` prints them; of a broken one what is wrong with it."""
    rows: list[dict[str, Any]] = []
    for name in task_names():
        try:
            task = get_task(name)
            world = task.world()
        except SenBenchError as error:
            rows.append({"name": name, "error": str(error)})
            continue
        rows.append(
            {
                "name": name,
                "title": task.title,
                "world": task.world_id,
                "world_options": dict(task.world_options),
                "observation": str(world.observation_space),
                "action": str(world.action_space),
                "symmetry": world.symmetry.description,
                "models": model_names(task),
                "symmetric_models": list(task.symmetric_models),
                "models_on_request": list(task.models_on_request),
                "splits": {
                    split: {
                        "episodes": spec.episodes,
                        "steps": spec.horizon,
                        "purpose": spec.purpose,
                        "twins": spec.twin,
                        "negatives": spec.negatives,
                    }
                    for split, spec in task.splits.items()
                },
            }
        )
    return rows


_S_IS = {
    None: "ordinary",
    "exact": "equivariant on images",
    "approximate": "about equivariant on images",
}


def describe_models(rows: list[dict[str, Any]]) -> str:
    """The models of each task with their parameters, and whether they have the same budget.

    Args:
        rows: As ``sen-bench models --json`` prints them.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("task", "model", "S", "E", "T", "parameters", "S is", "E and T are", "class"):
        table.add_column(heading, justify="right" if heading in {"S", "E", "T", "parameters"} else "left")
    notes = []
    for row in rows:
        if "error" in row:
            notes.append(shown(f"{row['task']} {row['model']} cannot be used: {row['error']}"))
            continue
        counts = row["parameters"]
        _add_row(
            table,
            row["task"],
            row["model"],
            *(f"{counts[part]:,}" for part in ("embedding", "encoder", "transition", "total")),
            _S_IS[row["image_equivariance"]],
            "equivariant" if row["equivariant"] else "ordinary",
            row["class"],
        )
    for task in dict.fromkeys(row["task"] for row in rows):
        totals = [
            row["parameters"]["total"]
            for row in rows
            if row["task"] == task and "error" not in row and not row["on_request"]
        ]
        if len(totals) > 1:
            ratio = sen_bench.checks.budget_ratio(totals)
            verdict = "the same budget" if ratio <= sen_bench.checks.SAME_BUDGET else "not the same budget"
            notes.append(
                f"{shown(task)}: {verdict}; the largest has {ratio:.2f} × the parameters of the smallest"
            )
    return "\n".join([*([_text(table), ""] if table.rows else []), *notes]).strip("\n")


def describe_errors(
    about: dict[str, Any], group: Group | SO3, elements: Tensor, errors: list[ElementErrors]
) -> str:
    """How far a model is from equivariant, by group element; for products like C4 × S5 by the first factor.

    Args:
        about: Task, model and epochs trained.
        group: The group.
        elements: Its elements that were tried.
        errors: Those of each of them.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("element", "S on states", "S on images", "E", "T"):
        table.add_column(heading, justify="left" if heading == "element" else "right")
    for name, entries in _grouped(group, elements, errors):
        worst = [
            max((value for value in column if value is not None), default=None)
            for column in zip(*map(_values, entries), strict=True)
        ]
        _add_row(
            table, name, *("-" if value is None or math.isnan(value) else f"{value:.2g}" for value in worst)
        )
    epochs = about["trained_epochs"]
    state = f"trained for {number_of(epochs, 'epoch')}" if epochs else "untrained"
    known = any(value is not None and not math.isnan(value) for e in errors for value in _values(e))
    nothing = (
        f"nothing to measure under {number_of(len(errors), 'element')} of {group.name}: the model does not"
        " say how the"
        " group acts on its embeddings, and claims no equivariance"
    )
    text = _text(table) if known else nothing
    return f"{shown(about['task'])}, {shown(about['model'])}, {state}\n{text}\n"


_PARTS: Final = ("embedding", "image", "encoder", "transition")


def _values(entry: ElementErrors) -> list[float | None]:
    """The errors of the parts of a model, in the order of the columns."""
    return [getattr(entry, part) for part in _PARTS]


def _grouped(
    group: Group | SO3, elements: Tensor, errors: list[ElementErrors]
) -> Iterator[tuple[str, list[ElementErrors]]]:
    """A row per element or, for a product, one for (a, 1) and one for all (a, b) with other b."""
    factors = (
        (group.construction or {}).get("factors") if isinstance(group, sen_bench.symmetry.Group) else None
    )
    if factors is None:
        yield from ((entry.element, [entry]) for entry in errors)
        return
    first, second = (sen_bench.symmetry.Group.from_json(factor) for factor in factors)
    rows: dict[tuple[int, bool], list[ElementErrors]] = {}
    for element, entry in zip(elements.tolist(), errors, strict=True):
        a, b = divmod(element, second.order)
        rows.setdefault((a, b != 0), []).append(entry)
    for (a, others), entries in rows.items():
        name = (
            f"({first.element_name(a)}, {number_of(len(entries), 'other')})" if others else entries[0].element
        )
        yield name, entries


def describe_dataset(dataset: Dataset) -> str:
    """What a dataset is, holds and comes from.

    Raises:
        DatasetError: Its recipe or its renderer cannot be understood.
    """
    symmetry = dataset.symmetry
    recipe = dataset.recipe
    pixels = {"exact": "equal on every machine", "backend": "may differ between graphics drivers"}
    if dataset.renderer not in pixels:
        raise DatasetError(
            f"{dataset.path}: the root's renderer is {shown(repr(dataset.renderer))},"
            f" not {' or '.join(pixels)}; generate it again"
        )
    try:
        seed, policy = str(recipe["seed"]), _policy(recipe)
    except (KeyError, TypeError, AttributeError) as error:
        raise DatasetError(
            f"{dataset.path}: the recipe does not say seed and policy as it should ({shown(repr(error))});"
            " generate it again"
        ) from error
    facts = {
        "task": f"{dataset.task}, split {dataset.split}",
        "world": " ".join([dataset.world_id, *(f"{k}={v}" for k, v in dataset.world_options.items())]),
        "size": f"{number_of(dataset.episodes, 'episode')} of {number_of(dataset.horizon, 'step')}",
        "on disk": f"{dataset.stored_bytes / 1e6:.1f} MB ({dataset.decoded_bytes / 1e6:.1f} MB in memory)",
        "group": f"{_group(symmetry.group)}: {symmetry.description}",
        "acts on": ", ".join(f"{name} (dim {rho.dim})" for name, rho in symmetry.representations.items()),
        "pixels": "the group's action on them is not known"
        if symmetry.observation is None
        else f"elements {_elements(symmetry.twin_elements)} act on them by {symmetry.observation!r}",
        "twins": _twins(symmetry.twin_elements) if dataset.has_twin else "none",
        "renderer": f"{dataset.renderer}: pixels are {pixels[dataset.renderer]}",
        "seed": seed,
        "policy": policy,
        "content": f"sha256:{dataset.content_digest}" + _left_out(dataset.inexact),
        "files": f"sha256:{dataset.files_digest}",
        "recipe": f"sha256:{dataset.recipe_digest} (generator version {dataset.generator_version})",
        "written with": ", ".join(f"{k} {v}" for k, v in dataset.library_versions.items()),
    }
    width = max(map(len, facts))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("array", "type", "shape", "dimensions"):
        table.add_column(heading)
    for name, array in dataset.arrays.items():
        dimensions = ", ".join(str(d) for d in array.metadata.dimension_names or ())  # type: ignore[union-attr]
        _add_row(table, name, array.dtype, " × ".join(map(str, array.shape)), dimensions)
    return "\n".join([*(f"{k:<{width}}  {shown(v)}" for k, v in facts.items()), "", _text(table)])


def _group(group: Group | SO3) -> str:
    return f"{group.name}, order {group.order}" if isinstance(group, sen_bench.symmetry.Group) else group.name


def _elements(elements: Iterable[int]) -> str:
    return ", ".join(map(str, elements))


def _twins(elements: tuple[int, ...]) -> str:
    """Where the elements of twins come from; no list means the whole group."""
    drawn = f"one of the elements {_elements(elements)}" if elements else "a uniformly random element"
    return f"{drawn} an episode"


def _left_out(inexact: tuple[str, ...]) -> str:
    """Which arrays the content digest leaves out."""
    return f" (without {', '.join(inexact)})" if inexact else ""


def _policy(recipe: dict[str, Any]) -> str:
    """How the actions of a dataset were chosen."""
    policy = recipe["policy"]
    text = str(policy["kind"])
    if text == UNIFORM:
        allowed = policy["allowed"]
        text += " over all actions" if allowed is None else f" over the actions {_elements(allowed)}"
    if policy.get("absolute"):
        text += f", absolute values of the entries {_elements(policy['absolute'])}"
    if recipe.get("warmup"):
        text += f", after {number_of(recipe['warmup'], 'step')} of warm-up that are not recorded"
    return text

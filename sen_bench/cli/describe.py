"""Tasks and datasets in words, for a terminal."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from sen_bench.generators.policy import UNIFORM
from sen_bench.store import Dataset
from sen_bench.symmetry import SO3, Group
from sen_bench.tasks import get_task, task_names


def _text(table: Table) -> str:
    """A table as plain text, as wide as it needs to be."""
    buffer = io.StringIO()
    Console(file=buffer, width=200, color_system=None).print(table)
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()).strip("\n")


def describe_tasks() -> str:
    """All tasks: for each its world, group, models and splits."""
    blocks = []
    for name in task_names():
        task = get_task(name)
        world = task.world()
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for heading in ("split", "episodes", "steps", "for"):
            table.add_column(heading, justify="right" if heading in {"episodes", "steps"} else "left")
        for split, spec in task.splits.items():
            table.add_row(split, str(spec.episodes), str(spec.horizon), spec.purpose)
        lines = (
            f"{name}   {task.title}",
            f"  world   {task.world_id}, observations {world.observation_space}",
            f"  actions {world.action_space}",
            f"  group   {world.symmetry.description}",
            f"  models  {', '.join(task.models) or 'none yet, datasets only'}",
        )
        blocks.append("\n".join((*lines, *(f"  {line}" for line in _text(table).splitlines()))))
    return "\n\n".join(blocks)


def describe_dataset(dataset: Dataset) -> str:
    """What a dataset is, holds and comes from."""
    symmetry = dataset.symmetry
    recipe = dataset.recipe
    pixels = {"exact": "equal on every machine", "backend": "may differ between graphics drivers"}
    facts = {
        "task": f"{dataset.task}, split {dataset.split}",
        "world": " ".join([dataset.world_id, *(f"{k}={v}" for k, v in dataset.world_options.items())]),
        "size": f"{dataset.episodes} episodes of {dataset.horizon} steps",
        "on disk": f"{dataset.stored_bytes / 1e6:.1f} MB ({dataset.decoded_bytes / 1e6:.1f} MB in memory)",
        "group": f"{_group(symmetry.group)}: {symmetry.description}",
        "acts on": ", ".join(f"{name} (dim {rho.dim})" for name, rho in symmetry.representations.items()),
        "pixels": "the group's action on them is not known"
        if symmetry.observation is None
        else f"elements {_elements(symmetry.twin_elements)} act on them by {symmetry.observation!r}",
        "twins": _twins(symmetry.twin_elements) if dataset.has_twin else "none",
        "renderer": f"{dataset.renderer}: pixels are {pixels[dataset.renderer]}",
        "seed": str(recipe["seed"]),
        "policy": _policy(recipe),
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
        table.add_row(name, str(array.dtype), " × ".join(map(str, array.shape)), dimensions)
    return "\n".join([*(f"{k:<{width}}  {v}" for k, v in facts.items()), "", _text(table)])


def _group(group: Group | SO3) -> str:
    return f"{group.name}, order {group.order}" if isinstance(group, Group) else group.name


def _elements(elements: Iterable[int]) -> str:
    return ", ".join(map(str, elements))


def _twins(elements: tuple[int, ...]) -> str:
    """Where the elements of twins come from; no list means the whole group."""
    drawn = f"one of the elements {_elements(elements)}" if elements else "a uniformly random element"
    return f"{drawn} an episode"


def _left_out(inexact: tuple[str, ...]) -> str:
    """Which arrays the content digest is not over."""
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
        text += f", after {recipe['warmup']} steps of warm-up that are not recorded"
    return text

"""Whether the contents of a dataset are what the format and its world say they are, shard by shard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from sen_bench.envs import World
from sen_bench.errors import DatasetError
from sen_bench.store import Dataset, content_digest, row_digests, symmetry_arrays
from sen_bench.system import Advance

# How far floats computed here may be from those computed where the dataset was made [ours]: far more than
# libraries differ, far less than any wrong element or step changes.
_TOLERANCE = {"float32": 1e-5, "float64": 1e-9}

Rows = Mapping[str, NDArray[Any]]
"""Some episodes of every array but the pixels."""


def check_contents(dataset: Dataset, world: World, advance: Advance) -> None:
    """Checks annotations, shapes, values, twins and the content digest; names the first array that is wrong.

    Args:
        dataset: The dataset, whose files are as they were written.
        world: Its world.
        advance: Called with the episodes checked and their total.

    Raises:
        DatasetError: Something is not what it should be.
        SymmetryError: The annotation is not a group, or not a homomorphism.
    """
    digests = _check_annotation(dataset)
    _check_shapes(dataset)
    rows = {name: bytearray() for name in dataset.arrays if name not in digests}
    step = min((array.shards or array.chunks)[0] for name, array in dataset.arrays.items() if name in rows)
    for start in range(0, dataset.episodes, step):
        advance(start, dataset.episodes)
        small: dict[str, NDArray[Any]] = {}
        for name, digest in rows.items():
            values = dataset.read(name, start, start + step)
            if name not in dataset.inexact:
                digest.extend(row_digests(values))
            if name.rpartition("/")[2] != "observation":
                small[name] = values
        _check_values(dataset, world, small, start)
        _check_twins(dataset, world, small, start)
        _check_slice(dataset, world, small, start)
    advance(dataset.episodes, dataset.episodes)
    digests |= {name: bytes(digest) for name, digest in rows.items() if name not in dataset.inexact}
    arrays = {
        name: (dataset.array(name).shape, dataset.array(name).dtype.name, digest)
        for name, digest in digests.items()
    }
    if content_digest(arrays) != dataset.content_digest:
        raise DatasetError(
            f"{dataset.path}: the arrays do not have the content digest of the manifest; generate it again"
        )


def _check_annotation(dataset: Dataset) -> dict[str, bytes]:
    """Compares the stored annotation with the symmetry that the root describes; returns its row digests.

    Building that symmetry proves that it is a group and that its representations are homomorphisms.
    """
    expected = {spec.path: values for spec, values in symmetry_arrays(dataset.symmetry)}
    stored = {name for name in dataset.arrays if name.startswith("symmetry/")}
    if stored != expected.keys():
        name = min(stored ^ expected.keys())
        raise DatasetError(
            f"{dataset.path / name} is {'not in' if name in stored else 'missing, but in'} the symmetry that"
            " the root describes; generate it again"
        )
    digests = {}
    for name, values in expected.items():
        found = dataset.load(name)
        if found.shape != values.shape or not _equal(found, values):
            raise DatasetError(
                f"{dataset.path / name} is not the representation that the root describes; generate it again"
            )
        digests[name] = row_digests(found)
    return digests


def _check_shapes(dataset: Dataset) -> None:
    """Compares the shapes of arrays with each other, and with the recipe."""
    recipe = dataset.recipe
    episodes, steps = recipe["episodes"], recipe["horizon"]
    frames = steps + dataset.frame_stack
    state, observation = dataset.array("state").shape[2:], dataset.array("observation").shape[2:]
    action = dataset.array("action").shape[2:]
    expected = {
        "seed": (episodes,),
        "observation": (episodes, frames, *observation),
        "state": (episodes, frames, *state),
        "action": (episodes, steps, *action),
    }
    if recipe["twin"]:
        expected |= {f"twin/{name}": shape for name, shape in expected.items() if name != "seed"}
        expected["twin/element"] = (episodes, *dataset.symmetry.group.element_shape)
    if recipe.get("negatives"):
        count = dataset.array("negative/state").shape[2]
        expected["negative/state"] = (episodes, steps, count, *state)
        expected["negative/observation"] = (episodes, steps, count, *observation)
    for name, shape in expected.items():
        if dataset.array(name).shape != shape:
            raise DatasetError(
                f"{dataset.path / name} has the shape {dataset.array(name).shape} instead of {shape};"
                " generate it again"
            )


def _check_values(dataset: Dataset, world: World, rows: Rows, start: int) -> None:
    """Checks that floats are finite, actions possible, and elements those that twins are drawn from."""
    allowed = dataset.recipe["policy"]["allowed"]
    for name, values in rows.items():
        if values.dtype.kind == "f":
            _all(dataset, name, np.isfinite(values), start, "not finite")
        if name.endswith("action"):
            _all(dataset, name, _in_space(values, world.action_space), start, "not an action of the world")
    if allowed is not None and isinstance(world.action_space, gymnasium.spaces.Discrete):
        _all(dataset, "action", np.isin(rows["action"], allowed), start, "not an action of the policy")
    if dataset.has_twin and dataset.symmetry.twin_elements:
        elements = rows["twin/element"]
        known = np.isin(elements, dataset.symmetry.twin_elements)
        _all(dataset, "twin/element", known, start, "not an element that twins are drawn from")


def _check_twins(dataset: Dataset, world: World, rows: Rows, start: int) -> None:
    """Checks that the states and actions of twins are the transformed ones."""
    if not dataset.has_twin:
        return
    elements = rows["twin/element"][:, None]
    for name, transform in (("state", world.transform_state), ("action", world.transform_action)):
        found, expected = rows[f"twin/{name}"], transform(elements, rows[name])
        equal = np.abs(found - expected) <= _TOLERANCE.get(found.dtype.name, 0)
        _all(dataset, f"twin/{name}", equal, start, f"not that {name} after the episode's group element")


def _check_slice(dataset: Dataset, world: World, rows: Rows, start: int) -> None:
    """Checks that transitions lie in the slice, if they are said to."""
    if dataset.recipe.get("slice"):
        states = rows["state"][:, dataset.frame_stack - 1]
        distances = world.slice_distance(states, rows["action"][:, 0])
        _all(dataset, "state", distances == 0, start, "outside the slice that the recipe asks for")


def _in_space(actions: NDArray[Any], space: gymnasium.Space[Any]) -> NDArray[np.bool_]:
    """Which actions, or entries of actions, the space has."""
    if isinstance(space, gymnasium.spaces.Discrete):
        return np.asarray((actions >= space.start) & (actions < space.start + space.n))
    if isinstance(space, gymnasium.spaces.Box):
        slack = _TOLERANCE.get(actions.dtype.name, 0)
        return np.asarray((actions >= space.low - slack) & (actions <= space.high + slack))
    return np.array([[space.contains(action) for action in episode] for episode in actions])


def _equal(found: NDArray[Any], expected: NDArray[Any]) -> bool:
    return bool((np.abs(found - expected) <= _TOLERANCE.get(found.dtype.name, 0)).all())


def _all(dataset: Dataset, name: str, holds: NDArray[np.bool_], start: int, what: str) -> None:
    """Makes sure that something holds for every entry of some episodes.

    Raises:
        DatasetError: It does not; the message names the first episode.
    """
    wrong = ~holds.reshape(len(holds), -1).all(axis=1)
    if wrong.any():
        episode = start + int(np.argmax(wrong))
        raise DatasetError(
            f"{dataset.path / name}: episode {episode} has an entry that is {what}; generate it again"
        )

"""A dataset of random numbers written straight with the store, for the tests of the format."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sen_bench.store import (
    EpisodeBlocks,
    canonical_digest,
    create_store,
    finish_store,
    symmetry_arrays,
    write_rows,
)
from sen_bench.symmetry import AnySymmetry, Group, Representation, Symmetry

GROUP = Group.dihedral(4)
SYMMETRY = Symmetry(
    GROUP,
    {"regular": Representation.regular(GROUP), "standard": Representation.standard(GROUP)},
    twin_elements=(1, 2),
    description="the square",
)
EPISODES, STEPS = 7, 3
BLOCKS = EpisodeBlocks(episodes=EPISODES, per_chunk=2, per_shard=4)


def attributes(
    episodes: int = EPISODES, steps: int = STEPS, symmetry: AnySymmetry = SYMMETRY
) -> dict[str, Any]:
    """What the root says, for so many episodes of so many steps."""
    made_from = {"task": "toy", "split": "train", "world_id": "Toy-v0", "world_options": {"size": 3}}
    recipe = {**made_from, "episodes": episodes, "horizon": steps, "seed": 1}
    return {
        **made_from,
        "renderer": "exact",
        "recipe": recipe,
        "recipe_digest": canonical_digest(recipe),
        "generator_version": 1,
        "library_versions": {"numpy": "2"},
        "symmetry": symmetry.to_json(),
    }


def contents() -> dict[str, tuple[tuple[str, ...], NDArray[Any]]]:
    """Path -> dimension names of a row, values. The first shard of actions is all zeros."""
    rng = np.random.default_rng(0)
    image = ("frame", "height", "width", "channel")
    return {
        # Large enough to be cut into chunks and shards.
        "observation": (image, rng.integers(0, 9, (EPISODES, STEPS + 1, 600, 600, 1), dtype=np.uint8)),
        "action": (("step",), np.arange(EPISODES)[:, None].repeat(STEPS, 1) // 4),
        "state": (("frame", "coordinate"), rng.normal(size=(EPISODES, STEPS + 1, 2))),
        "seed": ((), rng.integers(0, 2**63, EPISODES, dtype=np.uint64)),
        "twin/observation": (image, rng.integers(0, 9, (EPISODES, STEPS + 1, 600, 600, 1), dtype=np.uint8)),
        "twin/action": (("step",), np.zeros((EPISODES, STEPS), np.int64)),
        "twin/element": ((), np.arange(EPISODES) % 2 + 1),
    }


def write_dataset(
    root: Path,
    arrays: dict[str, tuple[tuple[str, ...], NDArray[Any]]],
    blocks: EpisodeBlocks = BLOCKS,
    inexact: Collection[str] = (),
) -> None:
    root.mkdir(parents=True)
    specs = [
        blocks.array(path, values.shape[1:], values.dtype.name, names, f"the {path}")
        for path, (names, values) in arrays.items()
    ]
    annotations = list(symmetry_arrays(SYMMETRY))
    create_store(root, specs + [spec for spec, _ in annotations])
    receipts = [write_rows(root, spec.path, 0, values) for spec, values in annotations]
    receipts += [
        write_rows(root, path, start, values[start:stop])
        for start, stop in blocks.ranges()
        for path, (_, values) in arrays.items()
    ]
    _, action = arrays["action"]
    finish_store(root, attributes(*action.shape[:2]), receipts, inexact=inexact)


def files_of(root: Path) -> list[str]:
    return sorted(f.relative_to(root).as_posix() for f in root.rglob("*") if f.is_file())


def one_line(error: pytest.ExceptionInfo[Exception]) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message

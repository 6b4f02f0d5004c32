"""Whether a dataset says of itself what its recipe says, and whether its recipe reproduces it."""

from __future__ import annotations

import numpy as np

from sen_bench.envs import World
from sen_bench.errors import DatasetError
from sen_bench.generators import GENERATOR_VERSION, Recipe, differences, episode_arrays
from sen_bench.store import Dataset
from sen_bench.system import Advance, shown


def check_provenance(dataset: Dataset, world: World) -> None:
    """Makes sure that the root says of the world what the world of the recipe says.

    Args:
        dataset: The dataset.
        world: The world that its recipe names.

    Raises:
        DatasetError: It does not; the message names the first difference.
    """
    ours = {
        "world_id": world.world_id,
        "world_options": world.options,
        "renderer": world.renderer,
        "frame_stack": world.frame_stack,
    }
    theirs = {name: getattr(dataset, name) for name in ours}
    for name, found, wanted in differences(theirs, ours):
        raise DatasetError(
            f"{dataset.path}: the root's {shown(name)} is {shown(found)}, but the world of the recipe has"
            f" {shown(wanted)}; generate it again"
        )


def check_regenerated(dataset: Dataset, world: World, count: int, seed: int, advance: Advance) -> None:
    """Generates random episodes again and compares them with the stored ones, to the bit.

    Arrays that are not exact are left out.

    Args:
        dataset: The dataset.
        world: Its world.
        count: How many episodes; all if there are fewer.
        seed: The seed they are drawn from.
        advance: Called with the episodes compared and their total.

    Raises:
        DatasetError: One differs, or the dataset was made by another version of the generator.
    """
    if dataset.generator_version != GENERATOR_VERSION:
        raise DatasetError(
            f"{dataset.path} was made by version {dataset.generator_version} of the generator; this sen-bench"
            f" has version {GENERATOR_VERSION} and cannot make it again"
        )
    recipe = Recipe.from_json(dataset.recipe)
    rng = np.random.default_rng(seed)
    chosen = rng.choice(dataset.episodes, min(count, dataset.episodes), replace=False)
    for done, episode in enumerate(chosen.tolist()):
        advance(done, len(chosen))
        for name, values in episode_arrays(world, recipe, episode, episode + 1):
            stored = dataset.read(name, episode, episode + 1)
            if name not in dataset.inexact and stored.tobytes() != values.tobytes():
                raise DatasetError(
                    f"{dataset.path / name}: episode {episode} is not what its recipe gives here; it was made"
                    f" with {', '.join(f'{k} {v}' for k, v in dataset.library_versions.items())}"
                )
    advance(len(chosen), len(chosen))

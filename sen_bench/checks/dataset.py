"""All checks of a dataset, from the cheapest to the most expensive."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sen_bench.checks.dataset_contents import check_contents
from sen_bench.checks.dataset_files import check_files
from sen_bench.checks.dataset_recipe import check_provenance, check_regenerated
from sen_bench.envs import make_world
from sen_bench.errors import ConfigError, DatasetError, SenBenchError
from sen_bench.generators import Recipe
from sen_bench.store import Dataset, open_dataset
from sen_bench.system import QUIET, Progress, number_of, plain_values


@dataclass(frozen=True)
class Report:
    """What was found to be in order.

    Args:
        dataset: The dataset, opened.
        checks: What was checked, in words.
    """

    dataset: Dataset
    checks: tuple[str, ...]


@contextmanager
def _of_dataset(path: Path) -> Iterator[None]:
    """Turns what worlds and symmetries say about impossible contents into an error that names the dataset.

    Raises:
        DatasetError: Instead of those.
    """
    try:
        yield
    except DatasetError:
        raise
    except SenBenchError as error:
        raise DatasetError(f"{path}: {error}; generate it again") from error


@plain_values
def verify(
    path: Dataset | Path | str,
    *,
    quick: bool = False,
    regenerate: int = 0,
    seed: int = 0,
    progress: Progress = QUIET,
) -> Report:
    """Makes sure that a dataset is complete and correct. Memory is bounded by one shard of one array.

    Args:
        path: The folder, or a dataset that is open, whose folder is read anew.
        quick: Check only that the files that should be there are, with the right sizes, and no others.
        regenerate: How many random episodes are generated again and compared.
        seed: The seed they are drawn from.
        progress: Is told how far it has got.

    Raises:
        DatasetError: Something is broken; the message names the first such thing, and says what to do.
        ConfigError: Both quick and regenerate are given, or the number of episodes is negative.
    """
    if regenerate < 0 or (quick and regenerate):
        raise ConfigError("the episodes to regenerate must be at least 0, and 0 for a quick check")
    path = path.path if isinstance(path, Dataset) else Path(path)
    with progress.work(f"{path.name} checked", "files") as advance:
        manifest = check_files(path, quick=quick, advance=advance)
    dataset = open_dataset(path)
    checks = [f"{number_of(len(manifest.files), 'file')}, {manifest.stored_bytes / 1e6:.1f} MB"]
    if quick:
        return Report(dataset, (*checks, "names and sizes only"))
    try:
        recipe = Recipe.from_json(dataset.recipe)
        world = make_world(recipe.world_id, **recipe.world_options)
    except SenBenchError as error:
        raise DatasetError(
            f"{path}: every file is as it was written, but the contents cannot be checked without the world:"
            f" {error}"
        ) from error
    with progress.work(f"{path.name} checked", "episodes") as advance, _of_dataset(path):
        check_provenance(dataset, world)
        check_contents(dataset, world, advance)
    checks.append("contents")
    if regenerate:
        with progress.work(f"{path.name} regenerated", "episodes") as advance, _of_dataset(path):
            check_regenerated(dataset, world, regenerate, seed, advance)
        checks.append(
            f"{min(regenerate, dataset.episodes)} of {number_of(dataset.episodes, 'episode')} regenerated"
        )
        if dataset.inexact:
            checks[-1] += f" without {', '.join(dataset.inexact)}, which may differ between machines"
    return Report(dataset, tuple(checks))

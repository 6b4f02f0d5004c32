"""Datasets for Minari, the format in which Farama's libraries exchange offline data.

Every episode has its frames, actions and states; its infos also have its twin and its hard negatives, where
the dataset has some, and its metadata the group element of the twin. The metadata of the dataset has the
symmetry and the provenance, as the Zarr store has them, under the key ``sen_bench``.
"""

from __future__ import annotations

import importlib.metadata
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from sen_bench._version import __version__
from sen_bench.envs import make_world
from sen_bench.errors import DatasetError, MissingExtraError
from sen_bench.store import Dataset
from sen_bench.system import QUIET, Progress, move_aside

# Decoded bytes of observations that are converted at a time.
_BLOCK_BYTES = 20_000_000
# All that is read of an episode, beside the actions: by the name it has in Minari's infos.
_INFOS = {
    "state": "state",
    "twin_observation": "twin/observation",
    "twin_action": "twin/action",
    "twin_state": "twin/state",
    "negative_observation": "negative/observation",
    "negative_state": "negative/state",
}


def minari_id(dataset: Dataset) -> str:
    """What Minari calls a dataset: ``sen-bench/3d-blocks/eval-v1``, with the version of the generator."""
    task, split = (re.sub(r"[^\w-]", "-", name) for name in (dataset.task, dataset.split))
    return f"sen-bench/{task}/{split}-v{dataset.generator_version}"


def export_minari(
    dataset: Dataset, root: Path, *, force: bool = False, progress: Progress = QUIET
) -> tuple[Path, Path | None]:
    """Writes a dataset for Minari, without loss: frames are stored as they are, not as JPEG.

    With ``MINARI_DATASETS_PATH`` set to the root, ``minari.load_dataset(minari_id(dataset))`` loads it.
    Memory stays bounded, whatever the size of the dataset. The folder appears when it is whole.

    Args:
        dataset: What to write, with its twins and hard negatives. Several frames that are shown at once are
            one observation, oldest first along the channels.
        root: The folder of Minari's datasets.
        force: Move what lies there aside.
        progress: Is told how many episodes are written.

    Returns:
        The folder of the dataset, and the new place of the one that was there before, if any.

    Raises:
        DatasetError: Something lies there already, or it cannot be written.
        MissingExtraError: Minari or h5py is not installed.
        UnknownNameError: The world is not installed here, whose spaces are needed.
    """
    try:
        import h5py  # noqa: F401, PLC0415 — an optional package, which Minari asks for only when it writes
        from minari.dataset.minari_storage import MinariStorage  # noqa: PLC0415 — an optional package
    except ImportError as error:
        raise MissingExtraError("export to Minari", "minari") from error
    target = root / minari_id(dataset)
    if target.exists() and not force:
        raise DatasetError(
            f"{target} is already there; choose another place, or have it moved aside with force"
        )
    world = make_world(dataset.world_id, **dataset.world_options)
    height, width, channels = world.observation_space.shape or ()
    shown = (height, width, channels * dataset.frame_stack)
    draft = target.with_name(f".{target.name}.partial")
    try:
        shutil.rmtree(draft, ignore_errors=True)  # of a process that was killed
        (draft / "data").mkdir(parents=True)
        storage = MinariStorage.new(
            draft / "data",
            gymnasium.spaces.Box(0, 255, shown, np.uint8),
            _plain_space(world.action_space, dataset.array("action").dtype),
            data_format="hdf5",
            jpeg_encoding=False,
        )
        storage.update_metadata(_metadata(dataset))
        with progress.work(f"{dataset.task} {dataset.split}", "episodes") as advance:
            advance(0, dataset.episodes)
            for start, stop in _blocks(dataset):
                storage.update_episodes(_episodes(dataset, start, stop))
                if dataset.has_twin:
                    elements = dataset.read("twin/element", start, stop)
                    storage.update_episode_metadata(
                        [{"twin_element": element} for element in elements], range(start, stop)
                    )
                advance(stop, dataset.episodes)
        moved = move_aside(target) if target.exists() else None
        draft.replace(target)
    except OSError as error:  # HDF5's messages repeat the first line on many others
        reason = error.strerror or str(error).partition("\n")[0]
        raise DatasetError(f"{target} could not be written: {reason}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return target, moved


def _plain_space(space: gymnasium.Space[Any], dtype: np.dtype[Any]) -> gymnasium.Space[Any]:
    """The space of actions as Minari can write it: a world's own kind of Box, as of rotations, as a Box.

    Raises:
        DatasetError: Minari has no such space.
    """
    if isinstance(space, gymnasium.spaces.Box):
        return gymnasium.spaces.Box(space.low.astype(dtype), space.high.astype(dtype), dtype=dtype.type)
    if isinstance(space, gymnasium.spaces.Discrete):
        return gymnasium.spaces.Discrete(int(space.n), start=int(space.start))
    raise DatasetError(f"actions of {space} cannot be written for Minari; only Discrete and Box ones can")


def _metadata(dataset: Dataset) -> dict[str, Any]:
    """What the dataset says about itself."""
    twins = ", with twins under the elements of its group" if dataset.has_twin else ""
    return {
        "dataset_id": minari_id(dataset),
        "algorithm_name": str(dataset.recipe["policy"]["kind"]),
        "description": f"{dataset.task}, split {dataset.split}{twins}: written by sen-bench {__version__}",
        "minari_version": importlib.metadata.version("minari"),
        "sen_bench": dict(dataset.attributes),
    }


def _blocks(dataset: Dataset) -> Iterator[tuple[int, int]]:
    """Ranges of episodes, whole chunks of the store."""
    frames = dataset.array("observation")
    chunk = frames.chunks[0]
    block = chunk * max(1, _BLOCK_BYTES * dataset.episodes // (frames.nbytes * chunk))
    for start in range(0, dataset.episodes, block):
        yield start, min(start + block, dataset.episodes)


def _episodes(dataset: Dataset, start: int, stop: int) -> Iterator[Any]:
    """Episodes as Minari's buffers."""
    from minari.data_collector import EpisodeBuffer  # noqa: PLC0415 — an optional package

    stack = dataset.frame_stack
    actions = dataset.read("action", start, stop)
    frames = _shown(dataset.read("observation", start, stop), stack)
    seeds = dataset.read("seed", start, stop)
    infos = {
        name: _info(dataset.read(path, start, stop), path, stack)
        for name, path in _INFOS.items()
        if path in dataset.arrays
    }
    steps = actions.shape[1]
    for k in range(stop - start):
        yield EpisodeBuffer(
            id=start + k,
            seed=int(seeds[k]),
            observations=frames[k],
            actions=actions[k],
            rewards=np.zeros(steps),  # these worlds have no goal
            terminations=np.zeros(steps, dtype=bool),
            truncations=np.arange(steps) == steps - 1,
            infos={name: values[k] for name, values in infos.items()},
        )


def _info(values: NDArray[Any], path: str, stack: int) -> NDArray[Any]:
    """An array of episodes with an entry for each observation that is shown, or for each step."""
    if path.endswith("observation") and not path.startswith("negative"):
        return _shown(values, stack)
    return values[:, stack - 1 :] if path in {"state", "twin/state"} else values


def _shown(frames: NDArray[np.uint8], stack: int) -> NDArray[np.uint8]:
    """What is shown at each time, ``[B, T + S, H, W, C]`` to ``[B, T + 1, H, W, S · C]``, oldest first."""
    count = frames.shape[1] - stack + 1
    return np.concatenate([frames[:, later : later + count] for later in range(stack)], axis=-1)

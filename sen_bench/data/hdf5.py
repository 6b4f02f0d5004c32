"""Datasets in the file format of others: the HDF5 files that the paper's public code reads.

Such a file has the arrays "obs", "action" and "next_obs" [episode, step, …], all float32; observations have
their channels first, in [0, 1], and stacked frames oldest first along the channels. Those of Reacher also
have ground truth, without which the public evaluation does not read them. (Source: `sen/data` and
`sen/utils.py` of github.com/jypark0/sen.)
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sen_bench._version import __version__
from sen_bench.envs import World, make_world
from sen_bench.errors import DatasetError, MissingExtraError
from sen_bench.store import Dataset
from sen_bench.symmetry import Group
from sen_bench.system import QUIET, Advance, Progress, move_aside, write_atomically

EXPORTED = ("observation", "action", "state")
"""The arrays that are read; all others of a dataset are left out."""

# Decoded bytes of observations that are converted at a time.
_BLOCK_BYTES = 2_000_000
# What a pixel becomes: divided in float64 and rounded once, as in the public code.
_BRIGHTNESS = (np.arange(256) / 255).astype(np.float32)
_REACHER = "sen_bench/Reacher-v0"
# Metres from the base to the elbow, and from the elbow to the fingertip.
_UPPER_ARM, _FOREARM = 0.1, 0.11

_Block = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]
_Arrays = Mapping[str, NDArray[np.float32]]


def export_hdf5(
    dataset: Dataset,
    target: Path,
    *,
    element: int | None = None,
    force: bool = False,
    progress: Progress = QUIET,
) -> Path | None:
    """Writes a dataset as the HDF5 file that the paper's public code reads.

    Memory stays bounded, whatever the size of the dataset. The file appears when it is whole.

    Args:
        dataset: What to write; its twins and negatives are left out.
        target: The file.
        element: Write the episodes as seen after this element of the group, rendered again: for the public
            evaluation, the quarter turn.
        force: Move what lies at the target aside.
        progress: Is told how many episodes are written.

    Returns:
        The new place of the file that was there before, if any.

    Raises:
        DatasetError: Something lies at the target, the group has no such element, or the file cannot be
            written.
        MissingExtraError: h5py is not installed.
        WorldError: The world cannot be built here.
    """
    try:
        import h5py  # noqa: PLC0415 — an optional package
    except ImportError as error:
        raise MissingExtraError("export to HDF5", "hdf5") from error
    if target.exists() and not force:
        raise DatasetError(
            f"{target} is already there; choose another place, or have it moved aside with force"
        )
    turned = None if element is None else _Turned(dataset, element)
    moved: list[Path] = []

    def write(draft: Path) -> None:
        work = progress.work(f"{dataset.task} {dataset.split}", "episodes")
        with h5py.File(draft, "w") as file, work as advance:
            _write(file, dataset, turned, advance)
            file.attrs["written by"] = f"sen-bench {__version__}"
            file.attrs["task"], file.attrs["split"] = dataset.task, dataset.split
            file.attrs["content digest"] = dataset.content_digest
            if element is not None:
                file.attrs["element"] = element
        if target.exists():
            moved.append(move_aside(target))

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, write)
    except OSError as error:  # HDF5's messages repeat the first line on many others
        reason = error.strerror or str(error).partition("\n")[0]
        raise DatasetError(f"{target} could not be written: {reason}") from error
    return moved[0] if moved else None


class _Turned:
    """Episodes as they are seen after a group element.

    Args:
        dataset: Where they come from.
        element: The element.

    Raises:
        DatasetError: The group has no such element, or this sen-bench draws the world differently.
    """

    def __init__(self, dataset: Dataset, element: int) -> None:
        group = dataset.symmetry.group
        if not isinstance(group, Group):
            raise DatasetError(f"{dataset.task} has the group {group.name}, whose elements have no numbers")
        if not 0 <= element < group.order:
            raise DatasetError(
                f"{dataset.task} has no group element {element}; elements go from 0 to {group.order - 1}"
            )
        self._world: World = make_world(str(dataset.recipe["world_id"]), **dataset.world_options)
        self._element = element
        first = self._world.render_states(dataset.read("state", 0, 1))
        if dataset.renderer == "exact" and not np.array_equal(first, dataset.read("observation", 0, 1)):
            raise DatasetError(
                f"{dataset.path} was not drawn as this sen-bench draws {dataset.world_id}; generate it again"
            )

    def block(self, action: NDArray[Any], state: NDArray[Any]) -> _Block:
        """Observations, actions and states of some episodes, from their actions and states."""
        state = self._world.transform_state(self._element, state)
        return (
            self._world.render_states(state),
            self._world.transform_action(self._element, action),
            state,
        )


def _write(file: Any, dataset: Dataset, turned: _Turned | None, advance: Advance) -> None:  # noqa: ANN401
    """Writes block after block of episodes."""
    frames = dataset.array(EXPORTED[0])
    chunk = frames.chunks[0]
    block = chunk * max(1, _BLOCK_BYTES * dataset.episodes // (frames.nbytes * chunk))
    advance(0, dataset.episodes)
    for start in range(0, dataset.episodes, block):
        stop = min(start + block, dataset.episodes)
        observation, action, state = (dataset.read(name, start, stop) for name in EXPORTED)
        if turned is not None:
            observation, action, state = turned.block(action, state)
        for name, rows in _converted(dataset, observation, action, state).items():
            if start == 0:
                shape = (dataset.episodes, *rows.shape[1:])
                # Every HDF5 library reads this, and float32 pixels take far less space with it.
                file.create_dataset(
                    name, shape, np.float32, chunks=rows.shape, compression="gzip", compression_opts=1
                )
            file[name][start:stop] = rows
        advance(stop, dataset.episodes)


def _converted(
    dataset: Dataset, observation: NDArray[Any], action: NDArray[Any], state: NDArray[Any]
) -> _Arrays:
    """Episodes as the public code stores them.

    Args:
        dataset: Where they come from.
        observation: uint8 [B, T + S, H, W, C], S frames being shown at once.
        action: [B, T, …].
        state: [B, T + S, …].

    Returns:
        float32 [B, T, …] by name; observations are [B, T, S · C, H, W].
    """
    steps, stack = action.shape[1], dataset.frame_stack
    frames = _BRIGHTNESS[observation.transpose(0, 1, 4, 2, 3)]
    shown = np.concatenate([frames[:, later : later + steps + 1] for later in range(stack)], axis=2)
    arrays = {
        "obs": shown[:, :-1],
        "action": action.astype(np.float32),
        "next_obs": shown[:, 1:],
    }
    if dataset.world_id == _REACHER:
        for name, values in _reacher_truth(state[:, stack - 1 :]).items():
            arrays[name] = values[:, :-1].astype(np.float32)
            arrays[f"next_{name}"] = values[:, 1:].astype(np.float32)
    return arrays


def _reacher_truth(state: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """What the public code stores of Reacher's state: that of MuJoCo, and Gym's observation of it.

    Args:
        state: float64 [B, T, 6], see `sen_bench.envs.reacher`.

    Returns:
        "qpos" and "qvel" [B, T, 4], of the joints and the goal, and "state" [B, T, 11]: cosines and sines of
        both angles, the goal, the joints' velocities, and the fingertip minus the goal.
    """
    angle, velocity, goal = state[..., :2], state[..., 2:4], state[..., 4:]
    upper, fore = angle[..., 0], angle.sum(axis=-1)
    tip = np.stack(
        [
            _UPPER_ARM * np.cos(upper) + _FOREARM * np.cos(fore),
            _UPPER_ARM * np.sin(upper) + _FOREARM * np.sin(fore),
        ],
        axis=-1,
    )
    height = np.zeros((*state.shape[:-1], 1))  # fingertip and goal are at the same height
    return {
        "qpos": np.concatenate([angle, goal], axis=-1),
        "qvel": np.concatenate([velocity, np.zeros_like(goal)], axis=-1),
        "state": np.concatenate([np.cos(angle), np.sin(angle), goal, velocity, tip - goal, height], axis=-1),
    }

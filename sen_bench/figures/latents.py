"""Latents of frames of an evaluation split, with the states they were seen in and the group's action."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sen_bench.baselines import CheckedModel, WorldModel
from sen_bench.data import Transitions, first_frames, shown_frames
from sen_bench.envs import make_world
from sen_bench.errors import NonFiniteError, UnknownNameError
from sen_bench.figures.irreps import PointGroup
from sen_bench.store import Dataset
from sen_bench.symmetry import Representation
from sen_bench.system import Advance

#: Frames that go through a model at a time.
CHUNK = 256


@contextmanager
def inference(device: torch.device, narrow: torch.dtype | None) -> Iterator[None]:
    """Switches gradients off, and runs networks in the narrow type they were trained in, if any."""
    with torch.inference_mode(), torch.autocast(device.type, narrow, enabled=narrow is not None):
        yield


def encode(model: WorldModel, observations: Tensor) -> Tensor:
    """Latents of observations.

    Raises:
        ExtensionError: They are of another shape or type than they should be.
        NonFiniteError: One of them is NaN or infinite.
    """
    checked = CheckedModel(model)
    latents = checked.encode(checked.embed(observations))
    if not torch.isfinite(latents).all():
        raise NonFiniteError("the model makes latents that are NaN or infinite; there is nothing to draw")
    return latents


def encode_transitions(
    model: WorldModel,
    transitions: Transitions,
    *,
    narrow: torch.dtype | None,
    advance: Advance,
) -> Tensor:
    """Latents of the first observations of transitions; the model stays as it is.

    Args:
        model: The model.
        transitions: The transitions.
        narrow: A narrow type for the model's arithmetic, or None.
        advance: Called with the observations done and their total.

    Returns:
        ``[N, *latent_shape]``.

    Raises:
        NonFiniteError: One of them is NaN or infinite.
    """
    parts = []
    with inference(transitions.device, narrow):
        for index in torch.split(torch.arange(len(transitions)), CHUNK):
            parts.append(encode(model, transitions.observations(index)))
            advance(int(index[-1]) + 1, len(transitions))
    # Concatenated outside inference mode, so that a loss may be computed from the result.
    return torch.cat(parts)


@dataclass(frozen=True)
class LatentSample:
    """Latents of the first observations of episodes.

    Attributes:
        latents: float64 ``[N, *latent_shape]``.
        states: The states they were seen in, ``[N, ...]``.
        frames: uint8 ``[N, H, W, C]``, the last frame of each observation.
    """

    latents: NDArray[np.float64]
    states: NDArray[Any]
    frames: NDArray[np.uint8]


def sample_latents(
    model: WorldModel, dataset: Dataset, device: torch.device, *, count: int, narrow: torch.dtype | None
) -> LatentSample:
    """The latents of the first ``count`` episodes, or of all if there are fewer.

    Raises:
        NonFiniteError: One of them is NaN or infinite.
    """
    frames = first_frames(dataset, "observation", count)
    with inference(device, narrow):
        latents = [
            encode(model, shown_frames(frames[i : i + CHUNK]).to(device)).cpu().double()
            for i in range(0, len(frames), CHUNK)
        ]
    states = dataset.read("state", 0, count)[:, dataset.frame_stack - 1]
    return LatentSample(torch.cat(latents).numpy(), states, frames[:, -1])


def latent_action(model: WorldModel, points: PointGroup, device: torch.device) -> NDArray[np.float64]:
    """What the turns and reflections do to latents, according to the model: float64 ``[n, D, D]``."""
    size = int(np.prod(model.latent_shape))
    basis = torch.eye(size, dtype=torch.float64, device=device).view(size, *model.latent_shape)
    elements = torch.from_numpy(points.elements).to(device)
    exact = copy.deepcopy(model).double()  # its buffers may hold the action
    with torch.inference_mode():
        images = [exact.transform_latent(g.expand(size), basis).reshape(size, size).T for g in elements]
    return torch.stack(images).cpu().numpy()


def object_actions(matrices: NDArray[np.float64], objects: int, points: PointGroup) -> list[Representation]:
    """The action on the latent of each object, if the turns do not mix the latents of objects.

    Args:
        matrices: float64 ``[n, O · d, O · d]``.
        objects: O.
        points: The group.

    Raises:
        SymmetryError: If these are not representations: turns mix the objects.
    """
    n, size = len(matrices), matrices.shape[1] // objects
    blocks = matrices.reshape(n, objects, size, objects, size)
    return [Representation(points.group, "latent", matrices=blocks[:, o, :, o]) for o in range(objects)]


def state_names(dataset: Dataset) -> Mapping[str, tuple[str, ...]]:
    """What the entries of a state are, if the world is installed here; otherwise nothing."""
    try:
        return make_world(dataset.world_id, **dataset.world_options).state_names
    except UnknownNameError:
        return {}

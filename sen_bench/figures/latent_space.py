"""The latent space of a trained model, in the figure that fits the group and how it acts on latents."""

from __future__ import annotations

import math

import numpy as np
import torch
from matplotlib.figure import Figure

from sen_bench.baselines import WorldModel
from sen_bench.figures.frames import draw_frames
from sen_bench.figures.grids import draw_grid_latents
from sen_bench.figures.irreps import point_group
from sen_bench.figures.latents import LatentSample, latent_action, object_actions, sample_latents, state_names
from sen_bench.figures.planes import draw_irreps, draw_principal_components
from sen_bench.store import Dataset
from sen_bench.symmetry import SO3, Representation

#: How many episodes are drawn, each by the latent of its first frame.
EPISODES = 2000


def draw_latents(
    model: WorldModel,
    dataset: Dataset,
    device: torch.device,
    *,
    title: str,
    narrow: torch.dtype | None = None,
    episodes: int = EPISODES,
) -> Figure:
    """Draws the latents of first frames of an evaluation split.

    | group, representation | figure |
    |---|---|
    | states are cells of a grid (`cell`, `object`), latents have an axis of objects | a plane per object |
    | SO(3), latents are rotations | learned frames against true ones |
    | cyclic or dihedral, it acts on latents | irreducible components |
    | anything else | principal components |

    Args:
        model: In evaluation mode on the device.
        dataset: The split.
        device: Where the model is.
        title: What the run is.
        narrow: The narrow type that the model was trained in, if any.
        episodes: The most episodes to draw.

    Raises:
        NonFiniteError: If a latent is NaN or infinite.
    """
    sample = sample_latents(model, dataset, device, count=episodes, narrow=narrow)
    symmetry = dataset.symmetry
    group = symmetry.group
    if isinstance(group, SO3):
        if model.latent_shape == (3, 3):
            return draw_frames(sample.latents, sample.states, sample.frames, title=title)
        return _draw_principal_components(sample, dataset, title)
    points = point_group(group) if model.equivariant else None
    matrices = latent_action(model, points, device) if points is not None else None
    objects, cells = (symmetry.representations.get(name) for name in ("object", "cell"))
    if objects is not None and cells is not None and model.latent_shape[0] == objects.dim:
        count = objects.dim
        actions: list[Representation | None] = [None] * count
        if points is not None and matrices is not None:
            actions = [*object_actions(matrices, count, points)]
        return draw_grid_latents(
            sample.latents,
            sample.states[..., :2],
            math.isqrt(cells.dim),
            actions,
            names=state_names(dataset).get("object", tuple(f"object {k}" for k in range(count))),
            title=title,
        )
    if points is not None and matrices is not None:
        action = Representation(points.group, "latent", matrices=matrices)
        return draw_irreps(
            sample.latents, _flat_states(sample), action, names=_names(sample, dataset), title=title
        )
    return _draw_principal_components(sample, dataset, title)


def _draw_principal_components(sample: LatentSample, dataset: Dataset, title: str) -> Figure:
    names = _names(sample, dataset)
    return draw_principal_components(sample.latents, _flat_states(sample), names=names, title=title)


def _flat_states(sample: LatentSample) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return sample.states.reshape(len(sample.states), -1).astype(np.float64)


def _names(sample: LatentSample, dataset: Dataset) -> list[str]:
    """What the entries of flattened states are."""
    shape = sample.states.shape[1:]
    axes = list(state_names(dataset).values())
    if tuple(len(names) for names in axes) != shape:
        axes = [tuple(map(str, range(length))) for length in shape]
    return [
        " ".join(names[k] for names, k in zip(axes, index, strict=True)) for index in np.ndindex(*shape)
    ] or ["state"]

"""Scores that need objects turned at will, rendered while a model is scored: TH@1, and DIE under SO(3).

Twins do not suffice here: under SO(3) each has a rotation of its own.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import torch
from torch import Tensor

from sen_bench.baselines import CheckedModel, WorldModel
from sen_bench.evaluation.frames import EvaluationFrames
from sen_bench.evaluation.metrics import (
    DistanceInvarianceError,
    distance_invariance_error,
    random_order,
    rank_predictions,
    require_finite,
)
from sen_bench.evaluation.rollouts import Rollouts
from sen_bench.system import Advance

TRAVERSED: Final = 100
"""Episodes from whose first states traversals start, the first of the split [ours]."""

STEPS: Final = 30
"""Steps of a traversal, which together are one full turn."""

TURNED_PAIRS: Final = 1000
"""Random pairs for DIE, at most [ours]: the second episode of each has to be rendered anew."""

TURN_AXES: Final = (2, 0, 1)
"""The axes of yaw, pitch and roll in the order x, y, z of 3D Teapot: up, to the right, away from the camera
[ours]."""


class TraversalScores(NamedTuple):
    """TH@1 about each axis, in [0, 1]; NaN where it is undefined."""

    yaw: float = math.nan
    pitch: float = math.nan
    roll: float = math.nan


def turns(axis: int) -> Tensor:
    """The rotations of a traversal: by 0, 1, … `STEPS` - 1 times 2π / `STEPS` about an axis of the world.

    Args:
        axis: 0, 1 or 2.

    Returns:
        float64 `[STEPS, 3, 3]`.
    """
    angles = 2 * math.pi / STEPS * torch.arange(STEPS, dtype=torch.float64)
    rotations = torch.zeros(STEPS, 3, 3, dtype=torch.float64)
    second, third = (axis + 1) % 3, (axis + 2) % 3
    rotations[:, axis, axis] = 1
    rotations[:, second, second] = rotations[:, third, third] = angles.cos()
    rotations[:, third, second] = angles.sin()
    rotations[:, second, third] = -angles.sin()
    return rotations


def hits_of_traversal(moved: Tensor, turned: Tensor) -> Tensor:
    """Whether each moved latent of a traversal is nearest to that of the object turned as far (TH@1).

    Args:
        moved: The latent of the first frame, moved by 0, 1, … steps, `[K, ...]`.
        turned: Latents of the object, truly turned by as many steps, of the same shape.

    Returns:
        bool `[K]`. Turned latents that are equally near share their mean rank, so that a tie is a miss.
    """
    return rank_predictions(moved, turned).ranks() <= 1


def traversal_scores(
    model: WorldModel, episodes: EvaluationFrames, *, chunk: int, advance: Advance
) -> TraversalScores:
    """TH@1 about the three axes: traversals from the first states of the first `TRAVERSED` episodes.

    The latent of the first frame is moved by the group's action on latents where the model's E and T are
    equivariant. Where they are not, nothing is known to act on latents but T: it is applied step after step,
    each with the rotation of one step as its action. For T(z, a) = a z the two are the same.

    Args:
        model: In evaluation mode, on the device of the episodes.
        episodes: Which can be turned.
        chunk: Frames that go through the model at a time; at least those of one traversal.
        advance: Is told how many traversals are done.

    Returns:
        The shares of hits; NaN for a model that is not equivariant where actions are not rotations.

    Raises:
        NonFiniteError: A latent is NaN or infinite.
    """
    count, at_a_time = min(TRAVERSED, len(episodes)), max(1, chunk // STEPS)
    actions = episodes.actions(torch.zeros(1, dtype=torch.int64, device=episodes.device), twin=False)
    if not model.equivariant and actions.shape[2:] != (3, 3):
        return TraversalScores()
    shares = []
    for done, axis in enumerate(TURN_AXES):
        rotations, hits = turns(axis).to(episodes.device), []
        for begin in range(0, count, at_a_time):
            index = torch.arange(begin, min(begin + at_a_time, count), device=episodes.device)
            moved, turned = _traverse(
                CheckedModel(model), episodes, index, rotations, by_group=model.equivariant
            )
            hits += [hits_of_traversal(*pair) for pair in zip(moved, turned, strict=True)]
            advance(done * count + len(hits), len(TURN_AXES) * count)
        shares.append(float(torch.cat(hits).double().mean()))
    return TraversalScores(*shares)


def _traverse(
    model: CheckedModel, episodes: EvaluationFrames, index: Tensor, rotations: Tensor, *, by_group: bool
) -> tuple[Tensor, Tensor]:
    """The moved latents of some episodes, and those of the truly turned object, `[B, STEPS, ...]` each."""
    elements = rotations.repeat(len(index), 1, 1)
    frames = episodes.turned(index.repeat_interleave(STEPS), 0, elements)
    latents = model.encode(model.embed(frames))
    require_finite(latents, "latents of turned objects")
    turned = latents.view(len(index), STEPS, *latents.shape[1:])
    first = turned[:, 0]
    if by_group:
        # The group acts exactly: rounding in its action would be taken for an error of the model.
        with torch.autocast(latents.device.type, enabled=False):
            moved = model.transform_latent(elements, first.repeat_interleave(STEPS, dim=0))
        return moved.view_as(turned), turned
    moved_so_far = [first]
    for _ in range(1, STEPS):
        # Copies, because what the model is given it may change in place.
        action = rotations[1].repeat(len(index), 1, 1)
        moved_so_far.append(model.transition(moved_so_far[-1].clone(), action))
    return torch.stack(moved_so_far, dim=1), turned


class TurnedPairs:
    """Random pairs of episodes for DIE under SO(3), both of which are seen after one rotation.

    It is that of the twin of the first episode; the second is rendered anew after it, as no stored twin is.

    Args:
        model: In evaluation mode, on the device of the episodes.
        episodes: Which can be turned.
        chunk: Episodes that go through the model at a time.
        seed: Of the pairs; the first `TURNED_PAIRS` are taken.
    """

    def __init__(self, model: WorldModel, episodes: EvaluationFrames, *, chunk: int, seed: int) -> None:
        self._model = CheckedModel(model)
        self._episodes = episodes
        self._chunk = chunk
        order = random_order(torch.zeros(len(episodes), dtype=torch.int64), seed=seed)
        self._first, self._second = (
            each[:TURNED_PAIRS].to(episodes.device) for each in (order, order.roll(-1))
        )

    def invariance_of_embedding(self, *, advance: Advance) -> float:
        """DIE(S) of the pairs, by the mean norm of the embeddings of their first observations.

        Args:
            advance: Is told how many pairs are done.
        """
        invariance = DistanceInvarianceError()
        for begin in range(0, len(self._first), self._chunk):
            first, second = (each[begin : begin + self._chunk] for each in (self._first, self._second))
            frames = (
                self._episodes.observations(first, 0, twin=False),
                self._episodes.observations(second, 0, twin=False),
                self._episodes.observations(first, 0, twin=True),
                self._turned(first, second, 0),
            )
            a, b, ga, gb = (self._model.embed(frame) for frame in frames)
            invariance.update(a, b, ga, gb)
            invariance.update_reference(a)
            advance(begin + len(first), len(self._first))
        return invariance.value()

    def invariance_of_model(self, original: Rollouts, twin: Rollouts, horizon: int) -> float:
        """DIE of predictions for the first episodes and true latents of the second ones.

        Args:
            original: Of all episodes.
            twin: Of all their twins.
            horizon: Steps predicted ahead.

        Raises:
            NonFiniteError: A latent of a turned object is NaN or infinite.
        """
        parts = []
        for begin in range(0, len(self._first), self._chunk):
            first, second = (each[begin : begin + self._chunk] for each in (self._first, self._second))
            parts.append(self._model.encode(self._model.embed(self._turned(first, second, horizon))))
        turned = torch.cat(parts)
        require_finite(turned, "latents of turned objects")
        first, second = self._first, self._second
        return distance_invariance_error(
            original.predicted[horizon][first],
            original.true[horizon][second],
            twin.predicted[horizon][first],
            turned,
            reference=original.true[0],
        )

    def _turned(self, first: Tensor, second: Tensor, frame: int) -> Tensor:
        """A frame of the second episodes after the rotations of the twins of the first ones."""
        elements = self._episodes.elements(slice(None))[first]
        return self._episodes.turned(second, frame, elements)

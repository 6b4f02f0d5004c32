"""Scores of world models as pure functions of latents and embeddings: ranking, equivariance, collapse.

Nothing here knows a model or a dataset. Latents and embeddings have the episode as leading axis; all further
axes are flattened before a norm is taken. Norms, distances and means are float64, so that a score neither
overflows nor depends on how the episodes were cut into chunks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from sen_bench.errors import NonFiniteError
from sen_bench.system import number_of

Ties: TypeAlias = Literal["mean", "optimistic"]
"""Rank of a true pair among predictions equally near: their mean rank, or the first (the public code's)."""

COLLAPSE_THRESHOLD = 0.01
"""Separation below which an encoder counts as collapsed [ours]: the hinge term above 99 % of its margin."""

_RANKING_CHUNK = 256

# A pair's distance and how it compares; on the CPU, counting turns the latter into integers.
_PAIR_BYTES = 8 + 1 + 8


def require_finite(latents: Tensor, name: str) -> None:
    """Refuses NaN and infinite numbers.

    Args:
        latents: Anything with the episode as leading axis, `[N, ...]`.
        name: What it is, for the message ("predicted latents, 10 steps").

    Raises:
        NonFiniteError: An episode holds a number that is NaN or infinite.
    """
    finite = torch.isfinite(latents).flatten(1).all(dim=1)
    bad = len(finite) - int(finite.sum())
    if bad:
        raise NonFiniteError(f"{name}: {bad} of {number_of(len(finite), 'episode')} not finite")


@dataclass(frozen=True, slots=True)
class Ranking:
    """How many predictions lie nearer to each true latent than its own, and how many equally near.

    Attributes:
        nearer: Predictions strictly nearer than the true pair's, int64 `[N]`.
        tied: Other predictions at exactly the true pair's distance, int64 `[N]`.
    """

    nearer: Tensor
    tied: Tensor

    def ranks(self, ties: Ties = "mean") -> Tensor:
        """The rank of each true pair, counted from 1.

        Args:
            ties: "mean": the mean of the ranks that the tied predictions share, so that an encoder whose
                latents are all equal scores no better than chance. "optimistic": the first of them, as in the
                public code (the true pair put first, then a stable sort), by which such an encoder is
                perfect.

        Returns:
            float64 `[N]`, in halves for "mean".
        """
        first = 1.0 + self.nearer.double()
        return first + self.tied.double() / 2 if ties == "mean" else first

    def hits_at(self, k: int, ties: Ties = "mean") -> float:
        """H@k: the share of true pairs whose rank is at most `k`; a rank of k + 1/2 is a miss."""
        return float((self.ranks(ties) <= k).double().mean())

    def mrr(self, ties: Ties = "mean") -> float:
        """The mean of 1 / rank; with "mean" ties that is the reciprocal of the mean rank."""
        return float(self.ranks(ties).reciprocal().mean())


def rank_predictions(true: Tensor, predicted: Tensor, *, chunk: int = _RANKING_CHUNK) -> Ranking:
    """Ranks, for each true latent, all predictions by L2 distance (science: H@k and MRR).

    Holds `chunk × N` distances at a time. Differences are taken directly, in the same way for every pair: the
    usual expansion |a|² - 2ab + |b|² as a matrix product rounds differently from pair to pair, which breaks
    ties and moves zeros. So equal latents have distances equal to the last bit, whatever the chunk.

    Args:
        true: Encoded true observations, `[N, ...]`.
        predicted: Predicted latents of the same episodes, of the same shape.
        chunk: True latents taken at a time; it affects only memory and speed.

    Returns:
        The ranking, on the device of `true`.

    Raises:
        NonFiniteError: A latent is NaN or infinite.
        ValueError: The shapes differ, or there is nothing to rank.
    """
    if true.shape != predicted.shape or true.ndim < 2 or len(true) == 0:
        raise ValueError(f"true {tuple(true.shape)} and predicted {tuple(predicted.shape)} cannot be ranked")
    require_finite(true, "true latents")
    require_finite(predicted, "predicted latents")
    rows, candidates = true.flatten(1).double(), predicted.flatten(1).double()
    # Allocated before the loop: a small result kept from each round would lie in the space freed by the
    # distances of the last round, and those of the next would have to take new memory, round after round.
    nearer = torch.empty(len(rows), dtype=torch.int64, device=rows.device)
    tied = torch.empty_like(nearer)
    for start in range(0, len(rows), chunk):
        own = slice(start, start + chunk)
        distances = torch.cdist(rows[own], candidates, compute_mode="donot_use_mm_for_euclid_dist")
        of_pair = distances.diagonal(offset=start).unsqueeze(1)
        nearer[own] = (distances < of_pair).sum(dim=1)
        tied[own] = (distances == of_pair).sum(dim=1) - 1
        del distances, of_pair
    return Ranking(nearer=nearer, tied=tied)


def rows_within(memory: int, candidates: int) -> int:
    """How many true latents `rank_predictions` can take at a time within some memory.

    Args:
        memory: Bytes for what is computed from a chunk; the latents are not counted.
        candidates: Predictions that are ranked, N.

    Returns:
        The `chunk`, at least 1.
    """
    return max(1, memory // (_PAIR_BYTES * candidates))


def hard_hits(
    predicted: Tensor, true: Tensor, negatives: Tensor, *, left_out: Tensor | None = None
) -> Tensor:
    """Whether each prediction lies nearer to its true latent than to every hard negative (science: HH@1).

    A negative that is exactly as near is a miss, like a shared first rank in H@1: a collapsed encoder scores
    0.

    Args:
        predicted: Predicted latents, `[N, ...]`.
        true: Encoded true observations of the same episodes, of the same shape.
        negatives: Encoded hard negatives of each, `[N, K, ...]`.
        left_out: Which negatives are not compared with, bool `[N, K]`; None: all are.

    Returns:
        float64 `[N]`, 1 or 0, and NaN where all negatives are left out; HH@1 is the mean of the others.

    Raises:
        NonFiniteError: A latent is NaN or infinite.
        ValueError: The shapes do not fit each other, or there are no negatives.
    """
    if predicted.shape != true.shape or negatives.shape != (
        *true.shape[:1],
        negatives.shape[1],
        *true.shape[1:],
    ):
        raise ValueError(
            f"predicted {tuple(predicted.shape)}, true {tuple(true.shape)} and negatives"
            f" {tuple(negatives.shape)} do not fit each other"
        )
    if negatives.shape[1] == 0:
        raise ValueError("there are no negatives to compare with")
    for latents, name in ((predicted, "predicted"), (true, "true"), (negatives, "negative")):
        require_finite(latents, f"{name} latents")
    own = episode_norms(predicted - true)
    others = predicted.unsqueeze(1) - negatives
    distances = episode_norms(others.flatten(0, 1)).view(others.shape[:2])
    if left_out is None:
        left_out = torch.zeros_like(distances, dtype=torch.bool)
    nearest = distances.masked_fill(left_out, math.inf).amin(dim=1)
    return torch.lt(own, nearest).double().masked_fill(left_out.all(dim=1), math.nan)


def episode_norms(x: Tensor) -> Tensor:
    """The L2 norm of each episode's `x`, `[N, ...]` to float64 `[N]`."""
    norms: Tensor = torch.linalg.vector_norm(x.flatten(1), dim=1, dtype=torch.float64)
    return norms


class EquivarianceError:
    """EE = E‖ρ(g)f(s) - f(gs)‖ / E‖f(s)‖ (paper, section 5.2), over a stream of episodes.

    It keeps two numbers per episode and sums them at the end: `f(s)` may be as large as the maps of an
    embedding network, and the value depends neither on the order of the episodes nor on the chunks.
    """

    def __init__(self) -> None:
        self._errors: list[Tensor] = []
        self._norms: list[Tensor] = []

    def update(self, original: Tensor, transformed: Tensor, twin: Tensor) -> None:
        """Adds episodes.

        Args:
            original: f(s), `[B, ...]`.
            transformed: ρ(g) f(s), of the same shape.
            twin: f(gs), of the same shape.
        """
        self._errors.append(episode_norms(transformed - twin))
        self._norms.append(episode_norms(original))

    def value(self) -> float:
        """The error so far; NaN when it is undefined (no episode, or every f(s) zero)."""
        return _ratio_of_means(self._errors, self._norms)

    def undivided(self) -> float:
        """E‖ρ(g)f(s) - f(gs)‖ so far; NaN without an episode. The paper gives this for 3D Teapot."""
        return _ratio_of_means(self._errors, [torch.ones_like(norms) for norms in self._norms])


class DistanceInvarianceError:
    """DIE = E| ‖a - b‖ - ‖ga - gb‖ | / E‖f‖ (paper, section 5.2), over a stream of pairs.

    For an embedding network a and b are the embeddings of two random observations, for a model the
    prediction of one episode and the true latent of another; ga and gb are the same for the twins, seen after
    one and the same group element (`twin_pairs`). E‖f‖ is the mean norm of what the caller gives as reference
    (public code: for the model, the latents of the first observations).
    """

    def __init__(self) -> None:
        self._errors: list[Tensor] = []
        self._norms: list[Tensor] = []

    def update(self, a: Tensor, b: Tensor, ga: Tensor, gb: Tensor) -> None:
        """Adds pairs; each argument is `[B, ...]`, all of one shape."""
        self._errors.append((episode_norms(a - b) - episode_norms(ga - gb)).abs())

    def update_reference(self, f: Tensor) -> None:
        """Adds episodes `[B, ...]` to the mean norm that the error is divided by."""
        self._norms.append(episode_norms(f))

    def value(self) -> float:
        """The error so far; NaN when it is undefined (no pair, or every f zero)."""
        return _ratio_of_means(self._errors, self._norms)


def equivariance_error(original: Tensor, transformed: Tensor, twin: Tensor) -> float:
    """`EquivarianceError` of episodes that fit in memory; all arguments `[N, ...]`."""
    error = EquivarianceError()
    error.update(original, transformed, twin)
    return error.value()


def distance_invariance_error(a: Tensor, b: Tensor, ga: Tensor, gb: Tensor, *, reference: Tensor) -> float:
    """`DistanceInvarianceError` of pairs that fit in memory; all arguments `[N, ...]`."""
    error = DistanceInvarianceError()
    error.update(a, b, ga, gb)
    error.update_reference(reference)
    return error.value()


def relative_error(predicted: Tensor, true: Tensor, first: Tensor) -> float:
    """RMS error of predictions, relative to that of predicting no change (Theil's U) [ours].

    0 is perfect; 1 is as good as returning the latents that the predictions started from. Rankings cannot
    tell the two apart if most of a state stays as it is.

    Args:
        predicted: Predicted latents, `[N, ...]`.
        true: Encoded true observations of the same episodes, of the same shape.
        first: The latents that were predicted from, of the same shape.

    Returns:
        √(E‖predicted - true‖² / E‖first - true‖²); NaN if no latent changes.
    """
    error, change = (episode_norms(x - true).square().mean() for x in (predicted, first))
    return float((error / change).sqrt()) if change > 0 else math.nan


def element_keys(elements: Tensor) -> Tensor:
    """A number for each episode; equal numbers for equal elements of their twins.

    Args:
        elements: The twins' group elements, int64 `[N]`, or matrices `[N, d, d]`.

    Returns:
        int64 `[N]`: the elements themselves, or the numbers of the distinct matrices.
    """
    if elements.ndim == 1:
        return elements
    keys: Tensor = torch.unique(elements.flatten(1), dim=0, return_inverse=True)[1]
    return keys


def random_order(elements: Tensor, *, seed: int) -> Tensor:
    """The episodes in random order, with those whose twins share a group element next to each other.

    Neighbours of one element are the random pairs of DIE: both distances of a pair must be seen after the
    same g, and a stream in this order has each pair at hand while embedding every episode once.

    Args:
        elements: The twins' group elements as `element_keys` has them, int64 `[N]`.
        seed: Of the shuffle, which is drawn on the CPU and so is the same on every device.

    Returns:
        A permutation of the episodes, int64 `[N]`, on the device of `elements`.
    """
    shuffled = torch.randperm(len(elements), generator=torch.Generator().manual_seed(seed))
    return shuffled[torch.argsort(elements.cpu()[shuffled], stable=True)].to(elements.device)


def twin_pairs(elements: Tensor, order: Tensor) -> tuple[Tensor, Tensor]:
    """The random pairs of DIE: neighbours in `order` whose twins share a group element.

    Args:
        elements: The twins' group elements as `element_keys` has them, int64 `[N]`.
        order: From `random_order`, int64 `[N]`.

    Returns:
        First and second episode of each pair, int64 `[P]`; P = N - number of different elements.
    """
    first, second = order[:-1], order[1:]
    same = elements[first] == elements[second]
    return first[same], second[same]


def latent_spread(latents: Tensor) -> float:
    """Root mean squared distance of latents `[N, ...]` from their mean, in latent units; 0 = all equal."""
    flat = latents.flatten(1).double()
    return float((flat - flat.mean(dim=0)).square().sum(dim=1).mean().sqrt())


def separation(energies: Tensor, *, margin: float = 1.0) -> float:
    """How far apart random latents are on the scale of the hinge: mean of min(1, d / margin).

    It is the amount that the contrastive loss saves on its negative term, as a share of the margin: 0 when
    all latents are equal, 1 when every pair is a margin apart. Cutting at the margin keeps a few far outliers
    from hiding a collapse of all the others.

    Args:
        energies: Energies d (`WorldModel.distance`) of random pairs of latents, `[N]`.
        margin: Of the hinge (paper: 1).

    Returns:
        A number in [0, 1].
    """
    return float((energies.double() / margin).clamp(max=1.0).mean())


def is_collapsed(separation: float) -> bool:
    """Whether an encoder with this `separation` has collapsed: it is below `COLLAPSE_THRESHOLD`."""
    return separation < COLLAPSE_THRESHOLD


def _ratio_of_means(errors: list[Tensor], norms: list[Tensor]) -> float:
    over = [error for part in errors for error in part.tolist()]
    under = [norm for part in norms for norm in part.tolist()]
    # Summed exactly, so that the value depends neither on the order of the episodes nor on the chunks.
    total, scale = math.fsum(over), math.fsum(under)
    return (total / len(over)) / (scale / len(under)) if over and scale > 0 else math.nan

"""The compiled loops over pairs of objects; what is in the arrays says `stored_numbers`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sen_bench.baselines.stored_numbers import read, rounded
from sen_bench.system import compiled


@compiled
def pairs(to: NDArray[Any], sent: NDArray[Any], zero: np.floating[Any], out: NDArray[Any]) -> None:
    """Writes `max(to[:, i] + sent[:, j], 0)` for every pair of different objects; NaN stays NaN.

    Args:
        to: What objects receive with, `[B, O, M]`.
        sent: What they send, of the same shape and type.
        zero: 0 in the type of the arithmetic.
        out: Where pair (i, i + k mod O) is written at `[:, k - 1, i]`, `[B, O - 1, O, M]`.
    """
    batch, objects, width = to.shape
    for sample in range(batch):
        for step in range(1, objects):
            for receiver in range(objects):
                one, other = to[sample, receiver], sent[sample, (receiver + step) % objects]
                pair = out[sample, step - 1, receiver]
                for c in range(width):
                    value = read(one[c]) + read(other[c])
                    pair[c] = rounded(
                        zero if value < zero else value,  # noqa: FURB136 — max() of NaN would be the other
                        pair[c],
                    )


@compiled
def pair_gradients(
    to: NDArray[Any],
    sent: NDArray[Any],
    gradient: NDArray[Any],
    received: NDArray[Any],
    delivered: NDArray[Any],
    grad_to: NDArray[Any],
    grad_sent: NDArray[Any],
) -> None:
    """Writes the gradients of `pairs`.

    Args:
        to: As for `pairs`.
        sent: The same.
        gradient: That of the pairs, of their shape and type.
        received: Room for the sums of a sample in the type of the arithmetic, `[O, M]`.
        delivered: The same again.
        grad_to: Where the gradient of `to` is written.
        grad_sent: The same for `sent`.
    """
    batch, objects, width = to.shape
    zero = received.dtype.type(0)
    for sample in range(batch):
        received[:] = zero
        delivered[:] = zero
        for step in range(1, objects):
            for receiver in range(objects):
                sender = (receiver + step) % objects
                one, other = to[sample, receiver], sent[sample, sender]
                slopes = gradient[sample, step - 1, receiver]
                to_one, to_other = received[receiver], delivered[sender]
                for c in range(width):
                    stopped = read(one[c]) + read(other[c]) <= zero
                    slope = zero if stopped else read(slopes[c])
                    to_one[c] += slope
                    to_other[c] += slope
        for each in range(objects):
            in_all, sent_in_all = received[each], delivered[each]
            result, sent_result = grad_to[sample, each], grad_sent[sample, each]
            for c in range(width):
                result[c] = rounded(in_all[c], result[c])
                sent_result[c] = rounded(sent_in_all[c], sent_result[c])

"""The compiled loops of C4's hidden layers: features are made, used and forgotten, a few objects at a time.

What is in the arrays says `stored_numbers`, and what planes are, `fourier_kernels`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sen_bench.baselines.fourier_kernels import from_planes, to_planes
from sen_bench.baselines.stored_numbers import read_narrow, rounded
from sen_bench.system import compiled, in_any_order


@in_any_order
def mean(x: NDArray[Any]) -> Any:  # noqa: ANN401 — of the type of the numbers
    """The mean of some numbers."""
    total = x.dtype.type(0)
    for c in range(len(x)):
        total += x[c]
    return total / x.dtype.type(len(x))


@in_any_order
def mean_product(x: NDArray[Any], y: NDArray[Any]) -> Any:  # noqa: ANN401
    """The mean of the products of two rows of numbers."""
    total = x.dtype.type(0)
    for c in range(len(x)):
        total += x[c] * y[c]
    return total / x.dtype.type(len(x))


@compiled
def standardise(x: NDArray[Any], eps: np.floating[Any], factors: NDArray[Any]) -> None:
    """Takes their mean over channels from some features, and divides them by their deviation.

    Args:
        x: Features, `[O, 4, C]`; changed in place.
        eps: What is added to variances.
        factors: Where what they are multiplied by is written, `[O, 4]`.
    """
    objects, _, channels = x.shape
    for each in range(objects):
        for g in range(4):
            values = x[each, g]
            centre = mean(values)
            for c in range(channels):
                values[c] -= centre
            factor = x.dtype.type(1) / np.sqrt(mean_product(values, values) + eps)
            for c in range(channels):
                values[c] *= factor
            factors[each, g] = factor


@compiled
def normalised(
    products: NDArray[Any],
    scales: NDArray[Any],
    bias: NDArray[Any],
    weight: NDArray[Any],
    shift: NDArray[Any],
    eps: np.floating[Any],
    first: int,
    last: int,
    room: NDArray[Any],
    factors: NDArray[Any],
    y: NDArray[Any],
) -> None:
    """Writes sums of layer norms with ReLU: of features whose frequencies are products of planes.

    Args:
        products: Of planes, with sign -1; `[5, B·T·O, C]`.
        scales: As for `from_planes`. These and what follows are in the type of the arithmetic.
        bias: What every feature is greater by, `[C]`.
        weight: The weights of the layer norm over C, `[C]`.
        shift: Its biases, `[C]`.
        eps: What is added to variances.
        first: The first sample of B that is read and written.
        last: The one behind the last one.
        room: For the features of the objects of a sample, `[O, 4, C]`.
        factors: The same for what they are multiplied by, `[O, 4]`.
        y: The sums over T, `[B, O, 4, C]`.
    """
    samples, objects, _, channels = y.shape
    terms = products.shape[1] // max(samples * objects, 1)
    zero, one = room.dtype.type(0), room.dtype.type(1)
    for sample in range(first, last):
        y[sample] = zero
        for term in range(terms):
            row = (sample * terms + term) * objects
            from_planes(products, bias, row, row + objects, -one, scales, room, 0)
            standardise(room, eps, factors)
            for each in range(objects):
                for g in range(4):
                    values, result = room[each, g], y[sample, each, g]
                    for c in range(channels):
                        value = values[c] * weight[c] + shift[c]
                        result[c] += zero if value < zero else value  # noqa: FURB136


@compiled
def normalised_gradients(
    products: NDArray[Any],
    scales: NDArray[Any],
    bias: NDArray[Any],
    weight: NDArray[Any],
    shift: NDArray[Any],
    eps: np.floating[Any],
    gradient: NDArray[Any],
    first: int,
    last: int,
    rooms: NDArray[Any],
    factors: NDArray[Any],
    slopes: NDArray[Any],
    sums: NDArray[Any],
    total: NDArray[np.float64],
) -> None:
    """Writes the planes of the gradients of the features that `normalised` makes and does not keep.

    Args:
        products: As for `normalised`, as what follows.
        scales: The same.
        bias: The same.
        weight: The same.
        shift: The same.
        eps: The same.
        gradient: That of the sums, `[B, O, 4, C]`.
        first: The same.
        last: The same.
        rooms: For features and their gradients, `[2, O, 4, C]`.
        factors: As for `normalised`.
        slopes: The planes with sign 1, `[5, B·T·O, C]`.
        sums: Zeros, `[2, C]`; left as zeros.
        total: To what the gradients of `weight` and `shift` are added, `[2, C]`.
    """
    samples, objects, _, _ = gradient.shape
    terms = products.shape[1] // max(samples * objects, 1)
    room, changes = rooms[0], rooms[1]
    zero, one = room.dtype.type(0), room.dtype.type(1)
    for sample in range(first, last):
        for term in range(terms):
            row = (sample * terms + term) * objects
            from_planes(products, bias, row, row + objects, -one, scales, room, 0)
            standardise(room, eps, factors)
            through_relu(room, weight, shift, gradient[sample], changes, sums)
            through_norm(room, weight, factors, changes)
            to_planes(changes, 0, objects, one, scales, slopes, row)
        total += sums
        sums[:] = zero


@compiled
def through_relu(
    x: NDArray[Any],
    weight: NDArray[Any],
    shift: NDArray[Any],
    gradient: NDArray[Any],
    changes: NDArray[Any],
    sums: NDArray[Any],
) -> None:
    """Writes the gradients of what `max(x · weight + shift, 0)` is taken of.

    Args:
        x: What `standardise` has made, `[O, 4, C]`.
        weight: As for `normalised`.
        shift: The same.
        gradient: Those of the results, of the shape of `x`.
        changes: Where the gradients are written, the same again.
        sums: To what the gradients of `weight` and `shift` are added, `[2, C]`.
    """
    objects, _, channels = x.shape
    zero = x.dtype.type(0)
    of_weight, of_shift = sums[0], sums[1]
    for each in range(objects):
        for g in range(4):
            values, slope, change = x[each, g], gradient[each, g], changes[each, g]
            for c in range(channels):
                stopped = values[c] * weight[c] + shift[c] <= zero
                change[c] = zero if stopped else slope[c]
            for c in range(channels):
                of_weight[c] += change[c] * values[c]
            for c in range(channels):
                of_shift[c] += change[c]


@compiled
def through_norm(x: NDArray[Any], weight: NDArray[Any], factors: NDArray[Any], changes: NDArray[Any]) -> None:
    """Makes the gradients of a layer norm's results those of its features, in place.

    Args:
        x: What `standardise` has made, `[O, 4, C]`.
        weight: As for `normalised`.
        factors: As for `standardise`.
        changes: The gradients, of the shape of `x`.
    """
    objects, _, channels = x.shape
    for each in range(objects):
        for g in range(4):
            values, change, factor = x[each, g], changes[each, g], factors[each, g]
            for c in range(channels):
                change[c] *= weight[c]
            along, offset = mean_product(change, values), mean(change)
            for c in range(channels):
                change[c] = factor * (change[c] - offset - along * values[c])


@compiled
def relu_to_planes(
    x: NDArray[Any],
    sent: NDArray[Any] | None,
    scales: NDArray[Any],
    first: int,
    last: int,
    room: NDArray[Any],
    planes: NDArray[Any],
) -> None:
    """Writes the planes, with sign -1, of features with ReLU; or of the pairs of different objects.

    Args:
        x: Features `[B, O, 4, C]`; of pairs, what objects receive with.
        sent: Of pairs, what objects send, of the same shape and type: `max(x[:, i] + sent[:, j], 0)` is taken
            for `max(x, 0)`. None if there are no pairs.
        scales: As for `to_planes`; in the type of the arithmetic.
        first: The first sample of B that is read and written.
        last: The one behind the last one.
        room: For the features of the objects of a sample, `[O, 4, C]`, in the type of the arithmetic.
        planes: `[5, B·O, C]`; of pairs `[5, B·(O - 1)·O, C]`, (i, i + k mod O) at `(k - 1)·O + i` of its
            sample.
    """
    _, objects, _, channels = x.shape
    terms = planes.shape[1] // max(len(x) * objects, 1)
    zero, one = room.dtype.type(0), room.dtype.type(1)
    for sample in range(first, last):
        for term in range(terms):
            for each in range(objects):
                for g in range(4):
                    mine, values = x[sample, each, g], room[each, g]
                    if sent is None:
                        for c in range(channels):
                            value = read_narrow(mine[c])
                            values[c] = zero if value < zero else value  # noqa: FURB136
                    else:
                        other = sent[sample, (each + term + 1) % objects, g]
                        for c in range(channels):
                            value = read_narrow(mine[c]) + read_narrow(other[c])
                            values[c] = zero if value < zero else value  # noqa: FURB136
            to_planes(room, 0, objects, -one, scales, planes, (sample * terms + term) * objects)


@compiled
def relu_gradients(
    products: NDArray[Any],
    x: NDArray[Any],
    scales: NDArray[Any],
    bias: NDArray[Any],
    first: int,
    last: int,
    room: NDArray[Any],
    grad_x: NDArray[Any],
) -> None:
    """Writes the gradient of features before a ReLU; behind it, it has products of planes as frequencies.

    Args:
        products: Of planes, with sign 1; `[5, B·O, C]`.
        x: As for `relu_to_planes`, as what follows.
        scales: The same.
        bias: Zeros, `[C]`, in the type of the arithmetic.
        first: The same.
        last: The same.
        room: The same.
        grad_x: Where it is written, of the shape and type of `x`.
    """
    _, objects, _, channels = x.shape
    zero, one = room.dtype.type(0), room.dtype.type(1)
    for sample in range(first, last):
        row = sample * objects
        from_planes(products, bias, row, row + objects, one, scales, room, 0)
        for each in range(objects):
            for g in range(4):
                mine, slope, result = x[sample, each, g], room[each, g], grad_x[sample, each, g]
                for c in range(channels):
                    stopped = read_narrow(mine[c]) <= zero
                    result[c] = rounded(zero if stopped else slope[c], result[c])


@compiled
def pair_gradients(
    products: NDArray[Any],
    to: NDArray[Any],
    sent: NDArray[Any],
    scales: NDArray[Any],
    bias: NDArray[Any],
    first: int,
    last: int,
    rooms: NDArray[Any],
    grad_to: NDArray[Any],
    grad_sent: NDArray[Any],
) -> None:
    """Writes the gradients of what pairs are made of; those of pairs have products of planes as frequencies.

    Args:
        products: Of planes, with sign 1; `[5, B·(O - 1)·O, C]`.
        to: What objects receive with, `[B, O, 4, C]`.
        sent: As for `relu_to_planes`, as what follows.
        scales: The same.
        bias: Zeros, `[C]`, in the type of the arithmetic.
        first: The same.
        last: The same.
        rooms: For pairs and for the sums of a sample, `[3, O, 4, C]`.
        grad_to: Where the gradient of `to` is written.
        grad_sent: The same for `sent`.
    """
    _, objects, _, _ = to.shape
    room, received, delivered = rooms[0], rooms[1], rooms[2]
    zero, one = room.dtype.type(0), room.dtype.type(1)
    for sample in range(first, last):
        received[:] = zero
        delivered[:] = zero
        for step in range(1, objects):
            row = (sample * (objects - 1) + step - 1) * objects
            from_planes(products, bias, row, row + objects, one, scales, room, 0)
            through_pairs(to[sample], sent[sample], step, room, received, delivered)
        write(received, grad_to[sample])
        write(delivered, grad_sent[sample])


@compiled
def through_pairs(
    to: NDArray[Any],
    sent: NDArray[Any],
    step: int,
    changes: NDArray[Any],
    received: NDArray[Any],
    delivered: NDArray[Any],
) -> None:
    """Adds the gradients of the pairs (i, i + step mod O) of a sample to those of what they are made of.

    Args:
        to: What the objects receive with, `[O, 4, C]`.
        sent: What they send, of the same shape and type.
        step: How far apart the objects of a pair are.
        changes: The gradients of the pairs, `[O, 4, C]`; 0 is written where none passes.
        received: The sums for `to`, of the shape and type of `changes`.
        delivered: The same for `sent`.
    """
    objects, _, channels = to.shape
    zero = changes.dtype.type(0)
    for receiver in range(objects):
        sender = (receiver + step) % objects
        for g in range(4):
            mine, other, slope = to[receiver, g], sent[sender, g], changes[receiver, g]
            to_mine, to_other = received[receiver, g], delivered[sender, g]
            for c in range(channels):
                stopped = read_narrow(mine[c]) + read_narrow(other[c]) <= zero
                slope[c] = zero if stopped else slope[c]
            for c in range(channels):
                to_mine[c] += slope[c]
            for c in range(channels):
                to_other[c] += slope[c]


@compiled
def write(x: NDArray[Any], y: NDArray[Any]) -> None:
    """Writes features `[O, 4, C]` as they are stored."""
    objects, _, channels = x.shape
    for each in range(objects):
        for g in range(4):
            values, result = x[each, g], y[each, g]
            for c in range(channels):
                result[c] = rounded(values[c], result[c])

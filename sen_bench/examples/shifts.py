"""How far a linear map of sequences is from commuting with cyclic shifts."""

from __future__ import annotations

import math

from torch import Tensor


def shift_equivariance_error(matrix: Tensor) -> float:
    """Root mean square of ‖W P − P W‖ / ‖W‖ over all cyclic shifts P but the identity (Frobenius norms).

    A matrix commutes with the shifts exactly if it is circulant: each row is the one before, shifted by one.
    One of independent random entries of mean 0 has an error of about √2.

    Args:
        matrix: W, ``[L, L]``, not zero.

    Returns:
        The error; 0 for a circulant matrix.
    """
    length = len(matrix)
    # P⁻¹ W P has the entries of W, moved along the diagonals.
    moved = [matrix.roll((shift, shift), dims=(0, 1)) for shift in range(1, length)]
    squares = sum(float((other - matrix).double().square().sum()) for other in moved)
    return math.sqrt(squares / len(moved) / float(matrix.double().square().sum()))

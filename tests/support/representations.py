"""Representations made of others, for the tests of figures."""

from __future__ import annotations

from sen_bench.symmetry import Representation


def copies(representation: Representation, count: int) -> Representation:
    """The direct sum of a representation with itself, so many times."""
    total = representation
    for _ in range(count - 1):
        total = total.direct_sum(representation)
    return total

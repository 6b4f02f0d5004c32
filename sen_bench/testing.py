"""The former name of `sen_bench.checks.equivariance`, kept for one release."""

from __future__ import annotations

import warnings

from sen_bench.checks import (
    RANDOM_ROTATIONS,
    TOLERANCE,
    ElementErrors,
    GroupAction,
    action_of,
    all_elements,
    assert_equivariant,
    broken_claims,
    chosen_elements,
    element_names,
    equivariance_errors,
)

__all__ = [
    "RANDOM_ROTATIONS",
    "TOLERANCE",
    "ElementErrors",
    "GroupAction",
    "action_of",
    "all_elements",
    "assert_equivariant",
    "broken_claims",
    "chosen_elements",
    "element_names",
    "equivariance_errors",
]

warnings.warn(
    "sen_bench.testing is now sen_bench.checks and will be gone in the next release;"
    " write `from sen_bench.checks import assert_equivariant`",
    DeprecationWarning,
    stacklevel=2,
)

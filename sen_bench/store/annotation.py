"""The symmetry that the root of a dataset describes, built only where the arrays bear its size out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from sen_bench.errors import DatasetError, SenBenchError
from sen_bench.symmetry import AnySymmetry, Symmetry
from sen_bench.system import shown

_FOLDER = "symmetry"
# The factorial of more is no length of an array.
_LARGEST_SYMMETRIC = 20


def described_symmetry(
    described: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]], where: object
) -> AnySymmetry:
    """Builds the symmetry that a dataset describes.

    A description is a few bytes and may be of a group with a billion elements, so it is first held against
    the shapes of the arrays that write it out, which the size of a file bounds.

    Args:
        described: The root's attribute `symmetry`.
        shapes: Array -> its shape, of all arrays.
        where: The dataset, for the message.

    Raises:
        DatasetError: It is no description of a symmetry, or not of that of the arrays.
    """
    try:
        _check_shapes(described, shapes, where)
        return Symmetry.from_json(described)
    except DatasetError:
        raise
    except (SenBenchError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DatasetError(
            f"{where}: the root does not describe a symmetry ({shown(error)}); generate it again"
        ) from error


def _check_shapes(described: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]], where: object) -> None:
    """Makes sure that a finite group and its representations have the sizes of the arrays.

    Raises:
        DatasetError: They have not.
    """
    order = _order(described["group"])
    if order is None:
        return
    wanted = {"cayley": (order, order)}
    for name, rho in described["representations"].items():
        wanted[name] = (order, rho["size"] ** 2 if "size" in rho else rho["dim"])
    for name, shape in wanted.items():
        if shapes.get(f"{_FOLDER}/{name}", ())[:2] != shape:
            raise DatasetError(
                f"{where}: the symmetry that the root describes is not that of the array"
                f" {_FOLDER}/{shown(name)}; generate it again"
            )


def _order(group: Mapping[str, Any]) -> int | None:
    """How many elements the group of a description has; None if it is not finite.

    Raises:
        TypeError: It is no description of a group (and so for the other errors of reading one).
    """
    family = group["family"]
    if family == "product":
        orders = [_order(factor) for factor in group["factors"]]
        return None if None in orders else math.prod(order for order in orders if order is not None)
    if family == "table":
        return len(group["cayley"])
    n = group["n"]
    if type(n) is not int:
        raise TypeError(f"a group cannot be numbered by {n!r}")
    factorial = math.factorial(min(max(n, 0), _LARGEST_SYMMETRIC))
    return {"cyclic": n, "dihedral": 2 * n, "symmetric": factorial}.get(family)

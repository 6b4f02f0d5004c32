"""The irreducible parts of latents under a cyclic or dihedral group, as planes and lines to draw."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sen_bench.symmetry import Group, Representation

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class PointGroup:
    """The turns and reflections of the plane in the group of a world.

    Attributes:
        group: C_n or D_n.
        elements: int64 ``[n]``, its elements, as numbered in the world's group.
    """

    group: Group
    elements: IntArray


def point_group(group: Group) -> PointGroup | None:
    """The group itself if it is cyclic or dihedral; for a product its first factor, if that is; else none."""
    construction = group.construction or {}
    match construction.get("family"):
        case "cyclic" | "dihedral":
            return PointGroup(group, np.arange(group.order))
        case "product":
            first, second = (Group.from_json(factor) for factor in construction["factors"])
            if (first.construction or {}).get("family") in {"cyclic", "dihedral"}:
                return PointGroup(first, np.arange(first.order) * second.order)
    return None


@dataclass(frozen=True)
class Irrep:
    """An irreducible representation over the reals.

    Attributes:
        name: For C_n its frequency; for D_n Mulliken's symbol.
        matrices: float64 ``[n, d, d]``, orthogonal; d is 1 or 2.
    """

    name: str
    matrices: FloatArray

    @property
    def dim(self) -> int:
        """1 or 2."""
        return int(self.matrices.shape[-1])

    @property
    def trivial(self) -> bool:
        """Whether nothing changes."""
        return bool((self.matrices == 1).all())


def irreps(group: Group) -> list[Irrep]:
    """All irreducible representations of C_n or D_n, those of dimension 1 first.

    In A the turn r is 1, in B it is −1; in A₁ and B₁ the reflection f is 1, in A₂ and B₂ it is −1. In the
    others, r turns the plane by its frequency times 360/n degrees and f reflects (x, y) to (x, −y).

    Args:
        group: A group made by `Group.cyclic` or `Group.dihedral`.
    """
    construction = group.construction or {}
    n, dihedral = int(construction["n"]), construction["family"] == "dihedral"
    turns = np.arange(group.order) % n
    flips = np.arange(group.order) // n
    lines: list[tuple[str, NDArray[Any]]] = [("A", np.ones(group.order))]
    if n % 2 == 0:
        lines.append(("B", (-1.0) ** turns))
    if dihedral:
        lines = [
            (f"{name}{k}", s * sign) for name, s in lines for k, sign in ((1, 1.0), (2, (-1.0) ** flips))
        ]
    found = [Irrep(name, sign[:, None, None]) for name, sign in lines]
    frequencies = range(1, (n + 1) // 2)
    for k in frequencies:
        angle = 2 * np.pi * k * turns / n
        cos, sin, sign = np.cos(angle), np.sin(angle), (-1.0) ** flips
        matrices = np.stack([np.stack([cos, -sin * sign], -1), np.stack([sin, cos * sign], -1)], -2)
        found.append(Irrep("E" if len(frequencies) == 1 else f"E{k}", matrices))
    return found


@dataclass(frozen=True)
class Component:
    """One copy of an irreducible representation in a space, and the coordinates of points in it.

    Attributes:
        irrep: Which representation.
        basis: float64 ``[D, d]``, orthonormal columns.
        coordinates: float64 ``[N, d]``; the group acts on them by the matrices of the irrep.
    """

    irrep: Irrep
    basis: FloatArray
    coordinates: FloatArray


def components(points: FloatArray, action: Representation, irrep: Irrep) -> Iterator[Component]:
    """The copies of an irrep in a space; the one in which the points vary most comes first.

    With the matrices M of the action and ρ of the irrep, ``P_ij = d/|G| Σ_g ρ_ij(g) M(g)`` projects the space
    on the first coordinates of all copies (P_11) and takes a first coordinate to its second (P_21). Which
    vectors in the image of P_11 make up a copy is free; they are chosen as in a principal component analysis.

    Args:
        points: float64 ``[N, D]``.
        action: The group's action on the space, by orthogonal matrices.
        irrep: An irrep of the same group.
    """
    matrices = action.matrix
    scale = irrep.dim / len(matrices)
    projections = [scale * np.einsum("g,gab->ab", rho, matrices) for rho in irrep.matrices[:, :, 0].T]
    centred = points - points.mean(axis=0) if irrep.trivial else points
    second = centred.T @ centred / max(1, len(points))
    moment = sum((p.T @ second @ p for p in projections), np.zeros_like(second))
    # Projections on real lines and planes are symmetric, so the rank is the trace.
    left = projections[0].copy()
    while round(float(np.trace(left))) > 0:
        # What is not in the image of P_11 gets eigenvalues below all others.
        values = left @ moment @ left - (np.eye(len(left)) - left) * (1 + np.trace(moment))
        first = np.linalg.eigh((values + values.T) / 2)[1][:, -1]
        first *= np.sign(first[np.argmax(np.round(np.abs(first), 6))])
        basis = np.stack([p @ first for p in projections], axis=1)
        yield Component(irrep, basis, centred @ basis)
        left -= left @ basis @ basis.T
        left = (left + left.T) / 2


def principal_components(points: FloatArray, count: int = 2) -> FloatArray:
    """The coordinates of points along their directions of most variance, float64 ``[N, count]``.

    Args:
        points: float64 ``[N, D]``; missing dimensions become zeros.
        count: How many directions.
    """
    centred = points - points.mean(axis=0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    signs = np.sign(np.take_along_axis(directions, np.abs(directions).argmax(1)[:, None], axis=1))
    coordinates = centred @ (directions * signs).T[:, :count]
    return np.pad(coordinates, ((0, 0), (0, count - coordinates.shape[1])))


def align_plane(points: FloatArray, targets: FloatArray, *, reflect: bool) -> FloatArray:
    """Points of the plane, turned about the origin to match the targets as well as a turn can.

    Args:
        points: float64 ``[N, 2]``.
        targets: float64 ``[N, 2]``.
        reflect: Whether they may be reflected as well, as the axes of a principal component analysis may.
    """
    left, _, right = np.linalg.svd(points.T @ targets)
    turn = left @ right
    if not reflect and np.linalg.det(turn) < 0:
        turn = left @ np.diag([1.0, -1.0]) @ right
    return np.asarray(points @ turn)


def correlation_ratio(values: FloatArray, given: NDArray[Any], bins: int = 16) -> float:
    """The share of the variance of values that another number explains, in bins of equal counts; 0 to 1."""
    total = float(np.var(values))
    if total == 0:
        return 0.0
    groups = np.array_split(values[np.argsort(given, kind="stable")], bins)
    within = sum(float(np.var(group)) * len(group) for group in groups if len(group)) / len(values)
    return max(0.0, 1 - within / total)

"""Representations of finite groups by permutations or matrices."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sen_bench.symmetry.group import Group, IntArray, SymmetryError, are_permutations, frozen
from sen_bench.symmetry.tensors import as_tensor

if TYPE_CHECKING:
    import torch

FloatArray = NDArray[np.float64]

#: How far two float64 matrices may differ and still count as equal.
MATRIX_TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False)
class Representation:
    """A representation: for every element a permutation of ``dim`` indices, or a ``dim × dim`` matrix.

    Exactly one of ``permutation`` and ``matrices`` is given.

    Args:
        group: The group that is represented.
        name: Its name, such as ``"regular"``.
        permutation: int64 ``[n, dim]``; where element g sends index i.
        matrices: float64 ``[n, dim, dim]``.
        construction: How it was built, as JSON-able data, which is then stored instead of permutations.

    Raises:
        SymmetryError: If the shapes do not fit, or if it is not a homomorphism.
    """

    group: Group
    name: str
    permutation: IntArray | None = None
    matrices: FloatArray | None = None
    construction: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if (self.permutation is None) == (self.matrices is None):
            raise SymmetryError(f"representation {self.name}: give either permutations or matrices")
        if self.permutation is not None:
            table = np.asarray(self.permutation)
            if table.ndim != 2 or len(table) != self.group.order:
                raise SymmetryError(f"representation {self.name}: permutations of shape {table.shape}")
            if not are_permutations(table):
                raise SymmetryError(f"representation {self.name}: an element does not permute the indices")
            object.__setattr__(self, "permutation", frozen(table.astype(np.int64)))
        else:
            stack = np.asarray(self.matrices, dtype=np.float64)
            if stack.ndim != 3 or len(stack) != self.group.order or stack.shape[1] != stack.shape[2]:
                raise SymmetryError(f"representation {self.name}: matrices of shape {stack.shape}")
            object.__setattr__(self, "matrices", frozen(stack))
        self._check_homomorphism()

    def _check_homomorphism(self) -> None:
        """Checks ``rho(e) = 1`` and ``rho(s g) = rho(s) rho(g)`` for generators s; the rest follows."""
        cayley = self.group.cayley
        if self.permutation is not None:
            table = self.permutation
            holds = np.array_equal(table[0], np.arange(self.dim)) and all(
                np.array_equal(table[cayley[s]], table[s][table]) for s in self.group.generators
            )
        else:
            stack = self.matrix
            scale = MATRIX_TOLERANCE * max(1.0, float(np.abs(stack).max(initial=0.0)))
            holds = np.allclose(stack[0], np.eye(self.dim), rtol=0, atol=scale) and all(
                np.allclose(stack[cayley[s]], stack[s] @ stack, rtol=0, atol=scale)
                for s in self.group.generators
            )
        if not holds:
            raise SymmetryError(f"representation {self.name} is not a homomorphism of {self.group.name}")

    @property
    def dim(self) -> int:
        """The dimension of the space acted on."""
        array = self.permutation if self.permutation is not None else self.matrices
        assert array is not None  # noqa: S101 — the constructor made sure; this tells the type checker
        return int(array.shape[1])

    @cached_property
    def matrix(self) -> FloatArray:
        """Float64 ``[n, dim, dim]``: the matrix of every element, even if permutations are stored."""
        if self.matrices is not None:
            return self.matrices
        assert self.permutation is not None  # noqa: S101 — as in `dim`
        return frozen(np.eye(self.dim)[self.permutation[self.group.inverse]])

    def tensor(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> torch.Tensor:
        """The matrix of every element as a PyTorch tensor of its own, which may be written to.

        Args:
            device: Where it is to be; PyTorch's default device where None.
            dtype: Its type; PyTorch's default where None, as for `torch.eye`, so that it multiplies with what
                networks give.

        Returns:
            ``[n, dim, dim]``, indexed by the element: ``rho.tensor()[elements]`` are the matrices of a batch
            of elements, int64 ``[B]``. Of a large representation, such as that on the pixels of an image,
            `permutation` takes far less memory.
        """
        return as_tensor(self.matrix, device, dtype)

    def __repr__(self) -> str:
        return f"Representation({self.name} of {self.group.name}, dim {self.dim})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Representation):
            return NotImplemented
        if self.group != other.group or self.dim != other.dim:
            return False
        # Permutations are kept as they are: as matrices, those of the pixels of an image would fill the
        # memory.
        if self.permutation is not None and other.permutation is not None:
            return np.array_equal(self.permutation, other.permutation)
        return (self.permutation is None) == (other.permutation is None) and np.allclose(
            self.matrix, other.matrix, rtol=0, atol=MATRIX_TOLERANCE
        )

    def __hash__(self) -> int:
        return hash((self.group, self.name, self.dim))

    def apply(self, g: int, x: NDArray[Any], axis: int = -1) -> NDArray[Any]:
        """``rho(g) x`` along one axis of an array.

        Args:
            g: The element.
            x: Any array whose ``axis`` has length ``dim``.
            axis: The axis acted on.

        Returns:
            An array of the shape of ``x``; of its dtype too where the representation permutes.
        """
        if x.shape[axis] != self.dim:
            raise SymmetryError(f"representation {self.name} acts on {self.dim} numbers, not {x.shape[axis]}")
        if self.permutation is not None:
            return np.asarray(np.take(x, self.permutation[self.group.inverse[g]], axis=axis))
        image: NDArray[Any] = np.moveaxis(np.tensordot(self.matrix[g], x, axes=(1, axis)), 0, axis)
        return image

    @classmethod
    def trivial(cls, group: Group) -> Representation:
        """The one-dimensional representation that changes nothing."""
        return cls(group, "trivial", permutation=np.zeros((group.order, 1), dtype=np.int64))

    @classmethod
    def sign(cls, group: Group) -> Representation:
        """One-dimensional: −1 on the reflections of D_n and on the odd elements of S_n and even C_n, else 1.

        Raises:
            SymmetryError: If the group was built otherwise, or is cyclic of odd order (then there is none).
        """
        family, n = (group.construction or {}).get("family"), (group.construction or {}).get("n", 0)
        if family == "dihedral":
            values = np.repeat([1.0, -1.0], n)
        elif family == "symmetric":
            # A permutation's sign is the determinant of its matrix.
            values = np.rint(np.linalg.det(cls.standard(group).matrix))
        elif family == "cyclic" and n % 2 == 0:
            values = 1.0 - 2.0 * (np.arange(n) % 2)
        else:
            raise SymmetryError(f"{group.name} has no sign representation here")
        return cls(group, "sign", matrices=values[:, None, None])

    @classmethod
    def standard(cls, group: Group) -> Representation:
        """The defining representation: C_n and D_n by 2 × 2 matrices of the plane, S_n permuting n things.

        The reflection f of D_n is diag(1, -1). Matrices of quarter turns are exact.
        """
        family, n = (group.construction or {}).get("family"), (group.construction or {}).get("n", 0)
        if family == "symmetric":
            return cls(group, "standard", permutation=np.array(list(itertools.permutations(range(n)))))
        if family not in {"cyclic", "dihedral"}:
            raise SymmetryError(f"{group.name} has no standard representation here")
        rotations = np.array([_rotation(k, n) for k in range(n)])
        if family == "dihedral":
            rotations = np.concatenate([rotations, rotations @ np.diag([1.0, -1.0])])
        return cls(group, "standard", matrices=rotations)

    @classmethod
    def regular(cls, group: Group) -> Representation:
        """The group acting on itself by multiplication from the left."""
        return cls(group, "regular", permutation=group.cayley)

    @classmethod
    def quarter_turns(
        cls, group: Group, name: str, size: int, turns: NDArray[np.integer[Any]]
    ) -> Representation:
        """The pixels of a square image, turned about its middle; pixel (r, c) has the index ``r * size + c``.

        Args:
            group: The group.
            name: The name of the representation.
            size: Pixels along a side.
            turns: int ``[n]``; by how many quarters each element turns the image counter-clockwise.

        Raises:
            SymmetryError: If the size is not a positive integer, or the turns are not a homomorphism to C4.
        """
        _check_side(name, size)
        pixels = np.arange(size**2).reshape(size, size)
        # rot90 brings to each place the number of the pixel that moves there: the inverse of "where i goes".
        turned = np.stack([np.argsort(np.rot90(pixels, k).ravel()) for k in range(4)])
        construction = {
            "kind": "quarter turns of an image",
            "size": size,
            "turns": {str(s): int(turns[s]) % 4 for s in group.generators},
        }
        return cls(group, name, permutation=turned[turns % 4], construction=construction)

    @classmethod
    def from_generators(
        cls, group: Group, name: str, images: Mapping[int, Sequence[int] | NDArray[Any]], *, permutation: bool
    ) -> Representation:
        """Builds a representation from the images of the group's generators.

        Args:
            group: The group.
            name: The name of the representation.
            images: For each generator its permutation ``[dim]`` or its matrix ``[dim, dim]``.
            permutation: Whether the images are permutations.

        Raises:
            SymmetryError: If an image is missing, or they do not form a homomorphism.
        """
        if set(images) != set(group.generators) or not images:
            raise SymmetryError(f"representation {name}: give the image of each generator of {group.name}")
        arrays = {s: np.asarray(image) for s, image in images.items()}
        if len({array.shape for array in arrays.values()}) != 1:
            raise SymmetryError(f"representation {name}: the images of the generators differ in shape")
        dim = len(next(iter(arrays.values())))
        built: dict[int, NDArray[Any]] = {0: np.arange(dim) if permutation else np.eye(dim)}
        for g, (s, shorter) in group.words().items():
            if g not in built:
                built[g] = arrays[s][built[shorter]] if permutation else arrays[s] @ built[shorter]
        stacked = np.stack([built[g] for g in range(group.order)])
        if permutation:
            return cls(group, name, permutation=stacked)
        return cls(group, name, matrices=stacked)

    def pullback(
        self, group: Group, images: NDArray[np.integer[Any]], name: str | None = None
    ) -> Representation:
        """This representation as one of another group, through a homomorphism to this one.

        Args:
            group: The group that is to act.
            images: int ``[group.order]``, the element of ``self.group`` each element stands for.
            name: The name of the result; the same as this one's by default.
        """
        return Representation(
            group,
            name or self.name,
            None if self.permutation is None else self.permutation[images],
            None if self.matrices is None else self.matrices[images],
        )

    def direct_sum(self, other: Representation, name: str | None = None) -> Representation:
        """The representation on pairs: this one on the first ``dim`` numbers, the other on the rest."""
        self._check_same_group(other)
        title = name or f"{self.name} + {other.name}"
        if self.permutation is not None and other.permutation is not None:
            both = np.concatenate([self.permutation, other.permutation + self.dim], axis=1)
            return Representation(self.group, title, permutation=both)
        block = np.zeros((self.group.order, self.dim + other.dim, self.dim + other.dim))
        block[:, : self.dim, : self.dim] = self.matrix
        block[:, self.dim :, self.dim :] = other.matrix
        return Representation(self.group, title, matrices=block)

    def tensor_product(self, other: Representation, name: str | None = None) -> Representation:
        """The tensor product; the pair of indices (i, j) has the index ``i * other.dim + j``."""
        self._check_same_group(other)
        title = name or f"{self.name} x {other.name}"
        if self.permutation is not None and other.permutation is not None:
            pairs = self.permutation[:, :, None] * other.dim + other.permutation[:, None, :]
            return Representation(self.group, title, permutation=pairs.reshape(self.group.order, -1))
        kron = np.einsum("gij,gkl->gikjl", self.matrix, other.matrix)
        size = self.dim * other.dim
        return Representation(self.group, title, matrices=kron.reshape(-1, size, size))

    def _check_same_group(self, other: Representation) -> None:
        if self.group != other.group:
            raise SymmetryError(f"{self.name} represents {self.group.name}, {other.name} {other.group.name}")

    def to_json(self) -> dict[str, Any]:
        """The representation as JSON-able data; the group itself is not repeated.

        It is the construction of the representation if it has one, otherwise the images of the generators.
        """
        if self.construction is not None:
            return {"name": self.name, **self.construction}
        permutes = self.permutation is not None
        array = self.permutation if permutes else self.matrix
        assert array is not None  # noqa: S101 — as in `dim`
        return {
            "name": self.name,
            "kind": "permutation" if permutes else "matrix",
            "dim": self.dim,
            "generators": {str(s): array[s].tolist() for s in self.group.generators},
        }

    @classmethod
    def from_json(cls, group: Group, data: Mapping[str, Any]) -> Representation:
        """The inverse of :meth:`to_json`, for a group that is already known.

        Raises:
            SymmetryError: If the data describes no representation of the group.
        """
        try:
            if data["kind"] == "quarter turns of an image":
                given = {int(s): int(turns) for s, turns in data["turns"].items()}
                turns = np.zeros(group.order, dtype=np.int64)
                for g, (s, shorter) in group.words().items():
                    turns[g] = (given[s] + turns[shorter]) % 4 if g else 0
                return cls.quarter_turns(group, data["name"], data["size"], turns)
            kind, dim = data["kind"], data["dim"]
            images = {int(s): np.array(image) for s, image in data["generators"].items()}
            if kind not in {"permutation", "matrix"}:
                raise SymmetryError(f"unknown kind of representation {kind!r}")
            if images:
                return cls.from_generators(group, data["name"], images, permutation=kind == "permutation")
            if kind == "permutation":
                return cls(group, data["name"], permutation=np.arange(dim)[None])
            return cls(group, data["name"], matrices=np.eye(dim)[None])
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise SymmetryError(f"not the description of a representation: {error}") from error


def _check_side(name: str, size: object) -> None:
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise SymmetryError(f"representation {name}: an image has no {size!r} pixels along a side")


def _rotation(k: int, n: int) -> FloatArray:
    """The rotation of the plane by k·360/n degrees, without rounding where the cosine is 0 or ±1."""
    if (4 * k) % n == 0:
        cosine, sine = ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0))[(4 * k // n) % 4]
    else:
        cosine, sine = math.cos(2 * math.pi * k / n), math.sin(2 * math.pi * k / n)
    return np.array([[cosine, -sine], [sine, cosine]])

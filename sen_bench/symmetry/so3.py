"""SO(3), the rotations of space, by their matrices; uniform draws, and representations as tensor powers."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sen_bench.symmetry.group import SymmetryError, frozen
from sen_bench.symmetry.tensors import as_tensor

if TYPE_CHECKING:
    import torch

FloatArray = NDArray[np.float64]

#: How far the entries of gᵀg may be from those of the identity, for g to count as a rotation.
ROTATION_TOLERANCE = 1e-6


@dataclass(frozen=True)
class SO3:
    """The group SO(3); an element is its matrix, float64 ``[3, 3]``. Functions take batches ``[..., 3, 3]``.

    Everything here is computed by sums, products, quotients and square roots of single numbers in a fixed
    order, without BLAS, so the results are equal on every machine.
    """

    name: ClassVar[str] = "SO(3)"
    family: ClassVar[str] = "special orthogonal"
    element_axes: ClassVar[tuple[str, ...]] = ("element_row", "element_column")
    element_shape: ClassVar[tuple[int, ...]] = (3, 3)
    element_dtype: ClassVar[str] = "float64"

    @property
    def identity(self) -> FloatArray:
        """The identity, float64 ``[3, 3]``."""
        return np.eye(3)

    def sample(self, rng: np.random.Generator) -> FloatArray:
        """One rotation, float64 ``[3, 3]``, uniform with respect to Haar's measure.

        It is a uniform unit quaternion, drawn by rejection from uniform numbers alone; Marsaglia, "Choosing a
        point from the surface of a sphere", 1972.
        """
        a, b, near = _disc_point(rng)
        c, d, far = _disc_point(rng)
        scale = np.sqrt((1 - near) / far)
        return self.from_quaternion(np.array([a, b, c * scale, d * scale]))

    @staticmethod
    def from_quaternion(quaternion: NDArray[Any]) -> FloatArray:
        """The rotations of unit quaternions ``[..., 4]``, the real part first; float64 ``[..., 3, 3]``."""
        w, x, y, z = np.moveaxis(np.asarray(quaternion, dtype=np.float64), -1, 0)
        rows = (
            (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
            (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
            (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
        )
        return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)

    @staticmethod
    def to_quaternion(elements: NDArray[Any]) -> FloatArray:
        """Unit quaternions ``[..., 4]`` of rotations ``[..., 3, 3]``, float64; of q and -q either one."""
        m = np.asarray(elements, dtype=np.float64)
        a, b, c = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
        wx, wy, wz = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
        xy, xz, yz = m[..., 1, 0] + m[..., 0, 1], m[..., 0, 2] + m[..., 2, 0], m[..., 2, 1] + m[..., 1, 2]
        rows = (
            (1 + a + b + c, wx, wy, wz),
            (wx, 1 + a - b - c, xy, xz),
            (wy, xy, 1 - a + b - c, yz),
            (wz, xz, yz, 1 - a - b + c),
        )
        # 4 q qᵀ: any row is a multiple of q, and that of the largest entry the most precise one.
        products = np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)
        squares = np.stack([products[..., i, i] for i in range(4)], axis=-1)
        largest = np.argmax(squares, axis=-1)[..., None]
        row = np.take_along_axis(products, largest[..., None], axis=-2)[..., 0, :]
        return np.asarray(row / (2 * np.sqrt(np.take_along_axis(squares, largest, axis=-1))))

    def product(self, *factors: NDArray[Any]) -> FloatArray:
        """The product of matrices ``[..., 3, 3]``, the last acting first; leading axes broadcast."""
        return functools.reduce(_product, factors)

    def inverse(self, elements: NDArray[Any]) -> NDArray[Any]:
        """The inverses, which are the transposes, ``[..., 3, 3]``."""
        return np.swapaxes(elements, -1, -2)

    def nearest(self, matrices: NDArray[Any]) -> FloatArray:
        """Brings matrices that are nearly rotations nearer: an error e in gᵀg becomes one of size e².

        One step of Newton's iteration for the polar factor, ``z (3 − zᵀz) / 2``. It commutes with the
        group from either side.
        """
        gram = _product(self.inverse(matrices), matrices)
        return _product(matrices, (3 * np.eye(3) - gram) / 2)

    def check(self, matrices: NDArray[Any]) -> FloatArray:
        """Rotations as float64 ``[..., 3, 3]``.

        Raises:
            SymmetryError: Wrong shape or dtype, or matrices that are not orthonormal with determinant 1.
        """
        array = np.asarray(matrices)
        if array.dtype.kind != "f":
            raise SymmetryError(f"rotations are matrices of floating-point numbers, not {array.dtype}")
        if array.ndim < 2 or array.shape[-2:] != (3, 3):
            raise SymmetryError(f"rotations have the shape [..., 3, 3], not {list(array.shape)}")
        array = array.astype(np.float64, copy=False)
        error = np.abs(_product(self.inverse(array), array) - np.eye(3))
        # Written this way round so that NaN is refused too.
        if not (error <= ROTATION_TOLERANCE).all():
            raise SymmetryError(f"a matrix is off orthonormality by {error.max():.2g}; it is not a rotation")
        a, b, c = (array[..., i] for i in range(3))
        if not ((np.cross(a, b) * c).sum(axis=-1) > 0).all():
            raise SymmetryError("a matrix has the determinant −1: a reflection, not a rotation")
        return array

    def to_json(self) -> dict[str, Any]:
        """The group as JSON-able data."""
        return {"name": self.name, "family": self.family, "n": 3}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SO3:
        """The inverse of :meth:`to_json`.

        Raises:
            SymmetryError: If the data describes another group.
        """
        if (data.get("family"), data.get("n")) != (cls.family, 3):
            raise SymmetryError(f"not the description of {cls.name}: {dict(data)}")
        return cls()


@dataclass(frozen=True)
class SO3Representation:
    """A tensor power of the defining representation of SO(3); every representation is a part of one.

    The power 1 acts on vectors. The power 2 acts on 3 × 3 matrices by conjugation: with the entries of ``a``
    row by row, ``(g ⊗ g) a`` are those of ``g a gᵀ``.

    Args:
        group: SO(3).
        name: Its name, such as ``"rotation"``.
        power: How many factors; 0 is the trivial representation.

    Raises:
        SymmetryError: If the power is not an integer from 0 to 4.
    """

    group: SO3
    name: str
    power: int

    def __post_init__(self) -> None:
        if self.power not in range(5):
            raise SymmetryError(f"representation {self.name}: the power is {self.power!r}, not from 0 to 4")

    @property
    def dim(self) -> int:
        """The dimension of the space acted on."""
        return int(3**self.power)

    def matrix(self, elements: NDArray[Any]) -> FloatArray:
        """The matrices of elements ``[..., 3, 3]``, float64 ``[..., dim, dim]``."""
        factors = [self.group.check(elements)] * self.power
        one = np.ones((*np.shape(elements)[:-2], 1, 1))
        return functools.reduce(_kronecker, factors, one)

    @functools.cached_property
    def generators(self) -> FloatArray:
        """Float64 ``[3, dim, dim]``: the generators of turns about x, y and z.

        The matrix of the rotation by an angle t about a unit vector n is ``expm(t · (n_x G_x + n_y G_y +
        n_z G_z))``.
        """
        total = np.zeros((3, self.dim, self.dim))
        for place in range(self.power):
            left, right = np.eye(3**place), np.eye(3 ** (self.power - 1 - place))
            total += [np.kron(np.kron(left, turn), right) for turn in _TURNS]
        return frozen(total)

    def tensor(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> torch.Tensor:
        """The generators as a PyTorch tensor of its own, which may be written to.

        SO(3) has no list of elements whose matrices could be given; its three generators determine them all.
        The matrices of rotation vectors v (axis times angle), ``[B, 3]``, are
        ``torch.matrix_exp(torch.einsum("bk,kij->bij", v, rho.tensor()))``, those of rotation matrices g, such
        as the elements of twins, ``torch.from_numpy(rho.matrix(g.numpy()))``.

        Args:
            device: Where it is to be; PyTorch's default device where None.
            dtype: Its type; PyTorch's default where None.

        Returns:
            ``[3, dim, dim]``: the generators of turns about x, y and z, see `generators`.
        """
        return as_tensor(self.generators, device, dtype)

    def to_json(self) -> dict[str, Any]:
        """The representation as JSON-able data; the group itself is not repeated."""
        return {"name": self.name, "kind": "tensor power", "dim": self.dim, "power": self.power}

    @classmethod
    def from_json(cls, group: SO3, data: Mapping[str, Any]) -> SO3Representation:
        """The inverse of :meth:`to_json`, for a group that is already known.

        Raises:
            SymmetryError: If the data describes no tensor power.
        """
        try:
            if data["kind"] != "tensor power":
                raise SymmetryError(f"unknown kind of representation of {group.name}: {data['kind']!r}")
            return cls(group, data["name"], data["power"])
        except (KeyError, TypeError) as error:
            raise SymmetryError(f"not the description of a representation: {error}") from error


# The derivatives at angle 0 of the turns about x, y and z: (v ↦ n × v).
_TURNS = -np.array(
    [
        [[0, 0, 0], [0, 0, 1], [0, -1, 0]],
        [[0, 0, -1], [0, 0, 0], [1, 0, 0]],
        [[0, 1, 0], [-1, 0, 0], [0, 0, 0]],
    ],
    dtype=np.float64,
)


def _disc_point(rng: np.random.Generator) -> tuple[float, float, float]:
    """A uniform point of the unit disc without its centre: x, y and the square of its distance from there."""
    while True:
        x, y = (2 * rng.random(2) - 1).tolist()
        square = x * x + y * y
        if 0 < square < 1:
            return x, y, square


def _product(a: NDArray[Any], b: NDArray[Any]) -> FloatArray:
    a, b = a[..., :, :, None], b[..., None, :, :]
    terms = [a[..., k, :] * b[..., k, :] for k in range(3)]
    return np.asarray(terms[0] + terms[1] + terms[2], dtype=np.float64)


def _kronecker(a: NDArray[Any], b: NDArray[Any]) -> FloatArray:
    pairs = a[..., :, None, :, None] * b[..., None, :, None, :]
    return np.asarray(pairs.reshape(*pairs.shape[:-4], a.shape[-2] * b.shape[-2], -1), dtype=np.float64)

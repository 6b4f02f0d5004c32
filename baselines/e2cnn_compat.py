"""e2cnn 0.2.3 on NumPy 2 and SciPy 1.18: repairs the four things that its last release needs, nothing else.

e2cnn (the library the paper used) was last released before NumPy 2. `kernels/utils.py` calls
`np.array(x, copy=False)`, which used to mean "copy only if needed" and now means "never copy", and
`kernels/irreps_basis.py` hashes with `ndarray.tostring`, which is gone. And its kernel bases have masks of
uint8, which torch no longer takes where a basis has a single element (1×1 kernels from regular to trivial
fields). It also takes `scipy.sparse.block_diag` of dense blocks, of which SciPy 1.18 warns that the type of
the result will change. Import e2cnn's modules from here:

    from sen_bench.baselines.e2cnn_compat import gspaces, nn
"""

from __future__ import annotations

import importlib.metadata
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np
import torch

from sen_bench.errors import SenBenchError

SUPPORTED_VERSION = "0.2.3"

MENDED_BASES = (
    "R2FlipsSolution",
    "R2ContinuousRotationsSolution",
    "R2FlipsDiscreteRotationsSolution",
    "R2FlipsContinuousRotationsSolution",
)
"""The classes of e2cnn's `irreps_basis` that hash with `ndarray.tostring`."""


@contextmanager
def silenced() -> Iterator[None]:
    """Silences the warnings of e2cnn's own code (deprecated uses of NumPy and torch), within the block."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def check_version(version: str) -> None:
    """Refuses any e2cnn but the one that is repaired here.

    Raises:
        SenBenchError: Another version is installed.
    """
    if version != SUPPORTED_VERSION:
        raise SenBenchError(
            f"e2cnn {version} is installed, but equivariant convolutions need e2cnn {SUPPORTED_VERSION}: "
            f"pip install e2cnn=={SUPPORTED_VERSION}"
        )


class _NumPy(ModuleType):
    """NumPy, except that `array(x, copy=False)` means "copy only if needed", as it did before NumPy 2."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - stands for any attribute of NumPy
        return getattr(np, name)

    @staticmethod
    def array(x: Any, *, copy: bool = True) -> np.ndarray:  # noqa: ANN401 - anything NumPy makes an array of
        return np.array(x) if copy else np.asarray(x)


class _BooleanMasks(ModuleType):
    """A module (NumPy or torch) whose `uint8` is its `bool`, for the code of e2cnn that makes masks of it."""

    def __init__(self, module: ModuleType) -> None:
        super().__init__(module.__name__)
        self._module = module
        self.uint8 = module.bool

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - stands for any attribute of the module
        return getattr(self._module, name)


class _SparseArrays(ModuleType):
    """`scipy.sparse`, except that `block_diag` of dense blocks gives a sparse array, as it will in future.

    Where e2cnn uses it, sparse arrays and the older sparse matrices are the same.
    """

    def __init__(self, module: ModuleType) -> None:
        super().__init__(module.__name__)
        self._module = module

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - stands for any attribute of the module
        return getattr(self._module, name)

    def block_diag(self, blocks: Iterable[Any], format: str | None = None) -> Any:  # noqa: A002, ANN401 - SciPy's
        return self._module.block_diag([self._module.coo_array(block) for block in blocks], format=format)


def _hash_basis(basis: Any) -> int:  # noqa: ANN401 - e2cnn's classes are untyped
    """The hash of a kernel basis by the same four attributes as in e2cnn."""
    return hash((basis.in_irrep, basis.out_irrep, basis.mu.tobytes(), np.asarray(basis.gamma).tobytes()))


def _mend() -> None:
    """Applies the repairs."""
    utils.np = _NumPy("numpy")
    basisexpansion_singleblock.np = _BooleanMasks(np)
    basisexpansion_singleblock.torch = _BooleanMasks(torch)
    for module in (group, representation, field_type):
        module.sparse = _SparseArrays(module.sparse)
    for name in MENDED_BASES:
        getattr(irreps_basis, name).__hash__ = _hash_basis


check_version(importlib.metadata.version("e2cnn"))
with silenced():
    from e2cnn import gspaces, nn
    from e2cnn.group import group, representation
    from e2cnn.kernels import irreps_basis, utils
    from e2cnn.nn import field_type
    from e2cnn.nn.modules.r2_conv import basisexpansion_singleblock
_mend()

__all__ = ["check_version", "gspaces", "irreps_basis", "nn", "silenced", "utils"]

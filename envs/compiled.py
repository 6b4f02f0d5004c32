"""How the worlds' inner loops are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

_Function = TypeVar("_Function", bound=Callable[..., object])


def compiled(function: _Function) -> _Function:
    """Compiles on the first call, keeps the machine code on disk, and runs without the interpreter lock.

    Where neither the package's folder nor the user's cache can be written, every process compiles them again.
    """
    try:
        return cast(_Function, numba.njit(nogil=True, cache=True)(function))
    except RuntimeError:  # what Numba raises if it finds no place for its cache
        return cast(_Function, numba.njit(nogil=True)(function))

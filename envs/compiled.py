"""How the worlds' inner loops are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

_Function = TypeVar("_Function", bound=Callable[..., object])


def compiled(function: _Function) -> _Function:
    """Compiles on the first call, keeps the machine code on disk, and runs without the interpreter's lock."""
    return cast(_Function, numba.njit(nogil=True, cache=True)(function))

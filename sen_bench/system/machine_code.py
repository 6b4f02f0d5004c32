"""How inner loops are compiled to machine code, which is kept on disk."""

from __future__ import annotations

import hashlib
import inspect
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba.core.caching import CompileResultCacheImpl, FunctionCache

_Function = TypeVar("_Function", bound=Callable[..., object])


def compiled(function: _Function) -> _Function:
    """Compiles on the first call, keeps the machine code on disk, and runs without the interpreter lock.

    Where neither the package's folder nor the user's cache can be written, every process compiles them again.
    So it does where the cache is damaged, as it may be after a power failure; the cache is then replaced.
    """
    dispatcher: Any = numba.njit(nogil=True)(function)
    try:
        cache = _MendingCache(function)
    except (RuntimeError, OSError):  # Numba finds no place for its cache, or the source is in no file
        return cast(_Function, dispatcher)
    # What njit(cache=True) does, with Numba's own class.
    dispatcher._cache = cache  # noqa: SLF001
    return cast(_Function, dispatcher)


def in_any_order(function: _Function) -> _Function:
    """Compiles a function that `compiled` ones call, and that may add in any order.

    So several numbers are added at a time. Last digits depend on the processor then, as do those of products
    of matrices.
    """
    return cast(_Function, numba.njit(nogil=True, fastmath={"reassoc"})(function))


def _stamps(function: Callable[..., object]) -> list[tuple[str, int, int]]:
    """Name, time and size of each file whose functions may be in a function's machine code."""
    stamps: dict[str, tuple[int, int]] = {}
    todo = [function]
    while todo:
        module = todo.pop().__globals__
        path = module.get("__file__")
        if path is None or path in stamps:
            continue
        state = Path(path).stat()
        stamps[path] = state.st_mtime_ns, state.st_size
        parts = (getattr(each, "py_func", getattr(each, "_defn", None)) for each in module.values())
        todo.extend(part for part in parts if inspect.isfunction(part))
    return sorted((Path(path).name, *stamp) for path, stamp in stamps.items())


class _ProvenCode(CompileResultCacheImpl):
    """Machine code with its SHA-256: a flipped bit in it would crash, or compute something else."""

    def reduce(self, cres: Any) -> tuple[str, bytes]:  # noqa: ANN401 — Numba has no types
        """What is kept of a compiled function."""
        payload = pickle.dumps(super().reduce(cres))  # type: ignore[no-untyped-call]
        return hashlib.sha256(payload).hexdigest(), payload

    def rebuild(self, target_context: Any, payload: Any) -> Any:  # noqa: ANN401
        """The compiled function.

        Raises:
            ValueError: It is not what was kept.
        """
        digest, code = payload
        if hashlib.sha256(code).hexdigest() != digest:
            raise ValueError("damaged machine code")
        kept = pickle.loads(code)  # noqa: S301 — of this user's own cache
        return super().rebuild(target_context, kept)  # type: ignore[no-untyped-call]


class _MendingCache(FunctionCache):
    """Numba's cache of a function, which for Numba is broken for ever by one damaged file."""

    _impl_class = _ProvenCode

    def __init__(self, function: Callable[..., object]) -> None:
        super().__init__(function)  # type: ignore[no-untyped-call]
        # Numba looks at the function's own file only, but what the function calls is in its machine code too.
        self._cache_file._source_stamp = self._impl.locator.get_source_stamp(), _stamps(function)  # noqa: SLF001

    def load_overload(self, sig: Any, target_context: Any) -> Any:  # noqa: ANN401
        """The compiled function; None if it is not there, or damaged."""
        try:
            return super().load_overload(sig, target_context)  # type: ignore[no-untyped-call]
        # Whatever bytes that are none of a cache make of pickle and LLVM.
        except Exception:  # noqa: BLE001
            self._forget()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:  # noqa: ANN401
        """Keeps a compiled function, if that is possible: it works without."""
        try:
            super().save_overload(sig, data)  # type: ignore[no-untyped-call]
        except Exception as error:  # noqa: BLE001 — a full disk, or a folder that somebody else spoils
            warnings.warn(f"the machine code of {sig} is not kept: {error}", RuntimeWarning, stacklevel=2)
            self._forget()

    def _forget(self) -> None:
        """Empties the index, which is then written again; a cache that cannot be written is left alone."""
        try:
            self.flush()  # type: ignore[no-untyped-call]
        except OSError:
            self.disable()  # type: ignore[no-untyped-call]

"""Numbers of tensors in compiled loops: float64, float32, and bfloat16, which NumPy does not know.

Arrays of `uint16` hold the bits of bfloat16. It is computed with in float32, anything else in float64, so
that digits are lost only when results are stored. Where sums are short, `read_narrow` has float32 computed
with in float32.
"""

from __future__ import annotations

from typing import Any

from numba import types
from numba.extending import intrinsic


def _arithmetic(stored: Any) -> Any:  # noqa: ANN401 — Numba has no types
    """The type that a stored number is computed with."""
    return types.float32 if stored == types.uint16 else types.float64


def _narrow(stored: Any) -> Any:  # noqa: ANN401
    """The type of a stored number, or float32 for bfloat16."""
    return types.float32 if stored == types.uint16 else stored


def _read(_typing: Any, stored: Any) -> tuple[Any, Any]:  # noqa: ANN401
    """`read(number)`: a stored number as one to compute with."""
    return _reading(stored, _arithmetic(stored))


def _read_narrow(_typing: Any, stored: Any) -> tuple[Any, Any]:  # noqa: ANN401
    """`read_narrow(number)`: a stored number as one to compute with in its own type, bfloat16 in float32."""
    return _reading(stored, _narrow(stored))


def _reading(stored: Any, result: Any) -> tuple[Any, Any]:  # noqa: ANN401
    """The signature of a function that reads a stored number, and what makes its code."""

    def code(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:  # noqa: ANN401
        wide = context.get_value_type(result)
        if stored == result:
            return arguments[0]
        if stored == types.float32:
            return builder.fpext(arguments[0], wide)
        # bfloat16 is the upper half of a float32.
        bits = builder.zext(arguments[0], context.get_value_type(types.uint32))
        return builder.bitcast(builder.shl(bits, context.get_constant(types.uint32, 16)), wide)

    return result(stored), code


def _rounded(_typing: Any, number: Any, like: Any) -> tuple[Any, Any]:  # noqa: ANN401, ARG001
    """`rounded(number, like)`: a number as it is stored where `like` is; halfway to the even one."""

    def code(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:  # noqa: ANN401
        narrow = context.get_value_type(like)
        if like == types.float64:
            return arguments[0]
        if like == types.float32:
            return builder.fptrunc(arguments[0], narrow)
        half, one, below = (context.get_constant(types.uint32, value) for value in (16, 1, 0x7FFF))
        bits = builder.bitcast(arguments[0], context.get_value_type(types.uint32))
        odd = builder.and_(builder.lshr(bits, half), one)
        return builder.trunc(builder.lshr(builder.add(bits, builder.add(odd, below)), half), narrow)

    return like(_arithmetic(like), like), code


# Typed as anything: what Python calls is not what compiled code does.
read: Any = intrinsic(_read)
read_narrow: Any = intrinsic(_read_narrow)
rounded: Any = intrinsic(_rounded)

"""Axes of charts: where a number is placed along one, and which round numbers stand beside it."""

from __future__ import annotations

import math
from collections.abc import Callable

Scale = Callable[[float], float]
"""Where a number is placed, in units of the drawing."""


def scale_of(low: float, high: float, start: float, end: float, *, logarithmic: bool = False) -> Scale:
    """Maps numbers to places; numbers beyond an end of the axis are placed at that end."""
    if logarithmic:
        inner = scale_of(math.log10(low), math.log10(high), start, end)
        return lambda value: inner(math.log10(max(value, low)))

    def place(value: float) -> float:
        share = (value - low) / (high - low) if high > low else 0.5
        return start + min(max(share, 0.0), 1.0) * (end - start)

    return place


def decades(low: float, high: float) -> list[float]:
    """Powers of ten around two positive numbers: two or more, and not more than five."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    last = max(last, first + 1)
    step = math.ceil((last - first) / 4)
    last = first + step * math.ceil((last - first) / step)
    return [10.0**power for power in range(first, last + 1, step)]


def round_factors(low: float, high: float) -> list[float]:
    """Powers of ten between two positive numbers, with twice and five times each if they are not three."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors, enough in (((1.0,), 3), ((1.0, 2.0, 5.0), 2)):
        between = [k * 10.0**power for power in powers for k in factors if low <= k * 10.0**power <= high]
        if len(between) >= enough:
            return between[:: math.ceil(len(between) / 6)]
    return [low, high] if high > low else [low]


def round_steps(low: float, high: float) -> list[float]:
    """Three to six round numbers between two."""
    span = (high - low) or 1.0
    unit = 10.0 ** math.floor(math.log10(span / 3))
    step = next(k * unit for k in (1, 2, 5, 10) if span / (k * unit) <= 5)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [k * step for k in range(first, last + 1)]


def short_number(value: float) -> str:
    """A number beside an axis."""
    for factor, unit in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:g}{unit}"
    return f"{value:.4g}"


def length(value: float) -> str:
    """A length, to a tenth."""
    return f"{value:.1f}".removesuffix(".0")

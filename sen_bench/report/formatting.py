"""Scores as the page writes them."""

from __future__ import annotations

import math

from sen_bench.results import Metric
from sen_bench.system import number_of


def short_name(metric: Metric) -> str:
    """What a score is called, without its unit: ``H@1``."""
    return metric.heading[:1].upper() + metric.heading[1:]


def column_title(metric: Metric) -> str:
    """What the column of a score is called, with its unit: ``H@1 %``."""
    return metric.title[:1].upper() + metric.title[1:]


def score_text(metric: Metric, value: float) -> str:
    """A value without its unit: shares in percent, others with three digits; a dash if it is undefined."""
    if math.isnan(value):
        return "–"
    return f"{100 * value:.1f}" if metric.is_share else _significant(value, 3)


def spread_text(metric: Metric, mean: float, std: float) -> str:
    """A mean and, where there is one, its standard deviation."""
    if math.isnan(std):
        return score_text(metric, mean)
    deviation = score_text(metric, std) if metric.is_share else _significant(std, 2)
    return f"{score_text(metric, mean)} ± {deviation}"


def interval_text(metric: Metric, low: float, high: float) -> str:
    """The ends of an interval without their unit; a dash where there is none."""
    if math.isnan(low) or math.isnan(high):
        return "–"
    return f"{score_text(metric, low)} to {score_text(metric, high)}"


def unit_text(metric: Metric, value: float) -> str:
    """A value with its unit: shares in percent."""
    return f"{score_text(metric, value)} %" if metric.is_share else score_text(metric, value)


def short_preset(preset: str) -> str:
    """A preset by its name, with how many settings are beside it: ``cpu + 3 settings``."""
    name, settings = preset_parts(preset)
    if not settings:
        return name
    told = [setting for setting in settings if "=" in setting]
    if len(told) == len(settings):
        return f"{name} + {number_of(len(told), 'setting')}"
    return f"{name} + {len(told)} or more settings"


def preset_parts(preset: str) -> tuple[str, tuple[str, ...]]:
    """The name of a preset, and the settings beside it, as a variant's name has them.

    A long name is cut off and ends in a digest, as `make_variant` writes it: so do the settings then.
    """
    name, _, text = preset.partition("+")
    settings = text.split("+") if text else []
    if settings and "=" not in settings[-1]:
        *settings, cut, digest = settings if len(settings) > 1 else ["", *settings]
        settings += [f"{cut}…", f"digest {digest}"]
    return name, tuple(settings)


def _significant(value: float, digits: int) -> str:
    """So many digits of a number that is not negative; small ones as powers of ten."""
    return f"{value:.{digits}g}" if value >= 0.001 or value == 0 else f"{value:.{digits - 1}e}"

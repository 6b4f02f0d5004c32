"""Scores as the page writes them."""

from __future__ import annotations

import math

from sen_bench.results import Metric


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


def _significant(value: float, digits: int) -> str:
    """So many digits of a number that is not negative; small ones as powers of ten."""
    return f"{value:.{digits}g}" if value >= 0.001 or value == 0 else f"{value:.{digits - 1}e}"

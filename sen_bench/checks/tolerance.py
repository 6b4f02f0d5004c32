"""How far from equivariant counts as equivariant. Help texts say it, so nothing else is imported here."""

TOLERANCE = 1e-6
"""Largest error of a model that counts as equivariant: far above rounding in float64, far below mistakes."""

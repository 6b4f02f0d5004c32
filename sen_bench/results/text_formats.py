"""The formats of leaderboards as text. Help texts say them, so nothing that computes is imported here."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, get_args

TextFormat: TypeAlias = Literal["markdown", "latex", "csv", "json"]
"""Formats that a leaderboard can be written in, beside the terminal's table."""

TEXT_FORMATS: Final[tuple[TextFormat, ...]] = get_args(TextFormat)

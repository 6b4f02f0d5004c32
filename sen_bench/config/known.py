"""What help texts say of settings: nothing here needs pydantic, which takes a tenth of a second to import."""

from __future__ import annotations

from importlib import resources
from typing import Final

SEED_LIMIT: Final = 2**63
"""One more than the largest seed that all generators accept."""


def preset_names() -> list[str]:
    """The names of the presets that come with the package."""
    folder = resources.files("sen_bench.presets")
    return sorted(
        entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")
    )

"""How plans are made and judged."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from sen_bench.config import digest_of
from sen_bench.errors import ConfigError


@dataclass(frozen=True)
class PlanSettings:
    """How many problems there are, and what an agent may spend on each.

    Attributes:
        problems: How many.
        distance: Steps from start to goal: of the shortest way, where it is known.
        seed: Draws the problems, and whatever is random in plans.
        budget: Actions that may be taken.
        horizon: The longest plan.
        execute: Actions of a plan that are taken before a new one is made; None: all of them.
        width: Sequences that the beam search keeps at each depth, where moves are counted.
        samples: Sequences that the cross-entropy method draws in each round, where they are not.
        rounds: Its rounds.
        elites: How many of the best it draws the next round from.
        tolerance: The distance to the goal, in the world's unit, at which it counts as reached.

    Raises:
        ConfigError: A number is impossible.
    """

    problems: int = 100
    distance: int = 5
    seed: int = 0
    budget: int = 10
    horizon: int = 5
    execute: int | None = None
    width: int = 16
    samples: int = 128
    rounds: int = 5
    elites: int = 12
    tolerance: float = 0.0

    def __post_init__(self) -> None:
        for name in ("problems", "distance", "budget", "horizon", "width", "samples", "rounds", "elites"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.execute is not None and not 1 <= self.execute <= self.horizon:
            raise ConfigError(f"execute must be from 1 to the horizon, {self.horizon}, not {self.execute}")
        if self.elites > self.samples:
            raise ConfigError(f"{self.elites} elites cannot be chosen of {self.samples} samples")
        if not 0 <= self.tolerance < float("inf"):
            raise ConfigError(f"tolerance must be a number from 0 on, not {self.tolerance}")

    @property
    def digest(self) -> str:
        """``sha256:`` and the digest of all settings."""
        values: dict[str, Any] = asdict(self)
        return f"sha256:{digest_of(values)}"

"""How plans are made and judged."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from sen_bench.config import digest_of
from sen_bench.errors import ConfigError
from sen_bench.planning.moves import Moves
from sen_bench.system import number_of

_BEAM: Final = ("width",)
_CROSS_ENTROPY: Final = ("samples", "rounds", "elites")


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
            raise ConfigError(
                f"{number_of(self.elites, 'elite')} cannot be chosen of {number_of(self.samples, 'sample')}"
            )
        if not 0 <= self.tolerance < float("inf"):
            raise ConfigError(f"tolerance must be a number from 0 on, not {self.tolerance}")

    def for_moves(self, moves: Moves) -> PlanSettings:
        """The same, with what says nothing about planning such moves at its default.

        So settings that plan alike have one digest.
        """
        without = _CROSS_ENTROPY if moves.count is not None else _BEAM
        return replace(self, **{name: getattr(PlanSettings, name) for name in without})

    @property
    def digest(self) -> str:
        """``sha256:`` and the digest of all settings."""
        values: dict[str, Any] = asdict(self)
        return f"sha256:{digest_of(values)}"


def check_planner_options(given: Iterable[str], moves: Moves, task: str) -> None:
    """Checks that the options of a planner are those of the one that is used.

    Args:
        given: Names of fields of `PlanSettings`.
        moves: What can be done in the task's world.
        task: Name of the task, for the message.

    Raises:
        ConfigError: One is an option of the other planner.
    """
    counted = moves.count is not None
    own, other = (_BEAM, _CROSS_ENTROPY) if counted else (_CROSS_ENTROPY, _BEAM)
    names = set(given)
    if wrong := [name for name in other if name in names]:
        actions = "a list" if counted else "continuous"
        planner = "beam search" if counted else "the cross-entropy method"
        raise ConfigError(
            f"{', '.join(wrong)}: not used for {task}, whose actions are {actions} and planned by {planner};"
            f" its options: {', '.join(own)}"
        )

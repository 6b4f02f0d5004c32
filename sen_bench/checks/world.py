"""Whether a world keeps the contract of `sen_bench.envs.World`, on random states, under its whole group."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from sen_bench.checks import world_dynamics as dynamics
from sen_bench.checks import world_interface as interface
from sen_bench.checks.world_samples import FaultError, NotApplicableError, WorldSamples
from sen_bench.envs import World
from sen_bench.errors import ConfigError
from sen_bench.system import plain_values, shown

STATES = 16
"""How many states are tried unless the caller says so."""

TOLERANCE = 1e-9
"""Largest difference between floating-point numbers that counts as rounding, see `WorldSamples`."""

_CHECKS: dict[str, Callable[[WorldSamples], str]] = {
    "names": interface.check_names,
    "spaces": interface.check_spaces,
    "sampling": interface.check_sampling,
    "purity of stepping": partial(dynamics.check_purity, name="step_states"),
    "purity of rendering": partial(dynamics.check_purity, name="render_states"),
    "purity of transform_state": partial(dynamics.check_purity, name="transform_state"),
    "purity of transform_action": partial(dynamics.check_purity, name="transform_action"),
    "batches of stepping": partial(dynamics.check_batches, name="step_states"),
    "batches of rendering": partial(dynamics.check_batches, name="render_states"),
    "batches of transform_state": partial(dynamics.check_batches, name="transform_state"),
    "batches of transform_action": partial(dynamics.check_batches, name="transform_action"),
    "difference of states": dynamics.check_difference,
    "identity": dynamics.check_identity,
    "composition": dynamics.check_composition,
    "equivariance": dynamics.check_equivariance,
    "action on images": dynamics.check_pixels,
    "hard negatives": dynamics.check_negatives,
    "slice": dynamics.check_slice,
    "symmetry": interface.check_symmetry,
    "seeds": interface.check_seeds,
    "episodes": interface.check_episodes,
    "options": interface.check_options,
    "pickling": interface.check_pickling,
    "gymnasium": interface.check_gymnasium,
}


@dataclass(frozen=True)
class WorldFinding:
    """What one check of a world found.

    Attributes:
        name: What was checked: "equivariance".
        state: "passed", "failed", or "skipped" if there is nothing to check.
        detail: In one line, what holds or what does not: for which element and state, and by how much.
    """

    name: str
    state: Literal["passed", "failed", "skipped"]
    detail: str


@dataclass(frozen=True)
class WorldReport:
    """What `check_world` found.

    Attributes:
        world_id: The world.
        findings: One for every check, in the order in which they were made.
    """

    world_id: str
    findings: tuple[WorldFinding, ...]

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return not self.failures

    @property
    def failures(self) -> tuple[WorldFinding, ...]:
        """The findings of checks that failed."""
        return tuple(finding for finding in self.findings if finding.state == "failed")

    def __str__(self) -> str:
        """A line for each check; what the world says is only shown."""
        return "\n".join(f"{item.state:7} {item.name}: {shown(item.detail)}" for item in self.findings)


@plain_values
def check_world(
    world: World, *, states: int = STATES, seed: int = 0, tolerance: float = TOLERANCE
) -> WorldReport:
    """Checks a world of your own against everything that datasets and models rely on.

    The dynamics are tried under every element of a finite group, or 100 random ones of SO(3), on states of
    random walks. A faulty world raises nothing here: what it raises is a finding.

    Args:
        world: The world; checks that reset it use another instance of its class.
        states: How many states to try, each with an action; at least 4.
        seed: The seed they are drawn from.
        tolerance: Largest difference between floating-point states that counts as none, as a share of their
            largest entry if that is above 1. Integers must be equal.

    Returns:
        A finding for each check. ``print(report)`` shows a line for each.

    Raises:
        ConfigError: It is not a world, or a number is impossible.

    Examples:
        >>> from sen_bench.envs import make_world
        >>> check_world(make_world("sen_bench/Shapes2D-v0")).passed
        True
    """
    for name, value, smallest in (("states", states, 4), ("seed", seed, 0), ("tolerance", tolerance, 0)):
        if not value >= smallest:  # even if it is not a number
            raise ConfigError(f"{name} must be at least {smallest}, not {value}")
    try:
        samples = WorldSamples.draw(world, states, seed=seed, tolerance=tolerance)
    # Third-party code may raise anything, which is what is to be found out.
    except Exception as error:  # noqa: BLE001
        found = WorldFinding("states and actions", "failed", _raised(error))
        why = "no states and actions could be drawn"
        return WorldReport(_name(world), (found, *(WorldFinding(name, "skipped", why) for name in _CHECKS)))
    return WorldReport(_name(world), tuple(_finding(name, check, samples) for name, check in _CHECKS.items()))


def _finding(name: str, check: Callable[[WorldSamples], str], samples: WorldSamples) -> WorldFinding:
    try:
        return WorldFinding(name, "passed", check(samples))
    except NotApplicableError as error:
        return WorldFinding(name, "skipped", str(error))
    except FaultError as error:
        return WorldFinding(name, "failed", str(error))
    except Exception as error:  # noqa: BLE001 — as above
        return WorldFinding(name, "failed", _raised(error))


def _raised(error: Exception) -> str:
    """What was raised, and where, in one line."""
    text = " ".join(str(error).split())
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"raised {type(error).__name__}: {text} ({last.filename}, line {last.lineno})"


def _name(world: World) -> str:
    return str(getattr(world, "world_id", type(world).__name__))

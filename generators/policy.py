"""Policies: how the actions of a dataset are chosen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from sen_bench.errors import ConfigError
from sen_bench.system import import_object, is_object_name

if TYPE_CHECKING:
    import numpy as np

    from sen_bench.envs import Action, State, World

UNIFORM = "uniform"

ChooseAction: TypeAlias = "Callable[[World, State, np.random.Generator], Action]"
"""Chooses the action of one step of one episode: given the world, the state and the episode's generator.

All randomness comes from that generator, so that an episode does not depend on which others are generated
with it.
"""


@dataclass(frozen=True)
class Policy:
    """How actions are chosen.

    Args:
        kind: "uniform": every step independently and uniformly over the allowed actions; or
            "package.module:function", a `ChooseAction` of your own. A dataset records only its name: give the
            function another name when you change what it does.
        allowed: The discrete actions to draw from; None for all of them.
        absolute: Entries of a continuous action that are replaced by their absolute values.

    Raises:
        ConfigError: The kind is unknown; a policy that is not uniform is restricted; allowed actions are
            empty, repeated or not actions; absolute entries are repeated or not entries; or both are given,
            as no action is both discrete and continuous.
    """

    kind: str = "uniform"
    allowed: tuple[int, ...] | None = None
    absolute: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.kind != UNIFORM:
            if not is_object_name(self.kind):
                raise ConfigError(
                    f"unknown policy {self.kind!r}; known: {UNIFORM}, or package.module:function"
                )
            if self.allowed is not None or self.absolute:
                raise ConfigError(
                    "only the uniform policy can be restricted; restrict your own in its function"
                )
        absolute = tuple(whole_number("an absolute entry", entry, smallest=0) for entry in self.absolute)
        if len(set(absolute)) < len(absolute):
            raise ConfigError("the absolute entries of a policy must be all different")
        object.__setattr__(self, "absolute", tuple(sorted(absolute)))
        if self.allowed is None:
            return
        if absolute:
            raise ConfigError("a policy has allowed actions, or absolute entries of actions, but not both")
        allowed = tuple(whole_number("an allowed action", action, smallest=0) for action in self.allowed)
        if not allowed or len(set(allowed)) < len(allowed):
            raise ConfigError("the allowed actions of a policy must be at least one, and all different")
        object.__setattr__(self, "allowed", tuple(sorted(allowed)))

    def load(self) -> ChooseAction | None:
        """The function that chooses actions, imported; None for the uniform policy.

        Raises:
            ConfigError: There is no such module or function.
        """
        if self.kind == UNIFORM:
            return None
        function: ChooseAction = import_object(self.kind, "policy")
        if not callable(function):
            raise ConfigError(f"policy {self.kind!r} is not a function")
        return function


def whole_number(name: str, value: object, *, smallest: int) -> int:
    """A setting as an integer.

    Raises:
        ConfigError: It is not a whole number, or smaller than allowed.
    """
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise ConfigError(f"{name} must be a whole number of at least {smallest}, not {value!r}")
    number = int(value.__index__())
    if number < smallest:
        raise ConfigError(f"{name} must be at least {smallest}, not {number}")
    return number

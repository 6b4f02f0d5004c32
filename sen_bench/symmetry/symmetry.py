"""How a group acts on one world, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Generic, TypeAlias

import numpy as np
from numpy.typing import NDArray
from typing_extensions import TypeVar

from sen_bench.symmetry.group import Group, SymmetryError
from sen_bench.symmetry.representation import Representation
from sen_bench.symmetry.so3 import SO3, SO3Representation

GroupT = TypeVar("GroupT", bound=Group | SO3, default=Group)
RepresentationT = TypeVar("RepresentationT", bound=Representation | SO3Representation, default=Representation)

# In JSON, instead of a list of twin elements.
_UNIFORM: Final = "uniform"


@dataclass(frozen=True)
class Symmetry(Generic[GroupT, RepresentationT]):
    """How a group acts on one world. Without type parameters, the group is a finite one.

    Args:
        group: The group.
        representations: The representations, by name, through which it acts on parts of states and actions.
            Grid worlds have ``direction``, ``object``, ``action`` and ``cell``.
        twin_elements: The elements, never the identity, from which the twin of an episode is drawn. Empty for
            SO(3), where it is drawn uniformly from the whole group.
        observation: The name of the representation by which the identity and the twin elements act on the
            pixels of an image, indexed by ``row * width + column``; ``None`` if that is not known. It says
            nothing about the group's other elements: one that renames objects exchanges their colours.
        description: In words, how states and actions transform.

    Raises:
        SymmetryError: If a representation belongs to another group, or a twin element is not possible.
    """

    group: GroupT
    representations: Mapping[str, RepresentationT]
    twin_elements: tuple[int, ...] = ()
    observation: str | None = None
    description: str = ""

    def __post_init__(self) -> None:
        for name, representation in self.representations.items():
            if representation.group != self.group:
                raise SymmetryError(f"{name} represents {representation.group.name}, not {self.group.name}")
        order = 0 if isinstance(self.group, SO3) else self.group.order
        if any(not 0 < g < order for g in self.twin_elements):
            raise SymmetryError("a twin element is the identity or no element of the group")
        if self.observation is not None and self.observation not in self.representations:
            raise SymmetryError(
                f"observations act by {self.observation!r}, which is not a representation here"
            )
        object.__setattr__(self, "representations", MappingProxyType(dict(self.representations)))

    def __hash__(self) -> int:
        return hash((self.group, tuple(self.representations), self.twin_elements))

    @property
    def has_twins(self) -> bool:
        """Whether there are elements to draw twins from."""
        return isinstance(self.group, SO3) or bool(self.twin_elements)

    def draw_twin_element(self, rng: np.random.Generator) -> NDArray[Any]:
        """The element of one twin, uniform over the twin elements: int64 ``[]``, or float64 ``[3, 3]``."""
        if isinstance(self.group, SO3):
            return self.group.sample(rng)
        return np.asarray(rng.choice(np.array(self.twin_elements, dtype=np.int64)))

    def to_json(self) -> dict[str, Any]:
        """The symmetry as JSON-able data."""
        return {
            "group": self.group.to_json(),
            "representations": {name: rho.to_json() for name, rho in self.representations.items()},
            "twin_elements": _UNIFORM if isinstance(self.group, SO3) else list(self.twin_elements),
            "observation": self.observation,
            "description": self.description,
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> AnySymmetry:
        """The inverse of :meth:`to_json`.

        Raises:
            SymmetryError: If the data describes no symmetry.
        """
        try:
            described, elements = data["representations"].items(), data["twin_elements"]
            rest = data["observation"], data["description"]
            if data["group"].get("family") == SO3.family:
                if elements != _UNIFORM:
                    raise SymmetryError(f"twins of {SO3.name} are drawn from all of it, not {elements!r}")
                so3 = SO3.from_json(data["group"])
                powers = {name: SO3Representation.from_json(so3, rho) for name, rho in described}
                return Symmetry(so3, powers, (), *rest)
            group = Group.from_json(data["group"])
            finite = {name: Representation.from_json(group, rho) for name, rho in described}
            return Symmetry(group, finite, tuple(elements), *rest)
        except (KeyError, TypeError, AttributeError) as error:
            raise SymmetryError(f"not the description of a symmetry: {error}") from error


AnySymmetry: TypeAlias = Symmetry[Group, Representation] | Symmetry[SO3, SO3Representation]
"""The symmetry of some world, where it does not matter which kind of group it has."""

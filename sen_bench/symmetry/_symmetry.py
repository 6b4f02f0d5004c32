"""How a group acts on one world, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from sen_bench.symmetry._group import Group, SymmetryError
from sen_bench.symmetry._representation import Representation


@dataclass(frozen=True)
class Symmetry:
    """How a group acts on one world.

    Args:
        group: The group.
        representations: By name, the representations through which it acts on parts of states and actions.
            Grid worlds have ``direction``, ``object``, ``action`` and ``cell``.
        twin_elements: The elements, never the identity, of which one is drawn for the twin of an episode.
        observation: The name of the representation by which the identity and the twin elements act on the
            pixels of an image, indexed by ``row * width + column``; ``None`` where that is not known. Of the
            group's other elements it says nothing: one that renames objects exchanges their colours.
        description: In words, how states and actions transform.

    Raises:
        SymmetryError: If a representation is one of another group, or a twin element is not one.
    """

    group: Group
    representations: Mapping[str, Representation]
    twin_elements: tuple[int, ...]
    observation: str | None = None
    description: str = ""

    def __post_init__(self) -> None:
        for name, representation in self.representations.items():
            if representation.group != self.group:
                raise SymmetryError(f"{name} represents {representation.group.name}, not {self.group.name}")
        if any(not 0 < g < self.group.order for g in self.twin_elements):
            raise SymmetryError("a twin element is the identity or no element of the group")
        if self.observation is not None and self.observation not in self.representations:
            raise SymmetryError(
                f"observations act by {self.observation!r}, which is not a representation here"
            )
        object.__setattr__(self, "representations", MappingProxyType(dict(self.representations)))

    def __hash__(self) -> int:
        return hash((self.group, tuple(self.representations), self.twin_elements))

    def to_json(self) -> dict[str, Any]:
        """The symmetry as JSON-able data."""
        return {
            "group": self.group.to_json(),
            "representations": {name: rho.to_json() for name, rho in self.representations.items()},
            "twin_elements": list(self.twin_elements),
            "observation": self.observation,
            "description": self.description,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Symmetry:
        """The inverse of :meth:`to_json`.

        Raises:
            SymmetryError: If the data describes no symmetry.
        """
        try:
            group = Group.from_json(data["group"])
            return cls(
                group,
                {name: Representation.from_json(group, rho) for name, rho in data["representations"].items()},
                tuple(data["twin_elements"]),
                data["observation"],
                data["description"],
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise SymmetryError(f"not the description of a symmetry: {error}") from error

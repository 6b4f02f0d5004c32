"""Recipes: what to generate, as data that determines every byte of a dataset that is exact."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from sen_bench.errors import ConfigError
from sen_bench.generators.policy import Policy, whole_number
from sen_bench.store import canonical_digest
from sen_bench.system import is_object_name, is_plain_name

GENERATOR_VERSION = 1
"""Increased whenever an equal recipe gives other contents than before."""


@dataclass(frozen=True)
class Recipe:
    """What to generate.

    Args:
        task: The task the dataset belongs to: "3d-blocks".
        split: The split: "train", "eval". Splits draw from independent streams, even with equal seeds.
        world_id: The environment, version included.
        world_options: Its constructor's options, JSON-able.
        episodes: How many episodes.
        horizon: Steps in an episode, which has one frame more, and before that those of `World.frame_stack`.
        warmup: Steps under the same policy before the first frame, which are not recorded.
        seed: The seed that all randomness comes from.
        policy: How actions are chosen.
        twin: Whether every episode is also stored as seen after a group element.
        negatives: Whether the hard negatives of every state after a step are stored too.
        slice: Whether episodes are transitions of the world's slice, see `World.sample_slice`. They have one
            step, no warm-up, and the world's actions.

    Raises:
        ConfigError: A name is not one that a folder can have, a number is not a positive integer, or
            options are not JSON-able, or a slice is asked for with other steps or actions.
    """

    task: str
    split: str
    world_id: str
    world_options: Mapping[str, Any] = field(default_factory=dict)
    episodes: int = 1000
    horizon: int = 100
    seed: int = 0
    policy: Policy = field(default_factory=Policy)
    twin: bool = False
    negatives: bool = False
    warmup: int = 0
    slice: bool = False

    def __post_init__(self) -> None:
        for name in ("task", "split", "world_id"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value:
                raise ConfigError(f"{name} must be a name, not {value!r}")
            # These two are names of folders. A world is only looked up.
            if (
                name != "world_id"
                and not is_plain_name(value)
                and not (name == "task" and is_object_name(value))
            ):
                raise ConfigError(
                    f"{name} must be a name of letters, digits, _, . and -, beginning with a letter or digit"
                    f" and no number, not {value!r}"
                )
        for name, smallest in (("episodes", 1), ("horizon", 1), ("seed", 0), ("warmup", 0)):
            object.__setattr__(self, name, whole_number(name, getattr(self, name), smallest=smallest))
        if self.slice and (self.horizon, self.warmup, self.policy) != (1, 0, Policy()):
            raise ConfigError(
                "a slice is of transitions, and the world says which: its episodes have a horizon of 1, no"
                " warmup and the uniform policy"
            )
        try:
            options = json.loads(json.dumps(dict(self.world_options), allow_nan=False))
        except (TypeError, ValueError) as error:
            raise ConfigError(f"world options must be JSON-able: {error}") from error
        object.__setattr__(self, "world_options", options)

    def __hash__(self) -> int:
        return hash(self.digest)

    @property
    def digest(self) -> str:
        """Hexadecimal sha256 of the recipe as JSON with sorted keys."""
        return canonical_digest(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """The recipe as JSON-able data."""
        data = asdict(self)
        allowed = self.policy.allowed
        data["policy"]["allowed"] = None if allowed is None else list(allowed)
        data["policy"]["absolute"] = list(self.policy.absolute)
        # Left out if there are none, as in older recipes, so that digests stay the same.
        for where, name in (
            (data, "negatives"),
            (data, "warmup"),
            (data, "slice"),
            (data["policy"], "absolute"),
        ):
            if not where[name]:
                del where[name]
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Recipe:
        """The inverse of `to_json`.

        Raises:
            ConfigError: The data is not a recipe.
        """
        known = {item.name for item in fields(cls)}
        try:
            if unknown := set(data) - known:
                raise ConfigError(f"a recipe has no {min(unknown)!r}; it has {', '.join(sorted(known))}")
            policy = dict(data["policy"])
            allowed = policy.pop("allowed")
            absolute = tuple(policy.pop("absolute", ()))
            given = {name: value for name, value in data.items() if name != "policy"}
            allowed = None if allowed is None else tuple(allowed)
            return cls(**given, policy=Policy(allowed=allowed, absolute=absolute, **policy))
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"not a recipe: {error!r}") from error


def differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """The entries that differ between two JSON objects: name, one value, the other."""
    for name in sorted(theirs.keys() | ours.keys()):
        left, right = theirs.get(name), ours.get(name)
        if isinstance(left, Mapping) and isinstance(right, Mapping):
            yield from ((f"{name}.{inner}", a, b) for inner, a, b in differences(left, right))
        elif left != right:
            yield name, repr(left), repr(right)

"""Values as people write them: seeds and amounts of memory, the same from Python and the command line."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Sequence
from numbers import Integral
from typing import Final

from pydantic import ByteSize, TypeAdapter

from sen_bench.config.known import SEED_LIMIT
from sen_bench.errors import ConfigError

# More must be a slip, and would fill the memory of this machine before any message.
_MOST_SEEDS: Final = 10_000


def parse_seeds(text: str) -> tuple[int, ...]:
    """Seeds such as ``0``, ``0-2`` or ``0,3,7-9``, each once and in their order.

    Raises:
        ConfigError: If they have another form, or are too many.
    """
    seeds: set[int] = set()
    for part in text.split(","):
        # No seed has more than 19 digits, and Python reads only so many.
        match = re.fullmatch(r"\s*(\d{1,19})(?:-(\d{1,19}))?\s*", part)
        if match is None or int(match[2] or match[1]) < int(match[1]):
            raise ConfigError(
                f"{reprlib.repr(part)} is not a seed or range of seeds; write 0, 0-2 or 0,3,7-9"
            )
        if int(match[2] or match[1]) - int(match[1]) >= _MOST_SEEDS:
            raise ConfigError(f"{part!r} are too many seeds; at most {_MOST_SEEDS} can be asked for")
        seeds.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    return check_seeds(sorted(seeds))


def check_seeds(seeds: Sequence[int]) -> tuple[int, ...]:
    """Seeds, each once and in the order given.

    Raises:
        ConfigError: If there is none, they are too many, or one is not a whole number from 0 to 2⁶³ - 1.
    """
    if not seeds:
        raise ConfigError("no seed is given; write such as 0")
    if len(seeds) > _MOST_SEEDS:
        raise ConfigError(f"{len(seeds)} are too many seeds; at most {_MOST_SEEDS} can be asked for")
    for given in seeds:
        if not _is_seed(given):
            raise ConfigError(
                f"{reprlib.repr(given)} is not a seed; give a whole number from 0 to {SEED_LIMIT - 1}"
            )
    return tuple(dict.fromkeys(map(int, seeds)))


def _is_seed(value: object) -> bool:
    """Whether it is a whole number that can be a seed, of Python or NumPy; a truth value must be a slip."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        return False
    return 0 <= int(value) < SEED_LIMIT


def parse_memory(value: str | int | None) -> int | None:
    """An amount of memory in bytes: of text such as ``8GiB`` or ``500 MB``; None for None and ``auto``.

    Raises:
        ConfigError: If it has another form, or is not a positive number.
    """
    if value is None or value == "auto":
        return None
    if isinstance(value, str):
        # pydantic would also accept a number without a unit, and anything after the unit.
        if not re.fullmatch(r"\s*\d{1,18}(\.\d{1,18})?\s*[kmgt]i?b\s*", value, re.IGNORECASE):
            raise ConfigError(f"{reprlib.repr(value)} is not a size; write 512MiB, 8GiB, 1.5GB or auto")
        return int(TypeAdapter(ByteSize).validate_python(value))
    if type(value) is not int or value < 0:
        raise ConfigError(
            f"{value!r} is not an amount of memory; give a number of bytes, or text such as '8GiB'"
        )
    return value

"""The errors a user can cause. Each ends in one line and exit code 2."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError


class SenBenchError(Exception):
    """A mistake that the user can put right: the message says what was wrong and what would be right."""


class UnknownNameError(SenBenchError):
    """A name that is not registered; the message suggests the nearest names that are.

    Args:
        kind: What the name was meant to name, in the singular ("task", "model").
        name: The name as given.
        known: The names that would have been accepted.
        also: Further ones, which are only suggested where they are near.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], also: Iterable[str] = ()) -> None:
        choices = sorted(known)
        close = difflib.get_close_matches(name, [*choices, *sorted(also)], n=1, cutoff=0.5)
        hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(choices) or 'none'}"
        super().__init__(f"unknown {kind} {name!r}; {hint}")


class ConfigError(SenBenchError):
    """A preset or option with a value that cannot be used."""


class ExtensionError(ConfigError):
    """Third-party code, such as a plugin or a model of your own, that cannot be used as it is."""


class WorldError(SenBenchError):
    """A world was asked for a size, object count or state that it does not have."""


class DatasetError(SenBenchError):
    """A dataset that is missing, not ours, incomplete, or of another version or recipe."""


class MissingExtraError(SenBenchError):
    """A part of sen-bench whose required packages are not installed.

    Args:
        what: The part, as the beginning of a sentence.
        extra: The extra that installs them.
    """

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs packages that are not installed: pip install 'sen-bench[{extra}]'")


class DiskSpaceError(SenBenchError):
    """A disk that cannot hold what is about to be written."""


class ClusterError(SenBenchError):
    """A cluster that cannot be used, or whose workers are not set up like this machine."""


class DeviceError(SenBenchError):
    """A device that does not exist on this machine."""


class CompileError(SenBenchError):
    """A model that cannot be compiled, or a machine without a compiler."""


class CheckpointError(SenBenchError):
    """A checkpoint that cannot be read, or that belongs to another run."""


class NonFiniteError(SenBenchError):
    """A latent, loss or score that is NaN or infinite."""


class PublishingError(SenBenchError):
    """Something that cannot be published as it is, or where it is to be published."""


class ResultsError(SenBenchError):
    """A result table that cannot be read or does not have the documented columns."""


class SenBenchWarning(UserWarning):
    """Something that a person should know, in one line, though work goes on; commands show it as such."""


def first_problem(error: ValidationError) -> str:
    """The first complaint of a validation error, in one line, with the key it is about."""
    problem: dict[str, Any] = dict(error.errors()[0])
    where = ".".join(str(part) for part in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    return f"{where}: {message} (got {reprlib.repr(problem['input'])})"

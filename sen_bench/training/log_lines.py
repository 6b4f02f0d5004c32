"""The lines of a metrics log: read, checked for what any training can have written, and proven."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sen_bench.errors import CheckpointError

# What tables of curves can hold; a loss in float32 is smaller, and one that is not finite ends the training.
_LARGEST = 1e100
# Every line says where in the training it was written.
_PLACE = ("attempt", "epoch", "step")

_CHECK = "check"
_CHECK_DIGITS = 16
_CHECKED = re.compile(rb'(\{.*)(, "check": "[0-9a-f]{16}"\})')


@dataclass(frozen=True)
class MetricsLine:
    """A line of a log.

    Attributes:
        text: It, as it is in the file, with its end.
        values: What it says, without the check value.
        checked: Whether it has one; earlier versions wrote none.
    """

    text: bytes
    values: dict[str, Any]
    checked: bool


def check_entry(digest: str) -> bytes:
    """The end of a line.

    Args:
        digest: SHA-256 of the file up to it, in hexadecimal digits.
    """
    return f', "{_CHECK}": "{digest[:_CHECK_DIGITS]}"}}'.encode()


def read_lines(path: Path, terms: Sequence[str] = ()) -> list[MetricsLine]:
    """The whole lines of a log, none if there is no log.

    Args:
        path: The file.
        terms: What every line about steps must have: finite numbers of at least 0.

    Raises:
        CheckpointError: It is not a metrics log, was changed, or its steps do not follow each other.
    """
    if not path.exists():
        return []
    try:
        *texts, _ = path.read_bytes().split(b"\n")  # what a crash has cut off has no end
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error}; move it away") from error
    lines: list[MetricsLine] = []
    last = (0, 0)  # attempt and step of the last line about steps
    digest = hashlib.sha256()
    for number, text in enumerate(texts, start=1):
        try:
            values = json.loads(text.decode())
        except (ValueError, RecursionError):
            values = None
        if not _is_line(values, terms):
            raise CheckpointError(f"{path}, line {number}, is not one of a metrics log; move the file away")
        match = _CHECKED.fullmatch(text)
        digest.update(match[1] if match else text)
        # Lines without a check value are those of an earlier version: there is none after one that has it.
        unchecked = _CHECK not in values and not (lines and lines[-1].checked)
        if not (match[2] == check_entry(digest.hexdigest()) if match else unchecked):
            raise CheckpointError(
                f"{path}, line {number}, or one before it was changed: its check value is not that of the log"
                " so far; move the file away"
            )
        digest.update((match[2] if match else b"") + b"\n")
        values.pop(_CHECK, None)
        if values["event"] == "steps":
            place = (values["attempt"], values["step"])
            if place <= last:
                raise CheckpointError(
                    f"{path}, line {number}, is of step {place[1]} in attempt {place[0]}, which does not come"
                    f" after step {last[1]} in attempt {last[0]}; move the file away"
                )
            last = place
        lines.append(MetricsLine(text + b"\n", values, checked=match is not None))
    return lines


def _is_line(line: object, terms: Sequence[str]) -> bool:
    """Whether something has what every line of a log has, and no number that no training gives."""
    if not isinstance(line, dict) or not all(type(line.get(name)) is int for name in _PLACE):
        return False
    numbers = [value for value in line.values() if type(value) in {int, float}]
    # Not `math.isfinite`, which integers of any length overflow.
    if not isinstance(line.get("event"), str) or not all(0 <= number <= _LARGEST for number in numbers):
        return False
    return line["event"] != "steps" or all(type(line.get(term)) in {int, float} for term in terms)

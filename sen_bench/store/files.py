"""Reading the files of a dataset that a stranger may have made: regular files, below it, of bounded size."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any, NoReturn

MOST_METADATA_BYTES = 128 * 1024**2
"""The largest file of JSON that is read: twice the manifest of the largest dataset that can be planned."""


def regular_size(path: Path | str) -> int | None:
    """The size in bytes of a regular file; None for a link, folder, pipe or device.

    Raises:
        OSError: There is no such file, or it cannot be looked at.
    """
    status = os.lstat(path)
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def is_real_folder(path: Path | str) -> bool:
    """Whether there is a folder that is no link to one.

    Raises:
        OSError: It cannot be looked at.
    """
    return stat.S_ISDIR(os.lstat(path).st_mode)


def read_metadata(path: Path | str) -> bytes:
    """The contents of a file of JSON.

    Raises:
        FileNotFoundError: There is none.
        OSError: It cannot be read.
        ValueError: It is no regular file, or too large.
    """
    size = regular_size(path)
    if size is None:
        raise ValueError("it is not a regular file")
    if size > MOST_METADATA_BYTES:
        raise ValueError(f"it has {size} bytes, more than the {MOST_METADATA_BYTES} that are read")
    with open(path, "rb") as file:  # noqa: PTH123 — of text, as `check_sizes` has it
        return file.read()


def parse_json(data: bytes) -> Any:  # noqa: ANN401 — JSON can be anything
    """What a file of JSON says.

    Raises:
        ValueError: It is no JSON, says "Infinity" or "NaN", or is nested too deeply.
    """
    try:
        return json.loads(data, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON")


def name_problem(name: str) -> str | None:
    """Why a name in a manifest cannot be that of a file of the dataset, on any system; None if it can."""
    parts = name.split("/")
    if {"", ".", ".."} & set(parts) or "\\" in name or ":" in name:
        return "names a file outside the dataset"
    if not name.isprintable() or len(name) > 1000:
        return "names a file as no file of a dataset is named"
    return None

"""Whether results can be written at a place, asked before the work that they come from."""

from __future__ import annotations

import tempfile
from pathlib import Path

from sen_bench.errors import ConfigError


def check_output(path: Path, *, folder: bool = False) -> None:
    """Refuses a place where nothing can be written, before anything is computed for it.

    Folders that are missing count as there: whoever writes makes them. Nothing is left behind.

    Args:
        path: The file that will be written, or replaced.
        folder: Whether it is a folder into which files will be written.

    Raises:
        ConfigError: There is a folder in the place of the file, or a file in that of a folder; or the file
            system refuses.
    """
    if not folder and path.is_dir():
        raise ConfigError(f"cannot write {path}: it is a folder; name a file")
    place = path if folder else path.parent
    if (other := not_a_folder(place)) is not None:
        raise ConfigError(f"cannot write {path}: {other} is not a folder")
    existing = next(parent for parent in (place, *place.parents) if parent.exists())
    try:
        # Only trying tells: a file system may be mounted read-only, or have no place for files at all.
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {existing}: {error.strerror or error}") from error


def not_a_folder(folder: Path) -> Path | None:
    """What is there and is no folder, of a folder and those that it lies in; None if it can be there."""
    for place in (folder, *folder.parents):
        if place.exists() and not place.is_dir():
            return place
    return None

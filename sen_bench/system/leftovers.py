"""What commands left behind: what `--force` moved aside, and drafts of processes that were killed."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sen_bench.system.files import is_draft

# Only what commands move aside: datasets, finished or not, runs, decoders and exports. A preset, and so a
# folder of runs, may be called `large.old-1`.
_MOVED_ASIDE: Final = re.compile(r"(.+\.zarr|\..+\.zarr\.partial|seed-\d+|decoder|.+\.h5|.+\.hdf5)\.old-\d+")

_STILL_WRITTEN: Final = 3600.0
"""Seconds for which a draft that did not change may still be written, on whatever machine."""


@dataclass(frozen=True)
class Leftover:
    """A file or folder that nothing needs any more.

    Attributes:
        path: Where it is.
        size: Its bytes, those of all files in it.
    """

    path: Path
    size: int


def find_leftovers(folder: Path) -> Iterator[Leftover]:
    """Everything below a folder that commands left behind, in the order of its paths.

    Links are not followed, and nothing is looked for within datasets and what is moved aside.

    Args:
        folder: The folder; it need not exist.

    Raises:
        OSError: As raised by the file system.
    """
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        path = Path(entry.path)
        is_folder = entry.is_dir(follow_symlinks=False)
        if _MOVED_ASIDE.fullmatch(entry.name) is not None or (not is_folder and _is_abandoned(path)):
            yield Leftover(path, _size(path))
        elif is_folder and not entry.name.endswith((".zarr", ".zarr.partial")):
            yield from find_leftovers(path)


def remove_leftover(leftover: Leftover) -> None:
    """Deletes a leftover.

    Raises:
        OSError: As raised by the file system; what is left of it is found again.
    """
    if leftover.path.is_dir() and not leftover.path.is_symlink():
        shutil.rmtree(leftover.path)
    else:
        leftover.path.unlink()


def _is_abandoned(path: Path) -> bool:
    return is_draft(path) and time.time() - path.lstat().st_mtime > _STILL_WRITTEN


def _size(path: Path) -> int:
    if path.is_symlink() or not path.is_dir():
        return path.lstat().st_size
    return sum(Path(top, name).lstat().st_size for top, _, names in os.walk(path) for name in names)

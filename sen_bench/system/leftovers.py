"""What commands left behind: what `--force` moved aside, drafts of killed processes, locks nobody holds."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from filelock import FileLock

from sen_bench.system.files import is_draft

# Only what commands move aside: datasets, finished or not, runs, decoders and exports. A preset, and so a
# folder of runs, may be called `large.old-1`.
_MOVED_ASIDE: Final = re.compile(r"(.+\.zarr|\..+\.zarr\.partial|seed-\d+|decoder|.+\.h5|.+\.hdf5)\.old-\d+")

# The locks of datasets, runs, decoders, tables and MLflow's folder. All are empty; where a file system has no
# locks, a file with contents may stand for one that is held.
_LOCK: Final = re.compile(r"\.(.+\.zarr|seed-\d+|decoder|mlflow)\.lock|[^.].*\.csv\.lock")

_STILL_WRITTEN: Final = 3600.0
"""Seconds for which a draft that did not change may still be written, on whatever machine."""


@dataclass(frozen=True)
class Leftover:
    """A file or folder that nothing needs any more.

    Attributes:
        path: Where it is.
        size: Its bytes, those of all files in it.
        kind: What it is: "moved aside" by `--force`, the "draft" of a killed process, or a "lock".
    """

    path: Path
    size: int
    kind: Literal["moved aside", "draft", "lock"]


def find_leftovers(folder: Path, *, locks: bool = False) -> Iterator[Leftover]:
    """Everything below a folder that commands left behind, in the order of its paths.

    Links are not followed, and nothing is looked for within datasets and what is moved aside.

    Args:
        folder: The folder; it need not exist.
        locks: Whether to look for locks that no process of this machine holds, too.

    Raises:
        OSError: As raised by the file system.
    """
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        path = Path(entry.path)
        is_folder = entry.is_dir(follow_symlinks=False)
        if _MOVED_ASIDE.fullmatch(entry.name) is not None:
            yield Leftover(path, _size(path), "moved aside")
        elif not is_folder and _is_abandoned(path):
            yield Leftover(path, _size(path), "draft")
        elif locks and _is_free_lock(entry):
            yield Leftover(path, 0, "lock")
        elif is_folder and not entry.name.endswith((".zarr", ".zarr.partial")):
            yield from find_leftovers(path, locks=locks)


def remove_leftover(leftover: Leftover) -> bool:
    """Deletes a leftover.

    Returns:
        Whether it was deleted; a lock that is held by now is kept.

    Raises:
        OSError: As raised by the file system; what is left of it is found again.
    """
    if leftover.kind == "lock":
        return _while_held(leftover.path, remove=True)
    if leftover.path.is_dir() and not leftover.path.is_symlink():
        shutil.rmtree(leftover.path)
    else:
        leftover.path.unlink()
    return True


def _is_free_lock(entry: os.DirEntry[str]) -> bool:
    return (
        _LOCK.fullmatch(entry.name) is not None
        and entry.is_file(follow_symlinks=False)
        and entry.stat(follow_symlinks=False).st_size == 0
        and _while_held(Path(entry.path), remove=False)
    )


def _while_held(lock: Path, *, remove: bool) -> bool:
    """Takes a lock for a moment, and deletes its file meanwhile if asked to; False if it cannot be taken.

    Deleting it is safe only for who holds it: another process that has opened the file already and then gets
    its lock finds that the file has no name any more, and begins again with a new one, as filelock does.
    """
    try:
        with FileLock(lock, timeout=0, fallback_to_soft=False):
            if remove:
                lock.unlink()
    except OSError:  # held, another user's, or of a file system that has no locks
        return False
    return True


def _is_abandoned(path: Path) -> bool:
    return is_draft(path) and time.time() - path.lstat().st_mtime > _STILL_WRITTEN


def _size(path: Path) -> int:
    if path.is_symlink() or not path.is_dir():
        return path.lstat().st_size
    return sum(Path(top, name).lstat().st_size for top, _, names in os.walk(path) for name in names)

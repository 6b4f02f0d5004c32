"""How much room there is where something is to be written."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from sen_bench.errors import DiskSpaceError


def free_disk(folder: Path) -> int:
    """Bytes free on the disk of a folder, which need not exist yet."""
    return shutil.disk_usage(_existing(folder)).free


def check_disk(needs: Mapping[Path, int]) -> None:
    """Refuses to begin what a disk cannot hold.

    Args:
        needs: Bytes that are about to be written, by folder. Folders on one disk share its room.

    Raises:
        DiskSpaceError: A disk has less room than its folders need.
    """
    together: dict[int, list[Path]] = {}
    for folder in needs:
        together.setdefault(_existing(folder).stat().st_dev, []).append(folder)
    for folders in together.values():
        wanted, free = sum(needs[folder] for folder in folders), free_disk(folders[0])
        if wanted > free:
            raise DiskSpaceError(
                f"the disk of {', '.join(map(str, folders))} has {size_text(free)} free, and about"
                f" {size_text(wanted)} are to be written; make space, or choose a folder on another disk"
            )


def size_text(count: float) -> str:
    """A number of bytes for a person to read: "1.5 GB", in powers of ten as disks are sold."""
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count / 1e3:.0f} kB"


def _existing(folder: Path) -> Path:
    """The folder, or the first above it that exists."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    return place

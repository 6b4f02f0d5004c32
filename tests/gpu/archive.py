"""Runs and tables in a few files of limited size, to be carried from one borrowed machine to the next."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

PART: Final = "work.tar."
"""What the names of the parts begin with; numbers from 0 follow. ``cat work.tar.* | tar x`` unpacks them."""
_RUN_FILES: Final = ("checkpoint.pt", "config.json", "metrics.jsonl", "run.log")


def pack(work: Path, out: Path, *, parts: int, part_bytes: int) -> list[str]:
    """Packs tables and runs, those that are to go on before those that are finished, as far as they fit.

    Args:
        work: The folder that has `runs` and `results`.
        out: Where the parts are written.
        parts: How many there may be.
        part_bytes: Bytes of each, at most.

    Returns:
        The runs that did not fit, by their paths.
    """
    limit = parts * part_bytes
    archive, left_out = io.BytesIO(), []
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for table in sorted((work / "results").glob("*.csv*")):
            tar.add(table, table.relative_to(work))
        for folder in _runs(work):
            files = [folder / name for name in _RUN_FILES if (folder / name).exists()]
            # A header and a last block a file, and the end of the archive.
            size = sum(file.stat().st_size + 1024 for file in files) + tarfile.RECORDSIZE
            if archive.tell() + size > limit:
                left_out.append(str(folder.relative_to(work)))
                continue
            for file in files:
                tar.add(file, file.relative_to(work))
    data = archive.getbuffer()
    for number, begin in enumerate(range(0, len(data), part_bytes)):
        (out / f"{PART}{number}").write_bytes(data[begin : begin + part_bytes])
    return left_out


def unpack(parts: Sequence[Path], work: Path) -> None:
    """Puts back what `pack` has packed.

    Args:
        parts: All parts of one archive.
        work: Where `runs` and `results` are to be.
    """
    data = b"".join(part.read_bytes() for part in sorted(parts))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        tar.extractall(work, filter="data")


def _runs(work: Path) -> list[Path]:
    """The folders of runs that have begun: those that are in no table first."""
    table = work / "results" / "runs.csv"
    done = table.read_text(encoding="utf-8") if table.exists() else ""
    folders = sorted(path.parent for path in (work / "runs").rglob("checkpoint.pt"))
    return sorted(folders, key=lambda folder: f"{folder.relative_to(work / 'runs')}," in done)

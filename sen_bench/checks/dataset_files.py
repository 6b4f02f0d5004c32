"""Whether the files of a dataset are those that were written."""

from __future__ import annotations

from pathlib import Path

from sen_bench.errors import DatasetError
from sen_bench.store import MANIFEST, Manifest, check_sizes, open_dataset
from sen_bench.system import Advance, shown


def check_files(path: Path, *, quick: bool, advance: Advance) -> Manifest:
    """Compares what lies in a folder with its manifest; names the first file that is wrong.

    Args:
        path: The dataset.
        quick: Whether to leave the contents of files alone.
        advance: Called with the files hashed and their total.

    Raises:
        DatasetError: The manifest is damaged; a file is missing, damaged, or not part of the dataset.
    """
    if not (path / MANIFEST).is_file():
        open_dataset(path)  # knows what to say about a folder that is not a dataset
    manifest = Manifest.read(path)
    if (path / MANIFEST).read_bytes() != manifest.encoded():
        raise DatasetError(
            f"{path / MANIFEST} is damaged, or of another version of sen-bench; generate it again"
        )
    check_sizes(path, manifest)
    present = {
        file.relative_to(path).as_posix()
        for file in path.rglob("*")
        if file.is_symlink() or not file.is_dir()
    }
    if strays := sorted(present - manifest.files.keys() - {MANIFEST}):
        raise DatasetError(f"{path / shown(strays[0])} is not part of the dataset; delete it")
    if quick:
        return manifest
    for done, (name, record) in enumerate(sorted(manifest.files.items())):
        advance(done, len(manifest.files))
        if not record.describes(path / name):
            raise DatasetError(
                f"{path / name} is damaged: its sha256 is not that of the manifest; generate it again"
            )
    advance(len(manifest.files), len(manifest.files))
    return manifest

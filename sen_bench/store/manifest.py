"""The manifest: every file of a dataset with its size and sha256, and the digest of its contents.

There are two digests for two questions. The files digest is taken over the bytes of all files: it says
whether what is on disk is what was written. The content digest is taken over those decoded arrays that are
the same wherever the recipe is generated: it does not change when a dataset is stored with other chunks or
another compressor, or drawn by another graphics driver.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sen_bench.errors import DatasetError
from sen_bench.store.files import (
    MOST_METADATA_BYTES,
    is_real_folder,
    name_problem,
    parse_json,
    read_metadata,
    regular_size,
)
from sen_bench.store.layout import FORMAT, FORMAT_VERSION
from sen_bench.system import number_of, shown, write_atomically

MANIFEST = "manifest.json"
DIGEST_BYTES = 32
"""Of a sha256."""

_DIGEST = re.compile(r"[0-9a-f]{64}")
# Of a file; more than any file system holds.
_MOST_BYTES = 2**63


@dataclass(frozen=True)
class FileRecord:
    """One file of a dataset.

    Args:
        size: Bytes.
        sha256: Hexadecimal digest of the bytes.
    """

    size: int
    sha256: str

    @classmethod
    def of(cls, data: bytes) -> FileRecord:
        """The record of a file with these contents."""
        return cls(len(data), hashlib.sha256(data).hexdigest())

    def describes(self, path: Path) -> bool:
        """Whether there is a file with this size and digest.

        Raises:
            OSError: It cannot be read.
        """
        try:
            with path.open("rb") as file:
                if os.fstat(file.fileno()).st_size != self.size:
                    return False
                return hashlib.file_digest(file, "sha256").hexdigest() == self.sha256
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return False


@dataclass(frozen=True)
class Manifest:
    """What a whole dataset consists of.

    Args:
        content_digest: Hexadecimal sha256 over the decoded arrays, see `content_digest`.
        files: Path relative to the dataset, with "/" -> its record. The manifest itself is not listed.
    """

    content_digest: str
    files: Mapping[str, FileRecord]

    @property
    def files_digest(self) -> str:
        """Hexadecimal sha256 over the names, sizes and digests of all files: over the bytes as stored."""
        records = [[name, record.size, record.sha256] for name, record in sorted(self.files.items())]
        return hashlib.sha256(json.dumps(records, separators=(",", ":")).encode()).hexdigest()

    @property
    def stored_bytes(self) -> int:
        """Bytes on disk, without the manifest."""
        return sum(record.size for record in self.files.values())

    def encoded(self) -> bytes:
        """The contents of the manifest's file."""
        return json_bytes(
            {
                "format": FORMAT,
                "format_version": FORMAT_VERSION,
                "content_digest": self.content_digest,
                "files_digest": self.files_digest,
                "files": {
                    name: {"size": record.size, "sha256": record.sha256}
                    for name, record in sorted(self.files.items())
                },
            }
        )

    def write(self, root: Path) -> None:
        """Puts the manifest into a dataset, atomically and durably.

        Raises:
            DatasetError: It is larger than a manifest that is read.
        """
        data = self.encoded()
        if len(data) > MOST_METADATA_BYTES:
            raise DatasetError(
                f"the manifest of {root} would have {len(data)} bytes, more than the {MOST_METADATA_BYTES}"
                " that are read; ask for fewer episodes"
            )
        write_atomically(root / MANIFEST, lambda draft: draft.write_bytes(data))

    @classmethod
    def read(cls, root: Path) -> Manifest:
        """Reads the manifest of a dataset.

        Raises:
            DatasetError: There is none, it cannot be understood, or it contradicts itself.
        """
        path = root / MANIFEST
        try:
            data = read_metadata(path)
        except FileNotFoundError:
            raise DatasetError(
                f"{root} has no {MANIFEST}: it was never finished; generate it again"
            ) from None
        except (OSError, ValueError) as error:
            raise DatasetError(f"{path} cannot be read ({shown(error)}); generate it again") from error
        return cls.parse(data, path)

    @classmethod
    def parse(cls, data: bytes, where: Path | str) -> Manifest:
        """The manifest in the bytes of its file.

        Args:
            data: The bytes.
            where: Where they come from, for the message.

        Raises:
            DatasetError: They cannot be understood, contradict themselves, or name files outside the dataset.
        """
        try:
            content = parse_json(data)
            for name in content["files"]:
                if problem := name_problem(name):
                    raise DatasetError(f"{where} {problem}: {shown(name)}; get the dataset elsewhere")
            files = {name: _record(name, record) for name, record in content["files"].items()}
            manifest = cls(str(content["content_digest"]), files)
            form = content.get("format", FORMAT), content.get("format_version", FORMAT_VERSION)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DatasetError(f"{where} cannot be read ({shown(error)}); generate it again") from error
        if form != (FORMAT, FORMAT_VERSION):
            raise DatasetError(
                f"{where} has format {shown(form[0])}, version {shown(form[1])}; this sen-bench reads"
                f" {FORMAT}, version {FORMAT_VERSION}"
            )
        # Absent from datasets of development versions.
        if "files_digest" in content and content["files_digest"] != manifest.files_digest:
            raise DatasetError(f"{where} is damaged: it contradicts itself; generate it again")
        return manifest


def _record(name: str, record: Any) -> FileRecord:  # noqa: ANN401 — JSON can be anything
    """One file, as the manifest has it.

    Raises:
        ValueError: Its size is no number of bytes, or its digest none of sha256.
        KeyError: It lacks one of them.
        TypeError: It is no object.
    """
    size, digest = record["size"], record["sha256"]
    if type(size) is not int or not 0 <= size < _MOST_BYTES:
        raise ValueError(f"{name} cannot have {size!r} bytes")
    if not (isinstance(digest, str) and _DIGEST.fullmatch(digest)):
        raise ValueError(f"{name} cannot have the sha256 {digest!r}")
    return FileRecord(size, digest)


def row_digests(values: NDArray[Any]) -> bytes:
    """The sha256 of every row of an array, one after another.

    Args:
        values: [rows, …]; a row is hashed as little-endian numbers in C order.
    """
    little = values.astype(values.dtype.newbyteorder("<"), copy=False)
    rows = np.ascontiguousarray(little).reshape(len(values), -1).view(np.uint8)
    return b"".join(hashlib.sha256(row.data).digest() for row in rows)


def content_digest(arrays: Mapping[str, tuple[tuple[int, ...], str, bytes]]) -> str:
    """The digest of decoded arrays.

    Sha256 over one line of JSON: for every array, sorted by path, its path, shape, dtype and the sha256 of
    its `row_digests`. As it is made of rows, many writers can compute it, and it does not depend on chunks.

    Args:
        arrays: Path -> (shape, dtype name, row digests).
    """
    summary = [
        [path, list(shape), dtype, hashlib.sha256(rows).hexdigest()]
        for path, (shape, dtype, rows) in sorted(arrays.items())
    ]
    return hashlib.sha256(json.dumps(summary, separators=(",", ":")).encode()).hexdigest()


def json_bytes(data: object) -> bytes:
    """JSON as stored; equal data give equal bytes on every system."""
    return (json.dumps(data, indent=1) + "\n").encode()


def check_sizes(path: Path, manifest: Manifest, prefix: str = "") -> None:
    """Makes sure that every file is there with its size: Zarr would read a missing one as zeros.

    Links and anything else that is not a regular file are refused: what is read of a stranger's dataset lies
    below its folder, and has an end.

    Args:
        path: The dataset.
        manifest: Its manifest.
        prefix: Only files whose names begin with it are looked at.

    Raises:
        DatasetError: A file is missing, has another size, or is not a regular file.
    """
    folders: set[str] = set()
    for name, record in sorted(manifest.files.items()):
        if name.startswith(prefix):
            check_size(path, name, record)
            folder = name.rpartition("/")[0]
            while folder and folder not in folders:
                folders.add(folder)
                folder = folder.rpartition("/")[0]
    for folder in sorted(folders):
        if not is_real_folder(f"{path}/{folder}"):
            raise DatasetError(f"{path / folder} is a link; a dataset has only folders of its own")


def check_size(path: Path, name: str, record: FileRecord) -> None:
    """Makes sure that one file is there with its size.

    Args:
        path: The dataset.
        name: The file, relative to it.
        record: What its manifest says of it.

    Raises:
        DatasetError: It is missing, has another size, or is not a regular file.
    """
    try:
        # As text: a Path for each of thousands of files takes longer than looking at them.
        size = regular_size(f"{path}/{name}")
    except OSError:
        raise DatasetError(f"{path} is not whole: {name} is missing; generate it again") from None
    if size is None:
        raise DatasetError(f"{path / name} is a link, or no file; a dataset has only files of its own")
    if size != record.size:
        raise DatasetError(
            f"{path} is not whole: {name} has {number_of(size, 'byte')} instead of {record.size}; generate"
            " it again"
        )

"""The journal of a generation: which shards of an unfinished dataset are on disk, line by line.

JSON lines, each with the sha256 of what it says: a header that tells what is being generated, an entry for
every finished shard, and an end when the dataset is whole. A line counts only if it is whole; one that was
cut off by a crash, or damaged since, counts as not written.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sen_bench.store.manifest import FileRecord, Manifest
from sen_bench.store.writer import Receipt
from sen_bench.system import write_atomically


@dataclass(frozen=True)
class ShardEntry:
    """One shard that was written, synced and hashed.

    Args:
        episodes: Its episodes, half-open.
        receipts: One for each array.
    """

    episodes: tuple[int, int]
    receipts: tuple[Receipt, ...]

    @property
    def files(self) -> dict[str, FileRecord]:
        """The record of every file of the shard, by its path relative to the dataset."""
        return {name: record for receipt in self.receipts for name, record in receipt.files.items()}

    def _to_json(self) -> dict[str, Any]:
        return {
            "episodes": list(self.episodes),
            "arrays": [
                {
                    "path": receipt.path,
                    "start": receipt.start,
                    "files": {name: [record.size, record.sha256] for name, record in receipt.files.items()},
                    "row_digests": base64.b64encode(receipt.digests).decode(),
                }
                for receipt in self.receipts
            ],
        }

    @classmethod
    def _from_json(cls, data: Mapping[str, Any]) -> ShardEntry:
        start, stop = data["episodes"]
        receipts = tuple(
            Receipt(
                array["path"],
                array["start"],
                {name: FileRecord(*record) for name, record in array["files"].items()},
                base64.b64decode(array["row_digests"], validate=True),
            )
            for array in data["arrays"]
        )
        return cls((start, stop), receipts)


@dataclass(frozen=True)
class JournalContents:
    """What a journal says.

    Args:
        header: What is being generated, as given to `Journal.start`.
        shards: The finished shards, by their episodes.
        finished: The files digest of the whole dataset, once its manifest is written.
    """

    header: Mapping[str, Any]
    shards: Mapping[tuple[int, int], ShardEntry]
    finished: str | None


class Journal:
    """A journal that is being written, made by `start`.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    def start(cls, path: Path, header: Mapping[str, Any], shards: Iterable[ShardEntry] = ()) -> Journal:
        """Puts a journal in the place of whatever was there, atomically and durably.

        Args:
            path: The file.
            header: What is being generated, JSON-able.
            shards: Finished shards to start with: those of an earlier journal that are still good.
        """
        lines = [_line("header", dict(header)), *(_line("shard", shard._to_json()) for shard in shards)]  # noqa: SLF001 — the JSON of an entry is this module's business
        write_atomically(path, lambda draft: draft.write_bytes(b"".join(lines)))
        return cls(path)

    def add_shard(self, shard: ShardEntry) -> None:
        """Adds a finished shard; it is on disk when this returns."""
        self._append(_line("shard", shard._to_json()))  # noqa: SLF001 — as above

    def finish(self, manifest: Manifest) -> None:
        """Notes that the dataset is whole."""
        self._append(_line("finished", manifest.files_digest))

    def _append(self, line: bytes) -> None:
        with self._path.open("ab", buffering=0) as file:
            if file.write(line) != len(line):
                raise OSError(f"{self._path.name} could only be written in part")
            os.fsync(file.fileno())


def read_journal(path: Path) -> JournalContents | None:
    """What a journal says; None if there is none, or its header is not whole.

    Raises:
        OSError: The file cannot be read.
    """
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except FileNotFoundError:
        return None
    header: Mapping[str, Any] | None = None
    shards: dict[tuple[int, int], ShardEntry] = {}
    finished: str | None = None
    for number, line in enumerate(lines):
        match _parsed(line):
            case ("header", dict() as data) if number == 0:
                header = data
            case ("shard", dict() as data):
                shard = ShardEntry._from_json(data)  # noqa: SLF001 — as above
                shards[shard.episodes] = shard
            case ("finished", str() as digest):
                finished = digest
    return None if header is None else JournalContents(header, shards, finished)


def _line(kind: str, data: object) -> bytes:
    text = json.dumps({kind: data}, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f'{{"sha256":"{digest}","entry":{text}}}\n'.encode()


def _parsed(line: bytes) -> tuple[str, Any] | None:
    """The kind and the data of a line; None if it is not whole."""
    try:
        outer = json.loads(line)
        ((kind, data),) = outer["entry"].items()
        return (kind, data) if _line(kind, data) == line else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None

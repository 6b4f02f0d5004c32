"""Datasets behind a URL: each file is fetched when first needed, verified, and kept in a local cache."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import re
import sys
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

import zarr
from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype

from sen_bench.errors import DatasetError
from sen_bench.store.files import MOST_METADATA_BYTES, read_metadata
from sen_bench.store.manifest import MANIFEST, FileRecord, Manifest
from sen_bench.store.source import Source, label
from sen_bench.system import QUIET, Advance, InterruptiblePool, Progress, shown, write_atomically

CACHE_VARIABLE = "SEN_BENCH_CACHE"
"""Environment variable that names the folder of the cache."""

OFFLINE_VARIABLE = "SEN_BENCH_OFFLINE"
"""Environment variable: set to anything but 0, only the cache is used, and no network."""

# Files fetched at the same time: enough to hide the latency of object stores.
_CONNECTIONS = 8
_DIGEST = re.compile(r"[0-9a-f]{64}")


def is_url(place: Path | str) -> bool:
    """Whether a place is a URL for fsspec, "https://…" or "s3://…", and not a path."""
    return isinstance(place, str) and "://" in place


def cache_folder() -> Path:
    """Where copies are kept: the folder named by SEN_BENCH_CACHE, else the system's folder for caches."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen).absolute()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library/Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "sen-bench"


class RemoteCopy:
    """The local copy of a dataset that lies behind a URL. It grows by whole, verified files.

    The copy is named by the sha256 of the manifest, so that two URLs of one dataset share it, and a dataset
    that was replaced at its URL gets another. Any number of processes may fetch into it at once.

    Args:
        url: The dataset.
        source: What reads its files; None: nothing, and only what is in the cache is used.
        manifest: The dataset's manifest, as bytes.
        progress: Is told what is fetched.

    Raises:
        DatasetError: The manifest cannot be understood.
    """

    def __init__(self, url: str, source: Source | None, manifest: bytes, progress: Progress = QUIET) -> None:
        self.url = url
        self.label = label(url)
        self.manifest = Manifest.parse(manifest, f"{self.label}/{MANIFEST}")
        self._source = source
        self._encoded = manifest
        self._shown = _Fetching(self.label, progress)
        digest = hashlib.sha256(manifest).hexdigest()
        self.path = cache_folder() / "datasets" / f"{digest}.zarr"
        if not (self.path / MANIFEST).exists():
            _keep(self.path / MANIFEST, manifest)
        if source is not None:
            _keep(_last_copy(url), digest.encode())

    @classmethod
    def open(cls, url: str, progress: Progress = QUIET) -> Self:
        """Finds out which dataset lies behind a URL.

        Args:
            url: Anything that fsspec understands.
            progress: As for the class.

        Raises:
            DatasetError: There is none, it cannot be reached, or a package that reads such URLs is missing;
                or, offline, there is no copy of it.
        """
        # A query may end with a slash that belongs to it.
        url = url if "?" in url else url.rstrip("/")
        if os.environ.get(OFFLINE_VARIABLE, "0") not in {"", "0"}:
            return cls(url, None, _kept_manifest(url), progress)
        source = Source(url)
        try:
            manifest = source.read(MANIFEST, MOST_METADATA_BYTES)
        except FileNotFoundError:
            raise DatasetError(f"there is no dataset at {label(url)}: it has no {MANIFEST}") from None
        except DatasetError as error:
            if _last_copy(url).exists():
                raise DatasetError(
                    f"{error}; set {OFFLINE_VARIABLE}=1 to use what was fetched of it before"
                ) from error
            raise
        return cls(url, source, manifest, progress)

    def fetch(self, names: Iterable[str]) -> None:
        """Makes sure that files of the dataset are here. Those that are already here are not read again.

        Args:
            names: Their names in the manifest.

        Raises:
            DatasetError: A file is not there, cannot be reached, or is not what the manifest says. What has
                been fetched is kept.
        """
        missing = [name for name in names if not self._has(name)]
        if not missing:
            return
        with self._shown.asked(sum(self.manifest.files[name].size for name in missing)):
            if len(missing) == 1:
                self._fetch_one(missing[0])
                return
            with InterruptiblePool(ThreadPoolExecutor(_CONNECTIONS)) as pool:
                list(pool.map(self._fetch_one, missing))

    def download(self, folder: Path) -> None:
        """Puts the whole dataset into a folder of its own, the manifest last.

        Files that are there already, whole, are kept: an earlier call may have been interrupted. Those that
        are in the cache are taken from it.

        Args:
            folder: The folder; anything in it that does not belong to the dataset is removed.

        Raises:
            DatasetError: As `fetch`; or the folder cannot be written. What has been fetched is kept.
        """
        for path in sorted(folder.rglob("*")) if folder.exists() else ():
            if not path.is_dir() and path.relative_to(folder).as_posix() not in self.manifest.files:
                path.unlink()
        missing = [
            name for name, record in self.manifest.files.items() if not record.describes(folder / name)
        ]

        def place(name: str) -> None:
            data = self._cached(name) or self._read(name)
            _write(folder / name, data)
            self._shown.arrived(len(data))

        try:
            with (
                self._shown.asked(sum(self.manifest.files[name].size for name in missing)),
                InterruptiblePool(ThreadPoolExecutor(_CONNECTIONS)) as pool,
            ):
                list(pool.map(place, missing))
            _write(folder / MANIFEST, self._encoded)
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise
            raise DatasetError(f"{folder} cannot be written: {error.strerror or error}") from error

    def _cached(self, name: str) -> bytes | None:
        """A file as the cache has it; None if it does not, or no longer as the manifest says."""
        try:
            data = (self.path / name).read_bytes()
        except OSError:
            return None
        return data if FileRecord.of(data) == self.manifest.files[name] else None

    def _has(self, name: str) -> bool:
        """Whether a file is here. Its contents were verified when they arrived."""
        try:
            return (self.path / name).stat().st_size == self.manifest.files[name].size
        except OSError:
            return False

    def _fetch_one(self, name: str) -> None:
        data = self._read(name)
        _keep(self.path / name, data)
        self._shown.arrived(len(data))

    def _read(self, name: str) -> bytes:
        """A file from behind the URL, verified."""
        if self._source is None:
            raise DatasetError(
                f"{shown(name)} of {self.label} was not fetched before, and {OFFLINE_VARIABLE} forbids"
                " fetching it; unset that variable"
            )
        record = self.manifest.files[name]
        try:
            data = self._source.read(name, record.size)
        except FileNotFoundError:
            raise DatasetError(
                f"{self.label} is not whole: it has no {shown(name)}; copy it there again"
            ) from None
        if FileRecord.of(data) != record:
            raise DatasetError(
                f"{self.label}/{shown(name)} is not what the manifest says: {len(data)} bytes arrived that"
                f" should be {record.size} with sha256 {record.sha256[:12]}…; try again, or copy it there"
                " again"
            )
        return data


class _Fetching:
    """What is shown of the fetching of files: one piece of work, by however many threads they are asked for.

    Args:
        url: Where they come from.
        progress: Is told.
    """

    def __init__(self, url: str, progress: Progress) -> None:
        self._title = f"fetching {url}"
        self._progress = progress
        self._lock = threading.Lock()
        self._askers = self._done = self._asked = 0
        self._advance: Advance
        self._context = ExitStack()

    @contextmanager
    def asked(self, size: int) -> Iterator[None]:
        """Shows that so many bytes more are asked for, until they are there or have failed."""
        with self._lock:
            if self._askers == 0:
                self._advance = self._context.enter_context(self._progress.work(self._title, "bytes"))
            self._askers += 1
            self._asked += size
        try:
            yield
        finally:
            with self._lock:
                self._askers -= 1
                if self._askers == 0:
                    self._context.close()

    def arrived(self, size: int) -> None:
        """So many bytes of what is asked for are there."""
        with self._lock:
            self._done += size
            self._advance(self._done, self._asked)


class FetchingStore(zarr.storage.LocalStore):
    """What zarr reads a copy through: a file that is not here yet is fetched before it is read.

    Args:
        copy: The copy.
    """

    def __init__(self, copy: RemoteCopy) -> None:
        super().__init__(copy.path, read_only=True)
        self._copy = copy

    def with_read_only(self, read_only: bool = False) -> Self:  # noqa: FBT001, FBT002 — as zarr declares it
        """This store, which cannot be written."""
        if not read_only:
            raise DatasetError(f"{self._copy.label} can only be read")
        return self

    async def get(
        self,
        key: str,
        prototype: BufferPrototype | None = None,
        byte_range: ByteRequest | None = None,
    ) -> Buffer | None:
        """The contents of a file, or of a part of it."""
        if key in self._copy.manifest.files:
            await asyncio.to_thread(self._copy.fetch, [key])
        return await super().get(key, prototype, byte_range)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda draft: draft.write_bytes(data))


def _last_copy(url: str) -> Path:
    """The file that says which copy of a URL was made last."""
    return cache_folder() / "urls" / hashlib.sha256(url.encode()).hexdigest()


def _kept_manifest(url: str) -> bytes:
    """The manifest of the copy that was made of a URL last.

    Raises:
        DatasetError: There is none, or it is damaged.
    """
    try:
        digest = read_metadata(_last_copy(url)).decode("ascii", "replace")
        if not _DIGEST.fullmatch(digest):
            raise DatasetError(f"{_last_copy(url)} is damaged; delete it")
        path = cache_folder() / "datasets" / f"{digest}.zarr" / MANIFEST
        manifest = read_metadata(path)
    except FileNotFoundError:
        raise DatasetError(
            f"there is no copy of {label(url)} in {cache_folder()}, and {OFFLINE_VARIABLE} forbids fetching"
            " it; unset that variable"
        ) from None
    except (OSError, ValueError) as error:
        raise DatasetError(f"the copy of {label(url)} cannot be read ({shown(error)}); delete it") from error
    if hashlib.sha256(manifest).hexdigest() != digest:
        raise DatasetError(f"{path} is damaged: its sha256 is not {digest}; delete {path.parent}")
    return manifest


def _keep(path: Path, data: bytes) -> None:
    """Puts a file into the cache, whole or not at all.

    Raises:
        DatasetError: The cache cannot be written.
    """
    try:
        _write(path, data)
    except OSError as error:
        raise DatasetError(
            f"the cache {cache_folder()} cannot be written ({error.strerror or error}); make space, or name"
            f" another folder in {CACHE_VARIABLE}"
        ) from error

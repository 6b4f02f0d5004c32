"""Reading a dataset that was opened."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import zarr
import zarr.storage
from numpy.typing import NDArray

from sen_bench.errors import DatasetError
from sen_bench.store.annotation import described_symmetry
from sen_bench.store.layout import block_file
from sen_bench.store.manifest import Manifest, check_size, check_sizes
from sen_bench.store.remote import FetchingStore, RemoteCopy
from sen_bench.store.shard import decode_shard, read_chunk
from sen_bench.store.whole import ChunkLayout, WholeStore
from sen_bench.symmetry import AnySymmetry
from sen_bench.system import InterruptiblePool, number_of, shown

# How far numbers of equal states may be apart: an action and its inverse do not cancel to the last bit.
_SAME_STATE = 1e-9

# Threads that decode shards. More than a few only wait for memory.
_READERS = 8


class Dataset:
    """A whole dataset, opened for reading by `open_dataset`.

    Args:
        path: The folder.
        root: The contents of its ``zarr.json``, which are proven.
        attributes: The root attributes that they say.
        manifest: The manifest.
        copy: What fetches its files into the folder, if it lies behind a URL.
    """

    def __init__(
        self,
        path: Path,
        root: bytes,
        attributes: Mapping[str, Any],
        manifest: Manifest,
        copy: RemoteCopy | None = None,
    ) -> None:
        self.path = path
        self._root = root
        self.attributes = attributes
        self.manifest = manifest
        self._copy = copy

    def __repr__(self) -> str:
        return (
            f"Dataset({self.task}/{self.split}, {number_of(self.episodes, 'episode')} of"
            f" {number_of(self.horizon, 'step')})"
        )

    @property
    def place(self) -> str:
        """Where another process opens it: the URL, or the folder's absolute path."""
        return self._copy.url if self._copy else str(self.path.absolute())

    @property
    def task(self) -> str:
        """The task it belongs to: "3d-blocks"."""
        return str(self.attributes["task"])

    @property
    def split(self) -> str:
        """The split: "train", "eval"."""
        return str(self.attributes["split"])

    @property
    def world_id(self) -> str:
        """The environment it was generated from, version included."""
        return str(self.attributes["world_id"])

    @property
    def world_options(self) -> dict[str, Any]:
        """The options that rebuild that environment."""
        return dict(self.attributes["world_options"])

    @property
    def renderer(self) -> str:
        """Where pixels are the same: "exact" on every machine, "backend" only with equal graphics drivers."""
        return str(self.attributes["renderer"])

    @property
    def frame_stack(self) -> int:
        """How many consecutive frames a model is shown at once, and an episode has more of than steps."""
        return int(self.attributes.get("frame_stack", 1))

    @property
    def recipe(self) -> dict[str, Any]:
        """The recipe it was generated from, as JSON-able data."""
        return dict(self.attributes["recipe"])

    @property
    def recipe_digest(self) -> str:
        """Hexadecimal digest of the recipe."""
        return str(self.attributes["recipe_digest"])

    @property
    def generator_version(self) -> int:
        """Version of the generator that wrote it: with the recipe it determines every exact byte."""
        return int(self.attributes["generator_version"])

    @property
    def inexact(self) -> tuple[str, ...]:
        """The arrays that may come out differently elsewhere: pixels of a renderer that is not exact."""
        return tuple(self.attributes.get("inexact", ()))

    @property
    def content_digest(self) -> str:
        """Hexadecimal digest of the decoded arrays without `inexact`; results name their data by it."""
        return self.manifest.content_digest

    @property
    def files_digest(self) -> str:
        """Hexadecimal digest of the bytes of all files; it depends on the compression."""
        return self.manifest.files_digest

    @property
    def library_versions(self) -> dict[str, str]:
        """The versions of the libraries it was generated with, by name."""
        return dict(self.attributes["library_versions"])

    @cached_property
    def symmetry(self) -> AnySymmetry:
        """The group and how it acts on the states and actions of this dataset.

        Raises:
            DatasetError: The root describes none, or not the one of the arrays.
        """
        shapes = {name: array.shape for name, array in self.arrays.items()}
        return described_symmetry(self.attributes["symmetry"], shapes, self.path)

    @cached_property
    def arrays(self) -> dict[str, zarr.Array[Any]]:
        """Every array by its path: "observation", "symmetry/cayley", "twin/action".

        Reading from one raises a `DatasetError` if a file has been lost since the dataset was opened.
        """
        local = zarr.storage.LocalStore(self.path, read_only=True)
        store = WholeStore(FetchingStore(self._copy) if self._copy else local)
        store.root = self._root
        # Of one format, as others are looked for in files of their own.
        group = zarr.open_group(store, mode="r", zarr_format=3)
        arrays = {
            name: node for name, node in sorted(group.members(max_depth=None)) if isinstance(node, zarr.Array)
        }
        store.remedy = self._remedy
        store.layouts = {name: ChunkLayout.of(array) for name, array in arrays.items()}
        return arrays

    @property
    def episodes(self) -> int:
        """How many episodes it has."""
        return int(self.array("action").shape[0])

    @property
    def horizon(self) -> int:
        """How many steps an episode has."""
        return int(self.array("action").shape[1])

    @property
    def has_twin(self) -> bool:
        """Whether every episode has its twin: the same episode seen after a group element."""
        return "twin/observation" in self.arrays

    @property
    def stored_bytes(self) -> int:
        """Bytes on disk."""
        return self.manifest.stored_bytes

    @property
    def decoded_bytes(self) -> int:
        """Bytes of all arrays in memory."""
        return sum(array.nbytes for array in self.arrays.values())

    def first(self, episodes: int) -> Dataset:
        """Its first episodes, as a dataset of their own that reads the same files.

        Args:
            episodes: How many.

        Raises:
            DatasetError: It does not have so many.
        """
        from sen_bench.store.first_episodes import FirstEpisodes  # noqa: PLC0415 — which derives from this

        return FirstEpisodes(episodes, self.path, self._root, self.attributes, self.manifest, self._copy)

    def array(self, name: str) -> zarr.Array[Any]:
        """One array, for reading parts of it.

        Args:
            name: Its path: "observation", "twin/state".

        Raises:
            DatasetError: The dataset has no such array.
        """
        try:
            return self.arrays[name]
        except KeyError:
            raise DatasetError(
                f"{self.path} has no array {name!r}; it has {', '.join(self.arrays)}"
            ) from None

    def download(self, folder: Path) -> None:
        """Puts a dataset that lies behind a URL into a folder, as a dataset of its own.

        Every file is verified as it arrives, and the manifest comes last. A call that was interrupted is
        resumed by the same call.

        Args:
            folder: The folder; anything in it that does not belong to the dataset is removed.

        Raises:
            DatasetError: The dataset does not lie behind a URL, a file cannot be fetched or is not what the
                manifest says, or the folder cannot be written.
        """
        if self._copy is None:
            raise DatasetError(f"{self.path} is a folder on this machine already; copy it")
        self._copy.download(folder)

    def fetch(self, prefix: str = "") -> None:
        """Makes sure that files are in the folder `path`, if the dataset lies behind a URL.

        Args:
            prefix: Only those whose names begin with it: "observation/".

        Raises:
            DatasetError: A file is not there, cannot be reached or is not what the manifest says.
        """
        if self._copy is not None:
            self._copy.fetch(name for name in self.manifest.files if name.startswith(prefix))

    def load(self, name: str) -> NDArray[Any]:
        """Reads and decodes one whole array into memory.

        Args:
            name: Its path: "observation", "twin/state".

        Raises:
            DatasetError: There is no such array, or its files are gone or damaged.
        """
        array = self.array(name)
        self.fetch(f"{name}/")
        check_sizes(self.path, self.manifest, prefix=f"{name}/")
        with self._damage_of(name):
            return np.asarray(array[...]) if array.shards is None else self._load_shards(name, array)

    def read(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """Reads some rows of an array.

        Args:
            name: Its path: "observation", "twin/state".
            start: The first row.
            stop: The one after the last; rows past the end are left out.

        Raises:
            DatasetError: There is no such array, or a file of these rows is gone or damaged.
        """
        array = self.array(name)
        if array.shards is None:
            with self._damage_of(name):
                return np.asarray(array[start:stop])
        start, stop, _ = slice(start, stop).indices(array.shape[0])
        values = np.empty((max(0, stop - start), *array.shape[1:]), array.dtype)
        rows, per_file = array.chunks[0], self.block_rows(name)
        for number in range(start // rows, -(-stop // rows) if len(values) else 0):
            block, chunk = divmod(number, per_file // rows)
            file = self._file(name, array, block)
            with self._damage_of(name):
                decoded = read_chunk(
                    file, chunk, (rows, *array.shape[1:]), array.dtype, chunks=per_file // rows
                )
            first = number * rows
            begin, end = max(start, first), min(stop, first + rows)
            values[begin - start : end - start] = decoded[begin - first : end - first]
        return values

    def negatives_like_first(self, step: int) -> NDArray[np.bool_]:
        """Which hard negatives of a step have the state of the episode's first frame again.

        Args:
            step: Which step, counted from 1.

        Returns:
            bool ``[N, K]``.

        Raises:
            DatasetError: The dataset has no states of hard negatives, or their files are gone or damaged.
        """
        negatives = self.load("negative/state")[:, step - 1]
        first = self.load("state")[:, self.frame_stack - 1, None]
        same = np.isclose(negatives, first, rtol=0, atol=_SAME_STATE)
        return np.asarray(same.all(axis=tuple(range(2, negatives.ndim))), np.bool_)

    def block_rows(self, name: str) -> int:
        """How many rows of an array one file holds; the last file may hold fewer.

        Args:
            name: Its path: "observation", "twin/state".

        Raises:
            DatasetError: The dataset has no such array.
        """
        array = self.array(name)
        return int((array.shards or array.chunks)[0])

    def read_block(self, name: str, number: int, out: NDArray[Any]) -> None:
        """Reads and decodes the rows of one file of an array, in place; no other file is touched.

        Args:
            name: The array's path: "observation", "twin/state".
            number: Which file: rows ``number * block_rows(name)`` and after.
            out: Where they go, ``[rows, ...]``, C-contiguous and of the array's type.

        Raises:
            DatasetError: There is no such array, or the file is gone or damaged.
        """
        array = self.array(name)
        self._file(name, array, number)
        with self._damage_of(name):
            if array.shards is None:
                start = number * array.chunks[0]
                out[...] = np.asarray(array[start : start + len(out)])
            else:
                self._decode(name, array, number, out)

    def _file(self, name: str, array: zarr.Array[Any], number: int) -> Path:
        """One file of an array, fetched where it lies behind a URL.

        Raises:
            DatasetError: It is gone, or has another size.
        """
        file = block_file(name, number, array.ndim)
        self.fetch(file)
        check_size(self.path, file, self.manifest.files[file])
        return self.path / file

    def _load_shards(self, name: str, array: zarr.Array[Any]) -> NDArray[Any]:
        values = np.empty(array.shape, array.dtype)
        rows = self.block_rows(name)

        def decode(number: int) -> None:
            self._decode(name, array, number, values[number * rows : (number + 1) * rows])

        # Decompression releases the interpreter's lock, so threads really work side by side.
        with InterruptiblePool(ThreadPoolExecutor(min(_READERS, os.cpu_count() or 1))) as pool:
            list(pool.map(decode, range(-(-len(values) // rows))))
        return values

    def _decode(self, name: str, array: zarr.Array[Any], number: int, out: NDArray[Any]) -> None:
        """Decodes one shard into place."""
        data = (self.path / block_file(name, number, array.ndim)).read_bytes()
        decode_shard(data, out, chunk_rows=array.chunks[0], shard_rows=self.block_rows(name))

    @contextmanager
    def _damage_of(self, name: str) -> Iterator[None]:
        """Turns what decoders say about a damaged array into an error of one line.

        Raises:
            DatasetError: Instead of those, and if memory does not suffice.
        """
        try:
            yield
        except MemoryError as error:
            size = self.array(name).nbytes / 1e9
            raise DatasetError(
                f"{self.path / name} does not fit into memory: it takes {size:.1f} GB"
            ) from error
        except (RuntimeError, ValueError, OSError) as error:
            raise DatasetError(f"{self.path / name} is damaged ({shown(error)}); {self._remedy}") from error

    @property
    def _remedy(self) -> str:
        """What to do about a damaged file."""
        return f"delete {self.path}, to have it fetched again" if self._copy else "generate the dataset again"

"""The first episodes of a dataset, as a dataset of their own that has no files of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sen_bench.errors import DatasetError
from sen_bench.store.canonical import canonical_digest
from sen_bench.store.manifest import Manifest, content_digest, row_digests
from sen_bench.store.reader import Dataset
from sen_bench.store.remote import RemoteCopy
from sen_bench.system import number_of

_DIGESTS: dict[tuple[str, str, int], str] = {}
"""Content digests by folder, digest of the files and episodes: computing one reads these episodes."""


class FirstEpisodes(Dataset):
    """The first episodes of a dataset; `Dataset.first` makes it.

    Every episode has random numbers of its own, so these are the episodes that the same recipe gives when it
    asks for so many. This is that dataset: it has that recipe, and its content digest. Smaller ones are the
    beginning of larger ones. `arrays` and `manifest` are those of the whole dataset, whose files are read.

    Args:
        episodes: How many.
        path: As of the whole dataset, like the following.
        root: Its ``zarr.json``.
        attributes: Its root attributes.
        manifest: Its manifest.
        copy: What fetches its files.

    Raises:
        DatasetError: The dataset does not have so many.
    """

    def __init__(
        self,
        episodes: int,
        path: Path,
        root: bytes,
        attributes: Mapping[str, Any],
        manifest: Manifest,
        copy: RemoteCopy | None,
    ) -> None:
        recipe = {**attributes["recipe"], "episodes": episodes}
        changed = {"recipe": recipe, "recipe_digest": canonical_digest(recipe)}
        super().__init__(path, root, {**attributes, **changed}, manifest, copy)
        self._whole = super().episodes
        self._episodes = episodes
        if not 1 <= episodes <= self._whole:
            raise DatasetError(
                f"{path} has {number_of(self._whole, 'episode')}; there are no first {episodes} of it"
            )

    @property
    def episodes(self) -> int:
        """How many episodes it has."""
        return self._episodes

    def first(self, episodes: int) -> Dataset:
        """The first of these episodes, as a dataset of their own.

        Args:
            episodes: How many.

        Raises:
            DatasetError: There are not so many.
        """
        if episodes > self._episodes:
            raise DatasetError(
                f"of {number_of(self._episodes, 'episode')} of {self.path} there are no first {episodes}"
            )
        return super().first(episodes)

    @property
    def decoded_bytes(self) -> int:
        """Bytes of all arrays in memory, as far as they belong to these episodes."""
        return sum(
            array.nbytes // self._whole * self._episodes if _is_by_episode(name) else array.nbytes
            for name, array in self.arrays.items()
        )

    @property
    def content_digest(self) -> str:
        """Hexadecimal digest of the decoded arrays without `inexact`, as a dataset of its own has it.

        Raises:
            DatasetError: A file is gone or damaged.
        """
        key = (self.place, self.files_digest, self._episodes)
        if key not in _DIGESTS:
            _DIGESTS[key] = self._computed_digest()
        return _DIGESTS[key]

    def load(self, name: str) -> NDArray[Any]:
        """Reads and decodes what one array has of these episodes.

        Args:
            name: Its path: "observation", "twin/state".

        Raises:
            DatasetError: There is no such array, or its files are gone or damaged.
        """
        return self.read(name, 0, self._episodes) if _is_by_episode(name) else super().load(name)

    def read(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """Reads some rows of an array.

        Args:
            name: Its path: "observation", "twin/state".
            start: The first row.
            stop: The one after the last; rows past the end are left out.

        Raises:
            DatasetError: There is no such array, or a file of these rows is gone or damaged.
        """
        if _is_by_episode(name):
            start, stop, _ = slice(start, stop).indices(self._episodes)
        return super().read(name, start, stop)

    def read_block(self, name: str, number: int, out: NDArray[Any]) -> None:
        """Reads and decodes the rows of one file of an array, in place, or those of these episodes.

        Args:
            name: The array's path: "observation", "twin/state".
            number: Which file: rows ``number * block_rows(name)`` and after.
            out: Where they go, ``[rows, ...]``, C-contiguous and of the array's type.

        Raises:
            DatasetError: There is no such array, or the file is gone or damaged.
        """
        start = number * self.block_rows(name)
        whole = min(self.block_rows(name), self.array(name).shape[0] - start)
        if len(out) == whole:
            super().read_block(name, number, out)
        else:
            out[...] = self.read(name, start, start + len(out))

    def _computed_digest(self) -> str:
        arrays: dict[str, tuple[tuple[int, ...], str, bytes]] = {}
        for name, array in self.arrays.items():
            if name in self.inexact:
                continue
            if not _is_by_episode(name):
                values = self.load(name)
                arrays[name] = values.shape, values.dtype.name, row_digests(values)
                continue
            rows, step = bytearray(), self.block_rows(name)
            for start in range(0, self._episodes, step):
                rows.extend(row_digests(self.read(name, start, start + step)))
            shape = (self._episodes, *array.shape[1:])
            arrays[name] = shape, np.dtype(array.dtype).name, bytes(rows)
        return content_digest(arrays)


def _is_by_episode(name: str) -> bool:
    """Whether an array has a row for each episode; those of the symmetry belong to all."""
    return not name.startswith("symmetry/")

"""Which arrays a dataset has, and how their episodes are cut into chunks and shards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sen_bench.errors import ConfigError
from sen_bench.symmetry import AnySymmetry, Group, Representation

FORMAT = "sen-bench"
"""Value of the root attribute `format`: how a store is recognised as ours."""

FORMAT_VERSION = 1

# Sizes below are of decoded arrays. Chosen by measurement: a chunk of one long episode compresses best and
# reads fast; a shard of about fifty of them makes few files and still divides the work among many writers.
_CHUNK_BYTES = 1_000_000
_SHARD_BYTES = 40_000_000
_FEWEST_SHARDS = 8
# Arrays smaller than this per shard are one chunk: a shard index would cost more than it gains.
_WHOLE_CHUNK_BYTES = 4_000_000
# numcodecs cannot compress a buffer of 2 GiB, and a writer holds a few shards in memory.
_LARGEST_EPISODE_BYTES = 1 << 30
# Of pixels alone these are 1.6 TB; the manifest, some 1.5 kB a shard, stays within what is read of strangers.
_MOST_SHARDS = 40_000


@dataclass(frozen=True)
class ArraySpec:
    """One array of a dataset.

    Args:
        path: Where it lies in the group: "action", "twin/observation".
        shape: Its shape; the first axis is cut into blocks, the others are never cut.
        dtype: A NumPy dtype name.
        dimensions: A name for every axis.
        description: One sentence that documents the entries, stored beside the array.
        chunk_rows: Length of a chunk along the first axis.
        shard_rows: Length of a shard along the first axis, a multiple of `chunk_rows`; if equal, nothing is
            sharded.
    """

    path: str
    shape: tuple[int, ...]
    dtype: str
    dimensions: tuple[str, ...]
    description: str
    chunk_rows: int
    shard_rows: int

    @property
    def nbytes(self) -> int:
        """Size of the decoded array in bytes."""
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class EpisodeBlocks:
    """How the episodes of a dataset are divided: the same shards in every array, one writer each.

    It depends on the sizes of the dataset alone, never on who writes it.

    Args:
        episodes: Episodes in the dataset.
        per_chunk: Episodes in one chunk of the observations.
        per_shard: Episodes in one shard, a multiple of `per_chunk`.
    """

    episodes: int
    per_chunk: int
    per_shard: int

    @classmethod
    def for_episodes(cls, episodes: int, episode_bytes: int) -> EpisodeBlocks:
        """Chooses the blocks.

        Args:
            episodes: Episodes in the dataset.
            episode_bytes: Decoded size of the observations of one episode.

        Raises:
            ConfigError: An episode is too large to be one chunk, or there are too many.
        """
        if episode_bytes > _LARGEST_EPISODE_BYTES:
            raise ConfigError(
                f"one episode takes {episode_bytes / 1e9:.1f} GB; at most"
                f" {_LARGEST_EPISODE_BYTES / 1e9:.1f} GB can be stored: ask for a shorter horizon"
            )
        chunk = min(episodes, max(1, _CHUNK_BYTES // episode_bytes))
        chunks = min(_SHARD_BYTES // (chunk * episode_bytes), -(-episodes // (chunk * _FEWEST_SHARDS)))
        shard = chunk * max(1, chunks)
        if episodes > _MOST_SHARDS * shard:
            raise ConfigError(
                f"{episodes} episodes are too many; at most {_MOST_SHARDS * shard} of this size can be stored"
            )
        return cls(episodes, chunk, shard)

    def ranges(self) -> Iterator[tuple[int, int]]:
        """The half-open ranges of episodes, one per shard."""
        for start in range(0, self.episodes, self.per_shard):
            yield start, min(start + self.per_shard, self.episodes)

    def array(
        self, path: str, row: tuple[int, ...], dtype: str, dimensions: tuple[str, ...], description: str
    ) -> ArraySpec:
        """The array that holds a `row` of entries for every episode.

        Args:
            path: Where it lies in the group.
            row: Shape of the entries of one episode.
            dtype: A NumPy dtype name.
            dimensions: Names of the axes of a row.
            description: What the entries are.
        """
        row_bytes = int(np.prod(row, dtype=np.int64)) * np.dtype(dtype).itemsize
        small = row_bytes * self.per_shard <= _WHOLE_CHUNK_BYTES
        return ArraySpec(
            path=path,
            shape=(self.episodes, *row),
            dtype=dtype,
            dimensions=("episode", *dimensions),
            description=description,
            chunk_rows=self.per_shard if small else self.per_chunk,
            shard_rows=self.per_shard,
        )


def symmetry_arrays(symmetry: AnySymmetry) -> Iterator[tuple[ArraySpec, NDArray[Any]]]:
    """The annotation arrays of a symmetry.

    For a finite group they are the Cayley table and every representation; for SO(3), the generators of every
    representation.
    """
    group = symmetry.group
    if isinstance(group, Group):
        yield _whole(
            "symmetry/cayley",
            group.cayley,
            ("element", "right_element"),
            f"index of the product of two elements of {group.name}, the right one acting first",
        )
    for name, representation in symmetry.representations.items():
        if not isinstance(representation, Representation):
            yield _whole(
                f"symmetry/{name}",
                representation.generators,
                ("generator", f"{name}_row", f"{name}_column"),
                f"generators G of the turns about x, y and z in the {name} representation of {group.name}:"
                " the turn by an angle t about the unit vector n has the matrix"
                " expm(t (n_x G_x + n_y G_y + n_z G_z))",
            )
        elif representation.permutation is not None:
            yield _whole(
                f"symmetry/{name}",
                representation.permutation,
                ("element", f"{name}_index"),
                f"where each element of {group.name} sends each index of the {name} representation",
            )
        else:
            yield _whole(
                f"symmetry/{name}",
                representation.matrix,
                ("element", f"{name}_row", f"{name}_column"),
                f"matrix of each element of {group.name} in the {name} representation",
            )


def _whole(
    path: str, values: NDArray[Any], dimensions: tuple[str, ...], description: str
) -> tuple[ArraySpec, NDArray[Any]]:
    rows = len(values)
    return ArraySpec(path, values.shape, values.dtype.name, dimensions, description, rows, rows), values


def block_file(array: str, number: int, dimensions: int) -> str:
    """Name of the file with one block of rows, under Zarr's default key encoding; other axes are never cut.

    Args:
        array: Path of the array.
        number: Of the block, from 0.
        dimensions: How many the array has.
    """
    return "/".join((array, "c", str(number), *("0",) * (dimensions - 1)))

"""What Zarr reads a dataset through: no chunk is missing, and none decodes to more than it has."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import zarr
import zarr.storage
from zarr.abc.store import ByteRequest, SuffixByteRequest
from zarr.core.buffer import Buffer, BufferPrototype

from sen_bench.errors import DatasetError
from sen_bench.store.shard import LONGEST_HEADER, ZSTD_MAGIC, check_frame, encoded_chunks

# Names of what Zarr looks for and need not find.
_METADATA = ("zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata")


@dataclass(frozen=True)
class ChunkLayout:
    """What is known of the chunks of an array before they are read.

    Attributes:
        rows: Length of the array along its first axis.
        chunk_rows: Of a chunk.
        shard_rows: Of a shard; equal: the array is not sharded.
        chunk_bytes: A decoded chunk.
    """

    rows: int
    chunk_rows: int
    shard_rows: int
    chunk_bytes: int

    @classmethod
    def of(cls, array: zarr.Array[Any]) -> Self:
        """The layout of an array."""
        shard = (array.shards or array.chunks)[0]
        chunk = array.chunks
        return cls(array.shape[0], chunk[0], shard, math.prod(chunk) * array.dtype.itemsize)


class WholeStore(zarr.storage.WrapperStore[zarr.storage.LocalStore]):
    """A store all of whose chunks are there: Zarr takes a missing one for zeros, this one for damage.

    Attributes:
        root: The contents of the root's ``zarr.json``, as they were proven: that file is not read again.
        layouts: Array -> its layout; empty until the arrays are known.
        remedy: What to do where a file is damaged.
    """

    root: bytes | None = None
    layouts: Mapping[str, ChunkLayout] = {}
    remedy = "generate the dataset again"

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """The value of a key; None for missing metadata only.

        Raises:
            DatasetError: A chunk is missing, or decodes to another number of bytes than it should.
        """
        if key == "zarr.json" and self.root is not None:
            return prototype.buffer.from_bytes(self.root)
        value = await super().get(key, prototype, byte_range)
        if value is None:
            if not key.endswith(_METADATA):
                raise DatasetError(f"{self._store.root} is not whole: {key} is missing; generate it again")
            return None
        name, found, block = key.rpartition("/c/")
        if found and name in self.layouts and not isinstance(byte_range, SuffixByteRequest):
            try:
                _check_value(value, self.layouts[name], int(block.split("/")[0]), part=byte_range is not None)
            except ValueError as error:
                file = self._store.root / key
                raise DatasetError(f"{file} is damaged ({error}); {self.remedy}") from error
        return value


def _check_value(value: Buffer, layout: ChunkLayout, block: int, *, part: bool) -> None:
    """Makes sure that what is about to be decoded gives as much as it should.

    Args:
        value: A file, or a part of one: a chunk of a shard.
        layout: Of the array.
        block: Number of the file along the first axis.
        part: Whether it is a part.

    Raises:
        ValueError: It does not, or the file is damaged.
    """
    if part or layout.shard_rows == layout.chunk_rows:
        header = value[:LONGEST_HEADER].to_bytes()
        # A part that is no frame is the index, or something that does not decode.
        if not part or header.startswith(ZSTD_MAGIC):
            check_frame(header, layout.chunk_bytes)
        return
    rows = min(layout.shard_rows, layout.rows - block * layout.shard_rows)
    sizes = {"chunk_rows": layout.chunk_rows, "shard_rows": layout.shard_rows}
    for frame in encoded_chunks(value.to_bytes(), rows, **sizes):
        check_frame(frame, layout.chunk_bytes)

"""Decoding whole shards directly into place.

Zarr's own pipeline decodes every chunk into new memory and copies it twice; on arrays of hundreds of
megabytes that takes four times as long (measured on 3D Blocks: 0.5 against 2.1 GB/s on one core). This module
reads only what `create_store` writes: shards cut along the first axis, zstd, the index at the end. Everything
else is read through zarr, and the tests compare the two.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numcodecs import Zstd
from numcodecs.checksum32 import CRC32C
from numpy.typing import NDArray

_ENTRY_BYTES = 16  # offset and length of a chunk, uint64 each
_CHECKSUM_BYTES = 4


def decode_shard(data: bytes, out: NDArray[Any], *, chunk_rows: int, shard_rows: int) -> None:
    """Decodes the rows of one shard.

    Args:
        data: The contents of the shard's file.
        out: [rows, …], C-contiguous, little-endian; fewer rows than `shard_rows` at the end of an array.
        chunk_rows: Rows in a chunk.
        shard_rows: Rows in a shard.

    Raises:
        ValueError: The index or a chunk is damaged.
        RuntimeError: A chunk does not decompress.
    """
    codec = Zstd()
    first = 0
    for encoded in _encoded_chunks(data, len(out), chunk_rows=chunk_rows, shard_rows=shard_rows):
        place = out[first : first + chunk_rows]
        if len(place) == chunk_rows:
            codec.decode(encoded, out=place)
        else:  # the last chunk of the array is stored whole
            whole = np.empty((chunk_rows, *out.shape[1:]), out.dtype)
            codec.decode(encoded, out=whole)
            place[...] = whole[: len(place)]
        first += chunk_rows


def decoded_chunks(
    data: bytes, shape: tuple[int, ...], dtype: np.dtype[Any], *, chunk_rows: int, shard_rows: int
) -> Iterator[NDArray[Any]]:
    """The rows of one shard, a chunk at a time; each chunk reuses the memory of the one before.

    Args:
        data: The contents of the shard's file.
        shape: Of the shard's rows, [rows, …].
        dtype: Their type, little-endian.
        chunk_rows: Rows in a chunk.
        shard_rows: Rows in a shard.

    Raises:
        ValueError: The index or a chunk is damaged.
        RuntimeError: A chunk does not decompress.
    """
    codec = Zstd()
    whole = np.empty((chunk_rows, *shape[1:]), dtype)
    left = shape[0]
    for encoded in _encoded_chunks(data, left, chunk_rows=chunk_rows, shard_rows=shard_rows):
        codec.decode(encoded, out=whole)
        yield whole[:left]
        left -= chunk_rows


def read_chunk(
    file: Path, number: int, shape: tuple[int, ...], dtype: np.dtype[Any], *, chunks: int
) -> NDArray[Any]:
    """Reads and decodes one chunk of a shard; the others are not read.

    Args:
        file: The shard's file.
        number: Which of its chunks.
        shape: Of a whole chunk, [rows, …]; rows past the end of the array are what fills it.
        dtype: Its type, little-endian.
        chunks: How many chunks a shard has.

    Raises:
        OSError: The file cannot be read.
        ValueError: The index or the chunk is damaged.
        RuntimeError: The chunk does not decompress.
    """
    with file.open("rb") as stream:
        tail = chunks * _ENTRY_BYTES + _CHECKSUM_BYTES
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - tail))
        offset, length = (int(entry) for entry in _index(memoryview(stream.read()), chunks)[number])
        if offset + length > size:
            raise ValueError(f"chunk {number} is not in the file")
        stream.seek(offset)
        out = np.empty(shape, dtype)
        Zstd().decode(stream.read(length), out=out)
    return out


def _index(data: memoryview, chunks: int) -> NDArray[np.uint64]:
    """Offset and length of every chunk, [chunks, 2], from the end of a shard.

    Raises:
        ValueError: It is damaged.
    """
    if len(data) < chunks * _ENTRY_BYTES + _CHECKSUM_BYTES:
        raise ValueError("the file is shorter than its index")
    index = CRC32C(location="end").decode(data[-(chunks * _ENTRY_BYTES + _CHECKSUM_BYTES) :])
    return np.frombuffer(index, "<u8").reshape(chunks, 2)


def _encoded_chunks(data: bytes, rows: int, *, chunk_rows: int, shard_rows: int) -> Iterator[memoryview]:
    """The chunks that hold the first rows of a shard, as they are stored."""
    chunks = shard_rows // chunk_rows
    view = memoryview(data)
    index = _index(view, chunks)
    for chunk in range(-(-rows // chunk_rows)):
        offset, length = (int(number) for number in index[chunk])
        if offset + length > len(data):
            raise ValueError(f"chunk {chunk} is not in the file")
        yield view[offset : offset + length]

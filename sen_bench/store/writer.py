"""Writing a dataset: metadata first, then blocks of rows by any number of writers, the manifest last."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import ZstdCodec

from sen_bench.errors import DatasetError
from sen_bench.store.croissant import CROISSANT, describe
from sen_bench.store.layout import FORMAT, FORMAT_VERSION, ArraySpec
from sen_bench.store.manifest import (
    DIGEST_BYTES,
    FileRecord,
    Manifest,
    content_digest,
    json_bytes,
    row_digests,
)
from sen_bench.store.shard import decoded_chunks
from sen_bench.system import number_of, sync_all, write_atomically

_METADATA = "zarr.json"


@dataclass(frozen=True)
class Receipt:
    """What one call of `write_rows` left on disk.

    Args:
        path: The array.
        start: The first row.
        files: Path relative to the dataset -> size and sha256.
        digests: `row_digests` of the rows as they decode.
    """

    path: str
    start: int
    files: Mapping[str, FileRecord]
    digests: bytes


def create_store(root: Path, specs: Sequence[ArraySpec]) -> None:
    """Creates the group and its arrays, still without contents.

    Args:
        root: An existing folder without metadata; shards of an earlier attempt may lie in it.
        specs: The arrays. The subgroups in their paths are created too.
    """
    group = zarr.create_group(root, zarr_format=3)
    for name in sorted({spec.path.rpartition("/")[0] for spec in specs} - {""}):
        group.create_group(name)
    for spec in specs:
        rest = spec.shape[1:]
        group.create_array(
            spec.path,
            shape=spec.shape,
            dtype=spec.dtype,
            chunks=(spec.chunk_rows, *rest),
            shards=None if spec.shard_rows == spec.chunk_rows else (spec.shard_rows, *rest),
            compressors=ZstdCodec(level=3, checksum=True),
            fill_value=0,
            dimension_names=spec.dimensions,
            attributes={"description": spec.description},
        )


def write_rows(root: Path, path: str, start: int, values: NDArray[Any]) -> Receipt:
    """Writes one whole shard of an array and reads it back. It is on disk after `sync_rows`.

    Writers may work at the same time as long as each has its own shards: two that share one would lose
    each other's rows.

    Args:
        root: The dataset.
        path: The array.
        start: The first row, at the beginning of a shard.
        values: [rows, …], up to the end of that shard or of the array.

    Raises:
        DatasetError: The rows are not one whole shard, or do not read back as they were written.
    """
    # A block of zeros is stored like any other, so that a missing file is always a mistake. (The argument
    # `config` of open_array does nothing for arrays that exist, as of zarr 3.1.6.)
    array = zarr.open_array(root / path, mode="r+").with_config({"write_empty_chunks": True})
    shard = (array.shards or array.chunks)[0]
    stop = start + len(values)
    if start % shard or stop != min(start + shard, array.shape[0]):
        raise DatasetError(
            f"{path}: rows {start} to {stop} are not one whole shard of {number_of(shard, 'row')}"
        )
    if values.shape[1:] != array.shape[1:] or values.dtype != array.dtype:
        raise DatasetError(
            f"{path}: rows of shape {values.shape[1:]} and type {values.dtype} do not fit the array's"
            f" {array.shape[1:]} and {array.dtype}"
        )
    array[start:stop] = values
    name = "/".join((path, "c", str(start // shard), *("0",) * (array.ndim - 1)))
    data = (root / name).read_bytes()
    if array.shards is None:
        parts: Iterable[NDArray[Any]] = [np.asarray(array[start:stop])]
    else:
        # By chunks: they stay in the processor's cache from decoding to hashing.
        parts = decoded_chunks(data, values.shape, values.dtype, chunk_rows=array.chunks[0], shard_rows=shard)
    digests = bytearray()
    for part in parts:
        begin = len(digests) // DIGEST_BYTES
        given = np.ascontiguousarray(values[begin : begin + len(part)])
        # As bytes, so that NaN equals itself and nothing is rounded.
        if not np.array_equal(part.view(np.uint8), given.view(np.uint8)):
            raise DatasetError(f"{root / path}: rows {start} to {stop} do not read back as they were written")
        digests += row_digests(part)
    return Receipt(path, start, {name: FileRecord.of(data)}, bytes(digests))


def sync_rows(root: Path, receipts: Iterable[Receipt]) -> None:
    """Waits until what `write_rows` wrote is on disk.

    Args:
        root: The dataset.
        receipts: The receipts of the rows.
    """
    sync_all(root / name for receipt in receipts for name in receipt.files)


def finish_store(
    root: Path, attributes: Mapping[str, Any], receipts: Iterable[Receipt], *, inexact: Collection[str] = ()
) -> Manifest:
    """Writes the root's attributes, the description for others and, last of all, the manifest.

    Args:
        root: The dataset, with every row written and synced.
        attributes: Everything that the root says about itself except the format, its version, the content
            digest and the inexact arrays.
        receipts: Those of every `write_rows`, in any order.
        inexact: Arrays that may come out differently elsewhere. The root names them, and the content digest
            leaves them out.

    Raises:
        DatasetError: Some rows have no receipt, or some file belongs to no receipt.
    """
    written: dict[str, list[Receipt]] = {}
    for receipt in receipts:
        written.setdefault(receipt.path, []).append(receipt)
    nodes = {
        file.parent.relative_to(root).as_posix(): json.loads(file.read_bytes())
        for file in sorted(root.rglob(_METADATA))
    }
    arrays: dict[str, tuple[tuple[int, ...], str, bytes]] = {}
    for path, node in nodes.items():
        if node["node_type"] != "array":
            continue
        digests = b"".join(r.digests for r in sorted(written.get(path, ()), key=lambda r: r.start))
        if len(digests) != DIGEST_BYTES * node["shape"][0]:
            raise DatasetError(
                f"{root / path}: {len(digests) // DIGEST_BYTES} of {node['shape'][0]} rows were written"
            )
        if path not in inexact:
            arrays[path] = (tuple(node["shape"]), node["data_type"], digests)
    digest = content_digest(arrays)

    header = {"format": FORMAT, "format_version": FORMAT_VERSION, **attributes, "content_digest": digest}
    if inexact:
        header["inexact"] = sorted(inexact)
    _write_root(root, header, {path: node for path, node in nodes.items() if path != "."})
    described = {path: node for path, node in nodes.items() if node["node_type"] == "array"}
    description = describe(header, described, FileRecord.of((root / _METADATA).read_bytes()))
    write_atomically(root / CROISSANT, lambda draft: draft.write_bytes(json_bytes(description)))
    files = {name: record for group in written.values() for r in group for name, record in r.files.items()}
    metadata = [root / CROISSANT, *root.rglob(_METADATA)]
    for file in metadata:
        files[file.relative_to(root).as_posix()] = FileRecord.of(file.read_bytes())
    present = {file.relative_to(root).as_posix() for file in root.rglob("*") if file.is_file()}
    if present != set(files):
        raise DatasetError(f"{root}: {min(present ^ set(files))} was not expected, or is missing")
    sync_all(metadata)
    sync_all(folder for folder in root.rglob("*") if folder.is_dir())
    manifest = Manifest(digest, files)
    manifest.write(root)
    return manifest


def _write_root(root: Path, attributes: Mapping[str, Any], nodes: Mapping[str, Any]) -> None:
    """Writes the root's metadata, with that of every node consolidated into it.

    Consolidated metadata spares a reader one request per array, and lets zarr and xarray find the arrays
    without listing the folder, where they would stumble over the manifest. Zarr's own consolidation lists the
    folder in no fixed order; this one is the same for the same dataset.
    """
    inner = {"kind": "inline", "must_understand": False, "metadata": {}}
    metadata = {
        path: node if node["node_type"] == "array" else {**node, "consolidated_metadata": inner}
        for path, node in sorted(nodes.items())
    }
    data = {
        "zarr_format": 3,
        "node_type": "group",
        "attributes": dict(attributes),
        "consolidated_metadata": {"kind": "inline", "must_understand": False, "metadata": metadata},
    }
    text = json_bytes(data)
    write_atomically(root / _METADATA, lambda draft: draft.write_bytes(text))

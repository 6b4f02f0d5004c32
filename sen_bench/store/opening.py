"""Opening a dataset: making sure that it is one, that all of it is there, and that it agrees with itself."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import zarr

from sen_bench.errors import DatasetError
from sen_bench.store.canonical import canonical_digest
from sen_bench.store.files import MOST_METADATA_BYTES, parse_json, read_metadata
from sen_bench.store.layout import FORMAT, FORMAT_VERSION, block_file
from sen_bench.store.manifest import FileRecord, Manifest, check_sizes
from sen_bench.store.reader import Dataset
from sen_bench.store.remote import RemoteCopy, is_url
from sen_bench.system import QUIET, Progress, number_of, plain_values, shown

_ROOT = "zarr.json"
_METADATA = re.compile(r"(.*/)?(zarr|croissant)\.json")

# What the root says, and as what kind of JSON.
_SAID: Mapping[str, type] = {
    **dict.fromkeys(("task", "split", "world_id", "renderer", "recipe_digest", "content_digest"), str),
    **dict.fromkeys(("world_options", "recipe", "library_versions", "symmetry"), dict),
    "generator_version": int,
}
_KINDS = {str: "text", dict: "an object", int: "a whole number"}
# What numcodecs can decode at once; no chunk of ours has half of it.
_MOST_CHUNK_BYTES = 2**31 - 1
# Bytes at most for the header of a chunk and its entry in the index of the shard, and for a file, with room
# to spare: what is to be kept out is a file of gigabytes in an array of kilobytes.
_CHUNK_OVERHEAD = 1024
_FILE_OVERHEAD = 1024**2
# The arrays that have a row for each episode are all but those of the symmetry.
_ANNOTATION = "symmetry/"


@plain_values
def open_dataset(place: Path | str, *, progress: Progress = QUIET) -> Dataset:
    """Opens a dataset for reading.

    From a dataset behind a URL only what is read is fetched, file by file, as it is read. Every file is
    checked against the manifest and kept in a local cache, see `docs/datasets.md`.

    Args:
        place: The folder, "…/train.zarr", or a URL of it that fsspec understands, "https://…/train.zarr".
        progress: Is told what is fetched, from any thread.

    Raises:
        DatasetError: There is nothing there, or something that is not a Zarr group, not ours, of another
            format version, unfinished, not whole or not what its manifest and its recipe say; or the URL
            cannot be reached. Of the files of arrays only names and sizes are looked at.
    """
    copy = RemoteCopy.open(str(place), progress) if is_url(place) else None
    path = copy.path if copy else _folder(Path(place))
    if copy and _ROOT in copy.manifest.files:
        if copy.manifest.files[_ROOT].size > MOST_METADATA_BYTES:
            raise DatasetError(
                f"{copy.label}/{_ROOT} is larger than the {MOST_METADATA_BYTES} bytes that are read"
            )
        copy.fetch([_ROOT])
    data, metadata = _root(path)
    attributes = metadata["attributes"]
    if attributes.get("format") != FORMAT:
        raise DatasetError(f"{path} is a Zarr group, but not a sen-bench dataset")
    version = attributes.get("format_version")
    if version != FORMAT_VERSION:
        raise DatasetError(
            f"{path} has format version {shown(repr(version))}; this sen-bench reads version {FORMAT_VERSION}"
        )
    manifest = copy.manifest if copy else Manifest.read(path)
    if not copy:
        check_sizes(path, manifest)
    if attributes.get("content_digest") != manifest.content_digest:
        raise DatasetError(f"{path}: the manifest belongs to another dataset; generate it again")
    _check_metadata(path, manifest, data, whole=copy is None)
    _check_attributes(path, attributes)
    dataset = Dataset(path, data, attributes, manifest, copy)
    try:
        _check_nodes(path, metadata)
        listed = Counter(name.rpartition("/c/")[0] for name in manifest.files)
        for name, array in dataset.arrays.items():
            _check_array(path, name, array, manifest, listed[name])
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError) as error:
        raise DatasetError(f"{path / _ROOT} cannot be read ({shown(error)}); generate it again") from error
    _check_episodes(dataset)
    return dataset


def _folder(path: Path) -> Path:
    """The folder of a dataset, which is there."""
    try:
        there, is_folder = path.exists(), path.is_dir()
    except (OSError, ValueError) as error:  # a name that no file can have
        raise DatasetError(f"there is no dataset at {shown(path)} ({shown(error)})") from None
    if not there:
        raise DatasetError(f"there is no dataset at {shown(path)}")
    if not is_folder:
        raise DatasetError(f"{shown(path)} is not a directory; a dataset is a folder such as train.zarr")
    return path


def _root(path: Path) -> tuple[bytes, dict[str, Any]]:
    """The metadata of the root, as bytes and as what they say, format not yet checked."""
    try:
        data = read_metadata(path / _ROOT)
        metadata = parse_json(data)
        if metadata["zarr_format"] != 3 or metadata["node_type"] != "group":
            raise DatasetError(f"{path} is not a Zarr v3 group")
        return data, {**metadata, "attributes": dict(metadata.get("attributes", {}))}
    except FileNotFoundError:
        raise DatasetError(f"{path} is not a Zarr v3 group: it has no zarr.json") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(f"{path / _ROOT} cannot be read ({shown(error)})") from error


def _check_metadata(path: Path, manifest: Manifest, root: bytes, *, whole: bool) -> None:
    """Makes sure that the files that say what the others mean are as they were written.

    They are few and small; the files of arrays prove themselves as they are decoded.

    Raises:
        DatasetError: One is not, or the manifest does not list the root.
    """
    if _ROOT not in manifest.files:
        raise DatasetError(f"{path}: the manifest does not list {_ROOT}; generate it again")
    names = [name for name in manifest.files if _METADATA.fullmatch(name)] if whole else [_ROOT]
    for name in names:
        try:
            record = FileRecord.of(root if name == _ROOT else read_metadata(f"{path}/{name}"))
        except (OSError, ValueError) as error:
            raise DatasetError(f"{path / name} cannot be read ({shown(error)}); generate it again") from error
        if record != manifest.files[name]:
            raise DatasetError(
                f"{path / name} is damaged: its sha256 is not that of the manifest; generate it again"
            )


def _check_attributes(path: Path, attributes: Mapping[str, Any]) -> None:
    """Makes sure that the root says all it should, and what its recipe says.

    Raises:
        DatasetError: It does not.
    """

    def refuse(what: str) -> DatasetError:
        return DatasetError(f"{path}: {what}; generate it again")

    for name, kind in _SAID.items():
        if type(attributes.get(name)) is not kind:
            value = shown(repr(attributes.get(name)))[:80]
            raise refuse(f"the root's {name} is {value}, not {_KINDS[kind]}")
    frames = attributes.get("frame_stack", 1)
    if type(frames) is not int or frames < 1:
        raise refuse(f"the root's frame_stack is {shown(repr(frames))[:80]}, not a positive whole number")
    inexact = attributes.get("inexact", [])
    if not (isinstance(inexact, list) and all(isinstance(name, str) for name in inexact)):
        raise refuse("the root's inexact is not a list of arrays")

    recipe: dict[str, Any] = attributes["recipe"]
    if attributes["recipe_digest"] != canonical_digest(recipe):
        raise refuse("the recipe does not have the digest that the root says")
    for name in ("task", "split", "world_id"):
        # The recipe may name the module that has the world too: "module:id".
        wanted = str(recipe.get(name)).rpartition(":")[2] if name == "world_id" else recipe.get(name)
        if attributes[name] != wanted:
            raise refuse(f"the root's {name} is {shown(attributes[name])}, its recipe's {shown(wanted)}")
    given, options = recipe.get("world_options"), attributes["world_options"]
    if not (isinstance(given, dict) and given.items() <= {k: options.get(k) for k in given}.items()):
        raise refuse("the root's world_options are not those of its recipe")


def _check_nodes(path: Path, root: Mapping[str, Any]) -> None:
    """Makes sure that every array is encoded as the format says: other codecs are not bounded.

    Raises:
        DatasetError: One is not.
        KeyError: Something is missing (and so for the other errors of reading what is not as expected).
    """
    for name, node in root["consolidated_metadata"]["metadata"].items():
        if node["node_type"] != "array":
            continue
        codecs = node["codecs"]
        sharded = [codec["name"] for codec in codecs] == ["sharding_indexed"]
        inner = codecs[0]["configuration"] if sharded else {"codecs": codecs}
        names = [codec["name"] for codec in inner["codecs"]]
        endian = inner["codecs"][0].get("configuration", {}).get("endian", "little")
        index = [codec["name"] for codec in inner.get("index_codecs", [])]
        if (
            (names, endian) != (["bytes", "zstd"], "little")
            or (sharded and (index != ["bytes", "crc32c"] or inner.get("index_location", "end") != "end"))
            or node["chunk_key_encoding"] != {"name": "default", "configuration": {"separator": "/"}}
            or not node["shape"]
        ):
            raise DatasetError(
                f"{path / shown(name)} is not encoded as format version {FORMAT_VERSION} says;"
                " generate it again"
            )


def _check_array(path: Path, name: str, array: zarr.Array[Any], manifest: Manifest, listed: int) -> None:
    """Makes sure that the manifest lists exactly the files of an array, whose chunks are of a sane size.

    Args:
        path: The dataset.
        name: The array's path.
        array: The array.
        manifest: The manifest.
        listed: How many files of the array it lists.

    Raises:
        DatasetError: It does not.
    """
    shape, chunk = array.shape, array.chunks
    grid = array.shards or chunk
    chunk_bytes = math.prod(chunk) * array.dtype.itemsize
    if (
        array.dtype.kind not in "buif"
        or not 0 < chunk_bytes <= _MOST_CHUNK_BYTES
        or any(length != step for length, step in zip(shape[1:], grid[1:], strict=True))
    ):
        raise DatasetError(f"{path / name} has chunks as no dataset of this format has; generate it again")
    count = -(-shape[0] // grid[0])
    # A file is as large as what it holds, and a little more where that does not compress.
    chunks = grid[0] // chunk[0]
    most = chunks * (chunk_bytes + chunk_bytes // 128 + _CHUNK_OVERHEAD) + _FILE_OVERHEAD
    # No more are named than the manifest lists: the shape is whatever somebody wrote.
    for number in range(min(count, listed + 1)):
        if (file := block_file(name, number, len(shape))) not in manifest.files:
            raise DatasetError(f"{path}: the manifest does not list {file}; generate it again")
        if manifest.files[file].size > most:
            raise DatasetError(f"{path / file} is larger than what it holds can be; generate it again")
    if count != listed:
        raise DatasetError(
            f"{path}: {name} has {number_of(count, 'file')} by its shape, and {listed} by the manifest;"
            " generate it again"
        )


def _check_episodes(dataset: Dataset) -> None:
    """Makes sure that there are as many episodes and steps as the recipe says.

    Raises:
        DatasetError: There are not.
    """
    recipe = dataset.recipe
    for name, array in dataset.arrays.items():
        if not name.startswith(_ANNOTATION) and array.shape[0] != recipe.get("episodes"):
            raise DatasetError(
                f"{dataset.path / name} has {number_of(array.shape[0], 'episode')}, the recipe"
                f" {shown(recipe.get('episodes'))}; generate it again"
            )
    if "action" in dataset.arrays:
        shape = dataset.array("action").shape
        if shape[1:2] != (recipe.get("horizon"),):
            raise DatasetError(
                f"{dataset.path / 'action'} has the shape {shape}, the recipe {shown(recipe.get('horizon'))}"
                " steps; generate it again"
            )

"""What we write, others read: zarr, xarray, tensorstore and zarrs find our numbers, mlcroissant our words."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorstore
import xarray
import zarr
import zarrs  # noqa: F401 — registers its codecs with zarr
from numpy.typing import NDArray

from sen_bench.config.presets import SplitSize
from sen_bench.generators import generate
from sen_bench.store import (
    CROISSANT,
    ArraySpec,
    Manifest,
    create_store,
    finish_store,
    open_dataset,
    symmetry_arrays,
    write_rows,
)
from sen_bench.symmetry import Group, Representation, Symmetry
from sen_bench.tasks.registry import get_task
from tests.support.toy_dataset import attributes

ROWS, SHARD, CHUNK = 7, 4, 2


def contents() -> dict[str, tuple[NDArray[Any], int]]:
    """Path -> values, rows in a chunk: every type that worlds use, sharded and not, one shard all zeros."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (ROWS, 3, 5, 4, 3), dtype=np.uint8)
    pixels[:SHARD] = 0
    return {
        "observation": (pixels, CHUNK),
        "action": (rng.integers(0, 20, (ROWS, 2)), SHARD),
        "state": (rng.normal(size=(ROWS, 3, 2)), CHUNK),
        "seed": (rng.integers(0, 2**63, ROWS, dtype=np.uint64), CHUNK),
        "twin/observation": (pixels[::-1].copy(), CHUNK),
        "twin/action": (rng.normal(size=(ROWS, 2, 1)).astype(np.float32), SHARD),
    }


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("store") / "train.zarr"
    root.mkdir()
    group = Group.dihedral(4)
    symmetry = Symmetry(
        group, {"regular": Representation.regular(group), "standard": Representation.standard(group)}, (1,)
    )
    specs = [
        ArraySpec(
            path,
            values.shape,
            values.dtype.name,
            ("episode", *(f"{path.rpartition('/')[2]}_{axis}" for axis in range(1, values.ndim))),
            f"the {path}",
            chunk,
            SHARD,
        )
        for path, (values, chunk) in contents().items()
    ]
    annotations = list(symmetry_arrays(symmetry))
    create_store(root, specs + [spec for spec, _ in annotations])
    receipts = [write_rows(root, spec.path, 0, values) for spec, values in annotations]
    receipts += [
        write_rows(root, path, start, values[start : start + SHARD])
        for path, (values, _) in contents().items()
        for start in range(0, ROWS, SHARD)
    ]
    finish_store(root, attributes(ROWS, 2, symmetry), receipts)
    return root


def expected(store: Path) -> dict[str, NDArray[Any]]:
    """What we read ourselves, compared with what was written."""
    dataset = open_dataset(store)
    arrays = {name: dataset.load(name) for name in dataset.arrays}
    for path, (values, _) in contents().items():
        np.testing.assert_array_equal(arrays[path], values)
    return arrays


def same(theirs: Any, ours: NDArray[Any]) -> None:
    assert theirs.dtype == ours.dtype
    np.testing.assert_array_equal(theirs, ours)


class TestOtherReaders:
    def test_plain_zarr(self, store: Path) -> None:
        group = zarr.open_group(store, mode="r")
        for name, values in expected(store).items():
            array = group[name]
            assert isinstance(array, zarr.Array)
            same(array[...], values)

    def test_zarr_without_consolidated_metadata(self, store: Path) -> None:
        for name, values in expected(store).items():
            same(zarr.open_array(store / name, mode="r")[...], values)

    def test_xarray(self, store: Path) -> None:
        arrays = expected(store)
        for group in ("", "twin", "symmetry"):
            read = xarray.open_zarr(store, group=group)
            names = [name for name in arrays if name.rpartition("/")[0] == group]
            assert sorted(f"{group}/{name}".strip("/") for name in read) == sorted(names)
            for name in names:
                same(read[name.rpartition("/")[2]].to_numpy(), arrays[name])
            read.close()
        assert xarray.open_zarr(store).observation.dims[0] == "episode"

    def test_tensorstore(self, store: Path) -> None:
        for name, values in expected(store).items():
            place = {"driver": "file", "path": str(store / name)}
            array = tensorstore.open({"driver": "zarr3", "kvstore": place}, read=True).result()
            same(array.read().result(), values)

    def test_zarrs(self, store: Path) -> None:
        arrays = expected(store)
        with zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"}):
            for name, values in arrays.items():
                array = zarr.open_array(store / name, mode="r")
                assert type(array.async_array.codec_pipeline).__name__ == "ZarrsCodecPipeline"
                same(array[...], values)


@pytest.fixture(scope="module")
def validated() -> Any:
    """Reads a description with mlcroissant, whose own use of deprecated libraries is not our matter."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlcroissant  # noqa: PLC0415

    def read(store: Path) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return mlcroissant.Dataset(jsonld=store / CROISSANT).metadata

    return read


class TestCroissant:
    @pytest.mark.parametrize("task", ["3d-blocks", "teapot-small"])
    def test_it_is_valid(self, tmp_path: Path, validated: Any, task: str) -> None:
        store = tmp_path / "eval.zarr"
        generate(get_task(task).recipe("eval", SplitSize(episodes=2, horizon=1)), store)
        issues = validated(store).ctx.issues
        assert not issues.errors
        # Only a publisher knows these.
        assert {word for issue in issues.warnings for word in ("datePublished", "license") if word in issue}
        assert len(issues.warnings) == 2

    def test_it_describes_every_array(self, store: Path, validated: Any) -> None:
        metadata = validated(store)
        dataset = open_dataset(store)
        fields = {field.name: field for records in metadata.record_sets for field in records.fields}
        assert set(fields) == set(dataset.arrays)
        for name, array in dataset.arrays.items():
            shape = fields[name].array_shape_tuple
            assert tuple(shape or ()) == array.shape[1:]
            assert np.dtype(fields[name].data_type) == array.dtype
        assert {records.name for records in metadata.record_sets} == {"episode", "element"}
        assert dataset.content_digest in str(metadata.description)

    def test_its_file_object_is_the_root(self, store: Path, validated: Any) -> None:
        root = next(node for node in validated(store).distribution if node.id == "zarr.json")
        assert root.sha256 == open_dataset(store).manifest.files["zarr.json"].sha256

    def test_it_is_in_the_manifest(self, store: Path, tmp_path: Path) -> None:
        assert CROISSANT in open_dataset(store).manifest.files
        copy = Path(shutil.copytree(store, tmp_path / "copy.zarr"))
        (copy / CROISSANT).unlink()
        with pytest.raises(Exception, match=f"{CROISSANT} is missing"):
            open_dataset(copy)

    def test_older_datasets_without_one_open(self, store: Path, tmp_path: Path) -> None:
        copy = Path(shutil.copytree(store, tmp_path / "old.zarr"))
        (copy / CROISSANT).unlink()
        manifest = Manifest.read(copy)
        files = {name: record for name, record in manifest.files.items() if name != CROISSANT}
        Manifest(manifest.content_digest, files).write(copy)
        assert open_dataset(copy).content_digest == open_dataset(store).content_digest

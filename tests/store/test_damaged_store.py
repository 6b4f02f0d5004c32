"""What is not a dataset, or not whole, is refused in one line; nothing damaged is read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from sen_bench.errors import DatasetError
from sen_bench.store import Dataset, FileRecord, Manifest, open_dataset
from tests.support.toy_dataset import contents, files_of, one_line, write_dataset


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("store") / "train.zarr"
    write_dataset(root, contents())
    return root


@pytest.fixture
def store(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "train.zarr"))


def edit(file: Path, change: Callable[[Any], object]) -> None:
    data = json.loads(file.read_bytes())
    change(data)
    file.write_text(json.dumps(data, indent=1) + "\n")


class TestNotADataset:
    def refused(self, path: Path, match: str) -> None:
        with pytest.raises(DatasetError, match=match) as error:
            open_dataset(path)
        assert str(path) in one_line(error)

    def test_nothing(self, tmp_path: Path) -> None:
        self.refused(tmp_path / "none.zarr", "no dataset")

    def test_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "train.zarr").write_text("hello")
        self.refused(tmp_path / "train.zarr", "not a directory")

    def test_an_empty_folder(self, tmp_path: Path) -> None:
        self.refused(tmp_path, "not a Zarr v3 group")

    def test_zarr_2(self, tmp_path: Path) -> None:
        zarr.open_group(tmp_path, mode="w", zarr_format=2)
        self.refused(tmp_path, "not a Zarr v3 group")

    def test_a_zarr_array(self, tmp_path: Path) -> None:
        zarr.create_array(tmp_path / "a.zarr", shape=(2,), dtype="int64", zarr_format=3)
        self.refused(tmp_path / "a.zarr", "not a Zarr v3 group")

    @pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"zarr_format": 3}', "\x00\xff"])
    def test_garbage_for_metadata(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "zarr.json").write_text(text)
        self.refused(tmp_path, r"zarr.json cannot be read|not a Zarr v3 group")

    @pytest.mark.parametrize("attributes", [{}, {"format": "other"}, {"format": ["sen-bench"]}])
    def test_someone_elses_group(self, tmp_path: Path, attributes: dict[str, Any]) -> None:
        zarr.open_group(tmp_path, mode="w", zarr_format=3, attributes=attributes)
        self.refused(tmp_path, "not a sen-bench dataset")

    @pytest.mark.parametrize("version", [0, 2, "1", None])
    def test_another_format_version(self, store: Path, version: object) -> None:
        edit(store / "zarr.json", lambda data: data["attributes"].update(format_version=version))
        self.refused(store, "format version .* reads version 1")

    def test_an_unfinished_one(self, store: Path) -> None:
        (store / "manifest.json").unlink()
        self.refused(store, "never finished")

    @pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"files": [], "content_digest": ""}'])
    def test_garbage_for_a_manifest(self, store: Path, text: str) -> None:
        (store / "manifest.json").write_text(text)
        self.refused(store, "manifest.json cannot be read")

    def test_a_manifest_of_another_dataset(self, store: Path) -> None:
        edit(store / "manifest.json", lambda data: data.update(content_digest="0"))
        self.refused(store, "belongs to another dataset")

    def test_a_manifest_that_contradicts_itself(self, store: Path) -> None:
        edit(store / "manifest.json", lambda data: data["files"]["action/c/1/0"].update(size=1))
        self.refused(store, "manifest.json is damaged: it contradicts itself")

    def test_a_manifest_of_before_it_had_a_digest_of_itself(self, store: Path) -> None:
        edit(store / "manifest.json", lambda data: data.pop("files_digest"))
        assert open_dataset(store).files_digest == Manifest.read(store).files_digest

    def test_a_manifest_that_leaves_a_shard_out(self, store: Path) -> None:
        manifest = Manifest.read(store)
        files = {name: record for name, record in manifest.files.items() if name != "action/c/1/0"}
        replace(manifest, files=files).write(store)
        self.refused(store, "does not list action/c/1/0")

    def test_metadata_that_zarr_does_not_understand(self, store: Path) -> None:
        def spoil(data: Any) -> None:
            data["consolidated_metadata"]["metadata"]["action"]["data_type"] = "int65x"

        edit(store / "zarr.json", spoil)
        manifest = Manifest.read(store)
        record = FileRecord.of((store / "zarr.json").read_bytes())
        replace(manifest, files={**manifest.files, "zarr.json": record}).write(store)
        self.refused(store, "zarr.json cannot be read")


class TestNotWhole:
    def test_every_file_is_missed(self, store: Path) -> None:
        names = [name for name in files_of(store) if name not in {"manifest.json", "zarr.json"}]
        assert len(names) > 20
        for name in names:
            moved = (store / name).rename(store.parent / "away")
            with pytest.raises(DatasetError, match=f"not whole: {name} is missing") as error:
                open_dataset(store)
            one_line(error)
            moved.rename(store / name)
        open_dataset(store)

    def test_every_truncated_file_is_named(self, store: Path) -> None:
        for name in files_of(store):
            if name in {"manifest.json", "zarr.json"}:
                continue
            data = (store / name).read_bytes()
            (store / name).write_bytes(data[:-1])
            with pytest.raises(
                DatasetError, match=f"{name} has {len(data) - 1} bytes instead of {len(data)}"
            ):
                open_dataset(store)
            (store / name).write_bytes(data)

    @pytest.mark.parametrize("name", ["observation", "action", "twin/observation"])
    def test_a_shard_lost_after_opening_does_not_read_as_zeros(self, store: Path, name: str) -> None:
        dataset = open_dataset(store)
        next(file for file in (store / name / "c").rglob("*") if file.is_file()).unlink()
        with pytest.raises(DatasetError, match="is missing"):
            dataset.load(name)
        with pytest.raises(DatasetError, match=f"not whole: {name}/c/.* is missing") as error:
            dataset.array(name)[:]
        one_line(error)

    def test_zeros_are_stored_like_anything_else(self, pristine: Path) -> None:
        assert "twin/action/c/0/0" in open_dataset(pristine).manifest.files
        assert not contents()["twin/action"][1].any()


@pytest.fixture(scope="module")
def victim(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, Path]:
    root = Path(shutil.copytree(pristine, tmp_path_factory.mktemp("victim") / "train.zarr"))
    return open_dataset(root), root


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_a_flipped_bit_is_never_read(victim: tuple[Dataset, Path], data: st.DataObject) -> None:
    dataset, root = victim
    name = data.draw(st.sampled_from(["observation", "state", "seed"]))
    shard = data.draw(st.integers(0, 1))
    file = root / "/".join([name, "c", str(shard), *["0"] * (dataset.array(name).ndim - 1)])
    good = file.read_bytes()
    near_end = data.draw(st.booleans())  # where the index of a shard is
    position = data.draw(
        st.integers(max(0, len(good) - 40), len(good) - 1) if near_end else st.integers(0, len(good) - 1)
    )
    bad = bytearray(good)
    bad[position] ^= 1 << data.draw(st.integers(0, 7))
    file.write_bytes(bad)
    try:
        with pytest.raises(DatasetError, match="damaged") as error:
            dataset.load(name)
        one_line(error)
    except pytest.fail.Exception:
        # Bits that mean nothing, such as a chunk outside the array, may change if the data do not.
        np.testing.assert_array_equal(dataset.load(name), contents()[name][1])
    finally:
        file.write_bytes(good)

"""Datasets that a stranger made: they are refused in one line, quickly, and with little memory."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numcodecs import Zstd

from sen_bench.checks import verify
from sen_bench.errors import DatasetError
from sen_bench.generators import generate
from sen_bench.store import FileRecord, Manifest, canonical_digest, open_dataset
from sen_bench.store.files import parse_json
from sen_bench.store.shard import check_frame
from tests.paths import ROOT
from tests.support.datasets import SMALL
from tests.support.toy_dataset import contents, one_line, write_dataset

HUGE = 10**12
LITTLE = {"endian": "little"}


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("store") / "train.zarr"
    write_dataset(root, contents())
    return root


@pytest.fixture
def store(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "train.zarr"))


def signed(store: Path, *, without: str = "") -> None:
    """Has the manifest list the files as they are now, as a stranger would."""
    manifest = Manifest.read(store)
    files = {name: FileRecord.of((store / name).read_bytes()) for name in manifest.files if name != without}
    replace(manifest, files=files).write(store)


def edit_root(store: Path, change: Callable[[Any], object]) -> None:
    data = json.loads((store / "zarr.json").read_bytes())
    change(data)
    (store / "zarr.json").write_text(json.dumps(data, indent=1) + "\n")


def refused(store: Path, match: str) -> None:
    with pytest.raises(DatasetError, match=match) as error:
        open_dataset(store)
    assert one_line(error).isprintable()
    with pytest.raises(DatasetError):
        verify(store)


class TestEditsThatKeepTheSize:
    def test_a_shorter_shape_is_not_read(self, store: Path) -> None:
        text = (store / "zarr.json").read_text()
        edited = text.replace('"shape": [\n      7', '"shape": [\n      6').replace(
            '"episodes": 7', '"episodes": 6'
        )
        assert len(edited) == len(text)
        assert edited != text
        (store / "zarr.json").write_text(edited)
        refused(store, r"zarr\.json is damaged: its sha256 is not that of the manifest")

    @pytest.mark.parametrize("name", ["action/zarr.json", "twin/zarr.json", "croissant.json"])
    def test_nor_any_other_metadata(self, store: Path, name: str) -> None:
        data = bytearray((store / name).read_bytes())
        data[len(data) // 2] ^= 1
        (store / name).write_bytes(data)
        refused(store, f"{name} is damaged: its sha256")

    @pytest.mark.parametrize(
        ("changes", "match"),
        [
            ({"task": "tea"}, "the root's task is tea, its recipe's toy"),
            ({"split": "evalu"}, "the root's split is evalu, its recipe's train"),
            ({"world_id": "Bad-v0"}, "the root's world_id is Bad-v0, its recipe's Toy-v0"),
            ({"world_options": {"size": 4}}, "the root's world_options are not those of its recipe"),
            ({"recipe_digest": "0" * 64}, "the recipe does not have the digest"),
            ({"recipe": {"seed": 2}}, "the recipe does not have the digest"),
            ({"task": ["toy"]}, r"the root's task is \['toy'\], not text"),
            ({"recipe": [1]}, "the root's recipe is .*, not an object"),
            ({"symmetry": 3}, "the root's symmetry is 3, not an object"),
            ({"generator_version": True}, "the root's generator_version is True, not a whole number"),
            ({"generator_version": 1e999}, "Infinity is no number of JSON"),
            ({"frame_stack": 0}, "the root's frame_stack is 0"),
            ({"inexact": "observation"}, "the root's inexact is not a list of arrays"),
            ({"inexact": [1]}, "the root's inexact is not a list of arrays"),
            ({"library_versions": None}, "the root's library_versions is None"),
        ],
    )
    def test_attributes_agree_with_the_recipe(self, store: Path, changes: dict[str, Any], match: str) -> None:
        edit_root(store, lambda data: data["attributes"].update(changes))
        signed(store)
        refused(store, match)

    @pytest.mark.parametrize(
        ("change", "match"),
        [({"episodes": 6}, "has 7 episodes, the recipe 6"), ({"horizon": 2}, "the recipe 2 steps")],
    )
    def test_sizes_agree_with_the_recipe(self, store: Path, change: dict[str, int], match: str) -> None:
        def lie(data: Any) -> None:
            attributes = data["attributes"]
            attributes["recipe"].update(change)
            attributes["recipe_digest"] = canonical_digest(attributes["recipe"])

        edit_root(store, lie)
        signed(store)
        refused(store, match)

    @pytest.mark.parametrize(
        ("changes", "match"),
        [
            ({"frame_stack": 2}, "the root's frame_stack is 2, but the world of the recipe has 1"),
            ({"world_options": {"size": 9}}, "the root's world_options"),
            (
                {"renderer": "exact"},
                "the root's renderer is 'exact', but the world of the recipe has 'backend'",
            ),
        ],
    )
    def test_verify_holds_the_root_against_the_world(
        self, tmp_path: Path, changes: dict[str, Any], match: str
    ) -> None:
        path = generate(SMALL, tmp_path / "a.zarr").path
        edit_root(path, lambda data: data["attributes"].update(changes))
        signed(path)
        with pytest.raises(DatasetError, match=match):
            verify(path)


class TestFilesThatAreNone:
    @pytest.mark.parametrize("name", ["action/c/0/0", "zarr.json", "action/zarr.json", "manifest.json"])
    @pytest.mark.parametrize("kind", ["link", "pipe", "device"])
    def test_they_are_not_opened(self, store: Path, name: str, kind: str) -> None:
        (store / name).rename(store.parent / "elsewhere")
        if kind == "pipe":
            os.mkfifo(store / name)
        else:
            (store / name).symlink_to("/dev/zero" if kind == "device" else store.parent / "elsewhere")
        refused(store, "is a link, or no file|is not a regular file")

    def test_nor_folders_that_are_links(self, store: Path) -> None:
        (store / "action").rename(store.parent / "elsewhere")
        (store / "action").symlink_to(store.parent / "elsewhere")
        refused(store, "action is a link")

    def test_a_link_to_the_dataset_is_its_readers_own(self, store: Path) -> None:
        (store.parent / "link.zarr").symlink_to(store)
        assert open_dataset(store.parent / "link.zarr").episodes == 7

    @pytest.mark.parametrize(
        "name", ["../secret", "/etc/passwd", "a/../../secret", "a//b", "./a", "c:secret", "a\\b", "a\nb", ""]
    )
    def test_names_outside_the_dataset(self, store: Path, name: str) -> None:
        (store.parent / "secret").write_text("x")
        manifest = Manifest.read(store)
        replace(manifest, files={**manifest.files, name: FileRecord.of(b"x")}).write(store)
        refused(store, "names a file")


class TestSizesThatAreNone:
    @pytest.mark.parametrize("size", ["1e999", "-1", "true", '"7"', "1.0", str(2**63), "null"])
    def test_of_files(self, store: Path, size: str) -> None:
        text = (store / "manifest.json").read_text()
        (store / "manifest.json").write_text(text.replace('"size": ', f'"size": {size}, "was": ', 1))
        refused(store, "manifest.json cannot be read")

    def test_json_without_end(self, store: Path) -> None:
        (store / "manifest.json").write_text('{"files": ' + "[" * 100_000)
        refused(store, "manifest.json cannot be read .it is nested too deeply")
        (store / "zarr.json").write_text("[" * 100_000)
        refused(store, "zarr.json cannot be read .it is nested too deeply")
        with pytest.raises(ValueError, match="no number"):
            parse_json(b'{"a": NaN}')

    def test_a_manifest_of_gigabytes(self, store: Path) -> None:
        os.truncate(store / "manifest.json", 2**32)
        refused(store, "manifest.json cannot be read .it has 4294967296 bytes")

    @pytest.mark.parametrize("axis", [0, 1])
    def test_a_shape_of_any_length(self, store: Path, axis: int) -> None:
        def grow(data: Any) -> None:
            node = data["consolidated_metadata"]["metadata"]["action"]
            node["shape"][axis] = HUGE
            if axis:
                node["chunk_grid"]["configuration"]["chunk_shape"][axis] = HUGE

        edit_root(store, grow)
        signed(store)
        refused(store, "the manifest does not list action/c/2/0|chunks as no dataset of this format has")

    def test_a_group_of_any_order(self, store: Path) -> None:
        edit_root(store, lambda data: data["attributes"]["symmetry"]["group"].update(n=10**9))
        signed(store)
        dataset = open_dataset(store)
        with pytest.raises(DatasetError, match="is not that of the array symmetry/cayley"):
            _ = dataset.symmetry

    def test_a_representation_of_any_dimension(self, store: Path) -> None:
        def grow(data: Any) -> None:
            data["attributes"]["symmetry"]["representations"]["regular"]["dim"] = 10**6

        edit_root(store, grow)
        signed(store)
        dataset = open_dataset(store)
        with pytest.raises(DatasetError, match="is not that of the array symmetry/regular"):
            _ = dataset.symmetry

    def test_a_file_that_is_larger_than_what_it_holds(self, store: Path) -> None:
        with (store / "action/c/0/0").open("ab") as file:
            file.truncate(2 * 1024**2)
        signed(store)
        refused(store, "action/c/0/0 is larger than what it holds can be")


class TestChunksThatDecodeToGigabytes:
    @pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 65_791, 65_792, 70_000, 5_000_000])
    def test_a_frame_says_how_much_it_decodes_to(self, size: int) -> None:
        for level in (1, 3, 19):
            frame = Zstd(level=level, checksum=True).encode(bytes(size))
            check_frame(frame + bytes(18), size)
            with pytest.raises(ValueError, match=f"decodes to {size} bytes; it has {size + 1}"):
                check_frame(frame + bytes(18), size + 1)

    def test_a_frame_that_does_not_say_it_is_none(self) -> None:
        # Magic, a descriptor without the field and without a single segment, a window.
        with pytest.raises(ValueError, match="does not say"):
            check_frame(b"\x28\xb5\x2f\xfd\x00\x58" + bytes(12), 5)
        with pytest.raises(ValueError, match="not compressed with zstd"):
            check_frame(bytes(18), 5)

    @pytest.mark.parametrize("way", ["load", "read", "array"])
    def test_an_unsharded_one_is_not_decoded(self, store: Path, way: str) -> None:
        bomb = Zstd(level=3).encode(bytes(1_000_000_000))
        assert len(bomb) < 200_000
        (store / "action/c/0/0").write_bytes(bomb)
        signed(store)
        script = f"""
import resource, sys
from sen_bench.store import open_dataset
from sen_bench.errors import DatasetError
import sen_bench.store.reader, numcodecs.zstd
dataset = open_dataset({str(store)!r})
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    {{"load": lambda: dataset.load("action"), "read": lambda: dataset.read("action", 0, 2),
      "array": lambda: dataset.array("action")[:2]}}[{way!r}]()
except DatasetError as error:
    assert "decodes to 1000000000 bytes; it has 96" in str(error), error
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000
    print("refused")
"""
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.stdout == "refused\n", done.stderr

    @pytest.mark.parametrize("way", ["load", "block", "rows", "one row"])
    def test_nor_is_one_in_a_shard(self, store: Path, way: str) -> None:
        file = store / "observation/c/0/0/0/0/0"
        data = bytearray(file.read_bytes())
        # The size of the first frame, where the header says it: four bytes after magic and descriptor.
        assert data[4] >> 6 == 2
        at = 5 + (not data[4] & 0x20)
        data[at : at + 4] = (2_000_000_000).to_bytes(4, "little")
        file.write_bytes(data)
        signed(store)
        dataset = open_dataset(store)
        array = dataset.array("observation")
        out = np.empty((4, *array.shape[1:]), array.dtype)
        ways: dict[str, Callable[[], object]] = {
            "load": lambda: dataset.load("observation"),
            "block": lambda: dataset.read_block("observation", 0, out),
            "rows": lambda: array[:4],
            "one row": lambda: dataset.read("observation", 0, 1),
        }
        with pytest.raises(DatasetError, match="decodes to 2000000000 bytes; it has"):
            ways[way]()

    @pytest.mark.parametrize(
        "codecs",
        [
            [{"name": "bytes", "configuration": LITTLE}, {"name": "gzip", "configuration": {"level": 5}}],
            [{"name": "bytes", "configuration": {"endian": "big"}}, {"name": "zstd", "configuration": {}}],
            [{"name": "bytes", "configuration": LITTLE}],
        ],
    )  # fmt: skip
    def test_codecs_that_are_not_bounded_are_not_used(self, store: Path, codecs: list[Any]) -> None:
        def other(data: Any) -> None:
            data["consolidated_metadata"]["metadata"]["action"]["codecs"] = codecs

        edit_root(store, other)
        signed(store)
        refused(store, "action is not encoded as format version 1 says")


@pytest.mark.parametrize("name", ["\udcff", "x" * 5000, "a\x1b[31mb"])
def test_names_that_no_dataset_has(tmp_path: Path, name: str) -> None:
    for place in (tmp_path / name, name):
        with pytest.raises(DatasetError, match="there is no dataset at") as error:
            open_dataset(place)
        assert one_line(error).isprintable()

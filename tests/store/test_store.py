"""The dataset format: what is written is what is read, and what is not whole is not read."""

from __future__ import annotations

import hashlib
import json
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sen_bench.errors import ConfigError, DatasetError
from sen_bench.store import (
    ArraySpec,
    EpisodeBlocks,
    Receipt,
    create_store,
    finish_store,
    open_dataset,
    symmetry_arrays,
    write_rows,
)
from tests.support.toy_dataset import (
    EPISODES,
    STEPS,
    SYMMETRY,
    attributes,
    contents,
    files_of,
    one_line,
    write_dataset,
)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("store") / "train.zarr"
    write_dataset(root, contents())
    return root


class TestWhatIsWrittenIsRead:
    def test_by_us(self, pristine: Path) -> None:
        dataset = open_dataset(pristine)
        for path, (_, values) in contents().items():
            loaded = dataset.load(path)
            assert loaded.dtype == values.dtype
            assert loaded.flags.writeable  # torch.from_numpy warns of anything else
            np.testing.assert_array_equal(loaded, values)

    def test_by_plain_zarr(self, pristine: Path) -> None:
        group = zarr.open_group(pristine, mode="r")
        for path, (_, values) in contents().items():
            array = group[path]
            assert isinstance(array, zarr.Array)
            np.testing.assert_array_equal(np.asarray(array[...]), values)

    def test_by_zarr_without_consolidated_metadata(self, pristine: Path) -> None:
        group = zarr.open_group(pristine, mode="r", use_consolidated=False)
        for path, (names, values) in contents().items():
            array = group[path]
            assert isinstance(array, zarr.Array)
            assert array.shape == values.shape
            assert array.metadata.dimension_names == ("episode", *names)  # type: ignore[union-attr]

    def test_what_the_root_says(self, pristine: Path) -> None:
        dataset = open_dataset(str(pristine))
        assert (dataset.task, dataset.split, dataset.world_id) == ("toy", "train", "Toy-v0")
        assert (dataset.episodes, dataset.horizon, dataset.has_twin) == (EPISODES, STEPS, True)
        assert dataset.world_options == {"size": 3}
        assert dataset.recipe == attributes()["recipe"]
        assert (dataset.recipe_digest, dataset.generator_version) == (attributes()["recipe_digest"], 1)
        assert dataset.renderer == "exact"
        assert dataset.library_versions == {"numpy": "2"}
        assert dataset.symmetry == SYMMETRY
        assert dataset.attributes["content_digest"] == dataset.content_digest
        assert dataset.decoded_bytes == sum(dataset.load(name).nbytes for name in dataset.arrays)
        on_disk = sum((pristine / name).stat().st_size for name in files_of(pristine))
        assert dataset.stored_bytes == on_disk - (pristine / "manifest.json").stat().st_size

    def test_the_symmetry_is_readable_without_us(self, pristine: Path) -> None:
        group = zarr.open_group(pristine / "symmetry", mode="r")
        arrays = {name: np.asarray(array[...]) for name, array in group.arrays()}
        cayley, regular, standard = arrays["cayley"], arrays["regular"], arrays["standard"]
        for a in range(8):
            for b in range(8):
                np.testing.assert_array_equal(regular[cayley[a, b]], regular[a][regular[b]])
                np.testing.assert_allclose(standard[cayley[a, b]], standard[a] @ standard[b], atol=1e-12)

    def test_an_unknown_array_is_named(self, pristine: Path) -> None:
        with pytest.raises(DatasetError, match="has no array 'reward'; it has action, ") as error:
            open_dataset(pristine).load("reward")
        one_line(error)


class TestXarray:
    """Warnings are errors in these tests."""

    def test_opens_with_named_dimensions(self, pristine: Path) -> None:
        dataset = xarray.open_zarr(pristine)
        assert dataset["observation"].dims == ("episode", "frame", "height", "width", "channel")
        assert dataset["action"].dims == ("episode", "step")
        assert dict(dataset.sizes) == {
            "episode": EPISODES, "frame": STEPS + 1, "step": STEPS, "height": 600, "width": 600,
            "channel": 1, "coordinate": 2,
        }  # fmt: skip
        assert dataset["observation"].dtype == np.uint8
        assert dataset["state"].attrs["description"] == "the state"
        np.testing.assert_array_equal(dataset["state"].values, contents()["state"][1])

    def test_opens_the_twin(self, pristine: Path) -> None:
        twin = xarray.open_zarr(pristine, group="twin")
        assert twin["observation"].dims == ("episode", "frame", "height", "width", "channel")
        np.testing.assert_array_equal(twin["element"].values, contents()["twin/element"][1])

    def test_opens_the_symmetry(self, pristine: Path) -> None:
        symmetry = xarray.open_zarr(pristine, group="symmetry")
        assert symmetry["cayley"].dims == ("element", "right_element")
        assert symmetry["regular"].dims == ("element", "regular_index")
        assert symmetry["standard"].dims == ("element", "standard_row", "standard_column")

    def test_opens_without_consolidated_metadata(self, pristine: Path) -> None:
        # Zarr then lists the folder and wonders about our two files there; nothing else may be said.
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=r"Object at (manifest|croissant).json is not rec")
            dataset = xarray.open_zarr(pristine, consolidated=False)
        assert dataset["action"].dims == ("episode", "step")


class TestContentDigest:
    def test_is_what_its_documentation_says(self, pristine: Path) -> None:
        summary = []
        arrays = dict(contents())
        for spec, values in symmetry_arrays(SYMMETRY):
            arrays[spec.path] = ((), values)
        for path, (_, values) in sorted(arrays.items()):
            rows = b"".join(hashlib.sha256(row.tobytes()).digest() for row in values)
            summary.append([path, list(values.shape), values.dtype.name, hashlib.sha256(rows).hexdigest()])
        expected = hashlib.sha256(json.dumps(summary, separators=(",", ":")).encode()).hexdigest()
        assert open_dataset(pristine).content_digest == expected

    def test_does_not_depend_on_chunks_and_shards(self, pristine: Path, tmp_path: Path) -> None:
        write_dataset(tmp_path / "other.zarr", contents(), EpisodeBlocks(EPISODES, 1, 1))
        other = open_dataset(tmp_path / "other.zarr")
        assert other.content_digest == open_dataset(pristine).content_digest
        assert set(other.manifest.files) != set(open_dataset(pristine).manifest.files)

    def test_is_of_the_exact_arrays_only(self, pristine: Path, tmp_path: Path) -> None:
        """Pixels that another driver would draw otherwise enter the files digest, and no claim is made."""
        pixels = ("observation", "twin/observation")
        arrays = dict(contents())
        datasets = []
        for name in ("one.zarr", "other.zarr"):
            write_dataset(tmp_path / name, arrays, inexact=pixels)
            datasets.append(open_dataset(tmp_path / name))
            arrays["observation"][1].flat[-1] += 1
        one, other = datasets
        assert one.inexact == pixels
        assert one.content_digest == other.content_digest
        assert one.files_digest != other.files_digest
        # It says of itself what it leaves out: it is not the digest of an exact dataset.
        exact = open_dataset(pristine)
        assert exact.inexact == ()
        assert "inexact" not in exact.attributes
        assert one.content_digest != exact.content_digest

    @pytest.mark.parametrize("path", contents())
    def test_depends_on_every_array(self, pristine: Path, tmp_path: Path, path: str) -> None:
        arrays = contents()
        arrays[path][1].flat[-1] += 1
        write_dataset(tmp_path / "other.zarr", arrays)
        assert open_dataset(tmp_path / "other.zarr").content_digest != open_dataset(pristine).content_digest


@st.composite
def blocks_and_values(draw: st.DrawFn) -> tuple[EpisodeBlocks, NDArray[Any]]:
    rows, per_chunk = draw(st.integers(1, 20)), draw(st.integers(1, 5))
    blocks = EpisodeBlocks(rows, per_chunk, per_chunk * draw(st.integers(1, 4)))
    dtype = draw(st.sampled_from(["uint8", "int64", "float32", "float64"]))
    rest = draw(st.lists(st.integers(1, 3), max_size=2))
    bits = np.random.default_rng(draw(st.integers(0, 99))).integers(0, 256, 20 * 72, dtype=np.uint8)
    count = rows * int(np.prod(rest, dtype=int))
    # Any bits at all: floats come out as NaN and infinities too.
    return blocks, bits[: count * np.dtype(dtype).itemsize].view(dtype).reshape(rows, *rest)


@settings(deadline=None, max_examples=40)
@given(blocks_and_values())
def test_sharded_rows_decode_to_the_bit(case: tuple[EpisodeBlocks, NDArray[Any]]) -> None:
    blocks, values = case
    names = tuple(f"axis{i}" for i in range(values.ndim))
    spec = ArraySpec("state", values.shape, values.dtype.name, names, "", blocks.per_chunk, blocks.per_shard)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        create_store(root, [spec])
        receipts = [write_rows(root, "state", a, values[a:b]) for a, b in blocks.ranges()]
        finish_store(root, attributes(len(values)), receipts)
        dataset = open_dataset(root)
        assert dataset.load("state").tobytes() == values.tobytes()
        assert np.asarray(dataset.array("state")[...]).tobytes() == values.tobytes()


@given(st.integers(1, 40_000), st.integers(1, 2**30))
def test_blocks_cover_every_episode_once(episodes: int, episode_bytes: int) -> None:
    blocks = EpisodeBlocks.for_episodes(episodes, episode_bytes)
    assert blocks.per_shard % blocks.per_chunk == 0
    # A worker holds one shard: about 40 MB, or one chunk where an episode is larger than that.
    assert blocks.per_shard == blocks.per_chunk or blocks.per_shard * episode_bytes <= 40_000_000
    assert blocks.per_chunk == 1 or blocks.per_chunk * episode_bytes <= 1_000_000
    first, last = next(blocks.ranges()), (episodes - 1) // blocks.per_shard * blocks.per_shard
    assert first == (0, min(blocks.per_shard, episodes))
    if episodes < 10_000:
        covered = [episode for start, stop in blocks.ranges() for episode in range(start, stop)]
        assert covered == list(range(episodes))
        assert list(blocks.ranges())[-1] == (last, episodes)


def test_an_episode_too_large_to_store_is_refused() -> None:
    with pytest.raises(ConfigError, match="shorter horizon") as error:
        EpisodeBlocks.for_episodes(1, 2**30 + 1)
    with pytest.raises(ConfigError, match=r"^1000000000000 episodes are too many; at most \d+ of this size"):
        EpisodeBlocks.for_episodes(10**12, 7500)
    one_line(error)


class TestWriter:
    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        create_store(tmp_path, [ArraySpec("a", (7, 2), "int64", ("episode", "x"), "", 2, 4)])
        return tmp_path

    @pytest.mark.parametrize(("start", "stop"), [(0, 3), (1, 5), (0, 7), (4, 6), (2, 4)])
    def test_refuses_parts_of_shards(self, root: Path, start: int, stop: int) -> None:
        with pytest.raises(DatasetError, match="not one whole shard of 4 rows"):
            write_rows(root, "a", start, np.zeros((stop - start, 2), np.int64))

    @pytest.mark.parametrize("values", [np.zeros((4, 3), np.int64), np.zeros((4, 2), np.int32)])
    def test_refuses_other_shapes_and_types(self, root: Path, values: NDArray[Any]) -> None:
        with pytest.raises(DatasetError, match="do not fit"):
            write_rows(root, "a", 0, values)

    def finish(self, root: Path, receipts: list[Receipt]) -> None:
        finish_store(root, attributes(), receipts)

    def test_does_not_finish_before_every_row_is_there(self, root: Path) -> None:
        receipts = [write_rows(root, "a", 0, np.zeros((4, 2), np.int64))]
        with pytest.raises(DatasetError, match="4 of 7 rows were written"):
            self.finish(root, receipts)
        assert not (root / "manifest.json").exists()
        receipts.insert(0, write_rows(root, "a", 4, np.ones((3, 2), np.int64)))
        self.finish(root, receipts)
        assert (root / "manifest.json").exists()

    def test_does_not_finish_with_a_stray_file(self, root: Path) -> None:
        receipts = [write_rows(root, "a", s, np.zeros((n, 2), np.int64)) for s, n in ((0, 4), (4, 3))]
        (root / "a" / "stray").write_text("")
        with pytest.raises(DatasetError, match="a/stray was not expected"):
            self.finish(root, receipts)
        assert not (root / "manifest.json").exists()

    def test_lists_every_file_with_its_hash(self, pristine: Path) -> None:
        manifest = open_dataset(pristine).manifest
        assert sorted([*manifest.files, "manifest.json"]) == files_of(pristine)
        for name, record in manifest.files.items():
            data = (pristine / name).read_bytes()
            assert (record.size, record.sha256) == (len(data), hashlib.sha256(data).hexdigest())

    def test_notices_rows_that_read_back_otherwise(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def wrong(_data: bytes, shape: tuple[int, ...], dtype: np.dtype[Any], **_: int) -> Any:
            yield np.ones(shape, dtype)

        monkeypatch.setattr("sen_bench.store.writer.decoded_chunks", wrong)
        with pytest.raises(DatasetError, match="do not read back as"):
            write_rows(root, "a", 0, np.zeros((4, 2), np.int64))

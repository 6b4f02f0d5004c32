"""Datasets behind a URL: what is read is what lies there, proven; what goes wrong is said and never read."""

from __future__ import annotations

import functools
import http.server
import shutil
import socket
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import fsspec
import numpy as np
import pytest
from click.testing import CliRunner

from sen_bench.cli.main import main
from sen_bench.errors import DatasetError, SenBenchError
from sen_bench.generators import Recipe, generate
from sen_bench.store import MANIFEST, FileRecord, Manifest, cache_folder, open_dataset
from tests.support.fake_worlds import DRIFT
from tests.support.recorder import Recorder

RECIPE = Recipe(task="drift", split="eval", world_id=DRIFT, episodes=1200, horizon=60, twin=True)


@dataclass
class Served:
    """A folder on a web server, and what is to go wrong with it.

    Attributes:
        root: The folder.
        url: Its address.
        asked: Every path asked for, in order.
        dies: Files of which half is sent before the connection is cut.
    """

    root: Path
    url: str = ""
    asked: list[str] = field(default_factory=list)
    dies: set[str] = field(default_factory=set)


class Handler(http.server.SimpleHTTPRequestHandler):
    def __init__(self, *arguments: object, served: Served, **more: object) -> None:
        self.served = served
        super().__init__(*arguments, directory=str(served.root), **more)  # type: ignore[arg-type]

    def log_message(self, *arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        name = self.path.lstrip("/")
        self.served.asked.append(name)
        if name in self.served.dies:
            data = (self.served.root / name).read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2])
            self.close_connection = True
        else:
            super().do_GET()


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(RECIPE, tmp_path_factory.mktemp("there") / "eval.zarr").path


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEN_BENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def served(pristine: Path, tmp_path: Path) -> Iterator[Served]:
    served = Served(tmp_path / "www")
    shutil.copytree(pristine, served.root / "eval.zarr")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, served=served))
    served.url = f"http://127.0.0.1:{server.server_port}/eval.zarr"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield served
    server.shutdown()
    thread.join()
    server.server_close()


def refused(served_url: str, array: str = "observation") -> str:
    with pytest.raises(SenBenchError) as caught:
        open_dataset(served_url).load(array)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


SECOND_SHARD = "observation/c/1/0/0/0/0"


class TestReading:
    def test_every_array_is_what_lies_there(self, served: Served, pristine: Path) -> None:
        local, remote = open_dataset(pristine), open_dataset(served.url + "/")
        assert list(remote.arrays) == list(local.arrays)
        assert remote.attributes == local.attributes
        assert remote.files_digest == local.files_digest
        for name in local.arrays:
            np.testing.assert_array_equal(remote.load(name), local.load(name))

    def test_only_what_is_read_is_fetched(self, served: Served, pristine: Path) -> None:
        remote = open_dataset(served.url)
        assert remote.episodes == RECIPE.episodes
        assert served.asked == [f"eval.zarr/{MANIFEST}", "eval.zarr/zarr.json"]
        part = remote.array("observation")[700:703]
        np.testing.assert_array_equal(part, open_dataset(pristine).array("observation")[700:703])
        assert served.asked[2:] == [f"eval.zarr/{SECOND_SHARD}"]

    def test_nothing_is_fetched_twice(self, served: Served) -> None:
        open_dataset(served.url).load("observation")
        del served.asked[:]
        open_dataset(served.url).load("observation")
        assert served.asked == [f"eval.zarr/{MANIFEST}"]

    def test_the_whole_copy_is_a_dataset_by_itself(self, served: Served, pristine: Path) -> None:
        recorder = Recorder()
        remote = open_dataset(served.url, progress=recorder)
        remote.fetch()
        seen = recorder.works[f"fetching {served.url} bytes"]
        assert open_dataset(remote.path).files_digest == open_dataset(pristine).files_digest
        assert seen[-1] == (remote.stored_bytes, remote.stored_bytes)
        assert [done for done, _ in seen] == sorted(done for done, _ in seen)

    def test_another_protocol_of_fsspec(self, pristine: Path) -> None:
        memory = fsspec.filesystem("memory")
        memory.put(str(pristine), "/shelf/eval.zarr", recursive=True)
        try:
            remote = open_dataset("memory://shelf/eval.zarr")
            np.testing.assert_array_equal(remote.load("state"), open_dataset(pristine).load("state"))
        finally:
            memory.rm("/shelf", recursive=True)

    def test_a_dataset_that_was_replaced_there_is_another_one_here(self, served: Served) -> None:
        old = open_dataset(served.url)
        old.load("state")
        generate(replace(RECIPE, episodes=3), served.root / "eval.zarr", force=True)
        new = open_dataset(served.url)
        assert new.path != old.path
        assert len(new.load("state")) == 3

    def test_many_at_once_share_one_copy(self, served: Served, pristine: Path) -> None:
        expected = open_dataset(pristine).load("observation")
        with ThreadPoolExecutor(4) as pool:
            loaded = list(pool.map(lambda _: open_dataset(served.url).load("observation"), range(4)))
        for values in loaded:
            np.testing.assert_array_equal(values, expected)
        assert not list(cache_folder().rglob("*.partial"))


class TestWhatGoesWrong:
    def test_a_flipped_byte(self, served: Served, pristine: Path) -> None:
        flip(served.root / "eval.zarr" / SECOND_SHARD)
        message = refused(served.url)
        assert f"{SECOND_SHARD} is not what the manifest says" in message
        assert not list(cache_folder().rglob(SECOND_SHARD))
        # Parts are proven like the whole.
        with pytest.raises(DatasetError, match="is not what the manifest says"):
            open_dataset(served.url).array("observation")[700]
        shutil.copy(pristine / SECOND_SHARD, served.root / "eval.zarr" / SECOND_SHARD)
        np.testing.assert_array_equal(
            open_dataset(served.url).load("observation"), open_dataset(pristine).load("observation")
        )

    def test_a_missing_file_is_never_read_as_zeros(self, served: Served) -> None:
        (served.root / "eval.zarr" / SECOND_SHARD).unlink()
        assert f"is not whole: it has no {SECOND_SHARD}" in refused(served.url)
        with pytest.raises(DatasetError, match="is not whole"):
            open_dataset(served.url).array("observation")[700]

    def test_a_server_that_dies_in_the_middle(self, served: Served, pristine: Path) -> None:
        served.dies.add(f"eval.zarr/{SECOND_SHARD}")
        message = refused(served.url)
        assert f"{SECOND_SHARD} cannot be reached" in message
        assert not list(cache_folder().rglob("*.partial"))
        served.dies.clear()
        kept = {str(f.relative_to(cache_folder())).partition(".zarr/")[2] for f in cache_folder().rglob("*")}
        del served.asked[:]
        np.testing.assert_array_equal(
            open_dataset(served.url).load("observation"), open_dataset(pristine).load("observation")
        )
        assert f"eval.zarr/{SECOND_SHARD}" in served.asked
        assert not {f"eval.zarr/{name}" for name in kept - {MANIFEST}} & set(served.asked)

    def test_a_damaged_copy(self, served: Served) -> None:
        remote = open_dataset(served.url)
        remote.load("observation")
        file = remote.path / SECOND_SHARD
        file.write_bytes(b"\0" * file.stat().st_size)
        assert "to have it fetched again" in refused(served.url)
        shutil.rmtree(remote.path)
        open_dataset(served.url).load("observation")

    def test_no_dataset_there(self, served: Served) -> None:
        assert "there is no dataset at" in refused(served.url.replace("eval", "train"))

    def test_something_else_there(self, served: Served) -> None:
        (served.root / "eval.zarr" / MANIFEST).write_text("<html>not found</html>")
        assert f"{MANIFEST} cannot be read" in refused(served.url)
        assert not list(cache_folder().rglob("*"))

    @pytest.mark.parametrize("name", ["../../evil", "/evil", "a/../../evil", "c:evil", "a\\evil"])
    def test_a_manifest_that_names_files_elsewhere(self, served: Served, name: str) -> None:
        there = served.root / "eval.zarr"
        manifest = Manifest.read(there)
        Manifest(manifest.content_digest, {**manifest.files, name: FileRecord(0, "")}).write(there)
        assert "names a file outside the dataset" in refused(served.url)

    def test_a_server_that_is_not_there(self) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # and does not listen
            message = refused(f"http://127.0.0.1:{taken.getsockname()[1]}/eval.zarr")
        assert "cannot be reached" in message
        assert "OFFLINE" not in message

    def test_a_cache_that_cannot_be_written(
        self, served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("SEN_BENCH_CACHE", str(tmp_path / "file"))
        assert "cannot be written" in refused(served.url)

    def test_a_package_that_is_not_installed(self, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "aiohttp", None)
        assert "pip install 'sen-bench[remote]'" in refused(served.url)

    @pytest.mark.parametrize("url", ["gopher://hole/eval.zarr", "s3://bucket/eval.zarr"])
    def test_protocols_that_cannot_be_read_here(self, url: str) -> None:
        assert url.partition(":")[0] in refused(url)

    @pytest.mark.parametrize(
        "url",
        [
            "http://[bad",
            "http://localhost:99999/eval.zarr",
            "zip://eval.zarr::nowhere.zip",
            "data://eval.zarr",
            "reference://eval.zarr",
            "dir://eval.zarr",
            "generic://eval.zarr",
        ],
    )
    def test_urls_that_their_file_system_does_not_understand(self, url: str) -> None:
        assert url in refused(url)


class TestOffline:
    def test_what_was_fetched_can_be_read(
        self, served: Served, pristine: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        open_dataset(served.url).load("observation")
        monkeypatch.setenv("SEN_BENCH_OFFLINE", "1")
        del served.asked[:]
        remote = open_dataset(served.url)
        np.testing.assert_array_equal(remote.load("observation"), open_dataset(pristine).load("observation"))
        assert not served.asked

    def test_what_was_not_cannot(self, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SEN_BENCH_OFFLINE", "1")
        assert "there is no copy of" in refused(served.url)
        monkeypatch.setenv("SEN_BENCH_OFFLINE", "0")
        open_dataset(served.url).load("observation")
        monkeypatch.setenv("SEN_BENCH_OFFLINE", "1")
        assert "was not fetched before" in refused(served.url, "state")

    def test_it_is_never_used_unasked_but_said_to_be_there(self, served: Served) -> None:
        open_dataset(served.url)
        served.dies.add(f"eval.zarr/{MANIFEST}")
        assert "SEN_BENCH_OFFLINE=1" in refused(served.url)


class TestCommands:
    def test_info_fetches_no_array(self, served: Served, pristine: Path) -> None:
        there = CliRunner().invoke(main, ["info", served.url])
        assert there.exit_code == 0, there.output
        assert there.stdout == CliRunner().invoke(main, ["info", str(pristine)]).stdout
        assert not [name for name in served.asked if "/c/" in name]

    def test_view_draws_the_same(self, served: Served, pristine: Path, tmp_path: Path) -> None:
        for place, name in ((served.url, "there.png"), (str(pristine), "here.png")):
            result = CliRunner().invoke(main, ["view", place, "--twin", "--out", str(tmp_path / name)])
            assert result.exit_code == 0, result.output
        assert (tmp_path / "there.png").read_bytes() == (tmp_path / "here.png").read_bytes()

    def test_export_fetches_no_twins(self, served: Served, tmp_path: Path) -> None:
        command = ["export", served.url, "--format", "hdf5", "--out", str(tmp_path / "x.h5")]
        result = CliRunner().invoke(main, command)
        assert result.exit_code == 0, result.output
        assert not [name for name in served.asked if "twin" in name]

    def test_verify_looks_at_all_of_it(self, served: Served) -> None:
        flip(served.root / "eval.zarr" / SECOND_SHARD)
        damaged = CliRunner().invoke(main, ["verify", served.url, "--quiet"])
        assert damaged.exit_code == 2
        assert f"{SECOND_SHARD} is not what the manifest says" in damaged.stderr
        flip(served.root / "eval.zarr" / SECOND_SHARD)
        whole = CliRunner().invoke(main, ["verify", served.url, "--quiet"])
        assert whole.exit_code == 0, whole.output
        assert whole.stdout.startswith(f"{served.url}: whole")

    def test_a_mistake_ends_in_one_line(self, served: Served) -> None:
        result = CliRunner().invoke(main, ["info", served.url + "x"])
        assert result.exit_code == 2
        assert result.stderr.count("\n") == 1
        assert result.stderr.startswith("error: there is no dataset at")

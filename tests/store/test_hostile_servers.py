"""Servers that never end, drip, inflate, lie about lengths or lead in circles: one line each, soon."""

from __future__ import annotations

import functools
import gzip
import http.server
import re
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sen_bench.errors import DatasetError
from sen_bench.generators import Recipe, generate
from sen_bench.store import MANIFEST, cache_folder, open_dataset
from tests.support.fake_worlds import DRIFT

RECIPE = Recipe(task="drift", split="eval", world_id=DRIFT, episodes=8, horizon=4)
CHUNK = "state/c/0/0/0"
# What a test waits for at most, and so what no server of these tests goes on longer than.
END = 10.0


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers each path as it is told to, others with the files of a folder, to which moved/ leads."""

    def __init__(self, *arguments: object, server_of: Hostile, **more: object) -> None:
        self.of = server_of
        super().__init__(*arguments, **more)  # type: ignore[arg-type]

    def log_message(self, *arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        self.close_connection = True
        path, _, query = self.path.lstrip("/").partition("?")
        self.of.asked.append((path, query))
        self.of.headers.append(dict(self.headers))
        try:
            if path in self.of.answers:
                self.of.answers[path](self)
            elif path.startswith("moved/"):
                self.begin(302, {"Location": f"/eval.zarr/{path.removeprefix('moved/')}"})
            elif (file := self.of.root / path).is_file():
                self.begin(200, {"Content-Length": str(file.stat().st_size)})
                self.wfile.write(file.read_bytes())
            else:
                self.begin(404, {})
        except OSError:
            pass  # the client has gone, which is the point

    def begin(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


class Hostile:
    """A web server on this machine.

    Attributes:
        root: The folder that it serves.
        url: The address of the dataset in it.
        answers: Path -> what answers in place of a file.
        asked: Path and query of each request.
        headers: Of each request.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.answers: dict[str, Callable[[Handler], None]] = {}
        self.asked: list[tuple[str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), functools.partial(Handler, server_of=self)
        )
        self.port = self.server.server_port
        self.url = f"http://127.0.0.1:{self.port}/eval.zarr"


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(RECIPE, tmp_path_factory.mktemp("there") / "eval.zarr").path.parent


@pytest.fixture
def hostile(there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hostile]:
    monkeypatch.setenv("SEN_BENCH_CACHE", str(tmp_path / "cache"))
    hostile = Hostile(there)
    thread = threading.Thread(target=hostile.server.serve_forever, args=(0.01,))
    thread.start()
    yield hostile
    hostile.server.shutdown()
    thread.join()
    hostile.server.server_close()


def refused(url: str, *, within: float = END) -> str:
    """The one line that refuses a dataset, in bounded time and with bounded memory."""
    began = time.monotonic()
    tracemalloc.start()
    try:
        with pytest.raises(DatasetError) as caught:
            open_dataset(url).load("state")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert time.monotonic() - began < within
    assert peak < 64e6
    assert str(caught.value).isprintable()
    return str(caught.value)


def endless(handler: Handler) -> None:
    handler.begin(200, {})
    ends = time.monotonic() + END
    while time.monotonic() < ends:
        handler.wfile.write(b" " * 65536)


def drip(handler: Handler) -> None:
    handler.begin(200, {})
    ends = time.monotonic() + END
    while time.monotonic() < ends:
        handler.wfile.write(b" ")
        time.sleep(0.05)


def dripping_headers(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.0 200 OK\r\nX-Slow: ")
    ends = time.monotonic() + END
    while time.monotonic() < ends:
        handler.wfile.write(b"x")
        time.sleep(0.05)


@functools.cache
def inflatable() -> bytes:
    return gzip.compress(bytes(100_000_000), 1)


def bomb(handler: Handler) -> None:
    data = inflatable()
    handler.begin(200, {"Content-Encoding": "gzip", "Content-Length": str(len(data))})
    handler.wfile.write(data)


@pytest.mark.parametrize("name", [CHUNK, "zarr.json"])
def test_a_file_that_never_ends_stops_at_its_size(hostile: Hostile, name: str) -> None:
    hostile.answers[f"eval.zarr/{name}"] = endless
    assert f"{name} is not what it should be: it has more than" in refused(hostile.url)
    assert not [file for file in cache_folder().rglob(name) if file.is_file()]


def test_a_manifest_that_never_ends_stops_at_the_cap(
    hostile: Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sen_bench.store.remote.MOST_METADATA_BYTES", 2_000_000)
    hostile.answers[f"eval.zarr/{MANIFEST}"] = endless
    assert f"{MANIFEST} is not what it should be: it has more than 2000000 bytes" in refused(hostile.url)


def test_an_announced_length_that_is_too_large_is_refused_before_it_is_read(hostile: Hostile) -> None:
    hostile.answers[f"eval.zarr/{CHUNK}"] = lambda handler: handler.begin(200, {"Content-Length": "10" * 8})
    assert "it has more than" in refused(hostile.url, within=3)


def test_a_root_that_is_announced_too_large_is_not_fetched(
    hostile: Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sen_bench.store.opening.MOST_METADATA_BYTES", 100)
    assert "zarr.json is larger than the 100 bytes that are read" in refused(hostile.url)
    assert [path for path, _ in hostile.asked] == [f"eval.zarr/{MANIFEST}"]


@pytest.mark.parametrize("name", [MANIFEST, CHUNK])
def test_what_is_compressed_on_the_way_is_not_inflated(hostile: Hostile, name: str) -> None:
    inflatable()  # now, not while memory is counted
    hostile.answers[f"eval.zarr/{name}"] = bomb
    assert f"{name} is sent encoded as gzip, which was not asked for" in refused(hostile.url)
    assert {headers["Accept-Encoding"] for headers in hostile.headers} == {"identity"}


@pytest.mark.parametrize("answer", [drip, dripping_headers])
@pytest.mark.parametrize("name", [MANIFEST, CHUNK])
def test_a_server_that_drips_is_given_up(
    hostile: Hostile, monkeypatch: pytest.MonkeyPatch, name: str, answer: Callable[[Handler], None]
) -> None:
    monkeypatch.setattr("sen_bench.store.source._PATIENCE", 1)
    hostile.answers[f"eval.zarr/{name}"] = answer
    assert f"{name} comes too slowly" in refused(hostile.url, within=6)


def test_a_server_just_above_the_least_rate_comes_to_an_end(
    hostile: Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"_PATIENCE": 1, "_SLOWEST": 1, "_GRACE": 2, "_SLOWEST_ON_AVERAGE": 1e9}.items():
        monkeypatch.setattr(f"sen_bench.store.source.{name}", value)
    hostile.answers[f"eval.zarr/{MANIFEST}"] = drip
    assert f"{MANIFEST} takes too long: " in refused(hostile.url, within=6)


def test_a_slow_line_that_is_fast_enough_is_waited_for(
    hostile: Hostile, there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sen_bench.store.source._PATIENCE", 1)
    data = (there / "eval.zarr" / MANIFEST).read_bytes()
    pause = 1.6 / (len(data) // 256 + 1)

    def slowly(handler: Handler) -> None:
        handler.begin(200, {"Content-Length": str(len(data))})
        for start in range(0, len(data), 256):
            handler.wfile.write(data[start : start + 256])
            time.sleep(pause)

    hostile.answers[f"eval.zarr/{MANIFEST}"] = slowly
    assert len(data) > 1.6 * 1024
    assert open_dataset(hostile.url).episodes == RECIPE.episodes


@pytest.mark.parametrize(
    ("said", "sent", "why"),
    [
        (1, 0, "it has more than"),
        (-1, -1, "bytes arrived that should be"),
        # Whether the byte beyond the length is seen depends on how the bytes come.
        (-1, 0, "cannot be reached|bytes arrived that should be"),
    ],
)
def test_a_wrong_content_length(hostile: Hostile, there: Path, said: int, sent: int, why: str) -> None:
    """Of a file that is as long as the manifest says, plus what is said and what is sent."""
    data = (there / "eval.zarr" / CHUNK).read_bytes()

    def lie(handler: Handler) -> None:
        handler.begin(200, {"Content-Length": str(len(data) + said)})
        handler.wfile.write(data[: len(data) + sent])

    hostile.answers[f"eval.zarr/{CHUNK}"] = lie
    assert re.search(why, refused(hostile.url))


def test_a_redirect_is_followed_and_a_circle_is_not(hostile: Hostile) -> None:
    moved = hostile.url.replace("eval.zarr", "moved")
    assert len(open_dataset(moved).load("state")) == RECIPE.episodes
    hostile.answers[f"moved/{MANIFEST}"] = lambda handler: handler.begin(
        302, {"Location": f"/moved/{MANIFEST}"}
    )
    assert "too many redirects" in refused(moved)
    assert len(hostile.asked) < 40


@pytest.mark.parametrize("where", ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://[bad/", "//\x1b[31m"])
def test_a_redirect_to_what_is_not_http(hostile: Hostile, where: str) -> None:
    hostile.answers[f"eval.zarr/{MANIFEST}"] = lambda handler: handler.begin(302, {"Location": where})
    assert "cannot be reached" in refused(hostile.url)


@pytest.mark.parametrize("status", [401, 403, 429, 500, 206])
def test_refusals_are_said(hostile: Hostile, status: int) -> None:
    hostile.answers[f"eval.zarr/{MANIFEST}"] = lambda handler: handler.begin(status, {})
    assert f"the server answers {status}" in refused(hostile.url)


class TestSignedUrls:
    QUERY = "X-Signature=a%2Bb%2F%3D&expires=1+2&path=a/"

    def test_the_query_goes_along_to_every_file_as_it_is(self, hostile: Hostile) -> None:
        dataset = open_dataset(f"{hostile.url}?{self.QUERY}")
        assert len(dataset.load("state")) == RECIPE.episodes
        assert {path for path, _ in hostile.asked} >= {f"eval.zarr/{MANIFEST}", f"eval.zarr/{CHUNK}"}
        assert {query for _, query in hostile.asked} == {self.QUERY}
        assert dataset.place.endswith(self.QUERY)

    @pytest.mark.parametrize("status", [403, 404])
    def test_no_message_shows_it(self, hostile: Hostile, status: int) -> None:
        hostile.answers[f"eval.zarr/{MANIFEST}"] = lambda handler: handler.begin(status, {})
        address = hostile.url.replace("//", "//me:password@")
        message = refused(f"{address}?{self.QUERY}")
        assert "Signature" not in message
        assert "password" not in message


class TestProxies:
    def test_the_proxy_of_the_environment_is_used(
        self, hostile: Hostile, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{hostile.port}")
        refused("http://data.invalid/eval.zarr")
        assert hostile.asked == [(f"http://data.invalid/eval.zarr/{MANIFEST}", "")]

    def test_but_not_where_it_is_not_to_be(self, hostile: Hostile, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert open_dataset(hostile.url).episodes == RECIPE.episodes

    def test_passwords_of_netrc(
        self, hostile: Hostile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        open_dataset(hostile.url)
        assert {headers.get("Authorization") for headers in hostile.headers} == {"Basic bWU6c2VjcmV0"}


class TestCacheEntries:
    @pytest.mark.parametrize("content", [b"\0" * 64, b"a\0b", b"\xff\xfe", b"", b"../../etc", b"0" * 63])
    def test_a_damaged_pointer_to_the_last_copy(
        self, hostile: Hostile, monkeypatch: pytest.MonkeyPatch, content: bytes
    ) -> None:
        open_dataset(hostile.url)
        (pointer,) = (cache_folder() / "urls").iterdir()
        pointer.write_bytes(content)
        monkeypatch.setenv("SEN_BENCH_OFFLINE", "1")
        assert "is damaged; delete it" in refused(hostile.url)

    def test_a_damaged_manifest(self, hostile: Hostile, monkeypatch: pytest.MonkeyPatch) -> None:
        manifest = open_dataset(hostile.url).path / MANIFEST
        manifest.write_bytes(manifest.read_bytes().replace(b"\n", b"\0", 1))
        monkeypatch.setenv("SEN_BENCH_OFFLINE", "1")
        assert "is damaged: its sha256 is not" in refused(hostile.url)

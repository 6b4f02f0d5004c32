"""A Hugging Face Hub of one machine: the few calls by which files are uploaded and read, and no more."""

from __future__ import annotations

import base64
import http.server
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_of_the_tests"  # noqa: S105 — opens nothing


@dataclass
class Hub:
    """What the hub has, and what it was asked.

    Attributes:
        url: Its address.
        files: Repository, as in addresses of files ("datasets/o/n", "o/n") -> path -> contents.
        asked: Method and path of every request.
        large: Files of at least so many bytes are uploaded and read elsewhere, as the hub does with LFS.
        private: Whether reading needs the token.
        breaks: After how many uploads of large files everything is refused, as if the network had gone.
        storage: The address where large files are.
        tokens: What requests to that address brought as authorization.
        objects: Large files by their sha256.
    """

    url: str = ""
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    large: int = 10**9
    private: bool = False
    breaks: int | None = None
    storage: str = ""
    tokens: list[str | None] = field(default_factory=list)
    objects: dict[str, bytes] = field(default_factory=dict)


class _Handler(http.server.BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: object) -> None:
        pass

    def answer(self, code: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def json(self, data: Any) -> None:
        self.answer(200, json.dumps(data).encode(), Content_Type="application/json")

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))


class _HubHandler(_Handler):
    def do_GET(self) -> None:
        hub, path = self.hub, unquote(urlsplit(self.path).path)
        hub.asked.append(f"GET {path}")
        if hub.private and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.answer(401)
        elif found := re.fullmatch(r"/api/(datasets|models)/(.+)/tree/main", path):
            files = hub.files[f"datasets/{found[2]}" if found[1] == "datasets" else found[2]]
            self.json(
                [{"type": "file", "path": n, "size": len(d), "oid": "0" * 40} for n, d in files.items()]
            )
        elif found := re.fullmatch(r"/(?P<repo>.+)/resolve/main/(?P<file>.+)", path):
            data = hub.files.get(found["repo"], {}).get(found["file"])
            if data is None:
                self.answer(404)
            elif len(data) >= hub.large:
                self.answer(302, Location=f"{hub.storage}/{found['repo']}/{found['file']}")
            else:
                self.answer(200, data)
        else:
            self.answer(404)

    def do_POST(self) -> None:
        hub, path = self.hub, unquote(urlsplit(self.path).path)
        hub.asked.append(f"POST {path}")
        body = self.body()
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.answer(401)
        elif path == "/api/repos/create":
            said = json.loads(body)
            folder = "datasets/" if said.get("type") == "dataset" else ""
            name = f"{folder}{said['organization']}/{said['name']}"
            if name in hub.files:
                self.answer(409, json.dumps({"url": f"{hub.url}/{name}"}).encode())
            else:
                hub.files[name] = {}
                self.json({"url": f"{hub.url}/{name}", "id": name.removeprefix("datasets/")})
        elif path == "/api/validate-yaml":
            self.json({"errors": [], "warnings": []})
        elif found := re.fullmatch(r"/api/(datasets|models)/(.+)/(preupload|commit)/main", path):
            name = f"datasets/{found[2]}" if found[1] == "datasets" else found[2]
            if found[3] == "preupload":
                self.json({"files": [self._mode(file) for file in json.loads(body)["files"]]})
            else:
                self._commit(name, body)
        elif path.endswith(".git/info/lfs/objects/batch"):
            self._lfs(json.loads(body))
        else:
            self.answer(404)

    def _mode(self, file: dict[str, Any]) -> dict[str, Any]:
        mode = "lfs" if file["size"] >= self.hub.large else "regular"
        return {"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": None}

    def _lfs(self, said: dict[str, Any]) -> None:
        objects = []
        for one in said["objects"]:
            actions = {"upload": {"href": f"{self.hub.storage}/{one['oid']}"}}
            there = one["oid"] in self.hub.objects
            objects.append({**one, **({} if there else {"actions": actions})})
        self.json({"transfer": "basic", "objects": objects})

    def _commit(self, name: str, body: bytes) -> None:
        new = {}
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                new[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                new[value["path"]] = self.hub.objects[value["oid"]]
            elif line["key"] == "deletedFile":
                del self.hub.files[name][value["path"]]
        self.hub.files[name].update(new)
        commit = "0" * 40
        self.json({"commitUrl": f"{self.hub.url}/{name}/commit/{commit}", "commitOid": commit})


class _StorageHandler(_Handler):
    def do_GET(self) -> None:
        self.hub.tokens.append(self.headers.get("Authorization"))
        path = unquote(self.path)[1:]
        for repo, files in self.hub.files.items():
            if path.startswith(f"{repo}/"):
                self.answer(200, files[path.removeprefix(f"{repo}/")])
                return
        self.answer(404)

    def do_PUT(self) -> None:
        hub = self.hub
        hub.asked.append(f"PUT {self.path}")
        data = self.body()
        if hub.breaks is not None and len(hub.objects) >= hub.breaks:
            self.answer(403)
        else:
            hub.objects[self.path[1:]] = data
            self.answer(200)


@contextmanager
def _serving(handler: type[_Handler]) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def running_hub() -> Iterator[Hub]:
    """A hub that runs as long as its context."""
    hub = Hub()
    parts: dict[str, Any] = {"hub": hub}
    with (
        _serving(type("Handler", (_HubHandler,), parts)) as hub.url,
        _serving(type("Storage", (_StorageHandler,), parts)) as hub.storage,
    ):
        yield hub

"""Uploads by the real huggingface_hub, to a hub of this machine: whole or not at all, and resumed."""

from __future__ import annotations

from pathlib import Path

import pytest

from sen_bench.store import open_dataset
from tests.support.commands import done, refused
from tests.support.hub_server import Hub

# The library's own use of its HTTP client is not our matter.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=")

TO = ("--to", "hf://datasets/o/drift")


@pytest.fixture(autouse=True)
def basic(monkeypatch: pytest.MonkeyPatch) -> None:
    """No protocol for large files but the one that the hub of the tests speaks."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)


def test_what_is_uploaded_is_read_again(hub: Hub, store: Path, here: Path) -> None:
    assert done("publish", str(store), *TO).stdout == f"{hub.url}/datasets/o/drift\n"
    files = hub.files["datasets/o/drift"]
    assert {"README.md", "croissant.json", "SHA256SUMS", "drift/eval.zarr/manifest.json"} < set(files)
    url = "hf://datasets/o/drift/drift/eval.zarr"
    assert open_dataset(url).files_digest == open_dataset(store).files_digest
    assert url in files["README.md"].decode()
    done("fetch", url)
    assert open_dataset(here / "data/drift/eval.zarr").files_digest == open_dataset(store).files_digest
    files["drift/eval.zarr/stray"] = b"of another version"
    files["notes.md"] = b"of the owner"
    done("publish", str(store), *TO)
    assert "drift/eval.zarr/stray" not in files
    assert "notes.md" in files


def test_an_upload_that_breaks_off_shows_nothing_and_is_resumed(hub: Hub, store: Path) -> None:
    hub.large = 700
    hub.breaks = 2
    line = refused("publish", str(store), *TO)
    assert "could not be written" in line
    assert "give the same command again to go on" in line
    assert hub.files["datasets/o/drift"] == {}
    hub.breaks = None
    before = set(hub.objects)
    assert before
    del hub.asked[:]
    done("publish", str(store), *TO)
    sent = {line.removeprefix("PUT /") for line in hub.asked if line.startswith("PUT ")}
    assert sent
    assert not sent & before
    assert open_dataset("hf://datasets/o/drift/drift/eval.zarr").content_digest


def test_what_the_hub_cannot_take(hub: Hub, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = "cannot hold this; publish datasets to hf://datasets/OWNER/NAME"
    assert wrong in refused("publish", str(store), "--to", "hf://o/drift")
    assert wrong in refused("publish", str(store), "--to", "hf://datasets/o/drift/folder")
    monkeypatch.setenv("HF_TOKEN", "hf_of_nobody")
    line = refused("publish", str(store), *TO)
    assert "401" in line
    assert "hf_of_nobody" not in line
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("sen_bench.publishing.upload.hub_token", lambda: None)
    assert "nobody is logged in to the hub" in refused("publish", str(store), *TO)
    assert hub.files == {}

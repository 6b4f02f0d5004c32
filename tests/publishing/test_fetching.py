"""Datasets come from behind URLs to where runs look for them, whole and of the right recipe."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sen_bench.errors import DatasetError
from sen_bench.generators import generate
from sen_bench.store import HubAddress, open_dataset
from sen_bench.tasks import get_task
from tests.paths import ROOT
from tests.publishing.conftest import uploaded
from tests.support.commands import done, refused
from tests.support.hub_server import Hub


@pytest.mark.parametrize(
    ("url", "resolved"),
    [
        ("hf://datasets/o/n/a/b.zarr/", "/datasets/o/n/resolve/main/a/b.zarr"),
        ("hf://datasets/o/n@v1.0/a b", "/datasets/o/n/resolve/v1.0/a%20b"),
        ("hf://datasets/o/n@refs/pr/7/a", "/datasets/o/n/resolve/refs%2Fpr%2F7/a"),
        ("hf://datasets/o/n@my%2Fbranch/a", "/datasets/o/n/resolve/my%2Fbranch/a"),
        ("hf://o/n/a@b", "/o/n/resolve/main/a%40b"),
    ],
)
def test_addresses_of_the_hub(url: str, resolved: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.example/")
    address = HubAddress.parse(url)
    assert address.resolved == f"https://hub.example{resolved}"
    assert HubAddress.parse(str(address)) == address


@pytest.mark.parametrize(
    "url", ["hf://", "hf://datasets/o", "hf://datasets/o/n/../x", "hf://datasets/o/n//x", "hf://spaces/o/n"]
)
def test_what_is_no_address_of_the_hub(url: str) -> None:
    with pytest.raises(DatasetError, match=r"is no address of the hub; write hf://datasets/OWNER/NAME/PATH"):
        HubAddress.parse(url)


def test_what_reads_datasets_reads_the_hub(hub: Hub, store: Path) -> None:
    hub.private = True
    hub.large = 500
    url = uploaded(hub, store)
    local, remote = open_dataset(store), open_dataset(url)
    for name in local.arrays:
        np.testing.assert_array_equal(remote.load(name), local.load(name))
    # Large files lie on another host, which must not learn the token.
    assert hub.tokens
    assert set(hub.tokens) == {None}
    assert f"{url}: whole" in done("verify", url).stdout


def test_a_private_dataset_needs_the_token(hub: Hub, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.private = True
    url = uploaded(hub, store)
    monkeypatch.setenv("HF_TOKEN", "hf_of_nobody")
    line = refused("info", url)
    assert "the hub answers 401 Unauthorized: there is no such repository, or it is private" in line
    assert "hf_of_nobody" not in line


@pytest.mark.usefixtures("here")
def test_a_dataset_is_put_where_runs_look_for_it(hub: Hub, store: Path) -> None:
    url = uploaded(hub, store)
    target = Path("data/drift/eval.zarr").absolute()
    assert done("fetch", url, "--regenerate", "2").stdout == f"{target}: fetched\n"
    assert open_dataset(target).files_digest == open_dataset(store).files_digest
    assert sorted(path.name for path in target.parent.iterdir() if ".lock" not in path.name) == ["eval.zarr"]
    assert done("fetch", url).stdout == f"{target}: already there, nothing to do\n"
    task = get_task("drift")
    assert not generate(task.recipe("eval"), target).created


@pytest.mark.usefixtures("here")
def test_what_is_damaged_is_refused_and_the_rest_is_not_fetched_again(hub: Hub, store: Path) -> None:
    url = uploaded(hub, store)
    files = hub.files["datasets/o/n"]
    name = next(name for name in files if "/action/c/" in name)
    right = files[name]
    files[name] = bytes(len(right))
    assert "is not what the manifest says" in refused("fetch", url)
    assert not Path("data/drift/eval.zarr").exists()
    files[name] = right
    del hub.asked[:]
    done("fetch", url)
    again = [line for line in hub.asked if not line.endswith(("manifest.json", "/zarr.json"))]
    assert f"GET /datasets/o/n/resolve/main/{name}" in again
    assert len(again) < len(files) / 2


@pytest.mark.usefixtures("here")
def test_other_recipes_are_refused_before_they_are_fetched(hub: Hub, store: Path) -> None:
    shutil.rmtree(store)
    task = get_task("drift")
    generate(task.recipe("eval", seed=5), store)
    url = uploaded(hub, store)
    line = refused("fetch", url)
    assert f"{url} is not what task 'drift' asks for: it has seed 5 instead of" in line
    assert not any("/c/" in asked for asked in hub.asked)
    assert not list(Path().iterdir())


@pytest.mark.usefixtures("here")
def test_another_dataset_in_the_place_is_kept_unless_forced(hub: Hub, store: Path) -> None:
    url = uploaded(hub, store)
    target = Path("data/drift/eval.zarr")
    generate(get_task("drift").recipe("eval", seed=5), target)
    assert "is another dataset, with seed 5 instead of" in refused("fetch", url)
    result = done("fetch", url, "--force")
    assert "moved the old dataset to" in result.stderr
    assert Path("data/drift/eval.zarr.old-1").exists()
    assert open_dataset(target).files_digest == open_dataset(store).files_digest


@pytest.mark.usefixtures("here", "drift")
def test_what_a_dataset_calls_itself_is_neither_imported_nor_called(hub: Hub, tmp_path: Path) -> None:
    recipe = replace(get_task("drift").recipe("eval"), task="tests.support.mortal_world:main")
    store = generate(recipe, tmp_path / "made/eval.zarr").path
    assert "unknown task 'tests.support.mortal_world:main'" in refused("fetch", uploaded(hub, store))


def test_what_is_no_url(here: Path) -> None:
    del here
    assert refused("fetch", "data/x.zarr").startswith("error: 'data/x.zarr' is no URL; write hf://")


KILLED = """
import os
import sen_bench.store.remote as remote

written = []
write = remote._write

def dying(path, data):
    write(path, data)
    written.append(path)
    if len(written) == int(os.environ["DIES_AT"]):
        os.kill(os.getpid(), 9)

remote._write = dying
from sen_bench.cli.main import main
main()
"""


def test_a_kill_leaves_nothing_that_is_taken_for_whole(hub: Hub, store: Path, here: Path) -> None:
    url = uploaded(hub, store)
    paths = [os.environ.get("PYTHONPATH", ""), str(store.parents[2] / "site"), str(ROOT)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "DIES_AT": "12"}
    script = [sys.executable, "-c", KILLED, "fetch", url]
    ended = subprocess.run(script, env=environment, cwd=here, capture_output=True, check=False)
    assert ended.returncode == -9, ended.stderr
    assert not (here / "data/drift/eval.zarr").exists()
    draft = here / "data/drift/.eval.zarr.fetched"
    with pytest.raises(DatasetError):
        open_dataset(draft)
    files = open_dataset(store).manifest.files
    # Those that were being written when it died are drafts, and do not count.
    arrived = sum(record.describes(draft / name) for name, record in files.items())
    assert arrived > 3
    del hub.asked[:]
    done("fetch", url)
    assert open_dataset(here / "data/drift/eval.zarr").files_digest == open_dataset(store).files_digest
    assert len(hub.asked) <= len(files) - arrived + 2  # the manifest and the root, to see what it is
    assert not draft.exists()

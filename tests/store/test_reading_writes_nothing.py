"""Reading a dataset writes nothing: it may lie on a medium or in a folder that cannot be written."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sen_bench.checks import verify
from sen_bench.generators import Recipe, generate
from sen_bench.store import open_dataset
from tests.support.commands import done
from tests.support.fake_worlds import DRIFT

RECIPE = Recipe(task="drift", split="eval", world_id=DRIFT, episodes=4, horizon=2, twin=True)
# What Python says of an attempt to change a file or a folder, or to lock one.
CHANGES = {
    *(
        f"os.{name}"
        for name in ("mkdir", "remove", "rename", "rmdir", "link", "symlink", "truncate", "chmod")
    ),
    *("fcntl.flock", "fcntl.lockf"),
}

_watched: list[tuple[Path, list[str]]] = []


def _look(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watched:
        return
    folder, seen = _watched[-1]
    if event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
        flags = arguments[2] or 0
        writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
        if writes and os.fsdecode(arguments[0]).startswith(str(folder)):
            seen.append(f"opened {os.fsdecode(arguments[0])} for writing")
    elif event.startswith("fcntl.") and event in CHANGES:
        seen.append(f"locked something: {event}")
    elif event in CHANGES and any(str(folder) in str(argument) for argument in arguments):
        seen.append(f"{event} {arguments}")


@pytest.fixture(scope="module", autouse=True)
def hook() -> None:
    """Hears of every attempt; a hook cannot be taken away again, and says nothing outside of these tests."""
    sys.addaudithook(_look)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Path]:
    """A dataset with what a generation that was killed left beside it; whatever changes the folder fails."""
    folder = tmp_path / "shelf"
    generate(RECIPE, folder / "eval.zarr")
    (folder / ".eval.zarr.partial").mkdir()
    (folder / ".eval.zarr.lock").touch()
    seen: list[str] = []
    _watched.append((folder, seen))
    yield folder
    _watched.clear()
    assert not seen


def test_an_attempt_is_heard_of(watched: Path) -> None:
    _, seen = _watched[-1]
    (watched / "new").touch()
    (watched / "new").unlink()
    assert len(seen) == 2, seen
    seen.clear()


@pytest.mark.parametrize(
    "read",
    [
        lambda place: open_dataset(place).load("observation"),
        lambda place: open_dataset(place).read("twin/state", 1, 3),
        lambda place: open_dataset(place).array("state")[2],
        verify,
        lambda place: done("info", str(place)),
        lambda place: done("verify", str(place), "--quiet"),
    ],
    ids=["load", "read", "array", "verify", "info", "verify command"],
)
def test_reading(watched: Path, read: Callable[[Path], object]) -> None:
    read(watched / "eval.zarr")


def test_viewing(watched: Path, tmp_path: Path) -> None:
    done("view", str(watched / "eval.zarr"), "--out", str(tmp_path / "picture.png"))


def test_what_is_finished_is_not_generated(watched: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As root may write anywhere, the folder only says that it cannot be written."""
    monkeypatch.setattr(os, "access", lambda _path, mode, **_: mode != os.W_OK)
    assert not generate(RECIPE, watched / "eval.zarr").created

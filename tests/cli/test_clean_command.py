"""What is left behind is listed with its size, deleted only on request; what is needed is never touched."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from filelock import FileLock

from sen_bench.cli.main import main

LEFT = {
    "data/3d-blocks/train.zarr.old-1/c/0": 1500,
    "data/3d-blocks/.eval.zarr.partial.old-2/journal": 20,
    "runs/3d-blocks/train/sen/cpu/seed-0.old-1/checkpoint.pt": 3_000_000,
    "runs/3d-blocks/train/sen/cpu/seed-0/decoder.old-1/checkpoint.pt": 10,
    "results/.index.html.4711-140.partial": 7,
}
KEPT = (
    "data/3d-blocks/train.zarr/c/seed-0.old-1",
    "data/3d-blocks/.eval.zarr.partial/store-1/.x.1-1.partial",
    "runs/3d-blocks/train/sen/large.old-1/seed-0/checkpoint.pt",
    "runs/3d-blocks/train/sen/cpu/seed-0/checkpoint.pt",
    "results/runs.csv",
    "results/runs.csv.old-1",
    "results/.index.html.1-1.other",
)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, size in {**LEFT, **dict.fromkeys(KEPT, 5)}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(size))
        long_ago = time.time() - 7200
        os.utime(path, (long_ago, long_ago))
    return tmp_path


def _clean(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["clean", *arguments])


def _files(here: Path) -> set[str]:
    return {path.relative_to(here).as_posix() for path in here.rglob("*") if path.is_file()}


def test_leftovers_are_listed_with_sizes_and_nothing_is_removed(here: Path) -> None:
    listed = _clean()
    assert listed.exit_code == 0
    assert listed.stdout.splitlines() == [
        "     20 B  data/3d-blocks/.eval.zarr.partial.old-2",
        "   1.5 kB  data/3d-blocks/train.zarr.old-1",
        "     10 B  runs/3d-blocks/train/sen/cpu/seed-0/decoder.old-1",
        "   3.0 MB  runs/3d-blocks/train/sen/cpu/seed-0.old-1",
        "      7 B  results/.index.html.4711-140.partial",
    ]
    assert listed.stderr == "3.0 MB could be freed; nothing is removed without --remove\n"
    assert _files(here) == {*LEFT, *KEPT}


@pytest.mark.parametrize("option", ["--remove", "--yes"])
def test_what_was_listed_is_removed_on_request(here: Path, option: str) -> None:
    listed = _clean()
    removed = _clean(option)
    assert removed.stdout == listed.stdout
    assert removed.stderr == "removed: 3.0 MB\n"
    assert _files(here) == set(KEPT)
    again = _clean(option)
    assert (again.exit_code, again.stdout, again.stderr) == (0, "", "nothing is left over\n")


def test_folders_are_those_that_are_named(here: Path) -> None:
    assert _clean("--data", "none", "--runs", "none", "--results", "none").stderr == "nothing is left over\n"
    moved = here / "elsewhere"
    (here / "runs").rename(moved)
    assert len(_clean("--runs", str(moved), "--data", "none").stdout.splitlines()) == 3


def test_links_are_removed_and_what_they_lead_to_is_not(here: Path) -> None:
    outside = here / "outside" / "seed-1.old-1"
    outside.mkdir(parents=True)
    (outside / "checkpoint.pt").write_bytes(b"12345")
    (here / "runs" / "seed-2.old-1").symlink_to(outside)
    (here / "runs" / "theirs").symlink_to(outside.parent)
    assert _clean("--remove").exit_code == 0
    assert (outside / "checkpoint.pt").exists()
    assert not (here / "runs" / "seed-2.old-1").is_symlink()
    assert (here / "runs" / "theirs").is_symlink()


def test_a_draft_that_may_still_be_written_is_kept(here: Path) -> None:
    draft = here / "results" / ".curves.csv.1-2.partial"
    draft.write_bytes(b"half")
    assert _clean("--remove").exit_code == 0
    assert draft.exists()


def test_what_cannot_be_removed_is_said_in_one_line(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("sen_bench.system.leftovers.shutil.rmtree", refuse)
    refused = _clean("--remove")
    assert refused.exit_code == 2
    assert refused.stderr == "error: cannot remove what is left over in data: Permission denied\n"
    assert _files(here) == {*LEFT, *KEPT}


@pytest.mark.usefixtures("here")
def test_json_says_what_each_thing_is() -> None:
    kinds = dict.fromkeys(
        ("data/3d-blocks/.eval.zarr.partial.old-2", "data/3d-blocks/train.zarr.old-1"), "moved aside"
    )
    listed = _clean("--json", "--runs", "none")
    kinds["results/.index.html.4711-140.partial"] = "draft"
    rows = [
        {"path": path, "bytes": size, "kind": kind, "removed": False}
        for (path, kind), size in zip(kinds.items(), (20, 1500, 7), strict=True)
    ]
    assert json.loads(listed.stdout) == rows
    removed = json.loads(_clean("--json", "--runs", "none", "--remove").stdout)
    assert removed == [{**row, "removed": True} for row in rows]
    assert json.loads(_clean("--json", "--runs", "none").stdout) == []


LOCKS = ("data/3d-blocks/.train.zarr.lock", "results/runs.csv.lock", "runs/3d-blocks/train/sen/.seed-0.lock")


def test_locks_are_left_over_only_on_request_and_if_nobody_holds_them(here: Path) -> None:
    held = here / "runs" / ".seed-1.lock"
    for name in (*LOCKS, held, "results/uv.lock", "results/.seed-1.lock.lock"):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).touch()
    (here / "runs" / ".seed-2.lock").write_text("stands for a lock where there are none")
    assert ".lock" not in _clean().stdout
    with FileLock(held):
        listed = json.loads(_clean("--locks", "--json").stdout)
        assert sorted(row["path"] for row in listed if row["kind"] == "lock") == sorted(LOCKS)
        assert _clean("--locks", "--remove").exit_code == 0
        with pytest.raises(TimeoutError):
            FileLock(held, timeout=0).acquire()
    left = {name for name in _files(here) if name.endswith(".lock")}
    assert left == {"runs/.seed-1.lock", "runs/.seed-2.lock", "results/uv.lock", "results/.seed-1.lock.lock"}


def test_a_lock_removed_by_its_holder_is_shared_by_who_waits_and_who_comes_after(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who opened the file before it was removed, and locks it after, notices and takes the new one."""
    path = here / LOCKS[1]
    real = os.open
    opened: list[int] = []

    def opened_late(name: str, *arguments: int) -> int:
        descriptor = real(name, *arguments)
        if Path(name) == path and not opened:
            opened.append(descriptor)
            path.unlink()  # as `clean` does while it holds the lock
        return descriptor

    monkeypatch.setattr("filelock._unix.os.open", opened_late)
    with FileLock(path, timeout=5), pytest.raises(TimeoutError):
        FileLock(path, timeout=0).acquire()
    assert opened

"""Long work says first what it takes, and what the disk cannot hold is refused before anything is written."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from sen_bench.errors import DiskSpaceError
from sen_bench.system import check_disk
from tests.support.commands import done, refused
from tests.support.presets import TWO_TASKS

TINY = ("--episodes", "2", "--horizon", "2", "--workers", "1")
RUN = ("run", "--all", "--preset", "tiny.toml", "--device", "cpu")


class Usage(NamedTuple):
    """What `shutil.disk_usage` returns."""

    total: int
    used: int
    free: int


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Has every disk have so many bytes free."""

    def set_free(count: int) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda _place: Usage(10**15, 10**15 - count, count))

    return set_free


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(TWO_TASKS)
    return tmp_path


@pytest.mark.parametrize("how", [("--all",), ("--all", "--dry-run"), ("3d-blocks",)])
def test_datasets_that_the_disk_cannot_hold_are_not_begun(
    here: Path, free: Callable[[int], None], how: tuple[str, ...]
) -> None:
    free(20_000_000)
    line = refused("generate", *how, "--out", "d", "--workers", "2")
    assert line.startswith("error: the disk of d has 20.0 MB free, and about ")
    assert line.endswith("are to be written; make space, or choose a folder on another disk")
    assert [path.name for path in here.iterdir()] == ["tiny.toml"]


def test_a_dry_run_of_generate_says_what_it_takes(here: Path, free: Callable[[int], None]) -> None:
    free(30_000_000_000)
    lines = done("generate", "--all", "--out", "d", "--workers", "2", "--dry-run").stdout.splitlines()
    assert lines[0] == "to generate: 12 datasets, 1,611,000 frames"
    assert lines[1].startswith("disk for datasets: about 8")
    assert lines[1].endswith(" MB; 30.0 GB free in d")
    assert lines[2].endswith(" for 2 workers")
    assert lines[3].startswith("time: about ")
    assert [path.name for path in here.iterdir()] == ["tiny.toml"]


def test_generate_says_it_on_stderr_and_only_of_what_is_missing(here: Path) -> None:
    first = done("generate", "2d-shapes", *TINY)
    assert "to generate: 2 datasets, 18 frames" in first.stderr
    assert first.stdout.splitlines() == [f"data/2d-shapes/{name}.zarr: written" for name in ("train", "eval")]
    assert "to generate" not in done("generate", "2d-shapes", *TINY).stderr
    assert "to generate: 2 datasets" in done("generate", "2d-shapes", *TINY, "--force", "--dry-run").stdout
    assert sorted(path.name for path in (here / "data" / "2d-shapes").glob("[a-z]*.zarr*")) == [
        "eval.zarr",
        "train.zarr",
    ]


@pytest.mark.parametrize("how", [(), ("--dry-run",), ("--jobs", "2")])
def test_runs_whose_data_the_disk_cannot_hold_are_not_begun(
    here: Path, free: Callable[[int], None], how: tuple[str, ...]
) -> None:
    free(100_000)
    assert "has 100 kB free, and about " in refused(*RUN, *how)
    assert [path.name for path in here.iterdir()] == ["tiny.toml"]


def test_the_plan_of_a_sweep_says_what_it_takes(here: Path, free: Callable[[int], None]) -> None:
    free(30_000_000_000)
    lines = done(*RUN, "--workers", "3", "--jobs", "2", "--dry-run").stdout.splitlines()
    assert any(line.startswith("disk for datasets: about 5.") for line in lines)
    assert any(line.startswith("time to generate: about ") and "3 workers" in line for line in lines)
    assert any(line.startswith("disk for checkpoints: ") and "of unknown size" in line for line in lines)
    assert any(line.startswith("memory: about ") and "2 runs at a time" in line for line in lines)
    assert [path.name for path in here.iterdir()] == ["tiny.toml"]


def test_folders_of_one_disk_share_its_room(tmp_path: Path, free: Callable[[int], None]) -> None:
    free(100)
    check_disk({tmp_path / "a" / "b": 60, tmp_path / "c": 40})
    with pytest.raises(DiskSpaceError, match="has 0 kB free, and about 0 kB"):
        check_disk({tmp_path / "a" / "b": 60, tmp_path / "c": 41})

"""A dataset all of whose shards are journaled, and that was stopped before it was put into place."""

from __future__ import annotations

import errno
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sen_bench.cli.options import available_cores
from sen_bench.errors import DatasetError
from sen_bench.generators import generate
from sen_bench.tasks import get_task
from tests.support.commands import done
from tests.support.datasets import SHARDED, tree
from tests.support.presets import TINY
from tests.support.recorder import Recorder


def stop_after_the_last_shard(
    monkeypatch: pytest.MonkeyPatch, recipe: Any, target: Path, **options: Any
) -> None:
    """Generates until the disk is full: every shard is journaled, and nothing lies at the target."""

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["sen_bench.generators.staging"], "finish_store", full)
        with pytest.raises(DatasetError, match="the disk is full"):
            generate(recipe, target, **options)
    assert (target.with_name(f".{target.name}.partial") / "journal.jsonl").exists()


@pytest.mark.parametrize("workers", sorted({1, 2, available_cores()}))
def test_any_number_of_workers_finishes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    target = tmp_path / "a.zarr"
    stop_after_the_last_shard(monkeypatch, SHARDED, target)
    recorder = Recorder()
    generate(SHARDED, target, workers=workers, progress=recorder)
    assert recorder.messages == ["resuming: 5 of 5 shards are there"]
    assert len(recorder.counts) == 1
    assert recorder.counts[0][0] == recorder.counts[0][1] > 0
    assert tree(target) == tree(generate(SHARDED, tmp_path / "b.zarr").path)
    assert not (tmp_path / ".a.zarr.partial").exists()


def test_whoever_makes_the_shards_is_not_asked_for_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(*_: object) -> Any:
        raise AssertionError("asked for no shards")

    stop_after_the_last_shard(monkeypatch, SHARDED, tmp_path / "a.zarr")
    assert generate(SHARDED, tmp_path / "a.zarr", run=nobody).created


@pytest.mark.parametrize("workers", sorted({1, 2, available_cores()}))
def test_the_commands_finish_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    recipe = replace(get_task("3d-blocks").recipe("train"), episodes=4, horizon=5)
    data = tmp_path / "data"
    stop_after_the_last_shard(monkeypatch, recipe, data / "3d-blocks" / "train.zarr")
    sizes = ("--split", "train", "--episodes", "4", "--horizon", "5", "--workers", str(workers))
    assert "written" in done("generate", "3d-blocks", *sizes, "--out", str(data)).stdout

    monkeypatch.chdir(tmp_path)
    Path("tiny.toml").write_text(TINY)
    stop_after_the_last_shard(monkeypatch, recipe, Path("data/tiny/3d-blocks/train.zarr"))
    command = ("run", "3d-blocks", "--model", "none", "--preset", "tiny.toml", "--workers", str(workers))
    done(*command, "--device", "cpu", "--quiet")
    assert Path("data/tiny/3d-blocks/train.zarr/manifest.json").exists()

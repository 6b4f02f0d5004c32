"""A dataset is loaded in one call, from where the command line lays it out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sen_bench.errors import ConfigError, DatasetError, SenBenchError, UnknownNameError
from sen_bench.runs import load
from sen_bench.store import open_dataset
from sen_bench.tasks import get_task
from tests.support.commands import done
from tests.support.presets import TINY

SMALL: dict[str, Any] = {"episodes": 4, "horizon": 2}


def test_what_is_missing_is_generated_and_what_is_there_is_opened(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    first = load("3d-blocks", "eval", data=str(data), **SMALL)
    assert first.path == data / "3d-blocks/eval.zarr"
    assert (first.episodes, first.horizon, first.has_twin) == (4, 2, True)
    assert "generate 3d-blocks eval: 24/24 frames" in capsys.readouterr().err
    before = (first.path / "manifest.json").stat().st_mtime_ns
    again = load(get_task("3d-blocks"), "eval", data=data, progress=False, **SMALL)
    assert again.content_digest == first.content_digest
    assert (first.path / "manifest.json").stat().st_mtime_ns == before


def test_it_is_what_the_command_line_generates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    mine = load("2d-shapes", "train", seed=3, progress=False, **SMALL)
    assert capsys.readouterr().err == ""
    sizes = ("--episodes", "4", "--horizon", "2", "--seed", "3")
    output = done("generate", "2d-shapes", "--split", "train", *sizes, "--workers", "1").output
    assert "already there" in output
    assert mine.path == tmp_path / "data/2d-shapes/train.zarr"


def test_a_preset_with_sizes_has_a_folder_of_its_own(tmp_path: Path) -> None:
    preset = tmp_path / "tiny.toml"
    preset.write_text(TINY)
    dataset = load("3d-blocks", "eval", preset=preset, data=tmp_path / "data", progress=False)
    assert dataset.path == tmp_path / "data/tiny/3d-blocks/eval.zarr"
    assert (dataset.episodes, dataset.horizon) == (5, 3)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (("3d-block", "eval"), UnknownNameError, "did you mean '3d-blocks'"),
        (("3d-blocks", "test"), UnknownNameError, "unknown split of 3d-blocks 'test'"),
        (("3d-blocks", "eval", {"preset": "smok"}), UnknownNameError, "did you mean 'smoke'"),
        (("3d-blocks", "eval", {"preset": "smoke", "episodes": 3}), ConfigError, "leave out episodes"),
        (("3d-blocks", "eval", {"episodes": 0}), ConfigError, "episodes: Input should be greater"),
        (
            ("3d-blocks", "eval", {"episodes": "three"}),
            ConfigError,
            "episodes must be a whole number or None",
        ),
        (("3d-blocks", "eval", {"seed": -1, **SMALL}), ConfigError, "seed must be"),
        (("3d-blocks", "eval", {"workers": 0, **SMALL}), ConfigError, "workers must be at least 1"),
    ],
)
def test_mistakes_are_refused_as_on_the_command_line(
    tmp_path: Path, arguments: tuple[Any, ...], kind: type[SenBenchError], message: str
) -> None:
    task, split, *rest = arguments
    with pytest.raises(kind, match=message) as error:
        load(task, split, data=tmp_path, **(rest[0] if rest else {}))
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_another_dataset_in_its_place_is_refused(tmp_path: Path) -> None:
    load("3d-blocks", "eval", data=tmp_path, progress=False, **SMALL)
    with pytest.raises(DatasetError, match="is another dataset, with episodes 4 instead of 5"):
        load("3d-blocks", "eval", data=tmp_path, progress=False, episodes=5, horizon=2)
    assert open_dataset(str(tmp_path / "3d-blocks/eval.zarr")).episodes == 4


def test_a_dataset_of_another_size_is_moved_aside_only_by_force(tmp_path: Path) -> None:
    first = load("2d-shapes", "eval", data=tmp_path, progress=False, **SMALL)
    other = {**SMALL, "episodes": 3}
    way_out = (
        r"episodes 4 instead of 3; choose another data folder, or sb\.load\(\.\.\., force=True\) to move"
    )
    with pytest.raises(DatasetError, match=way_out):
        load("2d-shapes", "eval", data=tmp_path, progress=False, **other)
    assert load("2d-shapes", "eval", data=tmp_path, progress=False, force=True, **other).episodes == 3
    assert open_dataset(tmp_path / "2d-shapes/eval.zarr.old-1").content_digest == first.content_digest

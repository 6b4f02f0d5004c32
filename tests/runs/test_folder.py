"""Who holds the lock of a run's folder tidies up what killed processes left in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sen_bench.errors import CheckpointError, ConfigError
from sen_bench.runs.folder import RunFolder
from sen_bench.runs.settings import begun_training
from sen_bench.system.files import write_atomically

DRAFTS = (".checkpoint.pt.4711-140.partial", ".metrics.jsonl.4711-140.partial", ".config.json.1-2.partial")


def test_drafts_are_swept_by_the_next_holder_of_the_lock(tmp_path: Path) -> None:
    place = RunFolder(tmp_path / "seed-0", "sen-0")
    place.make()
    kept = ("checkpoint.pt", ".hidden", "own.partial", ".own.partial")
    for name in (*DRAFTS, *kept):
        (place.path / name).write_text("half")
    with place.alone():
        assert sorted(path.name for path in place.path.iterdir()) == sorted(kept)
        # What is written now is none of that.
        write_atomically(place.path / "checkpoint.pt", lambda draft: draft.write_text("whole"))
    assert (place.path / "checkpoint.pt").read_text() == "whole"


def test_drafts_of_a_run_that_another_process_trains_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sen_bench.runs.folder._RELEASE_SECONDS", 0.05)
    place = RunFolder(tmp_path / "seed-0", "sen-0")
    place.make()
    with place.alone():
        (place.path / DRAFTS[0]).write_text("half")
        with pytest.raises(CheckpointError, match="another process is training sen-0"), place.alone():
            pass
        assert (place.path / DRAFTS[0]).exists()


def test_settings_that_are_nested_too_deeply_are_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"training": ' + "[" * 100_000 + "]" * 100_000 + "}")
    with pytest.raises(ConfigError, match=r"config\.json cannot be read: ") as caught:
        begun_training(tmp_path)
    assert "\n" not in str(caught.value)

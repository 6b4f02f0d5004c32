"""Where nothing can be written is known before the work is done for it."""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path

import pytest

from sen_bench.errors import ConfigError
from sen_bench.results.rows import append_rows
from sen_bench.system.outputs import check_output
from tests.support.commands import refused
from tests.support.rows import make_row


def test_a_place_that_can_be_written_is_left_as_it_is(tmp_path: Path) -> None:
    check_output(tmp_path / "new" / "figure.png")
    check_output(tmp_path / "new", folder=True)
    (tmp_path / "old.png").touch()
    check_output(tmp_path / "old.png")
    assert [path.name for path in tmp_path.iterdir()] == ["old.png"]


def test_a_file_in_the_way_and_a_folder_in_place_of_a_file_are_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for path, folder in ((file / "new" / "a.png", False), (file, True), (file / "new", True)):
        with pytest.raises(ConfigError) as caught:
            check_output(path, folder=folder)
        assert str(caught.value) == f"cannot write {path}: {file} is not a folder"
    with pytest.raises(ConfigError, match="it is a folder; name a file"):
        check_output(tmp_path)


def test_what_the_file_system_refuses_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*, dir: Path) -> None:  # noqa: A002 — as tempfile calls it
        raise OSError(errno.EROFS, "Read-only file system", str(dir))

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.raises(ConfigError, match=r"cannot write .*a\.png: .*: Read-only file system$"):
        check_output(tmp_path / "new" / "a.png")


@pytest.mark.parametrize(
    ("command", "work"),
    [
        (("example", "sequence", "--out", "file/x.png"), "sen_bench.examples.train_sequence_example"),
        (("report", "--results", "results", "--output", "file/x.html"), "sen_bench.report.draw_world"),
        (("report", "--results", "results", "--charts", "file/charts"), "sen_bench.report.draw_world"),
        (
            ("leaderboard", "--results", "results", "--output", "file/x.md"),
            "sen_bench.results.read_leaderboard",
        ),
        (("run", "3d-blocks", "--results", "file/results"), "sen_bench.sweep.one_by_one"),
        (("study", "data", "--task", "3d-blocks", "--results", "file/x"), "sen_bench.sweep.one_by_one"),
    ],
)
def test_commands_ask_before_they_work(
    command: tuple[str, ...], work: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "file").touch()
    append_rows(here / "results" / "runs.csv", [make_row()])
    begun: list[object] = []
    monkeypatch.setattr(work, lambda *given, **_: begun.append(given))
    small = ("--preset", "smoke", "--device", "cpu") if command[0] in {"run", "study"} else ()
    assert "cannot write file/" in refused(*command, *small)
    assert not begun

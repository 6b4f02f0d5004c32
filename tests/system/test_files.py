"""A file that is being replaced is the old one or the new one, and what is moved aside is never lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from sen_bench.system.files import move_aside, write_atomically


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    write_atomically(path, lambda part: part.write_text("old"))

    def fail(part: Path) -> None:
        part.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, fail)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_reader_meanwhile_sees_the_old_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("old")

    def write(part: Path) -> None:
        part.write_text("ne")
        assert path.read_text() == "old"
        part.write_text("new")

    write_atomically(path, write)
    assert path.read_text() == "new"


def test_moving_aside_takes_the_first_free_name(tmp_path: Path) -> None:
    path = tmp_path / "run"
    for number in (1, 2, 3):
        path.mkdir()
        (path / "which").write_text(str(number))
        assert move_aside(path) == tmp_path / f"run.old-{number}"
    assert [(tmp_path / f"run.old-{n}/which").read_text() for n in (1, 2, 3)] == ["1", "2", "3"]


def test_a_link_stays_one_and_what_it_points_to_is_replaced(tmp_path: Path) -> None:
    real, link = tmp_path / "shared" / "table.csv", tmp_path / "table.csv"
    real.parent.mkdir()
    real.write_text("old")
    link.symlink_to(real)
    write_atomically(link, lambda part: part.write_text("new"))
    assert link.is_symlink()
    assert real.read_text() == "new"
    assert [path.name for path in real.parent.iterdir()] == ["table.csv"]

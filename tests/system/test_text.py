"""Text from outside is shown, and never obeyed."""

from __future__ import annotations

from pathlib import Path

import pytest

from sen_bench.system import number_of, shown
from tests.support.commands import refused


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3D Blocks, ρ × 90°", "3D Blocks, ρ × 90°"),
        ("a\x1b[31mred", r"a\x1b[31mred"),
        ("two\nlines\r\t", r"two\nlines\r\t"),
        ("\u202eevil", r"\u202eevil"),
        ("\udcff\x00\x9b", r"\udcff\x00\x9b"),
        (Path("a b"), "a b"),
        (3, "3"),
    ],
)
def test_it_is_one_line_of_printable_characters(text: object, expected: str) -> None:
    assert shown(text) == expected
    assert shown(text).isprintable()


def test_one_thing_is_not_called_things() -> None:
    assert [number_of(count, "epoch") for count in (0, 1, 2)] == ["0 epochs", "1 epoch", "2 epochs"]
    assert [number_of(count, "axis", "axes") for count in (1, 3)] == ["1 axis", "3 axes"]


def test_a_whole_file_in_place_of_a_name_is_cut() -> None:
    assert len(shown("x" * 10**6)) < 1100


@pytest.mark.parametrize("command", ["info", "verify", "view"])
def test_names_do_not_reach_the_terminal_as_they_are(command: str) -> None:
    line = refused(command, "no\x1b]0;title\x07such\nplace.zarr")
    assert line.isprintable()

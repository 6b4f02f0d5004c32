"""`sen-bench example` prints what was learned, and draws it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.test_light_start import _heavy_after, _running
from tests.support.commands import done, refused


def test_the_sequence_example_prints_scores_and_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ("example", "sequence", "--steps", "5", "--quiet")
    result = done(*command)
    head, *rows, baseline, path = result.stdout.splitlines()
    assert (
        " ".join(head.split())
        == "after the first layer parameters accuracy whole sequences equivariance error"
    )
    assert [row.split()[0] for row in rows] == ["convolutions", "fully-connected"]
    assert baseline.startswith("calling no position a peak: accuracy 8")
    assert path == "sequence.png"
    assert Path(path).read_bytes().startswith(b"\x89PNG")
    assert not result.stderr
    assert done(*command, "--out", "a.svg", "--out", "b/c.pdf").stdout.splitlines()[-2:] == [
        "a.svg",
        "b/c.pdf",
    ]
    assert done(*command).stdout == result.stdout


def test_a_picture_of_no_known_format_is_refused_before_training(tmp_path: Path) -> None:
    path = tmp_path / "figure.jpg"
    assert "end it with .png, .svg, .pdf" in refused("example", "sequence", "--out", str(path))
    assert not path.exists()


def test_its_help_imports_nothing_heavy() -> None:
    assert not _heavy_after(_running("example", "sequence", "--help"))

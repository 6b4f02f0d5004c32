"""The picture of the illustrative example shows the weights that were learned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sen_bench.errors import ConfigError
from sen_bench.examples.sequence import SequenceExample, train_sequence_example
from sen_bench.figures.choices import format_of
from sen_bench.figures.sequence_figure import draw_sequence_figure, save_sequence_figure


@pytest.fixture(scope="module")
def example() -> SequenceExample:
    return train_sequence_example(steps=2)


def test_it_shows_both_matrices_with_their_errors(example: SequenceExample) -> None:
    sequence, *matrices = draw_sequence_figure(example).axes[:3]
    assert np.array_equal(sequence.lines[1].get_ydata(), example.samples.numpy())
    for axes, network in zip(matrices, example.networks, strict=True):
        assert np.array_equal(np.asarray(axes.images[0].get_array()), network.weight.numpy())
        assert f"{network.equivariance_error:.2f}" in axes.get_title()


def test_equal_examples_give_equal_files_in_every_format(tmp_path: Path, example: SequenceExample) -> None:
    for folder in ("a", "b"):
        save_sequence_figure(example, [tmp_path / folder / f"x.{kind}" for kind in ("png", "svg", "PDF")])
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert files == ["x.PDF", "x.png", "x.svg"]
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert (tmp_path / "a" / "x.PDF").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("name", ["picture", "picture.jpg", "png"])
def test_other_suffixes_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"end it with \.png, \.svg, \.pdf"):
        format_of(Path(name))

"""Irreducible parts of latents are drawn to one scale, and what repeats has colours that do."""

from __future__ import annotations

import numpy as np
import pytest

from sen_bench.figures.planes import draw_irreps, draw_principal_components, period
from sen_bench.figures.style import CYCLIC, style
from sen_bench.symmetry import Group, Representation


@pytest.mark.parametrize(
    ("name", "whole"),
    [
        ("angle 0 (rad, modulo 2 pi)", 2 * np.pi),
        ("place (modulo 8)", 8.0),
        ("phase (modulo 0.5)", 0.5),
        ("nothing (modulo 0)", None),
        ("velocity 0 (rad/s)", None),
    ],
)
def test_the_name_of_an_entry_says_after_how_much_it_repeats(name: str, whole: float | None) -> None:
    assert period(name) == whole


def test_a_part_in_which_latents_hardly_vary_is_drawn_small_and_colours_repeat() -> None:
    group = Group.cyclic(8)
    place = np.arange(8.0)
    angle = np.pi / 4 * place
    # Of frequency 1, and a millionth of it of frequency 2.
    latents = np.cos(angle[:, None] - angle) + 1e-6 * np.cos(2 * (angle[:, None] - angle))
    with style():
        figure = draw_irreps(
            latents,
            place[:, None],
            Representation.regular(group),
            names=["place (modulo 8)"],
            title="",
        )
    panels = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title()[-7:] for axes in panels[:2]] == ["100.0 %", ", 0.0 %"]
    assert len({axes.get_ylim() for axes in panels}) == 1
    (points,) = panels[0].collections
    assert points.get_cmap() is CYCLIC or points.get_cmap() == CYCLIC
    assert points.get_clim() == (0, 8)


def test_principal_components_have_repeating_colours_too() -> None:
    place = np.arange(8.0)
    latents = np.stack([np.cos(place), np.sin(place)], axis=1)
    with style():
        figure = draw_principal_components(latents, place[:, None], names=["place (modulo 8)"], title="")
    (points,) = figure.axes[0].collections
    assert points.get_cmap() == CYCLIC
    assert points.get_clim() == (0, 8)

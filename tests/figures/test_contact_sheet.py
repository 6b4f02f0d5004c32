"""Views of datasets show the frames that are stored, with the names of actions and group elements."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFont

from sen_bench.errors import ConfigError, DatasetError
from sen_bench.figures.contact_sheet import _LABEL, _MARGIN, animation, contact_sheet, save_view, twin_title
from sen_bench.generators import Recipe, generate
from sen_bench.store import Dataset, open_dataset
from sen_bench.symmetry import SO3, Group
from sen_bench.symmetry.labels import _numbers
from tests.support.datasets import damage


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    recipe = Recipe("3d-blocks", "eval", "sen_bench/Blocks3D-v0", episodes=3, horizon=4, twin=True)
    return generate(recipe, tmp_path_factory.mktemp("view") / "eval.zarr").dataset


def _frame(image: Image.Image, left: int, top: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """The stored pixels of a frame drawn twice as large."""
    return np.asarray(image)[top : top + 100 : 2, left : left + 100 : 2]


def test_a_contact_sheet_shows_the_frames_with_the_twin_below(dataset: Dataset) -> None:
    sheet = contact_sheet(dataset, [2], twin=True, frames=3)
    for row, name in enumerate(("observation", "twin/observation")):
        for frame in range(3):
            got = _frame(sheet, _LABEL + frame * 106, _MARGIN + row * 122)
            assert np.array_equal(got, dataset.array(name)[2, frame])


def test_an_animation_has_a_picture_a_frame(dataset: Dataset) -> None:
    pictures = animation(dataset, [0])
    assert len(pictures) == 5
    for frame, picture in enumerate(pictures):
        assert np.array_equal(_frame(picture, _LABEL, _MARGIN), dataset.array("observation")[0, frame])


@pytest.mark.parametrize("name", ["sheet.png", "film.gif"])
def test_views_are_written_and_can_be_opened(tmp_path: Path, dataset: Dataset, name: str) -> None:
    save_view(dataset, [0, 1], tmp_path / name, twin=True)
    with Image.open(tmp_path / name) as image:
        assert getattr(image, "n_frames", 1) == (5 if name.endswith("gif") else 1)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_what_cannot_be_drawn_is_refused(tmp_path: Path, dataset: Dataset) -> None:
    with pytest.raises(DatasetError, match="no episode 3; it has 0 to 2"):
        contact_sheet(dataset, [3])
    with pytest.raises(DatasetError, match=r"a \.png or a \.gif"):
        save_view(dataset, [0], tmp_path / "view.jpg")
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"cannot write .*view\.png: .*file is not a folder"):
        save_view(dataset, [0], tmp_path / "file" / "view.png")
    recipe = Recipe("3d-blocks", "train", "sen_bench/Blocks3D-v0", episodes=1, horizon=1)
    with pytest.raises(DatasetError, match="no twins"):
        contact_sheet(generate(recipe, tmp_path / "train.zarr").dataset, [0], twin=True)


def test_damaged_pixels_are_refused_in_one_line(tmp_path: Path, dataset: Dataset) -> None:
    copy = open_dataset(shutil.copytree(dataset.path, tmp_path / "eval.zarr"))
    damage(copy.path / "observation")
    with pytest.raises(DatasetError, match="observation is damaged") as caught:
        save_view(copy, [0], tmp_path / "view.png")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "view.png").exists()


def test_names_of_group_elements() -> None:
    assert [Group.cyclic(4).element_name(g) for g in range(4)] == ["1", "r", "r^2", "r^3"]
    assert [Group.dihedral(3).element_name(g) for g in range(6)] == ["1", "r", "r^2", "f", "r f", "r^2 f"]
    assert [Group.symmetric(3).element_name(g) for g in range(6)] == [
        "1",
        "(1 2)",
        "(0 1)",
        "(0 1 2)",
        "(0 2 1)",
        "(0 2)",
    ]
    assert Group.product(Group.cyclic(4), Group.symmetric(3)).element_name(3 * 6 + 2) == "(r^3, (0 1))"


def test_rotations_are_named_by_angle_and_axis() -> None:
    quarter = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    assert _numbers(quarter) == "90° about +0.0 +0.0 +1.0"
    assert _numbers(quarter.T) == "90° about +0.0 +0.0 -1.0"
    assert _numbers(np.array([0.5, -0.25])) == "+0.50 -0.25"


def test_titles_end_before_the_first_frame() -> None:
    font = ImageFont.load_default(size=11)
    rng = np.random.default_rng(0)
    titles = [twin_title(SO3(), 9999, SO3().sample(rng)) for _ in range(200)]
    titles += [twin_title(Group.dihedral(4), 9999, np.array(k)) for k in range(8)]
    assert max(font.getlength(line) for title in titles for line in title.splitlines()) < _LABEL - _MARGIN

"""The pages of docs/worlds say what the code does; `python -m tests.project.world_pages` renews them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sen_bench.tasks.registry import get_task
from tests.paths import DOCS
from tests.project.world_pages import PICTURED, facts, page_with_facts, pages, picture

PAGES = pages()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_facts_of_a_page_are_up_to_date(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert page_with_facts(text) == text


@pytest.mark.parametrize(
    ("task", "name"),
    [
        ("2d-shapes", "2d-shapes"),
        ("3d-blocks", "3d-blocks"),
        ("rush-hour", "rush-hour"),
        ("reacher", "reacher"),
        ("teapot-small", "teapot"),
        ("teapot-large", "teapot"),
    ],
)
def test_a_world_has_a_page_with_its_facts_and_a_picture(task: str, name: str) -> None:
    page = (DOCS / "worlds" / f"{name}.md").read_text(encoding="utf-8")
    assert facts(get_task(task)) in page
    assert f"(../images/{name}.png)" in page
    assert (DOCS / "images" / f"{name}.png").is_file()


@pytest.mark.parametrize("task", PICTURED)
def test_pictures_are_what_the_world_draws(task: str) -> None:
    path = DOCS / "images" / f"{task}.png"
    np.testing.assert_array_equal(np.asarray(Image.open(path).convert("RGB")), picture(get_task(task)))
    assert path.stat().st_size < 20_000


def test_old_facts_are_replaced_and_nothing_else() -> None:
    page = "# Mine\n\n<!-- facts of rush-hour -->\nold\n<!-- end of facts -->\n\nby hand\n"
    fresh = page_with_facts(page)
    assert fresh == page.replace("old\n", facts(get_task("rush-hour")))
    assert page_with_facts(fresh) == fresh

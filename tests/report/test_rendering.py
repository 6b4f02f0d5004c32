"""The page is valid, self-contained and accessible HTML, and escapes what it is told."""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
from pathlib import Path

import pytest

from sen_bench.errors import ResultsError
from sen_bench.report import Page, build_page, draw_world, read_page_data, render_page, write_page
from sen_bench.tasks.registry import get_task
from tests.support.html import Element
from tests.support.report_tables import STRANGE


def test_ids_are_unique_and_references_lead_somewhere(page: Element) -> None:
    ids = [element.attributes["id"] for element in page.walk() if "id" in element.attributes]
    assert len(ids) == len(set(ids))
    referring = ("for", "aria-labelledby", "aria-controls")
    used = [
        element.attributes[name]
        for element in page.walk()
        for name in referring
        if name in element.attributes
    ]
    used += [a.attributes["href"].removeprefix("#") for a in page.all("a")]
    assert used
    assert set(used) <= set(ids)


def test_nothing_is_fetched_and_the_policy_forbids_it(page: Element, text: str) -> None:
    for element in page.walk():
        for name in ("src", "href", "srcset", "action", "data", "poster", "style"):
            value = element.attributes.get(name, "#")
            assert value.startswith(("#", "data:")), f"<{element.tag} {name}={value[:60]!r}>"
        assert not [name for name in element.attributes if name.startswith("on")], element.tag
    assert "url(" not in text
    assert "@import" not in text
    assert not re.search(r"https?://", text)
    (policy,) = page.all("meta", http_equiv="Content-Security-Policy")
    rules = dict(rule.strip().split(" ", 1) for rule in policy.attributes["content"].split(";"))
    assert rules["default-src"] == "'none'"
    assert "unsafe" not in policy.attributes["content"]
    for kind in ("style", "script"):
        (element,) = page.all(kind)
        digest = hashlib.sha256(element.text.encode()).digest()
        assert rules[f"{kind}-src"] == f"'sha256-{base64.b64encode(digest).decode()}'"


def test_markup_in_a_name_stays_text(page: Element, text: str) -> None:
    assert len(page.all("script")) == 1
    assert STRANGE not in text
    assert STRANGE in page.text
    (option,) = page.all("option", value=f"{STRANGE} GPU")
    assert option.text == f"{STRANGE} GPU"


def test_it_can_be_read_without_eyes(page: Element) -> None:
    (html,) = page.all("html")
    assert html.attributes["lang"] == "en"
    skip = page.all("a")[0]
    assert skip.attributes["href"] == "#content"
    levels = [int(element.tag[1]) for element in page.walk() if re.fullmatch("h[1-6]", element.tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    for table in page.all("table"):
        heads = [th for th in table.all("th") if th.attributes.get("scope") == "col"]
        assert heads
        assert all(th.attributes.get("scope") in {"col", "row"} for th in table.all("th"))
        if "data-board" in table.attributes:
            assert table.all("caption")
            assert len({len(body.all("tr")[0].children) for body in table.all("tbody")} | {len(heads)}) == 1
    for picture in page.all("img"):
        assert picture.attributes["alt"]
    for drawing in page.all("svg"):
        named = drawing.attributes.get("role") == "img" and drawing.attributes.get("aria-label")
        assert named or drawing.attributes.get("aria-hidden") == "true"
    for figure in page.all("figure"):
        assert figure.all("figcaption")
    for choice in page.all("select"):
        assert page.all("label", **{"for": choice.attributes["id"]})
    (status,) = page.all("p", role="status")
    assert status.attributes["aria-live"] == "polite"


def test_equal_tables_give_equal_pages(results: Path, text: str) -> None:
    tables = read_page_data(results, results / "published.csv")
    assert render_page(build_page(tables, [draw_world(get_task("2d-shapes"))])) == text


def test_a_page_that_cannot_be_written_is_said_in_one_line(built: Page, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResultsError, match="cannot write"):
        write_page(built, tmp_path / "file" / "page.html")

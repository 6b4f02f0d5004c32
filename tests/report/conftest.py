"""A page of results that the tests of its parts share."""

from __future__ import annotations

from pathlib import Path

import pytest

from sen_bench.report import Page, build_page, draw_world, read_page_data, render_page
from sen_bench.tasks.registry import get_task
from tests.support.html import Element, parse
from tests.support.report_tables import write_report_tables
from tests.support.worth_tables import write_worth_tables


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_report_tables(tmp_path_factory.mktemp("results"))
    write_worth_tables(folder)
    return folder


@pytest.fixture(scope="session")
def built(results: Path) -> Page:
    tables = read_page_data(results, results / "published.csv")
    return build_page(tables, [draw_world(get_task("2d-shapes"))])


@pytest.fixture(scope="session")
def text(built: Page) -> str:
    return render_page(built)


@pytest.fixture(scope="session")
def page(text: str) -> Element:
    return parse(text)

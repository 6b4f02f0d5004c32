"""A page of results in headless Chromium, for all tests of the page; skipped where there is no browser."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from sen_bench.report import build_page, draw_world, read_page_data, write_page
from sen_bench.tasks.registry import get_task
from tests.support.browser import Browser
from tests.support.report_tables import write_report_tables
from tests.support.worth_tables import write_worth_tables

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")

# Without these, Chromium looks for updates and the like on the network at every start.
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if CHROMIUM is None or DRIVER is None:
        pytest.skip(
            "chromium and chromedriver are not installed: tests/browser/install-chromium.sh installs them"
        )
    folder = tmp_path_factory.mktemp("browser")
    results = write_report_tables(folder / "results")
    write_worth_tables(results)
    tables = read_page_data(results, results / "published.csv")
    page = results / "index.html"
    write_page(build_page(tables, [draw_world(get_task(name)) for name in ("2d-shapes", "rush-hour")]), page)
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*_FLAGS, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        yield Browser(driver, page)
    finally:
        driver.quit()

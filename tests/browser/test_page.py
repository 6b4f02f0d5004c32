"""The page of results in headless Chromium: without a network, by keyboard, on a phone, in the dark."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.select import Select

from sen_bench.report import build_page, draw_world, read_page_data, write_page
from sen_bench.tasks.registry import get_task
from tests.support.report_tables import STRANGE, report_rows, write_report_tables

_CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
_DRIVER = shutil.which("chromedriver")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        _CHROMIUM is None or _DRIVER is None,
        reason="chromium and chromedriver are not installed: tests/browser/install-chromium.sh installs them",
    ),
]

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


class Browser:
    """A page in Chromium."""

    def __init__(self, driver: webdriver.Chrome, page: Path) -> None:
        self.driver = driver
        self._page = page

    def open(self, *, width: int = 1200, **media: str) -> None:
        """Opens the page anew, in a window of a width, with CSS media features; by default without motion."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        media = {"prefers_reduced_motion": "reduce"} | media
        features = [{"name": name.replace("_", "-"), "value": value} for name, value in media.items()]
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        self.driver.get(self._page.as_uri())

    def script(self, text: str, *arguments: Any) -> Any:
        return self.driver.execute_script(text, *arguments)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def choose(self, name: str, value: str) -> None:
        choices = Select(self.one(f"#filter-{name}"))
        values = [option.get_attribute("value") for option in choices.options]
        choices.select_by_index(values.index(value))

    def log(self, kind: str) -> list[dict[str, Any]]:
        """What was logged since it was last asked for."""
        entries: list[dict[str, Any]] = self.driver.execute("getLog", {"type": kind})["value"]
        return entries

    def rows(self) -> list[dict[str, str]]:
        """The data of the rows that are shown, in the order of the page."""
        rows: list[dict[str, str]] = self.script(
            "return [...document.querySelectorAll('[data-row]')].filter(e => e.checkVisibility())"
            ".map(e => ({...e.dataset}))"
        )
        return rows

    def press(self, *keys: str) -> None:
        webdriver.ActionChains(self.driver).send_keys(*keys).perform()

    def focused(self) -> dict[str, Any]:
        """What has the focus."""
        focus: dict[str, Any] = self.script(
            "const e = document.activeElement; return {tag: e.tagName, text: e.textContent.trim(), id: e.id}"
        )
        return focus

    def column(self, table: str, heading: str) -> list[str]:
        """The values of a column of a leaderboard, from above."""
        values: list[str] = self.script(
            """
            const table = document.querySelector(arguments[0]).closest("section").querySelector("table");
            const headings = [...table.tHead.rows[0].cells];
            const column = headings.findIndex(th => th.textContent.trim().startsWith(arguments[1]));
            return [...table.tBodies].map(body => body.rows[0].cells[column].dataset.value);
            """,
            table,
            heading,
        )
        return values


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    folder = tmp_path_factory.mktemp("browser")
    results = write_report_tables(folder / "results")
    tables = read_page_data(results, results / "published.csv")
    page = results / "index.html"
    write_page(build_page(tables, [draw_world(get_task(name)) for name in ("2d-shapes", "rush-hour")]), page)
    options = webdriver.ChromeOptions()
    options.binary_location = _CHROMIUM or ""
    for flag in (*_FLAGS, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(_DRIVER))
    try:
        yield Browser(driver, page)
    finally:
        driver.quit()


def test_opens_from_disk_without_a_request_or_a_word_on_the_console(browser: Browser) -> None:
    # Once before, so that what the browser's own first page asks for is over.
    browser.open()
    browser.log("performance")
    browser.open()
    browser.choose("task", "2d-shapes")
    browser.one("thead button").click()
    browser.one("button.more").click()
    events = [json.loads(entry["message"])["message"] for entry in browser.log("performance")]
    requests = [e["params"] for e in events if e["method"] == "Network.requestWillBeSent"]
    page = browser.driver.current_url
    asked = {request["request"]["url"] for request in requests if request["documentURL"] == page}
    assert {url for url in asked if not url.startswith("data:")} == {page}
    assert page.startswith("file://")
    assert browser.log("browser") == []
    assert all(browser.script("return arguments[0].naturalWidth", image) > 0 for image in browser.all("img"))


def test_the_policy_stops_what_would_ask_for_a_network(browser: Browser) -> None:
    browser.open()
    blocked = browser.driver.execute_async_script(
        """
        const [done] = arguments, seen = [];
        document.addEventListener("securitypolicyviolation", event => seen.push(event.effectiveDirective));
        const image = new Image(); image.src = "http://localhost:9/x.png"; document.body.append(image);
        const script = document.createElement("script"); script.textContent = "window.ran = 1";
        document.body.append(script);
        fetch("http://localhost:9/").catch(() => {});
        setTimeout(() => done([seen.sort(), window.ran ?? null]), 300);
        """
    )
    assert blocked == [["connect-src", "img-src", "script-src-elem"], None]
    browser.log("browser")


def test_filters_show_the_rows_and_charts_that_fit_and_say_how_many(browser: Browser) -> None:
    browser.open()
    everything = browser.rows()
    ran = {(r.task, r.train_split, r.model, r.preset, str(r.horizon)) for r in report_rows()}
    shown = {
        tuple(r[k] for k in ("task", "split", "model", "preset", "horizon"))
        for r in everything
        if "device" in r
    }
    assert ran == shown
    assert browser.one("#status").text == f"{len(everything)} of {len(everything)} rows shown"

    browser.choose("task", "2d-shapes")
    browser.choose("model", "sen")
    browser.choose("horizon", "10")
    rows = browser.rows()
    assert rows == [
        row for row in everything if (row["task"], row["model"], row["horizon"]) == ("2d-shapes", "sen", "10")
    ]
    assert rows
    assert browser.one("#status").text == f"{len(rows)} of {len(everything)} rows shown"
    headings = [h.text for h in browser.all(".block h3") if h.is_displayed()]
    assert headings == ["2D Shapes"]
    tasks = browser.script(
        "return [...document.querySelectorAll('[data-panel]')].filter(e => e.checkVisibility())"
        ".map(e => e.dataset.task)"
    )
    assert set(tasks) == {"2d-shapes"}

    browser.one("button[type=reset]").click()
    assert browser.rows() == everything
    browser.choose("device", f"{STRANGE} GPU")
    assert [row["task"] for row in browser.rows() if "device" in row] == ["rush-hour"]


def test_sorting_orders_numbers_as_numbers_and_keeps_what_is_missing_last(browser: Browser) -> None:
    browser.open()
    table, heading = "#task-1", "H@10 %"
    button = next(b for b in browser.all("#task-1 ~ .scroll thead button") if b.text.startswith(heading))
    before = sorted(browser.column(table, heading))
    known = sorted(float(value) for value in before if value)
    gaps = [""] * (len(before) - len(known))
    assert gaps
    for order, expected in (("descending", known[::-1]), ("ascending", known)):
        button.click()
        values = browser.column(table, heading)
        assert [float(value) for value in values[: len(known)]] == expected
        assert values[len(known) :] == gaps
        assert button.find_element(By.XPATH, "..").get_attribute("aria-sort") == order
        assert len(browser.all("#task-1 ~ .scroll [aria-sort]")) == 1
        assert browser.one("#status").text == f"2D Shapes sorted by {heading}, {order}"
    for other, kind in (("steps", int), ("model", str)):
        next(b for b in browser.all("#task-1 ~ .scroll thead button") if b.text.startswith(other)).click()
        values = browser.column(table, other)
        assert len(set(values)) > 2
        assert values == sorted(values, key=kind)
    assert button.find_element(By.XPATH, "..").get_attribute("aria-sort") is None


def test_where_a_number_comes_from_is_shown_and_hidden_and_follows_its_row(browser: Browser) -> None:
    browser.open()
    more = browser.one("button.more")
    runs = browser.one(f"#{more.get_attribute('aria-controls')}")
    assert (more.get_attribute("aria-expanded"), runs.is_displayed()) == ("false", False)
    more.click()
    assert (more.get_attribute("aria-expanded"), runs.is_displayed()) == ("true", True)
    browser.one("thead button").click()
    assert browser.script("return arguments[0].closest('tbody').contains(arguments[1])", more, runs)
    more.click()
    assert (more.get_attribute("aria-expanded"), runs.is_displayed()) == ("false", False)


def test_everything_is_reached_and_used_by_keyboard(browser: Browser) -> None:
    browser.open()
    browser.press(Keys.TAB)
    assert browser.focused()["text"] == "Skip to the results"
    assert browser.one(".skip").is_displayed()
    browser.press(Keys.ENTER)
    assert browser.focused()["id"] == "content"
    seen = []
    for _ in range(40):
        browser.press(Keys.TAB)
        seen.append(browser.focused())
        if seen[-1]["tag"] == "BUTTON" and seen[-1]["text"].startswith("3 runs"):
            break
    assert [f["id"] for f in seen if f["tag"] == "SELECT"] == [
        f"filter-{name}" for name in ("task", "split", "model", "horizon", "preset", "device")
    ]
    outline = browser.script("return getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    browser.press(Keys.ENTER)
    assert browser.script("return document.activeElement.getAttribute('aria-expanded')") == "true"
    browser.script("document.querySelector('thead button').focus()")
    browser.press(Keys.SPACE)
    assert browser.one("thead th").get_attribute("aria-sort") == "ascending"
    browser.script("document.querySelector('#filter-task').focus()")
    browser.press("R")
    assert {row["task"] for row in browser.rows()} <= {"rush-hour", "reacher"}


@pytest.mark.parametrize("width", [360, 768, 1200])
def test_the_page_is_no_wider_than_the_screen(browser: Browser, width: int) -> None:
    browser.open(width=width)
    for details in browser.all("details"):
        browser.script("arguments[0].open = true", details)
    for more in browser.all("button.more")[:3]:
        browser.script("arguments[0].click()", more)
    sizes = browser.script("return [document.documentElement.scrollWidth, innerWidth]")
    assert sizes == [width, width]
    # Tables are, and scroll by themselves.
    assert width > 800 or browser.script(
        "const e = document.querySelector('.scroll'); return e.scrollWidth > e.clientWidth"
    )
    # WCAG 2.2: what is pressed is at least 24 pixels high.
    heights = browser.script(
        "return [...document.querySelectorAll('select, button, summary')].map(e => e.offsetHeight)"
    )
    assert min(heights) >= 24


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_marks_and_lines_stand_out_by_day_and_by_night(browser: Browser, scheme: str) -> None:
    browser.open(prefers_color_scheme=scheme)
    # WCAG 2: 4.5 for text, 3 for what is drawn. Backgrounds are plain, the nearest one counts.
    contrasts = browser.script(
        """
        const numbers = colour => colour.match(/[\\d.]+/g).map(Number);
        const light = colour => {
          const [r, g, b] = numbers(colour).slice(0, 3).map(v => v / 255)
            .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
          return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const behind = element => {
          for (let e = element; e; e = e.parentElement) {
            const colour = getComputedStyle(e).backgroundColor;
            if ((numbers(colour)[3] ?? 1) > 0) return colour;
          }
        };
        const contrast = (element, colour) => {
          const [a, b] = [light(colour), light(behind(element))].sort((x, y) => y - x);
          return (a + 0.05) / (b + 0.05);
        };
        const worst = {};
        const note = (kind, element, colour) => {
          const value = contrast(element, colour);
          if (!(worst[kind] <= value)) worst[kind] = value;
        };
        for (const e of document.querySelectorAll("p, dt, dd, td, th, small, li, a, label, code, .tag"))
          note("text", e, getComputedStyle(e).color);
        for (const e of document.querySelectorAll(".chart text")) note("text", e, getComputedStyle(e).fill);
        for (const e of document.querySelectorAll(".line")) note("lines", e, getComputedStyle(e).stroke);
        for (const e of document.querySelectorAll(".published"))
          note("published", e, getComputedStyle(e).stroke);
        for (const e of document.querySelectorAll(".mark")) {
          const style = getComputedStyle(e);
          note("marks", e, e.classList.contains("hollow") ? style.stroke : style.fill);
        }
        return [worst, light(getComputedStyle(document.body).backgroundColor)];
        """
    )
    worst, background = contrasts
    assert set(worst) == {"text", "lines", "published", "marks"}
    assert worst.pop("text") >= 4.5
    assert min(worst.values()) >= 3
    assert background > 0.8 if scheme == "light" else background < 0.05


def test_nothing_moves_where_motion_is_unwelcome(browser: Browser) -> None:
    browser.open()
    assert browser.script("return getComputedStyle(document.documentElement).scrollBehavior") == "auto"
    assert browser.script("return document.getAnimations().length") == 0


def test_without_a_script_everything_is_shown(browser: Browser) -> None:
    browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.open()
        runs = browser.all(".provenance")
        assert runs
        assert all(run.is_displayed() for run in runs)
        assert not browser.one("form.filters").is_displayed()
    finally:
        browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})

"""The page of results in headless Chromium: without a network, filtered, sorted, by keyboard."""

from __future__ import annotations

import json

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.support.browser import Browser
from tests.support.report_tables import STRANGE, report_rows

pytestmark = pytest.mark.slow


def test_opens_from_disk_without_a_request_or_a_word_on_the_console(browser: Browser) -> None:
    # Once before, so that what the browser's own first page asks for is over.
    browser.open()
    browser.log("performance")
    browser.open()
    browser.unfold()
    browser.choose("task", "2d-shapes")
    browser.one("thead button").click()
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
    browser.unfold(runs=False)
    everything = browser.rows()
    ran = {(r.task, r.train_split, r.model, r.preset, str(r.horizon)) for r in report_rows()}
    shown = {
        tuple(r[k] for k in ("task", "split", "model", "preset", "horizon"))
        for r in everything
        if "device" in r
    }
    assert ran == shown
    assert browser.script("return document.querySelector('#status').textContent") == ""

    browser.choose("task", "2d-shapes")
    browser.choose("model", "sen")
    browser.choose("horizon", "10")
    rows = browser.rows()
    assert rows == [
        row for row in everything if (row["task"], row["model"], row["horizon"]) == ("2d-shapes", "sen", "10")
    ]
    assert rows
    assert browser.one("#status").text == f"{len(rows)} of {len(everything)} rows of the tables shown"
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
    browser.unfold(runs=False)
    table, heading = "#task-1 ~ .more .board", "H@10 %"
    button = next(b for b in browser.all(f"{table} thead button") if b.text.startswith(heading))
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
        assert len(browser.all(f"{table} [aria-sort]")) == 1
        assert browser.one("#status").text == f"2D Shapes sorted by {heading}, {order}"
    for other, kind in (("steps", int), ("model", str)):
        next(b for b in browser.all(f"{table} thead button") if b.text.startswith(other)).click()
        values = browser.column(table, other)
        assert len(set(values)) > 2
        assert values == sorted(values, key=kind)
    assert button.find_element(By.XPATH, "..").get_attribute("aria-sort") is None


def test_where_a_number_comes_from_is_shown_and_hidden_and_follows_its_row(browser: Browser) -> None:
    browser.open()
    browser.unfold(runs=False)
    more, runs = browser.one(".provenance summary"), browser.one(".provenance .runs")
    assert not runs.is_displayed()
    more.click()
    assert runs.is_displayed()
    browser.one("thead button").click()
    assert browser.script("return arguments[0].closest('tbody').contains(arguments[1])", more, runs)
    more.click()
    assert not runs.is_displayed()


def test_everything_is_reached_and_used_by_keyboard(browser: Browser) -> None:
    browser.open()
    browser.press(Keys.TAB)
    assert browser.focused()["text"] == "Skip to the results"
    assert browser.one(".skip").is_displayed()
    browser.press(Keys.ENTER)
    assert browser.focused()["id"] == "content"
    summaries = []
    # What is closed is passed over, and is opened by the space bar or the return key.
    for _ in range(45):
        browser.press(Keys.TAB)
        focus = browser.focused()
        if focus["tag"] != "SUMMARY":
            continue
        summaries.append(focus["text"].partition(":")[0])
        assert browser.script("return getComputedStyle(document.activeElement).outlineStyle") == "solid"
        if summaries[-1] == "Filter":
            browser.press(Keys.SPACE)
            selects = []
            for _ in range(6):
                browser.press(Keys.TAB)
                selects.append(browser.focused()["id"])
            assert selects == [
                f"filter-{name}" for name in ("task", "split", "model", "horizon", "preset", "device")
            ]
        if summaries[-1].startswith("All scores"):
            browser.press(Keys.ENTER)
            break
    numbers, settings = "Numbers of 2D Shapes, ", "Numbers and settings of 2D Shapes, "
    end = ", what symmetry is worth"
    assert summaries == [
        f"{settings}all actions{end}",
        f"{settings}a slice of the orbit{end}",
        f"{numbers}limited actions{end}",
        "How to read these figures",
        "How much data does it save? 1 more",
        "Is a better latent good for acting? 1 more",
        "What the scores mean",
        "Filter",
        "All scores, horizons and runs of 2D Shapes",
    ]
    assert browser.one(".board").is_displayed()
    browser.script("document.querySelector('.provenance summary').focus()")
    browser.press(Keys.SPACE)
    assert browser.one(".provenance .runs").is_displayed()
    browser.script("document.querySelector('thead button').focus()")
    browser.press(Keys.SPACE)
    assert browser.one("thead th[aria-sort]").get_attribute("aria-sort") == "ascending"
    browser.script("document.querySelector('#filter-task').focus()")
    browser.press("R")
    browser.unfold(runs=False)
    assert {row["task"] for row in browser.rows()} <= {"rush-hour", "reacher"}


def test_without_a_script_everything_is_there(browser: Browser) -> None:
    browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.open()
        assert not browser.one("form.filters").is_displayed()
        assert browser.one(".card .score").is_displayed()
        for selector in (".block .more > summary", ".provenance summary"):
            browser.one(selector).click()
        assert browser.one(".provenance .runs").is_displayed()
    finally:
        browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})

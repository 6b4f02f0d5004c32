"""A page in a browser: opened at a width, in light or dark, looked at and used by keyboard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.select import Select


class Browser:
    """A page in Chromium."""

    def __init__(self, driver: webdriver.Chrome, page: Path) -> None:
        self.driver = driver
        self._page = page

    def open(self, *, width: int = 1400, page: Path | None = None, **media: str) -> None:
        """Opens the page anew, in a window of a width, with CSS media features; by default without motion."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        media = {"prefers_reduced_motion": "reduce"} | media
        features = [{"name": name.replace("_", "-"), "value": value} for name, value in media.items()]
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        self.driver.get((page or self._page).as_uri())

    def unfold(self, *, runs: bool = True) -> None:
        """Opens what is there on demand; `runs`: what is known of each run too."""
        selector = "details" if runs else "details:not(.provenance details)"
        self.script("for (const e of document.querySelectorAll(arguments[0])) e.open = true", selector)

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
            const table = document.querySelector(arguments[0]);
            const headings = [...table.tHead.rows[0].cells];
            const column = headings.findIndex(th => th.textContent.trim().startsWith(arguments[1]));
            return [...table.tBodies].map(body => body.rows[0].cells[column].dataset.value);
            """,
            table,
            heading,
        )
        return values

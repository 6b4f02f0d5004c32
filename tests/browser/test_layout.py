"""How the page of results looks in Chromium: on a phone, a tablet and a desk, in the dark, on paper."""

from __future__ import annotations

import pytest

from tests.paths import ROOT
from tests.support.browser import Browser

pytestmark = pytest.mark.slow

WIDTHS = (390, 768, 1400)
"""A phone, a tablet and a desk."""


@pytest.mark.parametrize("width", WIDTHS)
def test_model_and_score_are_seen_without_scrolling_sideways(browser: Browser, width: int) -> None:
    browser.open(width=width)
    places = browser.script(
        """
        return [...document.querySelectorAll(".card tbody tr")].map(row =>
          [...row.children].map(cell => {
            const range = document.createRange();
            range.selectNodeContents(cell);
            const box = range.getBoundingClientRect();
            return [box.left, box.right];
          }));
        """
    )
    assert len(places) > 20
    for model, score, *_ in places:
        # The score is beside the name, and neither runs into the other or over the edge.
        assert 0 <= model[0] < model[1] <= score[0] < score[1] <= width
    # The longest horizon is what a card shows, and the first row of what is behind it.
    assert browser.script("return document.querySelector('.board tbody').dataset.horizon") == "10"


@pytest.mark.parametrize(("width", "height"), [(390, 23_774), (1400, 13_994)])
def test_the_page_of_record_is_short_before_anything_is_opened(
    browser: Browser, width: int, height: int
) -> None:
    browser.open(width=width, page=ROOT / "results" / "index.html")
    worth = browser.script(
        "const heading = document.querySelector('#worth');"
        "return heading ? heading.closest('section').getBoundingClientRect().height : 0"
    )
    # The section of studies came since.
    assert browser.script("return document.documentElement.scrollHeight") - worth <= height / 2
    assert worth <= 3000
    first = browser.script(
        "return [...document.querySelectorAll('.headline')].map(e => e.getBoundingClientRect().bottom)"
    )
    assert len(first) == 3
    # All three are on the first screen where it is wide.
    assert width < 1000 or max(first) <= 900


@pytest.mark.parametrize("width", [360, *WIDTHS])
def test_the_page_is_no_wider_than_the_screen(browser: Browser, width: int) -> None:
    browser.open(width=width)
    browser.unfold()
    sizes = browser.script("return [document.documentElement.scrollWidth, innerWidth]")
    assert sizes == [width, width]
    # Words of drawings may run over their edge, which does not make the page wider.
    ends = browser.script(
        "return [...document.querySelectorAll('.chart text')].map(e => e.getBoundingClientRect())"
        ".map(box => [box.left, box.right])"
    )
    assert all(0 <= left < right <= width for left, right in ends)
    # Tables are, and scroll by themselves.
    assert width > 800 or browser.script(
        "const e = document.querySelector('.scroll'); return e.scrollWidth > e.clientWidth"
    )
    # WCAG 2.2: what is pressed is at least 24 pixels high.
    heights = browser.script(
        "return [...document.querySelectorAll('select, button, summary')].map(e => e.offsetHeight)"
    )
    assert min(heights) >= 24


@pytest.mark.parametrize("width", WIDTHS)
def test_what_symmetry_is_worth_is_seen_before_anything_is_opened(browser: Browser, width: int) -> None:
    browser.open(width=width)
    figures = browser.script(
        """
        return ["data-1", "orbit-1", "acting-1"].map(id => document.getElementById(id)).map(figure =>
          [figure.checkVisibility(), ...["p", "svg.chart", ".note"].map(part =>
            figure.querySelector(part).getBoundingClientRect()).map(box =>
              [box.left, box.right, box.top + scrollY])]);
        """
    )
    for seen, sentence, chart, caution in figures:
        assert seen
        assert all(0 <= left < right <= width for left, right, _ in (sentence, chart, caution))
    sentences = [sentence for _, sentence, *_ in figures]
    lefts, tops = ({round(place[k]) for place in sentences} for k in (0, 2))
    # Side by side where there is room, else one below the other.
    assert (len(lefts), len(tops)) in ([(3, 3), (3, 2), (3, 1)] if width == 1400 else [(1, 3)])
    assert not browser.one("#acting-2").is_displayed()
    browser.all("#worth ~ .more > summary")[-1].click()
    assert browser.one("#acting-2").is_displayed()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_marks_and_lines_stand_out_by_day_and_by_night(browser: Browser, scheme: str) -> None:
    browser.open(prefers_color_scheme=scheme)
    browser.unfold()
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
        const words = "p, dt, dd, td, th, small, li, a, label, code, span, b, h1, h2, h3, caption, summary";
        for (const e of document.querySelectorAll(words)) note("text", e, getComputedStyle(e).color);
        for (const e of document.querySelectorAll(".chart text, .strip text"))
          note("text", e, getComputedStyle(e).fill);
        for (const e of document.querySelectorAll(".line")) note("lines", e, getComputedStyle(e).stroke);
        for (const e of document.querySelectorAll(".published, .reference"))
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


def test_on_paper_it_is_dark_on_light_whatever_the_screen_is(browser: Browser) -> None:
    browser.open(prefers_color_scheme="dark")
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        colours = browser.script(
            "return ['body', 'header'].map(name => document.querySelector(name)).flatMap("
            "e => [getComputedStyle(e).color, getComputedStyle(e).backgroundColor])"
        )
        assert colours == ["rgb(23, 25, 28)", "rgb(255, 255, 255)", "rgb(23, 25, 28)", "rgba(0, 0, 0, 0)"]
        assert not browser.one(".filter").is_displayed()
        assert browser.one(".card").is_displayed()
    finally:
        browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})

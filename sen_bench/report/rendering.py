"""The page as HTML: one file with style, script and pictures inside, and a policy that forbids a network."""

from __future__ import annotations

import base64
import hashlib
from importlib import resources
from pathlib import Path
from typing import Final

import jinja2
from markupsafe import Markup, escape

from sen_bench.errors import ResultsError
from sen_bench.report.formatting import column_title, score_text, short_preset, spread_text
from sen_bench.report.page import Page, devices_json, duration
from sen_bench.system import check_output, write_atomically

GENERATOR: Final = "sen-bench report"
"""What every page names as its generator near its beginning, so that only pages are overwritten."""

_HEAD_BYTES: Final = 2000


def render_page(page: Page) -> str:
    """The page as a document; equal pages give equal text.

    Texts of the tables are escaped. Style and script are admitted by their digests, so that nothing else runs
    even if escaping should fail.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("sen_bench.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"duration": duration, "devices": devices_json}
    environment.filters |= {"coded": coded, "short_preset": short_preset}
    environment.filters |= {"column_title": column_title, "score": score_text, "spread": spread_text}
    style, script = (_template(name) for name in ("style.css", "script.js"))
    policy = "; ".join(
        (
            "default-src 'none'",
            f"style-src '{_hash(style)}'",
            f"script-src '{_hash(script)}'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    # These come from the package's own files, and are the only two texts that are not escaped.
    return environment.get_template("index.html").render(
        page=page,
        style=Markup(style),  # noqa: S704
        script=Markup(script),  # noqa: S704
        policy=policy,
        generator=GENERATOR,
    )


def check_page(path: Path) -> None:
    """Refuses a place for the page, before it is made.

    Raises:
        ConfigError: The page cannot be written there.
        ResultsError: There is something other than a page.
    """
    check_output(path)
    try:
        _refuse_others(path)
    except OSError as error:
        raise ResultsError(f"cannot read {path}: {error.strerror or error}") from error


def coded(text: str) -> Markup:
    """A text whose names between backticks are marked up as code; all of it is escaped.

    No line breaks between a number and its percent sign.
    """
    parts = (escape(part) for part in text.replace(" %", "\N{NO-BREAK SPACE}%").split("`"))
    return Markup().join(
        Markup("<code>{}</code>").format(part) if number % 2 else part for number, part in enumerate(parts)
    )


def write_page(page: Page, path: Path) -> None:
    """Writes the page, in one step.

    Raises:
        ResultsError: There is something other than a page at the path, or it cannot be written.
    """
    text = render_page(page)
    try:
        _refuse_others(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda part: part.write_text(text, encoding="utf-8"))
    except OSError as error:
        raise ResultsError(f"cannot write {path}: {error.strerror or error}") from error


def _refuse_others(path: Path) -> None:
    """Refuses to replace a file that is no page.

    Raises:
        OSError: The file cannot be read.
        ResultsError: It is something other than a page.
    """
    if path.exists() and f'content="{GENERATOR}"'.encode() not in path.read_bytes()[:_HEAD_BYTES]:
        raise ResultsError(f"{path} is not a page of `sen-bench report`; choose another --output")


def _template(name: str) -> str:
    return (resources.files("sen_bench.report") / "templates" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """The source expression of an inline text in a content security policy."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

"""Draws the floors of the package in docs/architecture.md, from the contract of import-linter.

`python -m tests.project.architecture` rewrites the picture; tests/project/test_architecture.py fails where it
is not the contract's.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from tests.paths import DOCS, ROOT

PAGE = DOCS / "architecture.md"
BEGIN, END = "<!-- layers -->", "<!-- end of layers -->"


def layers() -> list[str]:
    """The floors of the contract, from the highest down; rooms on one floor are apart by " | "."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (contract,) = pyproject["tool"]["importlinter"]["contracts"]
    return list(contract["layers"])


def drawn(page: str) -> str:
    """The text of the page with the picture of the contract between its two markers.

    Raises:
        ValueError: If there are no such markers, or several.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end) or BEGIN in after or END in before:
        raise ValueError(f"{PAGE.name} must have {BEGIN} and {END} once, in this order")
    picture = "\n".join(["```text", *layers(), "```"])
    return f"{before}{BEGIN}\n{picture}\n{END}{after}"


def write(page: Path = PAGE) -> None:
    """Rewrites the picture in the page."""
    page.write_text(drawn(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    write()

"""The site is built from the pages of the repository, and a mistake in them ends the build."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from tests.paths import ROOT

PAGES = {
    "README.md": "# Start\n\n[A](docs/page.md#a-heading), [changes](CHANGELOG.md), [B](results/table.csv)\n",
    "CHANGELOG.md": "# Changelog\n\n[A page](docs/page.md)\n",
    "docs/page.md": "# Page\n\n## A heading\n[Start](../README.md), [a](../tests/a.sh), [web](https://arxiv.org)\n",
    "docs/reference.md": "# Reference\n\n::: sen_bench.load\n",
    "examples/README.md": "# Examples\n\n[Sum](sum.ipynb)\n",
    "results/table.csv": "a,b\n",
    "tests/a.sh": "true\n",
}


def _notebook(*cells: str) -> str:
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Sum")])
    made.cells += [nbformat.v4.new_code_cell(cell) for cell in cells]
    return str(nbformat.writes(made))


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a page of each kind, built by the settings of this one."""
    pages = {**PAGES, "examples/sum.ipynb": _notebook("print(20 + 3)")}
    for name, text in pages.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    shutil.copytree(ROOT / "docs/site", tmp_path / "docs/site")
    (tmp_path / "mkdocs.yml").write_text(
        f"""INHERIT: {ROOT / "mkdocs.yml"}
watch: []
nav:
  - index.md
  - page.md
  - reference.md
  - CHANGELOG.md
  - Examples: [examples/index.md, examples/sum.md]
"""
    )
    return tmp_path


def _build(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_links_between_files_become_links_of_the_site(repository: Path) -> None:
    built = _build(repository)
    assert built.returncode == 0, built.stderr
    site = repository / "site"
    start, page = ((site / name).read_text() for name in ("index.html", "page.html"))
    for link in ("page.html#a-heading", "CHANGELOG.html", "results/table.csv"):
        assert f'href="{link}"' in start
    for link in ("index.html", "tests/a.sh", "https://arxiv.org"):
        assert f'href="{link}"' in page
    assert 'href="sum.html"' in (site / "examples/index.html").read_text()
    assert (site / "results/table.csv").read_text() == "a,b\n"
    assert "23" in (site / "examples/sum.html").read_text()
    reference = (site / "reference.html").read_text()
    assert 'id="sen_bench.load"' in reference
    assert "doc-signature" in reference
    assert not (site / "site").exists()
    for written in site.rglob("*.html"):
        loaded = re.findall(r"<(?:script|img|iframe)[^>]* src=\"?([^\s\">]+)", written.read_text())
        loaded += re.findall(
            r"<link[^>]* rel=\"?(?:stylesheet|preload)[^>]* href=\"?([^\s\">]+)", written.read_text()
        )
        assert loaded
        assert not [address for address in loaded if "//" in address], written


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mistakes", "said"),
    [
        (
            {
                "README.md": "# Start\n\n[A page](docs/pages.md), [another](docs/page.md#a-headin)\n",
                "docs/more.md": "# More\n",
            },
            ["'pages.md'", "#a-headin", "- more.md"],
        ),
        ({"docs/reference.md": "# Reference\n\n::: sen_bench.lod\n"}, ["sen_bench.lod"]),
        ({"examples/sum.ipynb": _notebook("1 / 0")}, ["sum.ipynb", "ZeroDivisionError"]),
    ],
    ids=["dead links, page left out", "unknown name", "failing cell"],
)
def test_a_mistake_ends_the_build(repository: Path, mistakes: dict[str, str], said: list[str]) -> None:
    for name, text in mistakes.items():
        (repository / name).write_text(text)
    built = _build(repository)
    assert built.returncode != 0
    for words in said:
        assert words in built.stderr


def test_every_name_of_the_face_is_in_the_reference() -> None:
    face = ast.parse((ROOT / "sen_bench/__init__.pyi").read_text())
    names = {
        alias.asname or alias.name
        for node in face.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    shown = re.findall(r"^::: sen_bench\.(\w+)$", (ROOT / "docs/reference.md").read_text(), re.MULTILINE)
    assert len(shown) == len(set(shown))
    assert set(shown) == names - {"__version__"}


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebooks_are_stored_without_output(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.cells[0].source.startswith("# ")
    for cell in notebook.cells:
        assert cell.cell_type == "markdown" or (cell.outputs == [] and cell.execution_count is None)
    assert f"]({path.name})" in (ROOT / "examples/README.md").read_text()

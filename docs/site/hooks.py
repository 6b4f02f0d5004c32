"""What MkDocs needs to be told to build a site from the pages as they lie in the repository.

In the repository pages link to each other and to other files by relative paths, from `README.md` to `docs/`
and from `docs/` to tests, tables and workflows. Here those paths become paths of the site:

- `README.md` is the landing page, `CHANGELOG.md` and the pages of `examples/` are pages;
- the notebooks of `examples/` are executed, and are pages with what came out;
- any other file that a page links to is copied to the same path of the site.

So a link that leads nowhere in the repository leads nowhere on the site, which `mkdocs build --strict` finds.
"""

from __future__ import annotations

import posixpath
import re
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import nbformat
from jupyter_client.manager import AsyncKernelManager
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbconvert import MarkdownExporter

ROOT = Path(__file__).resolve().parents[2]
_LINK = re.compile(r"(\]\()([^)#\s]+)")
_PLACES = {"README.md": "index.md", "examples/README.md": "examples/index.md"}
"""Files of the repository -> pages of the site, where the path is not the same."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds what lies outside `docs/`: pages, notebooks, and the files that pages link to."""
    outside = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "examples").glob("*.md"))]
    for path in outside:
        source = path.relative_to(ROOT).as_posix()
        files.append(File.generated(config, _place(source), content=path.read_text(encoding="utf-8")))
    for path in sorted((ROOT / "examples").glob("*.ipynb")):
        text, pictures = executed(path, path.read_text(encoding="utf-8"))
        source = path.relative_to(ROOT).with_suffix(".md").as_posix()
        files.append(File.generated(config, source, content=text))
        for name, picture in pictures.items():
            files.append(File.generated(config, f"examples/{name}", content=picture))
    for page in list(files.documentation_pages()):
        for target in _targets(page.content_string, _source(page.src_uri)):
            place = _place(target)
            if (ROOT / target).is_file() and files.get_file_from_path(place) is None:
                files.append(
                    File.generated(
                        config, place, abs_src_path=str(ROOT / target), inclusion=InclusionLevel.NOT_IN_NAV
                    )
                )
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Turns links between files of the repository into links between pages of the site."""
    source = _source(page.file.src_uri)

    def moved(match: re.Match[str]) -> str:
        target = _target(match[2], source)
        if target is None:
            return match[0]
        return match[1] + posixpath.relpath(_place(target), posixpath.dirname(page.file.src_uri) or ".")

    return _LINK.sub(moved, markdown)


@cache  # `mkdocs serve` builds anew at every change, and executes only the notebooks that changed
def executed(path: Path, text: str) -> tuple[str, dict[str, bytes]]:
    """Executes a notebook in a folder of its own.

    Args:
        path: Where the notebook lies; its pictures are named after it.
        text: What is in it.

    Returns:
        The notebook with its output as Markdown, and the pictures in it by the names it gives them.

    Raises:
        PluginError: If a cell fails.
    """
    notebook = nbformat.reads(text, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        # By sockets in the file system: no port is opened.
        kernel = AsyncKernelManager(transport="ipc", ip=f"{folder}/kernel", kernel_name="python3")
        client = NotebookClient(notebook, km=kernel, timeout=600, resources={"metadata": {"path": folder}})
        try:
            client.execute()
        except CellExecutionError as error:
            raise PluginError(f"{path.relative_to(ROOT)}: a cell failed\n{error}") from error
    exporter = MarkdownExporter()
    names = {"output_files_dir": f"{path.stem}_files", "unique_key": path.stem}
    body, found = exporter.from_notebook_node(notebook, resources=names)
    return body, dict(found["outputs"])


def _place(source: str) -> str:
    """Where a file of the repository is on the site."""
    if source.endswith(".ipynb"):
        return f"{source.removesuffix('.ipynb')}.md"
    return _PLACES.get(source, source.removeprefix("docs/"))


def _source(place: str) -> str:
    """Which file of the repository a page of the site is; the opposite of `_place` for pages."""
    for source, known in _PLACES.items():
        if place == known:
            return source
    if place == "CHANGELOG.md" or place.startswith("examples/"):
        return place
    return f"docs/{place}"


def _target(link: str, source: str) -> str | None:
    """The file of the repository that a link in another one means; none for an address or a heading."""
    if re.match(r"[a-z]+:", link) or link.startswith("/"):
        return None
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), link))
    return None if path.startswith("..") else path


def _targets(markdown: str, source: str) -> Iterator[str]:
    for match in _LINK.finditer(markdown):
        target = _target(match[2], source)
        if target is not None:
            yield target

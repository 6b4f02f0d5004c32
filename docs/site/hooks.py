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
    notebooks = {
        path.stem: path.read_text(encoding="utf-8") for path in sorted((ROOT / "examples").glob("*.ipynb"))
    }
    for name, (text, pictures) in zip(notebooks, executed(tuple(notebooks.items())), strict=True):
        files.append(File.generated(config, f"examples/{name}.md", content=text))
        for picture, content in pictures.items():
            files.append(File.generated(config, f"examples/{picture}", content=content))
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


@cache  # `mkdocs serve` builds anew at every change, and executes notebooks only if one of them changed
def executed(notebooks: tuple[tuple[str, str], ...]) -> list[tuple[str, dict[str, bytes]]]:
    """Executes notebooks, one after another in one folder, as later ones use what earlier ones wrote.

    Args:
        notebooks: The name of each, without suffix, which begins the names of its pictures; and its content.

    Returns:
        Of each notebook: itself with its output, as Markdown, and the pictures by the names that it uses.

    Raises:
        PluginError: If a cell fails.
    """
    pages = []
    with tempfile.TemporaryDirectory() as temporary:
        # The tables of record lie where they lie beside `examples/`.
        (Path(temporary) / "results").symlink_to(ROOT / "results")
        folder = Path(temporary) / "examples"
        folder.mkdir()
        for name, content in notebooks:
            notebook = nbformat.reads(content, as_version=4)
            # By sockets in the file system: no port is opened.
            kernel = AsyncKernelManager(transport="ipc", ip=f"{temporary}/{name}", kernel_name="python3")
            resources = {"metadata": {"path": str(folder)}}
            try:
                NotebookClient(notebook, km=kernel, timeout=1800, resources=resources).execute()
            except CellExecutionError as error:
                raise PluginError(f"examples/{name}.ipynb: a cell failed\n{error}") from error
            files = {"output_files_dir": f"{name}_files", "unique_key": name}
            body, found = MarkdownExporter().from_notebook_node(notebook, resources=files)
            pages.append((body, dict(found["outputs"])))
    return pages


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

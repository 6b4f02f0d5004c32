"""What the structure of the package promises: faces, floors, sizes, words, and that all of it is shipped."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.paths import ROOT
from tests.project import architecture

LINKED = ("envs", "generators", "baselines")
"""Rooms at the root of the repository, to which `sen_bench/` has links."""

REACHED_INTO = {("checks/machine.py", "sen_bench.baselines.e2cnn_compat")}
"""(File, module) of the one import past a face: the doctor tries whether that very module can be imported."""

ENTRY_POINTS = ("sen_bench.baselines.model.WorldModel",)
"""Names that users import from a module: they stay importable there."""


def _folder(room: str) -> Path:
    return ROOT / room if room in LINKED else ROOT / "sen_bench" / room


ROOMS = sorted(room for floor in architecture.layers() for room in floor.split(" | "))
FACES = [room for room in ROOMS if (_folder(room) / "__init__.pyi").exists()]


def _modules() -> Iterator[tuple[str, Path]]:
    """Every module of the product with its room; that of modules of no room is empty."""
    for path in sorted((ROOT / "sen_bench").glob("*.py")):
        yield (path.stem if path.stem in ROOMS else ""), path
    for room in ROOMS:
        for path in sorted(_folder(room).rglob("*.py")):
            yield room, path


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def _face(room: str) -> dict[str, str]:
    """The names on a room's face -> the modules that they come from."""
    stub = _tree(_folder(room) / "__init__.pyi")
    return {
        alias.asname or alias.name: node.module or alias.name
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


@pytest.mark.parametrize("room", FACES)
def test_every_name_of_a_face_can_be_imported(room: str) -> None:
    face, module = _face(room), importlib.import_module(f"sen_bench.{room}")
    assert face
    for name in face:
        assert getattr(module, name) is not None
    assert sorted(module.__all__) == sorted(face)


@pytest.mark.parametrize("room", FACES)
def test_no_name_of_a_face_is_a_module_of_its_room(room: str) -> None:
    """Importing the module would put it in the place of the function. A module may be on the face as such."""
    modules = {path.stem for path in _folder(room).glob("*.py")}
    assert {name for name, origin in _face(room).items() if name in modules and origin != name} == set()


def test_rooms_without_a_face_are_a_single_module_or_imported_by_nobody() -> None:
    assert set(ROOMS) - set(FACES) == {"errors", "cli"}


def _imported(path: Path, room: str) -> Iterator[str]:
    """The full names of what a module imports from the package, wherever in it and for types only too."""
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ["sen_bench", room] if room else ["sen_bench"]
            origin = node.module or ""
            if node.level:
                origin = ".".join([*base[: len(base) + 1 - node.level], *([origin] if origin else [])])
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def test_rooms_import_of_others_only_what_is_on_their_faces() -> None:
    faces = {room: set(_face(room)) for room in FACES}
    past = set()
    for room, path in _modules():
        for name in _imported(path, room):
            package, _, rest = name.partition(".")
            other, _, what = rest.partition(".")
            if package != "sen_bench" or other == room or other not in faces or not what:
                continue
            if what not in faces[other]:
                past.add((f"{room}/{path.name}", name.rpartition(".")[0]))
    assert past - REACHED_INTO == set()
    assert not REACHED_INTO - past, "an exception that is no longer needed"


@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_names_that_users_import_from_modules_stay_there(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    assert hasattr(importlib.import_module(module), attribute)


def test_no_module_is_longer_than_400_lines() -> None:
    paths = [path for _, path in _modules()] + [*(ROOT / "tests").rglob("*.py")]
    assert len(paths) > 200
    long = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in paths}
    assert {path: lines for path, lines in long.items() if lines > 400} == {}


def test_no_module_has_a_leading_underscore() -> None:
    allowed = {"__init__", "__main__", "_version"}
    assert {path.stem for _, path in _modules() if path.stem.startswith("_")} <= allowed


def test_no_two_rooms_have_a_class_of_the_same_name() -> None:
    found: dict[str, set[str]] = defaultdict(set)
    for room, path in _modules():
        for node in _tree(path).body:
            if isinstance(node, ast.ClassDef):
                found[node.name.lstrip("_")].add(room)
    assert {name: rooms for name, rooms in found.items() if len(rooms) > 1} == {}


def test_the_picture_of_the_floors_is_the_contract() -> None:
    page = architecture.PAGE.read_text(encoding="utf-8")
    assert architecture.drawn(page) == page, "python -m tests.project.architecture draws it anew"


@pytest.mark.parametrize("page", ["", "<!-- layers -->", "<!-- end of layers --> <!-- layers -->"])
def test_a_page_without_room_for_the_picture_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="once, in this order"):
        architecture.drawn(page)


@pytest.mark.slow
def test_the_wheel_has_every_file_of_the_package(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    # From a copy: setuptools leaves its work in the folder that it builds.
    files = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    source = tmp_path / "source"
    for name in filter(None, files.split("\0")):
        if name.startswith(("docs/", "tests/", "results/")) or not (ROOT / name).exists():
            continue
        target = source / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_symlink():
            target.symlink_to((ROOT / name).readlink())
        else:
            target.write_bytes((ROOT / name).read_bytes())
    subprocess.run([*command, "--wheel-dir", tmp_path, source], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith("sen_bench/")}
    tracked = set(filter(None, files.split("\0")))
    expected = {name for name in tracked if name.startswith("sen_bench/") and (ROOT / name).is_file()}
    expected |= {f"sen_bench/{name}" for name in tracked if name.startswith(tuple(f"{r}/" for r in LINKED))}
    assert packed == {name for name in expected if name not in {f"sen_bench/{room}" for room in LINKED}}
    for name in (
        "results/published.csv",
        "report/templates/index.html",
        "envs/assets/teapot.txt",
        "py.typed",
    ):
        assert f"sen_bench/{name}" in packed
    assert {f"sen_bench/{room}/__init__.pyi" for room in FACES} <= packed

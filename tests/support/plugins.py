"""Makes distributions that are as good as installed: a folder on Python's path with metadata and a module."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from click.testing import Result

from tests.support.commands import done

Install = Callable[..., None]
"""Installs a distribution for the length of a test: called with entry points, a name and modules."""

TASK = """
from sen_bench.tasks.paper import Split, Task
from tests.support.fake_worlds import DRIFT
from tests.support.own_models import Mean

drift = Task(
    name="drift",
    title="Drift",
    world_id=DRIFT,
    splits={"train": Split(4, 5, "training"), "eval": Split(6, 2, "evaluation", twin=True)},
    models={"mean": Mean},
)


def make_drift():
    return drift
"""


def install(
    folder: Path, name: str, entry_points: Mapping[str, Mapping[str, str]], modules: Mapping[str, str]
) -> Path:
    """Writes a distribution.

    Args:
        folder: Where; to be put on Python's path.
        name: What the distribution is called; its version is 1.0.
        entry_points: Group -> name -> "module:object".
        modules: Name -> source.

    Returns:
        The folder.
    """
    metadata = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = [
        line
        for group, points in entry_points.items()
        for line in (f"[{group}]", *(f"{key} = {value}" for key, value in points.items()))
    ]
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n")
    for module, source in modules.items():
        (folder / f"{module}.py").write_text(source)
    return folder


def forget(folder: Path) -> None:
    """Has Python forget the modules that it imported from a folder, so that the next test has its own."""
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(str(folder)):
            del sys.modules[name]


def run_drift(*more: str, task: str = "drift") -> Result:
    """Runs the fake task with the preset small.toml of the current folder."""
    return done("run", task, "--preset", "small.toml", "--device", "cpu", "--workers", "1", "--quiet", *more)

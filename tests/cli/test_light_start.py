"""What has nothing to do with networks, worlds or tables starts without the packages of these."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sen_bench.cli.main import main
from tests.paths import ROOT

HEAVY = {"torch", "numba", "mujoco", "gymnasium", "zarr", "pandas", "matplotlib", "scipy", "numpy"}


def _heavy_after(code: str) -> set[str]:
    """The heavy packages that a new Python has imported once it has run some code."""
    code = f"{code}\nimport sys\nprint(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return HEAVY & set(done.stderr.split())


def _running(*arguments: str) -> str:
    """Code that runs a command, in as far as it ends well."""
    return (
        "from sen_bench.cli.main import main\n"
        f"try:\n    main({list(arguments)!r})\nexcept SystemExit as end:\n    assert not end.code"
    )


def test_heavy_packages_are_noticed() -> None:
    assert _heavy_after("import zarr") >= {"zarr", "numpy"}


def test_help_imports_nothing_heavy() -> None:
    """Of one command after another in one process, as to start one costs more than the help does."""
    commands = [[], *([name] for name in main.commands)]
    code = "\n".join(
        f"{_running(*command, '--help')}\nassert not {HEAVY!r} & set(__import__('sys').modules), {command!r}"
        for command in commands
    )
    assert not _heavy_after(code)


def test_no_command_loads_settings_before_it_runs() -> None:
    code = f"{_running('--help')}\nimport sys\nassert 'pydantic' not in sys.modules"
    assert not _heavy_after(code)


def test_listing_tasks_loads_neither_settings_nor_other_commands() -> None:
    code = f"""
{_running("tasks")}
import sys
commands = {{name for name in sys.modules if name.startswith("sen_bench.cli.") and "command" in name}}
assert commands == {{"sen_bench.cli.data_commands"}}, commands
assert "pydantic" not in sys.modules
"""
    assert _heavy_after(code) == {"gymnasium", "numpy"}


def test_listing_tasks_imports_no_renderer_physics_or_network() -> None:
    assert _heavy_after(_running("tasks")) == {"gymnasium", "numpy"}


def test_worlds_are_made_and_copied_without_renderer_and_physics() -> None:
    code = """
import pickle
from sen_bench.tasks import get_task, task_names
for name in task_names():
    world = pickle.loads(pickle.dumps(get_task(name).world()))
    assert world.symmetry.twin_elements is not None
"""
    assert _heavy_after(code) == {"gymnasium", "numpy"}


@pytest.mark.parametrize("kind", ["table", "markdown", "latex", "json"])
def test_the_leaderboard_imports_only_what_computes_statistics(kind: str) -> None:
    command = _running(
        "leaderboard", "--results", str(ROOT / "results"), "--with-published", "--format", kind
    )
    assert _heavy_after(command) == {"numpy"}


def test_merging_imports_only_what_reads_tables(tmp_path: Path) -> None:
    tables = tmp_path / "tables"
    tables.mkdir()
    for path in (ROOT / "results").glob("*.csv*"):
        shutil.copy(path, tables)
    command = _running("merge", str(tables), "--results", str(tmp_path / "merged"))
    assert _heavy_after(command) == {"pandas", "numpy"}
    with_studies = _running("merge", str(ROOT / "results"), "--results", str(tmp_path / "both"))
    drawing = {"pandas", "numpy", "matplotlib", "gymnasium"}
    assert _heavy_after(with_studies) == drawing, "and nothing to train"


def test_tasks_are_named_and_looked_up_without_anything_heavy() -> None:
    code = """
from sen_bench.tasks import get_task, task_names
assert [get_task(name).recipe("train") for name in task_names()]
"""
    assert not _heavy_after(code)

"""Tasks and models of others, as good as installed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from sen_bench.system import plugins
from tests.support.plugins import TASK, Install, forget, install
from tests.support.presets import OF_DRIFT


@pytest.fixture
def plug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs a distribution for the length of a test; its modules are forgotten afterwards."""

    def install_here(
        entry_points: Mapping[str, Mapping[str, str]], name: str = "plug", **modules: str
    ) -> None:
        monkeypatch.syspath_prepend(install(tmp_path / "site" / name, name, entry_points, modules))

    yield install_here
    forget(tmp_path)


@pytest.fixture
def drift(plug: Install) -> None:
    """The task drift, by a plugin."""
    plug({plugins.TASKS: {"drift": "drift_task:drift"}}, drift_task=TASK)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the preset small.toml."""
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "small.toml").write_text(OF_DRIFT)
    monkeypatch.chdir(folder)
    return folder

"""What the tests of sweeps begin with."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.commands import invoke
from tests.support.presets import TWO_TASKS
from tests.support.sweeps import OPTIONS
from tests.support.threads import one_thread


@pytest.fixture(autouse=True)
def _preset(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test works in a folder with the preset tiny.toml, and its programs with one thread each."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (here / "tiny.toml").write_text(TWO_TASKS)


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which all runs were done one after another, in one process with one thread."""
    folder = tmp_path_factory.mktemp("alone")
    (folder / "tiny.toml").write_text(TWO_TASKS)
    with pytest.MonkeyPatch.context() as patch, one_thread():
        patch.chdir(folder)
        result = invoke("run", "--all", *OPTIONS, "--workers", "1")
    assert result.exit_code == 0, result.output
    return folder

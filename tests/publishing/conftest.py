"""A hub of one machine, and datasets as small as the preset smoke of a plugin's task."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sen_bench.generators import generate
from sen_bench.system import plugins
from tests.support.hub_server import TOKEN, Hub, running_hub
from tests.support.plugins import TASK, forget, install


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A hub, which the environment names; whoever uses it is logged in."""
    monkeypatch.setenv("SEN_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with running_hub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


@pytest.fixture
def drift(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The task "drift", as of an installed plugin."""
    entry_points = {plugins.TASKS: {"drift": "drifting:make_drift"}}
    monkeypatch.syspath_prepend(install(tmp_path / "site", "drifting", entry_points, {"drifting": TASK}))
    yield
    forget(tmp_path)


@pytest.fixture
def store(drift: None, tmp_path: Path) -> Path:
    """The eval split of that task."""
    del drift
    from sen_bench.tasks import get_task  # noqa: PLC0415 — only where the task is installed

    return generate(get_task("drift").recipe("eval"), tmp_path / "made/drift/eval.zarr").path


def uploaded(hub: Hub, store: Path, place: str = "drift/eval.zarr") -> str:
    """Puts a dataset on the hub, as publishing leaves it there; returns its URL."""
    files = hub.files.setdefault("datasets/o/n", {})
    for path in store.rglob("*"):
        if path.is_file():
            files[f"{place}/{path.relative_to(store).as_posix()}"] = path.read_bytes()
    return f"hf://datasets/o/n/{place}"

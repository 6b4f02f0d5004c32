"""What tests of several rooms begin with."""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
from collections import Counter
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # Of tests side by side each has one core, as its programs have. PyTorch reads this at its import.
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

# A shell begins what runs in its background with Ctrl-C ignored. Tests send it, to themselves too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# What tests compile is no business of the user's cache, and is found again by the next ones.
os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(Path(tempfile.gettempdir()) / "sen-bench-torchinductor"))

import torch

from sen_bench.data.transitions import Transitions
from tests.support.warm import warm_processes


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """On workers, begins with the files that have most tests marked slow, and ends with those of few tests.

    A worker takes whole files. Left for the end, a long one would keep one worker busy and the others idle.
    """
    if "PYTEST_XDIST_WORKER" in os.environ:
        tests = Counter(item.path for item in items)
        slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
        items.sort(key=lambda item: (slow[item.path], tests[item.path]), reverse=True)


@pytest.fixture(scope="session")
def transitions() -> Transitions:
    """42 transitions: six episodes of seven steps, in frames of noise."""
    generator = torch.Generator().manual_seed(0)
    frames = torch.randint(0, 256, (6, 8, 6, 6, 3), dtype=torch.uint8, generator=generator)
    actions = torch.randint(0, 20, (6, 7), generator=generator)
    return Transitions(frames, actions, torch.device("cpu"))


@pytest.fixture
def warm_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker processes of sweeps are not spawned, but forks of one that has imported what they need."""
    monkeypatch.setattr(multiprocessing, "get_context", {"spawn": warm_processes()}.__getitem__)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which the test works in."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder

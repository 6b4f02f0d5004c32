"""The complete examples in the guides run as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sen_bench.store import open_dataset

DOCS = Path(__file__).parent.parent / "docs"


def _python_blocks(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), flags=re.DOTALL)


@pytest.fixture
def ring(tmp_path: Path) -> Path:
    """A folder with the module ring.py and the script generate.py of the guide."""
    module, script = _python_blocks("adding-a-world.md")
    (tmp_path / "ring.py").write_text(module)
    (tmp_path / "make_ring.py").write_text(script)
    return tmp_path


def _run(folder: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_world_of_the_guide_generates_a_dataset(ring: Path) -> None:
    digest = _run(ring, "make_ring.py").strip()
    output = _run(ring, "-m", "sen_bench", "info", "data/ring/eval.zarr")
    assert digest in output
    assert "50 episodes of 10 steps" in output
    share = open_dataset(ring / "data/ring/eval.zarr").load("action").mean()
    assert 0.65 < share < 0.85
    _run(ring, "-m", "sen_bench", "view", "data/ring/eval.zarr", "--twin", "--out", "ring.png")
    assert (ring / "ring.png").stat().st_size > 0


def test_the_world_of_the_guide_keeps_the_contract(ring: Path) -> None:
    check = """
import gymnasium, numpy as np, ring
from gymnasium.utils.env_checker import check_env
world = ring.Ring()
check_env(gymnasium.make(ring.Ring.world_id, render_mode="rgb_array").unwrapped)
for g in range(8):
    for place in range(8):
        for a in range(2):
            s = np.array([place])
            moved = world.transform_state(g, world.step_states(s, np.int64(a)))
            same = world.step_states(world.transform_state(g, s), world.transform_action(g, np.int64(a)))
            assert np.array_equal(moved, same)
frames = world.render_states(np.arange(8)[:, None])
assert len(np.unique(frames.reshape(8, -1), axis=0)) == 8
"""
    (ring / "check.py").write_text(check)
    _run(ring, "-W", "error", "check.py")

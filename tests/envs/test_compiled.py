"""The cache of machine code: whatever has become of it, functions are compiled and compute the same."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.paths import ROOT

SOURCE = """
from sen_bench.envs.compiled import compiled

@compiled
def triple(x):
    return 3 * x + 1

if __name__ == "__main__":
    print(triple(13), sum(triple.stats.cache_hits.values()))
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program whose function was compiled and kept."""
    path = tmp_path / "program.py"
    path.write_text(SOURCE)
    assert output(path) == "40 0"
    assert output(path) == "40 1"
    return path


def output(program: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(program.parent / "cache")}
    done = subprocess.run(
        [sys.executable, program], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def flip(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@pytest.mark.parametrize("kind", ["nbi", "nbc"])
@pytest.mark.parametrize(
    "damage",
    [lambda _: b"", lambda data: data[: len(data) // 2], lambda data: data[:-1], lambda _: b"\x80junk", flip],
    ids=["empty", "half", "one byte less", "junk", "flipped bit"],
)
def test_a_damaged_cache_is_replaced(program: Path, kind: str, damage: Callable[[bytes], bytes]) -> None:
    (file,) = (program.parent / "cache").rglob(f"*.{kind}")
    file.write_bytes(damage(file.read_bytes()))
    # A flipped bit may be in the time or the name of an index: then nothing is kept, or it is read.
    assert output(program).startswith("40 ")
    assert output(program) == "40 1"


def test_a_cache_that_cannot_be_mended_is_done_without(program: Path) -> None:
    (file,) = (program.parent / "cache").rglob("*.nbi")
    file.unlink()
    file.mkdir()
    assert output(program) == "40 0"

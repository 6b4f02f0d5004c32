"""`import sen_bench as sb` has the verbs and nouns of an experiment, and stays light until one is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import sen_bench

HEAVY = ("numpy", "torch", "numba", "zarr", "pandas", "gymnasium", "pydantic", "mujoco", "matplotlib")


@pytest.mark.parametrize("name", dir(sen_bench))
def test_every_name_leads_somewhere(name: str) -> None:
    assert getattr(sen_bench, name) is not None


def test_importing_it_imports_next_to_nothing() -> None:
    program = (
        "import sys, sen_bench; sen_bench.__version__; dir(sen_bench);"
        f"print([m for m in {HEAVY} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

"""Gymnasium makes every registered world by its name alone."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sen_bench.envs import WORLDS

CODE = """
import sys, gymnasium
name = sys.argv[1]
env = gymnasium.make(name)
env.reset(seed=0)
env.step(env.action_space.sample())
envs = gymnasium.make_vec(name, num_envs=2)
observations, _ = envs.reset(seed=0)
assert observations.shape == (2, *env.observation_space.shape), observations.shape
envs.step(envs.action_space.sample())
"""


@pytest.mark.parametrize("world", sorted(name for name in WORLDS if name.startswith("sen_bench/")))
def test_worlds_are_made_without_an_import(world: str) -> None:
    command = [sys.executable, "-c", CODE, f"sen_bench.envs:{world}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

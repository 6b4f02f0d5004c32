"""Policies of the user's own: functions of world, state and generator that choose the actions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sen_bench.envs import World
from sen_bench.errors import ConfigError
from sen_bench.generators import Policy, generate
from tests.support.datasets import BLOCKS, tree


def towards_the_middle(_world: World, state: Any, rng: np.random.Generator) -> Any:
    """A policy for 3D Blocks: moves a random object vertically, towards the middle row."""
    mover = int(rng.integers(5))
    return np.int64(4 * mover + (0 if state[mover, 0] > 2 else 2))


def a_torque(_world: World, _state: Any, _rng: np.random.Generator) -> Any:
    return np.array([0.5, 0.5])


class TestPolicyOfTheUser:
    RECIPE = replace(BLOCKS, twin=False, policy=Policy(kind=f"{__name__}:towards_the_middle"))

    def test_it_sees_the_state_and_chooses_the_actions(self, tmp_path: Path) -> None:
        dataset = generate(self.RECIPE, tmp_path / "a.zarr").dataset
        state, action = dataset.load("state")[:, :-1], dataset.load("action")
        rows = np.take_along_axis(state[..., 0], action[..., None] // 4, axis=-1)[..., 0]
        np.testing.assert_array_equal(action % 4, np.where(rows > 2, 0, 2))
        assert len(np.unique(action // 4)) == 5

    def test_the_bytes_do_not_depend_on_the_workers(self, tmp_path: Path) -> None:
        one, two = (tree(generate(self.RECIPE, tmp_path / f"{n}.zarr", workers=n).path) for n in (1, 2))
        assert one == two

    @pytest.mark.parametrize(
        ("kind", "message"),
        [
            ("greedy", "unknown policy 'greedy'; known: uniform, or package.module:function"),
            ("nowhere.to:be_found", "cannot be imported"),
            (f"{__name__}:no_such_policy", "cannot be imported"),
            (f"{__name__}:BLOCKS", "is not a function"),
            (
                f"{__name__}:a_torque",
                r"shape \(2,\) and type float64; this world's have shape \(\)",
            ),
        ],
    )
    def test_what_is_no_policy_is_refused(self, tmp_path: Path, kind: str, message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            generate(replace(BLOCKS, policy=Policy(kind=kind)), tmp_path / "a.zarr")
        assert not (tmp_path / "a.zarr").exists()

    def test_it_cannot_be_restricted(self) -> None:
        with pytest.raises(ConfigError, match="only the uniform policy"):
            Policy(kind=f"{__name__}:towards_the_middle", allowed=(1,))

"""Every registered world keeps the World contract; a new one is tested by being registered."""

from __future__ import annotations

import subprocess
import sys

import gymnasium
import numba
import numpy as np
import pytest

from sen_bench.checks import check_world
from sen_bench.envs import WORLDS, World, make_world, register_world
from sen_bench.errors import UnknownNameError, WorldError
from sen_bench.system.machine_code import compiled

WORLD_IDS = sorted(WORLDS)


@pytest.mark.parametrize("world_id", WORLD_IDS)
class TestEveryWorld:
    def test_it_keeps_the_contract(self, world_id: str) -> None:
        # Whole numbers must be equal; those of a physics are rounded.
        report = check_world(make_world(world_id), states=12, tolerance=1e-12)
        assert report.passed, str(report)

    def test_gymnasium_makes_the_same_world(self, world_id: str) -> None:
        env = gymnasium.make(world_id)
        ours = make_world(world_id)
        assert isinstance(env.unwrapped, type(ours))
        assert ours.world_id == world_id
        (theirs, _), (observation, info) = env.reset(seed=7), ours.reset(seed=7)
        np.testing.assert_array_equal(theirs, observation)
        np.testing.assert_array_equal(ours.render_states(info["state"]), observation)
        env.close()

    def test_it_resets_to_one_state_and_knows_no_other_options(self, world_id: str) -> None:
        world = make_world(world_id)
        state = world.sample_state(np.random.default_rng(8))
        with pytest.raises(WorldError, match="axes"):
            world.reset(options={"state": state[None]})
        with pytest.raises(WorldError, match="unknown reset option 'start'"):
            world.reset(options={"start": state})

    def test_it_takes_one_action_at_a_time(self, world_id: str) -> None:
        world = make_world(world_id)
        observation, info = world.reset(seed=1)
        action = world.sample_action(np.random.default_rng(8))
        with pytest.raises(WorldError, match="the action to take has"):
            world.step(np.stack([action, action, action]))
        after, *_, told = world.step(action)
        assert after.shape == observation.shape
        np.testing.assert_array_equal(told["state"], world.step_states(info["state"], action))

    def test_it_says_when_it_was_not_reset(self, world_id: str) -> None:
        world = make_world(world_id, render_mode="rgb_array")
        with pytest.raises(WorldError, match=r"call reset\(\) first"):
            world.step(0)
        with pytest.raises(WorldError, match=r"call reset\(\) first"):
            world.render()


def test_names_are_listed_and_nearly_right_ones_corrected() -> None:
    assert "sen_bench/Blocks3D-v0" in WORLD_IDS
    with pytest.raises(UnknownNameError, match=r"did you mean 'sen_bench/Blocks3D-v0'\?"):
        make_world("sen_bench/Block3D-v0")
    with pytest.raises(UnknownNameError, match="known: "):
        make_world("?")


def test_unknown_options_are_refused() -> None:
    with pytest.raises(WorldError, match="'size'"):
        make_world("sen_bench/Blocks3D-v0", size=5)
    with pytest.raises(WorldError, match="render_mode must be None or 'rgb_array', not 'human'"):
        make_world("sen_bench/Blocks3D-v0", render_mode="human")


def test_an_id_belongs_to_one_world_and_a_world_is_a_world() -> None:
    world_id = WORLD_IDS[0]
    register_world(world_id, WORLDS[world_id])
    with pytest.raises(WorldError, match="already registered"):
        register_world(world_id, "elsewhere:World")
    register_world("tests/NoWorld-v0", "tests.envs.test_worlds:NoWorld")
    try:
        with pytest.raises(WorldError, match="not a subclass of World"):
            make_world("tests/NoWorld-v0")
    finally:
        del WORLDS["tests/NoWorld-v0"], gymnasium.registry["tests/NoWorld-v0"]


class NoWorld:
    """Registered by mistake."""


def test_importing_the_package_imports_no_world() -> None:
    """Registration is lazy: the compiler and the tables are loaded when a world is made."""
    program = (
        "import sys, sen_bench.envs;"
        "print([m for m in ('numba', 'matplotlib', 'PIL', 'pybullet') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_worlds_never_need_the_libraries_of_their_oracles() -> None:
    worlds = [name for name in WORLD_IDS if name.startswith("sen_bench/")]
    # One process makes them all: to start one costs more than the worlds do.
    program = (
        "import sys, sen_bench.envs as e\n"
        f"for name in {worlds!r}:\n"
        "    e.make_world(name).reset(seed=0)\n"
        "    print(name, [m for m in ('matplotlib', 'PIL', 'skimage') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"{name} []" for name in worlds]


def test_world_is_abstract() -> None:
    with pytest.raises(TypeError, match="abstract"):
        World()  # type: ignore[abstract]


def test_inner_loops_are_compiled_where_no_machine_code_can_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where neither the package's folder nor the user's cache can be written."""

    def double(x: int) -> int:
        return 2 * x

    monkeypatch.setattr("numba.core.caching.CacheImpl._locator_classes", [])
    with pytest.raises(RuntimeError, match="cannot cache function"):
        numba.njit(cache=True)(double)
    assert compiled(double)(21) == 42

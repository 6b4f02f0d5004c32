"""Every registered world keeps the World contract; a new one is tested by being registered."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import warnings
from typing import Any

import gymnasium
import numba
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from numpy.typing import NDArray

from sen_bench.envs import WORLDS, World, make_world, register_world
from sen_bench.envs.compiled import compiled
from sen_bench.errors import UnknownNameError, WorldError
from sen_bench.symmetry import Group, Representation, Symmetry

WORLD_IDS = sorted(WORLDS)


@pytest.mark.parametrize("world_id", WORLD_IDS)
class TestEveryWorld:
    def test_passes_gymnasiums_checker_without_warnings(self, world_id: str) -> None:
        env = gymnasium.make(world_id, render_mode="rgb_array", disable_env_checker=True)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check_env(env.unwrapped)
        env.close()

    def test_gymnasium_makes_the_same_world(self, world_id: str) -> None:
        env = gymnasium.make(world_id)
        ours = make_world(world_id)
        assert isinstance(env.unwrapped, type(ours))
        assert ours.world_id == world_id
        (theirs, _), (observation, info) = env.reset(seed=7), ours.reset(seed=7)
        np.testing.assert_array_equal(theirs, observation)
        np.testing.assert_array_equal(ours.render_states(info["state"]), observation)
        env.close()

    def test_its_options_rebuild_it(self, world_id: str) -> None:
        world = make_world(world_id)
        again = make_world(world_id, **json.loads(json.dumps(world.options)))
        assert again.options == world.options
        assert again.symmetry == world.symmetry

    def test_its_symmetry_survives_json(self, world_id: str) -> None:
        symmetry = make_world(world_id).symmetry
        again = Symmetry.from_json(json.loads(json.dumps(symmetry.to_json())))
        assert again.group == symmetry.group
        assert dict(again.representations) == dict(symmetry.representations)
        assert again.twin_elements == symmetry.twin_elements

    def test_equal_seeds_give_equal_episodes(self, world_id: str) -> None:
        def episode(seed: int) -> list[Any]:
            world = make_world(world_id)
            actions = np.random.default_rng(seed)
            frames = [world.reset(seed=seed)[0]]
            frames += [world.step(world.sample_action(actions))[0] for _ in range(10)]
            return frames

        np.testing.assert_array_equal(episode(5), episode(5))
        assert not np.array_equal(episode(5), episode(6))

    def test_batches_equal_single_states(self, world_id: str) -> None:
        world, rng = make_world(world_id), np.random.default_rng(0)
        states = np.stack([world.sample_state(rng) for _ in range(12)])
        actions = np.stack([world.sample_action(rng) for _ in range(12)])
        np.testing.assert_array_equal(
            world.step_states(states, actions),
            [world.step_states(s, a) for s, a in zip(states, actions, strict=True)],
        )
        frames = np.stack([world.render_states(state) for state in states])
        np.testing.assert_array_equal(world.render_states(states), frames)
        grid = states.reshape(3, 4, *states.shape[1:])
        np.testing.assert_array_equal(world.render_states(grid), frames.reshape(3, 4, *frames.shape[1:]))
        assert frames.dtype == np.uint8
        assert frames.shape[1:] == world.observation_space.shape

    def test_an_empty_batch_is_an_empty_batch(self, world_id: str) -> None:
        world = make_world(world_id)
        state = world.sample_state(np.random.default_rng(0))
        frames = world.render_states(np.empty((2, 0, *state.shape), state.dtype))
        assert frames.shape == (2, 0, *(world.observation_space.shape or ()))

    def test_it_is_equivariant_under_every_element(self, world_id: str) -> None:
        world, rng = make_world(world_id), np.random.default_rng(0)
        elements = elements_of(world, rng)
        state, action = world.sample_state(rng), world.sample_action(rng)
        one_way = world.step_states(
            world.transform_state(elements, state), world.transform_action(elements, action)
        )
        difference = world.state_difference(
            one_way, world.transform_state(elements, world.step_states(state, action))
        )
        # Whole numbers are equal; those of a physics are rounded.
        np.testing.assert_allclose(difference, 0, rtol=0, atol=0 if state.dtype.kind == "i" else 1e-12)

    def test_its_group_acts(self, world_id: str) -> None:
        """The product of two elements acts as the second after the first; the identity does nothing."""
        world, rng = make_world(world_id), np.random.default_rng(1)
        group, elements = world.symmetry.group, elements_of(world, rng)
        one, other = elements[rng.permutation(len(elements))], elements[rng.permutation(len(elements))]
        product = group.cayley[one, other] if isinstance(group, Group) else group.product(one, other)
        identity = 0 if isinstance(group, Group) else group.identity
        state, action = world.sample_state(rng), world.sample_action(rng)
        difference = world.state_difference(
            world.transform_state(product, state),
            world.transform_state(one, world.transform_state(other, state)),
        )
        np.testing.assert_allclose(difference, 0, rtol=0, atol=1e-12)
        np.testing.assert_array_equal(world.transform_state(identity, state), state)
        np.testing.assert_allclose(
            world.transform_action(product, action),
            world.transform_action(one, world.transform_action(other, action)),
            rtol=0,
            atol=1e-12,
        )
        np.testing.assert_array_equal(world.transform_action(identity, action), action)

    def test_what_it_says_of_pixels_is_true(self, world_id: str) -> None:
        """Where the action on images is known, it is the picture of the transformed world, for every twin."""
        world, rng = make_world(world_id), np.random.default_rng(0)
        name = world.symmetry.observation
        if name is None:
            pytest.skip(f"{world_id} does not know how its group acts on images")
        states = np.stack([world.sample_state(rng) for _ in range(20)])
        frames = world.render_states(states)
        flat = frames.reshape(len(frames), -1, frames.shape[-1])
        for g in (0, *world.symmetry.twin_elements):
            pixels = world.symmetry.representations[name]
            assert isinstance(pixels, Representation)
            moved = pixels.apply(g, flat, axis=1)
            seen = world.render_states(world.transform_state(g, states))
            np.testing.assert_array_equal(seen, moved.reshape(frames.shape))

    def test_the_state_it_tells_cannot_be_used_to_change_it(self, world_id: str) -> None:
        world = make_world(world_id, render_mode="rgb_array")
        _, info = world.reset(seed=0)
        before = world.render()
        info["state"][:] = -1
        np.testing.assert_array_equal(world.render(), before)

    def test_it_renders_its_observation_in_colour(self, world_id: str) -> None:
        world = make_world(world_id, render_mode="rgb_array")
        observation, _ = world.reset(seed=0)
        frame = world.render()
        assert frame is not None
        assert frame.shape == (*observation.shape[:2], 3)
        np.testing.assert_array_equal(frame, np.broadcast_to(observation, frame.shape))

    def test_it_resets_to_a_given_state(self, world_id: str) -> None:
        world = make_world(world_id)
        state = world.sample_state(np.random.default_rng(8))
        observation, info = world.reset(options={"state": state})
        np.testing.assert_array_equal(info["state"], state)
        np.testing.assert_array_equal(observation, world.render_states(state))
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

    def test_names_fit_the_arrays(self, world_id: str) -> None:
        world = make_world(world_id)
        state = world.sample_state(np.random.default_rng(0))
        assert state.ndim == len(world.state_axes)
        assert set(world.state_names) <= set(world.state_axes)
        for axis, names in world.state_names.items():
            assert len(names) == state.shape[world.state_axes.index(axis)]
        if isinstance(world.action_space, gymnasium.spaces.Discrete):
            assert len(set(world.action_names)) == world.action_space.n

    def test_it_can_be_sent_to_another_process(self, world_id: str) -> None:
        world = make_world(world_id)
        again = pickle.loads(pickle.dumps(world))  # noqa: S301 — our own bytes
        np.testing.assert_array_equal(world.reset(seed=1)[0], again.reset(seed=1)[0])


def elements_of(world: World, rng: np.random.Generator) -> NDArray[Any]:
    """Every element of a finite group, or a hundred of SO(3)."""
    group = world.symmetry.group
    if isinstance(group, Group):
        return np.arange(group.order)
    return np.stack([group.sample(rng) for _ in range(100)])


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

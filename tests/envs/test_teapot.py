"""The Teapot world: rotations that stay rotations, two sets of actions, and what it refuses."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from typing import Any

import gymnasium
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from sen_bench.envs import make_world
from sen_bench.envs.teapot import SMALL_ACTION_NAMES, RotationSpace, Teapot, small_actions
from sen_bench.errors import WorldError
from sen_bench.symmetry import SO3
from sen_bench.tasks.registry import get_task
from tests.support.orientations import orientations


def off_orthonormality(states: NDArray[np.float64]) -> float:
    return float(np.abs(states.swapaxes(-1, -2) @ states - np.eye(3)).max())


class TestSteps:
    @pytest.mark.parametrize("actions", ["small", "large"])
    def test_are_products_that_stay_orthonormal_over_a_long_episode(self, actions: Any) -> None:
        world, rng = Teapot(actions=actions), np.random.default_rng(0)
        state, truth = world.sample_state(rng), Rotation.identity()
        start = Rotation.from_matrix(state)
        for _ in range(1000):
            action = world.sample_action(rng)
            state = world.step_states(state, action)
            truth = Rotation.from_matrix(action) * truth
        assert off_orthonormality(state) < 1e-14
        np.testing.assert_allclose(state, (truth * start).as_matrix(), rtol=0, atol=1e-11)

    def test_a_state_that_is_a_little_off_is_mended(self) -> None:
        world = Teapot()
        rough = orientations(20) + 1e-7 * np.random.default_rng(0).normal(size=(20, 3, 3))
        assert off_orthonormality(rough) > 1e-8
        assert off_orthonormality(world.step_states(rough, np.eye(3))) < 1e-12

    @pytest.mark.parametrize("actions", ["small", "large"])
    def test_are_equivariant_under_a_hundred_rotations(self, actions: Any) -> None:
        world, rng = Teapot(actions=actions), np.random.default_rng(0)
        g = orientations(100, seed=1)
        for _ in range(10):
            state, action = world.sample_state(rng), world.sample_action(rng)
            one_way = world.step_states(world.transform_state(g, state), world.transform_action(g, action))
            other_way = world.transform_state(g, world.step_states(state, action))
            np.testing.assert_allclose(one_way, other_way, rtol=0, atol=1e-14)

    def test_the_representations_act(self) -> None:
        world, (g, state, action) = Teapot(), orientations(3)
        rotation = world.symmetry.representations["rotation"].matrix(g)
        np.testing.assert_allclose(world.transform_state(g, state), rotation @ state, atol=1e-15)
        conjugation = world.symmetry.representations["action"].matrix(g)
        np.testing.assert_allclose(
            world.transform_action(g, action).ravel(), conjugation @ action.ravel(), atol=1e-15
        )

    def test_leading_axes_broadcast(self) -> None:
        world, states = Teapot(), orientations(6).reshape(2, 3, 3, 3)
        stepped = world.step_states(states, small_actions()[:3])
        np.testing.assert_array_equal(stepped[1, 2], world.step_states(states[1, 2], small_actions()[2]))
        turned = world.transform_state(states[:, :1], states)
        np.testing.assert_array_equal(turned[1, 2], world.transform_state(states[1, 0], states[1, 2]))


class TestActions:
    def test_the_six_small_ones_turn_by_twelve_degrees(self) -> None:
        assert len(SMALL_ACTION_NAMES) == 6
        for name, action in zip(SMALL_ACTION_NAMES, small_actions(), strict=True):
            vector = np.zeros(3)
            vector["xyz".index(name[1])] = (1 if name[0] == "+" else -1) * 2 * np.pi / 30
            np.testing.assert_allclose(action, Rotation.from_rotvec(vector).as_matrix(), atol=1e-16)

    def test_small_ones_are_drawn_uniformly_from_those_allowed(self) -> None:
        world, rng = Teapot(actions="small"), np.random.default_rng(0)
        table = [action.tobytes() for action in small_actions()]
        for allowed in (None, [1, 4]):
            drawn = [world.sample_action(rng, allowed) for _ in range(1200)]
            counts = Counter(table.index(action.tobytes()) for action in drawn)
            expected = 1200 / len(allowed or table)
            assert set(counts) == set(allowed or range(6))
            assert sum((n - expected) ** 2 / expected for n in counts.values()) < 30
        drawn[0][:] = 0  # a copy: the table stays as it is
        np.testing.assert_allclose(np.linalg.det(small_actions()), 1)

    @pytest.mark.parametrize(("allowed", "says"), [([], "at least one"), ([0, 6], "action 6"), ([-1], "-1")])
    def test_small_ones_that_do_not_exist_are_refused(self, allowed: list[int], says: str) -> None:
        with pytest.raises(WorldError, match=says):
            Teapot(actions="small").sample_action(np.random.default_rng(0), allowed)

    def test_large_ones_cannot_be_limited(self) -> None:
        with pytest.raises(WorldError, match="cannot be limited"):
            Teapot().sample_action(np.random.default_rng(0), [0])

    def test_the_action_space_samples_and_contains_rotations(self) -> None:
        for actions, few in (("small", True), ("large", False)):
            world = make_world("sen_bench/Teapot-v0", actions=actions)
            world.action_space.seed(0)
            drawn = np.stack([world.action_space.sample() for _ in range(100)])
            assert all(action in world.action_space for action in drawn)
            assert (len(np.unique(drawn.reshape(100, 9), axis=0)) <= 6) == few
        space = RotationSpace()
        for wrong in (np.eye(3) * 0.5, np.diag([1.0, 1.0, -1.0]), np.eye(2), 0, None, "turn"):
            assert wrong not in space
        with pytest.raises(WorldError, match="without a mask"):
            space.sample(mask=1)

    def test_spaces_are_equal_if_they_draw_alike(self) -> None:
        small, large = RotationSpace(small_actions()), RotationSpace()
        assert small == RotationSpace(small_actions())
        assert large == RotationSpace()
        assert small != large
        assert large != small
        assert large != RotationSpace(count=2)
        assert large != gymnasium.spaces.Box(-1.0, 1.0, (3, 3), np.float64)

    @pytest.mark.parametrize("mode", ["sync", "async"])
    @pytest.mark.parametrize("actions", ["small", "large"])
    def test_environments_side_by_side_take_what_their_space_draws(self, actions: str, mode: str) -> None:
        envs = gymnasium.make_vec("sen_bench/Teapot-v0", num_envs=3, vectorization_mode=mode, actions=actions)
        try:
            envs.reset(seed=0)
            envs.action_space.seed(0)
            drawn = envs.action_space.sample()
            assert drawn.shape == (3, 3, 3)
            assert drawn in envs.action_space
            assert not np.array_equal(drawn[0], drawn[1])
            assert np.eye(3)[None] * np.ones((3, 1, 1)) * 0.5 not in envs.action_space
            _, _, _, _, about = envs.step(drawn)
            assert about
        finally:
            envs.close()


class TestNegatives:
    def test_are_one_small_action_away(self) -> None:
        world, states = Teapot(), orientations(8).reshape(2, 4, 3, 3)
        negatives = world.negative_states(states)
        assert negatives.shape == (2, 4, 6, 3, 3)
        for k, action in enumerate(small_actions()):
            np.testing.assert_allclose(negatives[:, :, k], action @ states, atol=1e-15)
        angles = Rotation.from_matrix((negatives @ states.swapaxes(-1, -2)[:, :, None]).reshape(-1, 3, 3))
        np.testing.assert_allclose(angles.magnitude(), 2 * np.pi / 30)

    def test_a_world_without_any_says_so(self) -> None:
        world = make_world("sen_bench/Blocks3D-v0")
        with pytest.raises(WorldError, match="no hard negatives"):
            world.negative_states(world.sample_state(np.random.default_rng(0)))


class TestMistakes:
    @pytest.mark.parametrize(
        ("option", "says"),
        [
            ({"actions": "medium"}, "actions must be 'small' or 'large', not 'medium'"),
            ({"renderer": "opengl"}, "renderer must be 'raster' or 'pybullet', not 'opengl'"),
        ],
    )
    def test_unknown_options_are_refused(self, option: dict[str, Any], says: str) -> None:
        with pytest.raises(WorldError, match=says):
            Teapot(**option)

    @pytest.mark.parametrize(
        "wrong", [np.zeros((3, 3)), np.eye(4), np.diag([1.0, 1.0, -1.0]), np.full((3, 3), np.nan)]
    )
    def test_what_is_no_rotation_is_refused(self, wrong: NDArray[np.float64]) -> None:
        world, right = Teapot(), np.eye(3)
        calls: list[tuple[str, Any]] = [
            ("a state", lambda: world.step_states(wrong, right)),
            ("an action", lambda: world.step_states(right, wrong)),
            ("a state", lambda: world.render_states(wrong)),
            ("a state", lambda: world.transform_state(right, wrong)),
            ("an action", lambda: world.transform_action(right, wrong)),
            ("a group element", lambda: world.transform_state(wrong, right)),
            ("a group element", lambda: world.transform_action(wrong, right)),
        ]
        for what, call in calls:
            with pytest.raises(WorldError, match=f"not {what}: ") as error:
                call()
            assert "\n" not in str(error.value)


class TestPybulletOption:
    def test_is_tagged_and_needs_pybullet(self) -> None:
        assert Teapot().renderer == "exact"
        pytest.importorskip("pybullet", reason="needs pybullet: pip install 'sen-bench[pybullet]'")
        world = Teapot(renderer="pybullet")
        assert world.renderer == "backend"
        assert world.options == {"actions": "large", "renderer": "pybullet"}
        frames = world.render_states(orientations(4).reshape(2, 2, 3, 3))
        assert frames.shape == (2, 2, 64, 64, 1)
        assert frames.dtype == np.uint8

    def test_says_what_to_install_when_it_is_missing(self) -> None:
        program = (
            "import sys; sys.modules['pybullet'] = None\n"
            "from sen_bench.envs import make_world\n"
            "from sen_bench.errors import WorldError\n"
            "try:\n    make_world('sen_bench/Teapot-v0', renderer='pybullet')\n"
            "except WorldError as error:\n    print(error)\n"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert done.stdout.count("\n") == 1
        assert "pip install 'sen-bench[pybullet]'" in done.stdout

    def test_prints_nothing(self) -> None:
        pytest.importorskip("pybullet", reason="needs pybullet: pip install 'sen-bench[pybullet]'")
        program = "from sen_bench.envs.teapot import Teapot; Teapot(renderer='pybullet').reset(seed=0)"
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert (done.stdout, done.stderr) == ("", "")


def test_the_tasks_have_the_papers_sizes() -> None:
    for actions in ("small", "large"):
        task = get_task(f"teapot-{actions}")
        train, evaluation = task.recipe("train"), task.recipe("eval")
        assert (train.episodes, train.horizon, train.twin, train.negatives) == (100_000, 1, False, False)
        assert (evaluation.episodes, evaluation.horizon) == (10_000, 1)
        assert evaluation.twin
        assert evaluation.negatives
        assert task.world().options == {"actions": actions, "renderer": "raster"}


def test_states_are_drawn_uniformly() -> None:
    same = np.random.default_rng(5)
    np.testing.assert_array_equal(Teapot().sample_state(np.random.default_rng(5)), SO3().sample(same))

"""Reacher is Gymnasium's Reacher with a fixed goal, and D4 acts on it exactly."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
import zarr
from gymnasium.envs.mujoco.reacher_v5 import ReacherEnv
from numpy.typing import NDArray

from sen_bench.data.episodes import Episodes
from sen_bench.data.transitions import Transitions
from sen_bench.envs.reacher import GOAL, Reacher
from sen_bench.errors import ConfigError, WorldError
from sen_bench.generators import Policy, Recipe, generate
from sen_bench.generators.episodes import roll_out
from sen_bench.store import Dataset
from sen_bench.tasks.registry import get_task

EVAL = Recipe(
    task="reacher",
    split="eval",
    world_id="sen_bench/Reacher-v0",
    episodes=24,
    horizon=4,
    twin=True,
    warmup=50,
)


def warm_states(count: int, seed: int = 0) -> NDArray[np.float64]:
    """States of arms in motion, some of them at the elbow's stop."""
    world, rng = Reacher(), np.random.default_rng(seed)
    states = np.stack([world.sample_state(rng) for _ in range(count)])
    for _ in range(50):
        states = world.step_states(states, np.stack([world.sample_action(rng) for _ in range(count)]))
    return states


class TestPhysics:
    def test_it_starts_as_the_published_code_does(self) -> None:
        """Gymnasium's reset, draw by draw, but for the goal."""
        env: Any = ReacherEnv()
        rng = np.random.default_rng(4)
        env.np_random = np.random.default_rng(4)
        env.reset_model()
        state = Reacher().sample_state(rng)
        np.testing.assert_array_equal(state[:2], env.data.qpos[:2])
        assert state[4:].tolist() == list(GOAL)
        # There the goal is drawn before the velocities, so only their range is the same.
        assert np.abs(state[2:4]).max() <= 0.005
        env.close()

    def test_it_moves_as_gymnasiums(self) -> None:
        world, rng = Reacher(), np.random.default_rng(0)
        env: Any = ReacherEnv()
        env.reset(seed=0)
        for _ in range(5):
            state = world.sample_state(rng)
            env.set_state(np.concatenate([state[:2], state[4:]]), np.concatenate([state[2:4], np.zeros(2)]))
            for _ in range(60):
                action = world.sample_action(rng)
                env.step(action)
                state = world.step_states(state, action)
            theirs = np.concatenate([env.data.qpos[:2], env.data.qvel[:2], env.data.qpos[2:]])
            # Gymnasium keeps MuJoCo's first guess from step to step, so this is not equality.
            assert np.abs(world.state_difference(state, theirs)).max() < 1e-9
        env.close()

    def test_a_step_depends_on_state_and_action_alone(self) -> None:
        world, states = Reacher(), warm_states(20)
        rng = np.random.default_rng(1)
        actions = np.stack([world.sample_action(rng) for _ in range(20)])
        after = world.step_states(states, actions)
        order = rng.permutation(20)
        np.testing.assert_array_equal(world.step_states(states[order], actions[order]), after[order])
        assert (np.abs(states[:, 1]) > 3).any(), "no elbow at its stop, where the solver's memory would show"
        np.testing.assert_array_equal(Reacher().step_states(states[7], actions[7]), after[7])

    def test_the_goal_stays(self) -> None:
        assert (warm_states(5)[:, 4:] == GOAL).all()

    @pytest.mark.parametrize(
        ("entry", "value", "says"),
        [(0, 7.0, "angle 0"), (3, 2000.0, "velocity 1"), (4, 0.3, "goal x"), (5, np.nan, "finite")],
    )
    def test_impossible_states_are_refused(self, entry: int, value: float, says: str) -> None:
        world = Reacher()
        state = world.sample_state(np.random.default_rng(0))
        state[entry] = value
        for use in (world.render_states, lambda s: world.step_states(s, np.zeros(2, np.float32))):
            with pytest.raises(WorldError, match=says):
                use(state)

    @pytest.mark.parametrize("action", [[0.0, 1.5], [np.nan, 0.0], [0.0], ["a", "b"]])
    def test_impossible_actions_are_refused(self, action: list[Any]) -> None:
        with pytest.raises(WorldError):
            Reacher().step_states(warm_states(1), np.array(action))

    def test_actions_cannot_be_listed(self) -> None:
        with pytest.raises(WorldError, match="continuous"):
            Reacher().sample_action(np.random.default_rng(0), allowed=[1])


class TestSymmetry:
    def test_twins_are_exact_after_ten_steps(self) -> None:
        """Rotated and reflected rollouts agree with the originals to 1e-9, for all eight elements."""
        world, rng = Reacher(), np.random.default_rng(2)
        states = warm_states(30)
        elements = np.arange(8)[:, None]
        moved = world.transform_state(elements, states)
        for _ in range(10):
            actions = np.stack([world.sample_action(rng) for _ in states])
            states = world.step_states(states, actions)
            moved = world.step_states(moved, world.transform_action(elements, actions))
        difference = world.state_difference(moved, world.transform_state(elements, states))
        assert np.abs(difference).max() < 1e-9

    def test_the_group_acts(self) -> None:
        world, states = Reacher(), warm_states(10)
        actions = world.check_actions(np.random.default_rng(0).uniform(-1, 1, (10, 2)))
        cayley = world.symmetry.group.cayley
        for a in range(8):
            for b in range(8):
                one = world.transform_state(a, world.transform_state(b, states))
                other = world.transform_state(int(cayley[a, b]), states)
                assert np.abs(world.state_difference(one, other)).max() < 1e-14
                np.testing.assert_array_equal(
                    world.transform_action(a, world.transform_action(b, actions)),
                    world.transform_action(int(cayley[a, b]), actions),
                )
        np.testing.assert_array_equal(world.transform_state(0, states), states)

    def test_the_arm_turns_in_space(self) -> None:
        """The group moves elbow, tip and goal as points of the plane: checked by the arm's geometry."""
        world, states = Reacher(), warm_states(10)

        def points(states: NDArray[np.float64]) -> NDArray[np.float64]:
            first, second = states[..., 0], states[..., 0] + states[..., 1]
            elbow = 0.1 * np.stack([np.cos(first), np.sin(first)], axis=-1)
            tip = elbow + 0.11 * np.stack([np.cos(second), np.sin(second)], axis=-1)
            return np.stack([elbow, tip, states[..., 4:]], axis=-2)

        quarter, flip = np.array([[0, -1], [1, 0]]), np.diag([1, -1])
        for g in range(8):
            matrix = np.linalg.matrix_power(quarter, g % 4) @ (flip if g >= 4 else np.eye(2))
            expected = points(states) @ matrix.T
            np.testing.assert_allclose(points(world.transform_state(g, states)), expected, atol=1e-12)

    def test_angles_are_kept_within_a_turn(self) -> None:
        world = Reacher()
        moved = world.transform_state(np.arange(8)[:, None], warm_states(100))
        assert (moved[..., 0] >= -math.pi).all()
        assert (moved[..., 0] < math.pi).all()


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return generate(EVAL, tmp_path_factory.mktemp("data") / "eval.zarr").dataset


class TestDatasets:
    def test_twins_transform_by_the_stored_matrices(self, dataset: Dataset) -> None:
        """With zarr and numpy alone: what a reader in another language would do."""
        group: Any = zarr.open_group(dataset.path, mode="r")

        def numbers(name: str) -> NDArray[Any]:
            return np.asarray(group[name][...])

        def features(state: NDArray[Any]) -> NDArray[Any]:
            return np.concatenate([np.cos(state[..., :1]), np.sin(state[..., :1]), state[..., 1:]], axis=-1)

        element = numbers("twin/element")
        by_state, by_action = numbers("symmetry/state")[element], numbers("symmetry/action")[element]
        np.testing.assert_allclose(
            features(numbers("twin/state")),
            np.einsum("nij,ntj->nti", by_state, features(numbers("state"))),
            atol=1e-12,
        )
        np.testing.assert_array_equal(
            numbers("twin/action"), np.einsum("nij,ntj->nti", by_action, numbers("action"))
        )
        assert set(element.tolist()) <= set(range(1, 8))

    def test_one_more_frame_leads(self, dataset: Dataset) -> None:
        """Frame t + 1 is that before step t, and frame t the one a model sees beside it."""
        state, action = dataset.load("state"), dataset.load("action")
        assert dataset.frame_stack == 2
        assert dataset.load("observation").shape == (24, 6, 128, 128, 3)
        assert (state.shape, action.shape) == ((24, 6, 6), (24, 4, 2))
        world = Reacher()
        np.testing.assert_array_equal(world.step_states(state[:, 1:-1], action), state[:, 2:])
        np.testing.assert_array_equal(world.render_states(state[3]), dataset.load("observation")[3])
        # The leading frame is the last of the warm-up: the arm moved between the two, as it can in a step.
        moved = np.abs(world.state_difference(state[:, 1], state[:, 0]))
        assert (moved[:, :4].max(axis=1) > 0).all()
        assert (moved[:, 0] < 1.5).all()

    def test_a_model_is_shown_two_frames_at_once(self, dataset: Dataset) -> None:
        device = torch.device("cpu")
        frames = dataset.load("observation").transpose(0, 1, 4, 2, 3) / np.float32(255)
        transitions, episodes = Transitions.from_dataset(dataset, device), Episodes(dataset, device)
        assert len(transitions) == 24 * 4
        batch = transitions.batch(torch.tensor([0, 5 * 4 + 2]))
        for shown, start in ((batch.observation, 0), (batch.next_observation, 1)):
            for row, (episode, step) in enumerate(((0, 0), (5, 2))):
                pair = np.concatenate(frames[episode, step + start : step + start + 2])
                np.testing.assert_allclose(shown[row].numpy(), pair, atol=1e-6)
        np.testing.assert_array_equal(batch.action[1].numpy(), dataset.load("action")[5, 2])
        last = episodes.observations(torch.tensor([7]), 4, twin=False)
        np.testing.assert_allclose(last[0].numpy(), np.concatenate(frames[7, 4:6]), atol=1e-6)

    def test_the_warm_up_is_not_recorded(self, dataset: Dataset) -> None:
        world = Reacher()
        longer = roll_out(world, Recipe(**{**vars(EVAL), "warmup": 0, "horizon": 54}), 0, 3)
        np.testing.assert_array_equal(longer.state[:, 50:], dataset.load("state")[:3])
        np.testing.assert_array_equal(longer.action[:, 50:], dataset.load("action")[:3])
        # Without a warm-up nothing has moved before the first frame.
        np.testing.assert_array_equal(longer.state[:, 0], longer.state[:, 1])

    @pytest.mark.parametrize("workers", [1, 2])
    def test_bytes_do_not_depend_on_the_number_of_workers(
        self, dataset: Dataset, tmp_path: Path, workers: int
    ) -> None:
        other = generate(EVAL, tmp_path / "other.zarr", workers=workers).path
        # It has the hash of every file.
        assert (other / "manifest.json").read_bytes() == (dataset.path / "manifest.json").read_bytes()
        assert len(list((other / "observation" / "c").iterdir())) >= 4

    def test_the_root_names_mujoco(self, dataset: Dataset) -> None:
        assert dataset.renderer == "exact"
        assert "mujoco" in dataset.library_versions

    def test_the_tasks_splits_have_the_papers_sizes(self) -> None:
        task = get_task("reacher")
        sizes = {name: (split.episodes, split.horizon) for name, split in task.splits.items()}
        assert sizes == {"train": (2000, 10), "eval": (1000, 10), "train-limited": (2000, 10)}
        assert all(split.warmup == 50 for split in task.splits.values())
        assert task.recipe("eval").twin

    def test_the_limited_split_pushes_the_elbow_one_way(self) -> None:
        world, task = Reacher(), get_task("reacher")
        limited, full = (roll_out(world, task.recipe(name), 0, 20) for name in ("train-limited", "train"))
        assert (limited.action[..., 1] >= 0).all()
        for torques in (limited.action[..., 0], full.action[..., 0], full.action[..., 1]):
            assert torques.min() < -0.9
            assert torques.max() > 0.9
        # As in the public code the warm-up is under the same policy, which leaves the elbow at its stop.
        assert np.abs(limited.state[..., 1] - 3).max() < 0.1
        assert np.ptp(full.state[..., 1]) > 4


class TestPolicy:
    def test_absolute_entries_survive_json(self) -> None:
        recipe = Recipe("t", "s", "w", policy=Policy(absolute=(1, 0)), warmup=3)
        again = Recipe.from_json(recipe.to_json())
        assert again == recipe
        assert again.policy.absolute == (0, 1)
        assert again.warmup == 3

    def test_recipes_without_them_are_as_before(self) -> None:
        data = Recipe("t", "s", "w").to_json()
        assert "warmup" not in data
        assert data["policy"] == {"kind": "uniform", "allowed": None}

    @pytest.mark.parametrize(
        "policy", [{"absolute": (1, 1)}, {"absolute": (-1,)}, {"absolute": (0,), "allowed": (1,)}]
    )
    def test_impossible_policies_are_refused(self, policy: dict[str, Any]) -> None:
        with pytest.raises(ConfigError):
            Policy(**policy)

    @pytest.mark.parametrize("world_id", ["sen_bench/Reacher-v0", "sen_bench/Blocks3D-v0"])
    def test_entries_an_action_does_not_have_are_refused(self, tmp_path: Path, world_id: str) -> None:
        recipe = Recipe("t", "s", world_id, policy=Policy(absolute=(2,)))
        with pytest.raises(ConfigError, match="no entry 2"):
            generate(recipe, tmp_path / "a.zarr")


def test_actions_are_a_box() -> None:
    assert Reacher().action_space == gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)

"""Datasets of the grid worlds: annotations that act on the stored arrays, and splits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import zarr

from sen_bench.config.presets import SplitSize
from sen_bench.envs.grid import DIRECTIONS
from sen_bench.errors import UnknownNameError
from sen_bench.generators import generate
from sen_bench.generators.episodes import roll_out
from sen_bench.tasks.registry import get_task, task_names

TASKS = ("2d-shapes", "3d-blocks", "rush-hour")
SMALL = SplitSize(episodes=40, horizon=4)


@pytest.fixture(scope="module", params=TASKS)
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    recipe = get_task(request.param).recipe("eval", SMALL)
    return generate(recipe, tmp_path_factory.mktemp(request.param) / "eval.zarr").path


class TestAnnotations:
    """Read with plain zarr and numpy: a user needs nothing of ours to use the symmetry."""

    def test_they_take_states_and_actions_to_their_twins(self, store: Path) -> None:
        data = zarr.open_group(store, mode="r")
        array = {name: np.asarray(data[name]) for name, _ in data.members(max_depth=None)
                 if isinstance(data[name], zarr.Array)}  # fmt: skip
        cell, object_, direction, action = (
            array[f"symmetry/{name}"] for name in ("cell", "object", "direction", "action")
        )
        assert set(array["twin/element"].tolist()) == {120, 240, 360}
        for episode, g in enumerate(array["twin/element"].tolist()):
            state, twin = array["state"][episode], array["twin/state"][episode]
            assert (twin != state).any()
            expected = np.empty_like(state)
            cells = cell[g, 5 * state[..., 0] + state[..., 1]]
            expected[:, object_[g], 0], expected[:, object_[g], 1] = cells // 5, cells % 5
            if state.shape[-1] == 3:
                expected[:, object_[g], 2] = direction[g, state[..., 2]]
            np.testing.assert_array_equal(twin, expected)
            np.testing.assert_array_equal(array["twin/action"][episode], action[g, array["action"][episode]])

    def test_they_are_homomorphisms(self, store: Path) -> None:
        folder = zarr.open_group(store / "symmetry", mode="r")
        cayley = np.asarray(folder["cayley"])
        sample = np.random.default_rng(0).integers(len(cayley), size=(60, 2))
        for name, stored in folder.arrays():
            if name != "cayley":
                rho = np.asarray(stored)
                for a, b in sample:
                    np.testing.assert_array_equal(rho[cayley[a, b]], rho[a][rho[b]], err_msg=name)

    def test_images_turn_where_that_is_said_and_only_there(self, store: Path) -> None:
        data = zarr.open_group(store, mode="r")
        frames, twins = (np.asarray(data[name]) for name in ("observation", "twin/observation"))
        elements = np.asarray(data["twin/element"])
        turned = np.stack([np.rot90(f, g // 120, axes=(1, 2)) for f, g in zip(frames, elements, strict=True)])
        symmetry = json.loads((store / "zarr.json").read_text())["attributes"]["symmetry"]
        if symmetry["observation"] is None:
            # A scene under a camera, or shapes that spill: no episode's twin is its picture, turned.
            assert (turned != twins).reshape(len(frames), -1).any(1).all()
            return
        np.testing.assert_array_equal(turned, twins)
        pixel = np.asarray(data[f"symmetry/{symmetry['observation']}"])
        flat = frames.reshape(*frames.shape[:2], 2500, 3)
        for episode, g in enumerate(elements.tolist()):
            moved = np.empty_like(flat[episode])
            moved[:, pixel[g]] = flat[episode]
            np.testing.assert_array_equal(moved.reshape(frames[episode].shape), twins[episode])

    def test_they_stay_small(self, store: Path) -> None:
        """The indices of 2500 pixels under 480 elements are four rows, repeated."""
        assert sum(f.stat().st_size for f in (store / "symmetry").rglob("*") if f.is_file()) < 400_000
        assert (store / "zarr.json").stat().st_size < 30_000


class TestRegistry:
    def test_tasks_are_in_the_order_of_the_paper(self) -> None:
        assert [name for name in task_names() if name in TASKS] == list(TASKS)

    @pytest.mark.parametrize("name", TASKS)
    def test_splits_have_the_papers_sizes(self, name: str) -> None:
        splits = {k: (s.episodes, s.horizon, s.twin) for k, s in get_task(name).splits.items()}
        expected = {"train": (1000, 100, False), "eval": (10_000, 10, True)}
        expected["train-slice"] = (100_000, 1, False)
        if name != "rush-hour":
            expected["train-limited"] = (100_000, 1, False)
        assert splits == expected

    @pytest.mark.parametrize(
        ("name", "directions"), [("2d-shapes", {"up"}), ("3d-blocks", {"up", "right", "down"})]
    )
    def test_limited_actions(self, name: str, directions: set[str]) -> None:
        task = get_task(name)
        recipe = task.recipe("train-limited", SplitSize(episodes=400))
        actions = roll_out(task.world(), recipe, 0, 400).action
        names = [task.world().action_names[action] for action in actions.ravel()]
        # Every object moves, and only so.
        assert {word.rpartition(" ")[2] for word in names} == directions
        assert len(set(names)) == 5 * len(directions)
        assert set(DIRECTIONS) >= directions

    def test_rush_hour_has_no_limited_split(self) -> None:
        with pytest.raises(UnknownNameError, match="unknown split of rush-hour 'train-limited'"):
            get_task("rush-hour").recipe("train-limited")

"""Generation: a recipe determines the bytes, the episodes are true, and nothing is overwritten."""

from __future__ import annotations

import errno
import json
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sen_bench.envs import World, make_world
from sen_bench.errors import ConfigError, DatasetError, UnknownNameError, WorldError
from sen_bench.generators import GENERATOR_VERSION, Policy, Recipe, generate
from sen_bench.generators.episodes import render, roll_out
from sen_bench.store import Dataset, open_dataset
from sen_bench.system import is_plain_name
from tests.support.datasets import BLOCKS, SMALL, TEAPOT, left_behind, tree
from tests.support.fake_worlds import DRIFT
from tests.support.recorder import Recorder

NO_LEFT = Policy(allowed=tuple(action for action in range(20) if action % 4 != 3))


def world_of(dataset: Dataset) -> World:
    return make_world(Recipe.from_json(dataset.recipe).world_id, **dataset.world_options)


@pytest.fixture(scope="module", params=[BLOCKS, SMALL, TEAPOT], ids=["3d-blocks", "drift", "teapot"])
def dataset(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    recipe: Recipe = request.param
    return generate(recipe, tmp_path_factory.mktemp("data") / "eval.zarr").dataset


class TestEpisodesAreTrue:
    @pytest.mark.parametrize("folder", ["", "twin/"])
    def test_states_follow_the_dynamics(self, dataset: Dataset, folder: str) -> None:
        state, action = dataset.load(f"{folder}state"), dataset.load(f"{folder}action")
        stepped = world_of(dataset).step_states(state[:, :-1], action)
        np.testing.assert_allclose(state[:, 1:], stepped, rtol=0, atol=1e-12)

    @pytest.mark.parametrize("folder", ["", "twin/"])
    def test_observations_are_the_states_rendered(self, dataset: Dataset, folder: str) -> None:
        world, state = world_of(dataset), dataset.load(f"{folder}state")
        # One at a time, by the Gymnasium interface: another path than the generator's.
        for episode in (0, dataset.episodes - 1):
            for t, frame in enumerate(dataset.load(f"{folder}observation")[episode]):
                seen, _ = world.reset(options={"state": state[episode, t]})
                np.testing.assert_array_equal(frame, seen)
        np.testing.assert_array_equal(dataset.load(f"{folder}observation"), world.render_states(state))

    def test_twins_are_transformed(self, dataset: Dataset) -> None:
        world, elements = world_of(dataset), dataset.load("twin/element")
        if dataset.symmetry.twin_elements:
            assert set(elements.tolist()) == set(dataset.symmetry.twin_elements)
        assert elements.shape == (dataset.episodes, *dataset.symmetry.group.element_shape)
        for episode, g in enumerate(elements):
            for name, transform in (("state", world.transform_state), ("action", world.transform_action)):
                original, twin = dataset.load(name)[episode], dataset.load(f"twin/{name}")[episode]
                np.testing.assert_array_equal(twin, transform(g, original))

    def test_states_start_where_the_seed_says(self, dataset: Dataset) -> None:
        world, state = world_of(dataset), dataset.load("state")
        for episode, seed in enumerate(dataset.load("seed").tolist()):
            rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0,)))
            np.testing.assert_array_equal(state[episode, 0], world.sample_state(rng))

    def test_the_root_describes_the_world(self, dataset: Dataset) -> None:
        world = world_of(dataset)
        assert dataset.symmetry == world.symmetry
        assert (dataset.world_id, dataset.renderer) == (world.world_id, world.renderer)
        assert dataset.world_options == world.options
        assert dataset.generator_version == GENERATOR_VERSION
        assert {"sen-bench", "numpy", "zarr"} <= set(dataset.library_versions)
        for array in dataset.arrays.values():
            assert array.attrs["description"]


@pytest.mark.parametrize("recipe", [BLOCKS, SMALL, TEAPOT], ids=["3d-blocks", "drift", "teapot"])
class TestIndependence:
    def test_an_episode_does_not_depend_on_the_others(self, recipe: Recipe, tmp_path: Path) -> None:
        longer = generate(recipe, tmp_path / "a.zarr").dataset
        shorter = generate(replace(recipe, episodes=3), tmp_path / "b.zarr").dataset
        for name in longer.arrays:
            if not name.startswith("symmetry/"):
                np.testing.assert_array_equal(longer.load(name)[:3], shorter.load(name))

    @pytest.mark.parametrize("change", [{"split": "other"}, {"seed": 4}])
    def test_splits_and_seeds_differ(self, recipe: Recipe, change: dict[str, Any]) -> None:
        world = make_world(recipe.world_id)
        one, other = (roll_out(world, which, 0, 5) for which in (recipe, replace(recipe, **change)))
        assert not set(one.seed.tolist()) & set(other.seed.tolist())
        assert (one.state[:, 0] != other.state[:, 0]).reshape(5, -1).any(1).all()
        assert (one.action != other.action).any()

    def test_the_policy_does_not_change_the_start(self, recipe: Recipe) -> None:
        world = make_world(recipe.world_id)
        short, long = (roll_out(world, replace(recipe, horizon=h), 0, 5) for h in (1, 9))
        np.testing.assert_array_equal(short.state[:, 0], long.state[:, 0])
        np.testing.assert_array_equal(short.action[:, 0], long.action[:, 0])


def test_a_policy_keeps_to_the_allowed_actions() -> None:
    recipe = replace(BLOCKS, policy=NO_LEFT, horizon=50)
    actions = roll_out(make_world(recipe.world_id), recipe, 0, 60).action
    counts = Counter(actions.ravel().tolist())
    assert set(counts) == set(NO_LEFT.allowed or ())
    # Uniform: chi-squared of 15 cells, the bound is passed once in 10^6 seeds.
    expected = actions.size / 15
    assert sum((n - expected) ** 2 / expected for n in counts.values()) < 55


def test_each_distinct_state_is_drawn_once() -> None:
    world = make_world(BLOCKS.world_id)
    drawn: list[int] = []

    class Counting:
        def render_states(self, states: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
            drawn.append(len(states))
            return world.render_states(states)

    states = roll_out(world, replace(BLOCKS, horizon=60), 0, 20).state
    frames = render(Counting(), states, lambda: None)  # type: ignore[arg-type]
    assert sum(drawn) == len(np.unique(states.reshape(-1, 10), axis=0)) < states.shape[0] * states.shape[1]
    np.testing.assert_array_equal(frames, world.render_states(states))


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(BLOCKS, tmp_path_factory.mktemp("one") / "eval.zarr", workers=1).path


class TestBytes:
    @pytest.mark.parametrize("workers", [1, 4])
    def test_do_not_depend_on_the_number_of_workers(
        self, reference: Path, tmp_path: Path, workers: int
    ) -> None:
        other = generate(BLOCKS, tmp_path / "other-name.zarr", workers=workers).path
        expected, actual = tree(reference), tree(other)
        assert expected.keys() == actual.keys()
        assert [name for name in expected if expected[name] != actual[name]] == []
        shards = [name for name in actual if name.startswith("twin/observation/c/")]
        assert len(shards) >= 4, "too few shards for four workers to mean anything"

    def test_of_matrices_and_negatives_do_not_either(self, tmp_path: Path) -> None:
        one, two = (tree(generate(TEAPOT, tmp_path / f"{n}.zarr", workers=n).path) for n in (1, 2))
        assert one == two
        assert len([name for name in one if name.startswith("negative/observation/c/")]) >= 3

    def test_compress_well(self, tmp_path: Path) -> None:
        recipe = replace(BLOCKS, split="train", episodes=20, horizon=100, twin=False)
        dataset = generate(recipe, tmp_path / "train.zarr").dataset
        # The paper's 1000 episodes may take 60 MB.
        assert dataset.stored_bytes - 100_000 < 20 * 60_000


class TestProgress:
    @pytest.mark.parametrize("workers", [1, 2])
    def test_counts_every_observation_up_to_the_total(self, tmp_path: Path, workers: int) -> None:
        recorder = Recorder()
        generate(BLOCKS, tmp_path / "a.zarr", workers=workers, progress=recorder)
        calls = recorder.works[f"generate {BLOCKS.task} {BLOCKS.split} frames"]
        done = [call[0] for call in calls]
        everything = 130 * 5 * 2  # five frames an episode, and its twin
        assert {total for _, total in calls} == {everything}
        assert done == sorted(set(done))
        assert (done[0], done[-1]) == (0, everything)
        assert len(done) > 3


class TestWhatIsAlreadyThere:
    def test_an_equal_dataset_is_kept(self, tmp_path: Path) -> None:
        target = tmp_path / "a.zarr"
        first = generate(SMALL, target)
        written = (target / "manifest.json").stat().st_mtime_ns
        second = generate(SMALL, target)
        assert (first.created, second.created) == (True, False)
        assert second.dataset.content_digest == first.dataset.content_digest
        assert (target / "manifest.json").stat().st_mtime_ns == written

    def test_it_is_taken_from_a_folder_in_which_nobody_can_write(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As on a shared disk that is mounted for reading; whoever is root could write anywhere else."""
        target = tmp_path / "a.zarr"
        generate(SMALL, target)

        def read_only(path: Any, _mode: int) -> bool:
            return Path(path) != tmp_path

        def no_lock(*_: Any, **__: Any) -> Any:
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr("os.access", read_only)
        monkeypatch.setattr(sys.modules["sen_bench.generators.generation"], "alone", no_lock)
        assert not generate(SMALL, target).created
        with pytest.raises(DatasetError, match="seed 0 instead of 1"):
            generate(replace(SMALL, seed=1), target)
        for name, force in (("b.zarr", False), ("a.zarr", True)):
            with pytest.raises(DatasetError, match="Permission denied"):
                generate(SMALL, tmp_path / name, force=force)

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            ({"seed": 1}, "seed 0 instead of 1"),
            ({"episodes": 6, "horizon": 2}, "episodes 5 instead of 6, horizon 3 instead of 2"),
            ({"world_options": {"twins": True}}, "world_options.twins None instead of True"),
            ({"split": "eval"}, "split 'train' instead of 'eval'"),
            ({"twin": False}, "twin True instead of False"),
        ],
    )
    def test_another_dataset_is_refused_and_kept(
        self, tmp_path: Path, change: dict[str, Any], says: str
    ) -> None:
        target = tmp_path / "a.zarr"
        generate(SMALL, target)
        before = tree(target)
        with pytest.raises(DatasetError, match=says) as error:
            generate(replace(SMALL, **change), target)
        assert "\n" not in str(error.value)
        assert tree(target) == before
        assert left_behind(tmp_path) == ["a.zarr"]

    def test_one_of_another_generator_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        generate(SMALL, tmp_path / "a.zarr")
        module = sys.modules["sen_bench.generators.generation"]  # the package's `generate` is the function
        monkeypatch.setattr(module, "GENERATOR_VERSION", GENERATOR_VERSION + 1)
        with pytest.raises(DatasetError, match="generator version"):
            generate(SMALL, tmp_path / "a.zarr")

    def test_one_that_is_not_whole_is_refused(self, tmp_path: Path) -> None:
        target = tmp_path / "a.zarr"
        generate(SMALL, target)
        (target / "state" / "zarr.json").unlink()
        with pytest.raises(DatasetError, match=r"state/zarr.json is missing.*force"):
            generate(SMALL, target)

    @pytest.mark.parametrize("kind", ["file", "folder"])
    def test_something_else_is_refused_and_moved_aside_only_by_force(self, tmp_path: Path, kind: str) -> None:
        target = tmp_path / "a.zarr"
        if kind == "file":
            target.write_text("precious")
        else:
            target.mkdir()
            (target / "thesis.tex").write_text("precious")
        with pytest.raises(DatasetError, match="force"):
            generate(SMALL, target)
        result = generate(SMALL, target, force=True)
        assert result.moved_aside == tmp_path / "a.zarr.old-1"
        kept = result.moved_aside if kind == "file" else result.moved_aside / "thesis.tex"
        assert kept.read_text() == "precious"

    def test_force_generates_anew_and_deletes_nothing(self, tmp_path: Path) -> None:
        target = tmp_path / "a.zarr"
        digests = [generate(SMALL, target).dataset.content_digest]
        for seed in (1, 2):
            result = generate(replace(SMALL, seed=seed), target, force=True)
            assert result.created
            digests.append(result.dataset.content_digest)
        assert left_behind(tmp_path) == ["a.zarr", "a.zarr.old-1", "a.zarr.old-2"]
        kept = [open_dataset(tmp_path / f"a.zarr{end}").content_digest for end in (".old-1", ".old-2", "")]
        assert kept == digests
        assert len(set(digests)) == 3


class TestImpossible:
    @pytest.mark.parametrize("name", ["episodes", "horizon"])
    @pytest.mark.parametrize("value", [0, -1, 2.0, "3", True, None])
    def test_sizes_are_refused(self, name: str, value: object) -> None:
        with pytest.raises(ConfigError, match=f"{name} must be") as error:
            replace(SMALL, **{name: value})  # type: ignore[arg-type]
        assert "\n" not in str(error.value)

    def test_a_negative_seed_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="seed must be at least 0, not -1"):
            replace(SMALL, seed=-1)

    @pytest.mark.parametrize("workers", [0, -3])
    def test_no_workers_are_refused(self, tmp_path: Path, workers: int) -> None:
        with pytest.raises(ConfigError, match=f"workers must be at least 1, not {workers}"):
            generate(SMALL, tmp_path / "new" / "a.zarr", workers=workers)
        assert left_behind(tmp_path) == []

    @pytest.mark.parametrize(
        ("change", "error", "match"),
        [
            ({"world_id": "sen_bench/Blocks4D-v0"}, UnknownNameError, "did you mean"),
            ({"world_options": {"grid_size": 6}}, WorldError, "grid"),
            ({"world_options": {"colour": 1}}, WorldError, "colour"),
            ({"policy": Policy(allowed=(0, 20))}, WorldError, "action 20"),
            ({"horizon": 10**6}, ConfigError, "shorter horizon"),
        ],
    )
    def test_worlds_are_refused_before_anything_is_written(
        self, tmp_path: Path, change: dict[str, Any], error: type[Exception], match: str
    ) -> None:
        with pytest.raises(error, match=match):
            generate(replace(BLOCKS, **change), tmp_path / "new" / "a.zarr")
        assert left_behind(tmp_path) == []

    def test_twins_of_a_world_without_twin_elements_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="no group element to draw twins from"):
            generate(replace(SMALL, world_options={"twins": False}), tmp_path / "a.zarr")

    def test_negatives_of_a_world_without_any_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(WorldError, match="no hard negatives"):
            generate(replace(SMALL, negatives=True), tmp_path / "a.zarr")
        assert left_behind(tmp_path) == []

    @pytest.mark.parametrize("allowed", [(), (1, 1), (-1,), (0.5,)])
    def test_policies_are_refused(self, allowed: tuple[int, ...]) -> None:
        with pytest.raises(ConfigError):
            Policy(allowed=allowed)

    def test_an_unknown_policy_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="unknown policy 'greedy'"):
            Policy(kind="greedy")

    @pytest.mark.parametrize(
        "data", [{}, {**SMALL.to_json(), "colour": 1}, {**SMALL.to_json(), "policy": {}}, {"policy": None}]
    )
    def test_json_that_is_no_recipe_is_refused(self, data: dict[str, Any]) -> None:
        with pytest.raises(ConfigError):
            Recipe.from_json(data)


NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]*", fullmatch=True).filter(is_plain_name)
recipes = st.builds(
    Recipe,
    task=NAMES,
    split=NAMES,
    world_id=st.just(DRIFT),
    world_options=st.dictionaries(st.text(), st.one_of(st.integers(), st.text(), st.none())),
    episodes=st.integers(1, 10**9),
    horizon=st.integers(1, 10**6),
    seed=st.integers(0, 2**70),
    policy=st.builds(
        Policy,
        allowed=st.none() | st.lists(st.integers(0, 99), min_size=1, unique=True).map(tuple),
    ),
    twin=st.booleans(),
    negatives=st.booleans(),
)


class TestRecipe:
    @given(recipes)
    def test_round_trips_through_json(self, recipe: Recipe) -> None:
        again = Recipe.from_json(json.loads(json.dumps(recipe.to_json())))
        assert again == recipe
        assert (again.digest, hash(again)) == (recipe.digest, hash(recipe))

    @given(recipes, recipes)
    def test_digests_are_equal_for_equal_recipes_only(self, one: Recipe, other: Recipe) -> None:
        assert (one.digest == other.digest) == (one == other)

    def test_digests_of_before_there_were_negatives_are_the_same(self) -> None:
        recipe = Recipe(
            task="3d-blocks",
            split="eval",
            world_id="sen_bench/Blocks3D-v0",
            episodes=10_000,
            horizon=10,
            twin=True,
        )
        assert recipe.digest == "a44f026b751b2cc3ac2e2db322b4f25c3b10145c36c9f4813c5994981abeb0c8"
        assert "negatives" not in recipe.to_json()
        assert Recipe.from_json(recipe.to_json()) == recipe

    def test_options_are_taken_by_value(self) -> None:
        options = {"sizes": [1, 2]}
        recipe = replace(SMALL, world_options=options)
        options["sizes"].append(3)
        assert recipe.world_options == {"sizes": [1, 2]}

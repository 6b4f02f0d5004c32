"""`verify` passes what is whole and true, and names whatever is not."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from numpy.typing import NDArray

from sen_bench.checks import verify
from sen_bench.cli.main import main
from sen_bench.config import SplitSize
from sen_bench.errors import ConfigError, DatasetError
from sen_bench.generators import GENERATOR_VERSION, Policy, Recipe, generate
from sen_bench.store import (
    ArraySpec,
    Dataset,
    Manifest,
    canonical_digest,
    create_store,
    finish_store,
    open_dataset,
    write_rows,
)
from sen_bench.tasks import get_task
from tests.support.datasets import SHARDED, SMALL
from tests.support.recorder import Recorder
from tests.support.toy_dataset import files_of, one_line, write_dataset


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(SHARDED, tmp_path_factory.mktemp("data") / "eval.zarr").path


@pytest.fixture(scope="module")
def store(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy to be damaged, and mended again by the test."""
    return Path(shutil.copytree(pristine, tmp_path_factory.mktemp("store") / "eval.zarr"))


def refused(path: Path, match: str | None = None, **options: Any) -> str:
    with pytest.raises(DatasetError, match=match) as error:
        verify(path, **options)
    return one_line(error)


class TestWhole:
    def test_a_dataset_of_many_shards_is_read_shard_by_shard(self, pristine: Path) -> None:
        recorder = Recorder()
        report = verify(pristine, regenerate=9, progress=recorder)
        calls = recorder.works
        assert report.checks[-1] == "9 of 110 episodes regenerated"
        assert calls["eval.zarr checked episodes"] == [(n, 110) for n in (0, 25, 50, 75, 100, 110)]
        assert calls["eval.zarr checked files"][-1][0] == len(files_of(pristine)) - 1
        assert calls["eval.zarr regenerated episodes"][-1] == (9, 9)

    def test_pixels_of_an_inexact_renderer_are_not_compared(self, tmp_path: Path) -> None:
        path = generate(SMALL, tmp_path / "a.zarr").path
        (note,) = verify(path, regenerate=9).checks[2:]
        assert note == (
            "5 of 5 episodes regenerated without observation, twin/observation,"
            " which may differ between machines"
        )

    def test_what_is_no_dataset_is_said_as_on_opening(self, tmp_path: Path) -> None:
        refused(tmp_path / "none.zarr", "there is no dataset at")
        refused(tmp_path, "not a Zarr v3 group")

    def test_a_dataset_without_its_world_is_checked_as_far_as_possible(self, tmp_path: Path) -> None:
        write_dataset(tmp_path / "toy.zarr", {"action": (("step",), np.zeros((7, 3), np.int64))})
        assert verify(tmp_path / "toy.zarr", quick=True).checks[-1] == "names and sizes only"
        refused(tmp_path / "toy.zarr", "every file is as it was written, but .* without the world")

    @pytest.mark.parametrize("options", [{"regenerate": -1}, {"regenerate": 1, "quick": True}])
    def test_contradictory_options_are_refused(self, pristine: Path, options: dict[str, Any]) -> None:
        with pytest.raises(ConfigError):
            verify(pristine, **options)


def flip(data: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(data)
    changed[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def truncate(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: rng.integers(len(data))]


class TestDamagedFiles:
    """Every file: metadata of root, groups and arrays, shards of every kind, annotations, the manifest."""

    @pytest.mark.parametrize("damage", [flip, truncate])
    def test_changed_ones_are_named(
        self, store: Path, damage: Callable[[bytes, np.random.Generator], bytes]
    ) -> None:
        rng = np.random.default_rng(0)
        names = files_of(store)
        for name in names:
            data = (store / name).read_bytes()
            (store / name).write_bytes(damage(data, rng))
            assert name in refused(store, name)
            (store / name).write_bytes(data)
        assert len(names) > 50, "four kinds of damage shall be more than 200 trials"
        verify(store)

    def test_deleted_ones_are_named(self, store: Path) -> None:
        for name in files_of(store):
            (store / name).rename(store.parent / "away")
            message = refused(store, f"{name}|never finished")
            assert name in message
            for quick in (False, True):
                assert refused(store, quick=quick) == message
            with pytest.raises(DatasetError):
                open_dataset(store)
            (store.parent / "away").rename(store / name)
        verify(store)

    def test_ones_that_took_each_others_place_are_named(self, store: Path) -> None:
        names = files_of(store)
        trials = 0
        for one, other in zip(names, [*names[1:], names[0]], strict=True):
            first, second = (store / one).read_bytes(), (store / other).read_bytes()
            if first == second:
                continue
            trials += 1
            (store / one).write_bytes(second)
            (store / other).write_bytes(first)
            message = refused(store)
            assert one in message or other in message
            (store / one).write_bytes(first)
            (store / other).write_bytes(second)
        assert trials > 50
        verify(store)

    def test_any_byte_of_the_manifest(self, store: Path) -> None:
        """It vouches for all others, and nothing but itself for it."""
        rng = np.random.default_rng(1)
        data = (store / "manifest.json").read_bytes()
        for _ in range(300):
            (store / "manifest.json").write_bytes(flip(data, rng))
            refused(store, "manifest|format version")
        (store / "manifest.json").write_bytes(data)
        verify(store, quick=True)

    @pytest.mark.parametrize("name", ["notes.txt", "action/c/0/0.12.partial", ".hidden", "a/b/c"])
    def test_strays_are_named(self, store: Path, name: str) -> None:
        (store / name).parent.mkdir(parents=True, exist_ok=True)
        (store / name).write_text("")
        for quick in (False, True):
            refused(store, f"{name} is not part of the dataset; delete it", quick=quick)
        (store / name).unlink()

    def test_a_quick_look_does_not_see_a_flipped_bit(self, store: Path) -> None:
        file = store / "state" / "c" / "0" / "0" / "0"
        data = file.read_bytes()
        file.write_bytes(flip(data, np.random.default_rng(0)))
        verify(store, quick=True)
        refused(store, "state/c/0/0/0 is damaged")
        file.write_bytes(data)


Change = Callable[[NDArray[Any]], object]


def rewritten(dataset: Dataset, path: Path, changes: dict[str, Change], **attributes: Any) -> Path:
    """The dataset with other contents, whose files and digests all fit each other."""
    path.mkdir()
    specs = [
        ArraySpec(name, a.shape, a.dtype.name, tuple(map(str, range(a.ndim))), "", a.shape[0], a.shape[0])
        for name, a in dataset.arrays.items()
    ]
    create_store(path, specs)
    receipts = []
    for spec in specs:
        values = dataset.load(spec.path)
        if spec.path in changes:
            changes[spec.path](values)
        receipts.append(write_rows(path, spec.path, 0, values))
    kept = {
        name: value
        for name, value in dataset.attributes.items()
        if name not in {"format", "format_version", "content_digest", "inexact"}
    }
    kept |= attributes
    kept["recipe_digest"] = canonical_digest(kept["recipe"])
    finish_store(path, kept, receipts, inexact=dataset.inexact)
    return path


def put(episode: int, value: Any) -> Change:
    def change(values: NDArray[Any]) -> None:
        values[episode] = value

    return change


def negate(episode: int) -> Change:
    def change(values: NDArray[Any]) -> None:
        values[episode] *= -1

    return change


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return generate(replace(SHARDED, episodes=6), tmp_path_factory.mktemp("small") / "a.zarr").dataset


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    recipe = Recipe(
        task="2d-shapes", split="train", world_id="sen_bench/Shapes2D-v0", episodes=3, horizon=4,
        policy=Policy(allowed=(0, 4, 8)),
    )  # fmt: skip
    return generate(recipe, tmp_path_factory.mktemp("shapes") / "a.zarr").dataset


class TestFalseContents:
    """Datasets whose files are all as they were written, but were not written as they should be."""

    def test_nothing_changed_is_whole(self, small: Dataset, tmp_path: Path) -> None:
        path = rewritten(small, tmp_path / "a.zarr", {})
        assert verify(path, regenerate=6).dataset.content_digest == small.content_digest

    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            ({"state": put(4, np.nan)}, "state: episode 4 has an entry that is not finite"),
            ({"action": put(2, 1.5)}, "action: episode 2 .* not an action of the world"),
            ({"twin/action": put(2, -1.5)}, "twin/action: episode 2 .* not an action of the world"),
            ({"twin/element": put(5, 0)}, "twin/element: episode 5 .* not an element that twins are drawn"),
            ({"twin/state": negate(1)}, "twin/state: episode 1 .* not that state after the episode's group"),
            ({"twin/action": negate(3)}, "twin/action: episode 3 .* not that action after the episode's"),
            ({"symmetry/sign": put(1, 1.0)}, "symmetry/sign is not the representation that the root"),
            ({"symmetry/cayley": put(1, 1)}, "symmetry/cayley is not the representation that the root"),
        ],
    )
    def test_are_named(self, small: Dataset, tmp_path: Path, changes: dict[str, Change], says: str) -> None:
        assert str(tmp_path) in refused(rewritten(small, tmp_path / "a.zarr", changes), says)

    @pytest.mark.parametrize(
        ("action", "says"), [(20, "not an action of the world"), (5, "not an action of the policy")]
    )
    def test_discrete_actions_that_are_none(
        self, shapes: Dataset, tmp_path: Path, action: int, says: str
    ) -> None:
        path = rewritten(shapes, tmp_path / "a.zarr", {"action": put(1, action)})
        refused(path, f"action: episode 1 has an entry that is {says}")

    def test_transitions_that_are_not_of_the_slice(self, tmp_path: Path) -> None:
        recipe = get_task("2d-shapes").recipe("train-slice", SplitSize(episodes=4))
        dataset = generate(recipe, tmp_path / "whole.zarr").dataset
        verify(dataset.path)
        right = dataset.load("action")[2] + 1
        path = rewritten(dataset, tmp_path / "a.zarr", {"action": put(2, right)})
        refused(path, "state: episode 2 has an entry that is outside the slice that the recipe asks for")

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            ({"horizon": 2}, r"action has the shape \(6, 3, 1\), the recipe 2 steps"),
            ({"episodes": 7}, "action has 6 episodes, the recipe 7"),
        ],
    )
    def test_shapes_are_those_of_the_recipe(
        self, small: Dataset, tmp_path: Path, change: dict[str, int], says: str
    ) -> None:
        recipe = {**small.recipe, **change}
        refused(rewritten(small, tmp_path / "a.zarr", {}, recipe=recipe), says)

    def test_a_symmetry_that_is_no_homomorphism(self, small: Dataset, tmp_path: Path) -> None:
        symmetry = small.symmetry.to_json()
        symmetry["representations"]["sign"]["generators"] = {"1": [[-2.0]]}
        refused(rewritten(small, tmp_path / "a.zarr", {}, symmetry=symmetry), "sign is not a homomorphism")

    def test_a_false_content_digest(self, small: Dataset, tmp_path: Path) -> None:
        path = rewritten(small, tmp_path / "a.zarr", {})
        text = (path / "zarr.json").read_text().replace(small.content_digest, "0" * 64)
        (path / "zarr.json").write_text(text)
        manifest = Manifest.read(path)
        record = type(manifest.files["zarr.json"]).of(text.encode())
        Manifest("0" * 64, {**manifest.files, "zarr.json": record}).write(path)
        refused(path, "do not have the content digest of the manifest")


class TestRegeneration:
    @pytest.mark.parametrize("name", ["seed", "observation", "twin/observation"])
    def test_what_the_recipe_does_not_give_is_named(self, small: Dataset, tmp_path: Path, name: str) -> None:
        path = rewritten(small, tmp_path / "a.zarr", {name: put(3, 1)})
        verify(path)
        refused(path, f"{name}: episode 3 is not what its recipe gives here", regenerate=6)

    def test_the_seed_chooses_the_episodes(self, small: Dataset, tmp_path: Path) -> None:
        path = rewritten(small, tmp_path / "a.zarr", {"seed": put(3, 1)})
        found = []
        for seed in range(8):
            try:
                verify(path, regenerate=2, seed=seed)
            except DatasetError:
                found.append(seed)
        assert 0 < len(found) < 8

    def test_another_generator_cannot(self, small: Dataset, tmp_path: Path) -> None:
        path = rewritten(small, tmp_path / "a.zarr", {}, generator_version=GENERATOR_VERSION + 1)
        verify(path)
        refused(path, "was made by version 2 of the generator", regenerate=1)


class TestCommand:
    @pytest.fixture
    def stores(self, small: Dataset, tmp_path: Path) -> list[str]:
        return [str(shutil.copytree(small.path, tmp_path / f"{name}.zarr")) for name in "abc"]

    def verify(self, *words: str) -> Result:
        return CliRunner().invoke(main, ["verify", *words])

    def test_says_what_is_whole(self, small: Dataset, stores: list[str]) -> None:
        done = self.verify(*stores[:2], "--regenerate", "3", "--quiet")
        assert (done.exit_code, done.stderr) == (0, "")
        sizes = f"{len(small.manifest.files)} files, 0.0 MB"
        assert done.stdout.splitlines() == [
            f"{store}: whole ({sizes}; contents; 3 of 6 episodes regenerated)" for store in stores[:2]
        ]

    def test_names_every_broken_store_in_one_line_each(self, small: Dataset, stores: list[str]) -> None:
        (Path(stores[0]) / "manifest.json").unlink()
        (Path(stores[2]) / "seed" / "c" / "0").unlink()
        done = self.verify(*stores, "--quick", "--quiet")
        assert done.exit_code == 2
        sizes = f"{len(small.manifest.files)} files, 0.0 MB"
        assert done.stdout.splitlines() == [f"{stores[1]}: whole ({sizes}; names and sizes only)"]
        assert [line.split(" ")[:2] for line in done.stderr.splitlines()] == [
            ["error:", stores[0]], ["error:", stores[2]]
        ]  # fmt: skip
        assert "seed/c/0 is missing" in done.stderr

    def test_shows_progress_on_stderr(self, small: Dataset, stores: list[str]) -> None:
        files = len(small.manifest.files)
        done = self.verify(stores[0], "--regenerate", "3")
        assert done.stderr.splitlines() == [
            f"a.zarr checked: 0/{files} files", f"a.zarr checked: {files}/{files} files",
            "a.zarr checked: 6/6 episodes", "a.zarr regenerated: 3/3 episodes",
        ]  # fmt: skip

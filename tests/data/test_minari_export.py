"""Datasets for Minari are opened by Minari itself, with twins, hard negatives and the symmetry."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import gymnasium
import minari
import numpy as np
import pytest

from sen_bench.config import SplitSize
from sen_bench.data import export_minari, minari_id
from sen_bench.errors import DatasetError, MissingExtraError
from sen_bench.generators import generate
from sen_bench.store import Dataset, open_dataset
from sen_bench.symmetry import Symmetry
from sen_bench.tasks import get_task
from tests.support.commands import done, refused
from tests.support.recorder import Recorder

TASKS = ("3d-blocks", "reacher", "teapot-small")
EPISODES = 3


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("data")
    paths = {task: folder / f"{task}.zarr" for task in TASKS}
    for task, path in paths.items():
        recipe = get_task(task).recipe("eval", SplitSize(episodes=EPISODES))
        generate(recipe, path, progress=False)
    return paths


@pytest.fixture(params=TASKS)
def dataset(request: pytest.FixtureRequest, stores: dict[str, Path]) -> Dataset:
    return open_dataset(stores[request.param])


def _load(dataset: Dataset, root: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The dataset as Minari finds it by its name."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(root))
    return minari.load_dataset(minari_id(dataset))


def _stacked(dataset: Dataset, name: str, episode: int) -> Any:
    frames, stack = dataset.array(name)[episode], dataset.frame_stack
    return np.concatenate([frames[k : len(frames) - stack + 1 + k] for k in range(stack)], axis=-1)  # type: ignore[index, arg-type]


def test_minari_has_every_episode_with_its_twin_and_negatives(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    progress = Recorder()
    path, moved = export_minari(dataset, tmp_path, progress=progress)
    assert moved is None
    assert path == tmp_path / "sen-bench" / dataset.task / "eval-v1"
    loaded = _load(dataset, tmp_path, monkeypatch)
    assert loaded.total_episodes == EPISODES
    assert loaded.total_steps == EPISODES * dataset.horizon
    for k, episode in enumerate(loaded.iterate_episodes()):
        assert np.array_equal(episode.observations, _stacked(dataset, "observation", k))
        assert np.array_equal(episode.actions, dataset.array("action")[k])
        assert len(episode) == dataset.horizon
        assert episode.truncations.tolist() == [False] * (dataset.horizon - 1) + [True]
        assert not episode.terminations.any()
        assert not episode.rewards.any()
        assert all(loaded.observation_space.contains(frame) for frame in episode.observations)
        assert all(loaded.action_space.contains(action) for action in episode.actions)
        later = dataset.frame_stack - 1
        assert np.array_equal(episode.infos["state"], dataset.array("state")[k, later:])
        assert np.array_equal(episode.infos["twin_state"], dataset.array("twin/state")[k, later:])
        assert np.array_equal(episode.infos["twin_action"], dataset.array("twin/action")[k])
        twin = _stacked(dataset, "twin/observation", k)
        assert np.array_equal(episode.infos["twin_observation"], twin)
        negatives = "negative/observation" in dataset.arrays
        assert ("negative_observation" in episode.infos) == negatives
        if negatives:
            expected = dataset.array("negative/observation")[k]
            assert np.array_equal(episode.infos["negative_observation"], expected)
    metadata = list(loaded.storage.get_episode_metadata(range(EPISODES)))
    elements = np.array([entry["twin_element"] for entry in metadata])
    assert np.array_equal(elements, dataset.load("twin/element"))
    assert [entry["seed"] for entry in metadata] == dataset.load("seed").tolist()


def test_spaces_and_the_symmetry_are_read_back(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_minari(dataset, tmp_path)
    loaded = _load(dataset, tmp_path, monkeypatch)
    spaces: dict[str, gymnasium.Space[Any]] = {
        "3d-blocks": gymnasium.spaces.Discrete(20),
        "reacher": gymnasium.spaces.Box(-1, 1, (2,), np.float32),
        "teapot-small": gymnasium.spaces.Box(-1, 1, (3, 3), np.float64),
    }
    assert loaded.action_space == spaces[dataset.task]
    attributes = loaded.storage.metadata["sen_bench"]
    assert attributes == dict(dataset.attributes)
    symmetry = Symmetry.from_json(attributes["symmetry"])
    assert symmetry.group.name == dataset.symmetry.group.name


def test_nothing_is_replaced_unless_it_is_asked_for(stores: dict[str, Path], tmp_path: Path) -> None:
    command = ("export", str(stores["reacher"]), "--format", "minari", "--out", str(tmp_path), "--quiet")
    path = Path(done(*command).stdout.strip())
    assert f"{path} is already there" in refused(*command)
    assert done(*command, "--force").stdout.strip() == str(path)
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["eval-v1", "eval-v1.old-1"]


def test_a_failure_leaves_nothing_behind(
    stores: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = open_dataset(stores["3d-blocks"])

    def fail(*_arguments: object) -> None:
        raise OSError("no more room\nand so on")

    monkeypatch.setattr("minari.dataset._storages.hdf5_storage.HDF5Storage.update_episodes", fail)
    with pytest.raises(DatasetError, match=r"could not be written: no more room$"):
        export_minari(dataset, tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_what_cannot_be_written_is_refused(stores: dict[str, Path], tmp_path: Path) -> None:
    store = str(stores["3d-blocks"])
    (tmp_path / "file").touch()
    assert "--element is for --format hdf5" in refused(
        "export", store, "--format", "minari", "--element", "1", "--out", str(tmp_path)
    )
    assert "file is not a folder" in refused(
        "export", store, "--format", "minari", "--out", str(tmp_path / "file")
    )
    assert "is a folder; name the file" in refused(
        "export", store, "--format", "hdf5", "--out", str(tmp_path)
    )


def test_without_minari_the_extra_is_named(
    stores: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "minari.dataset.minari_storage", None)
    with pytest.raises(MissingExtraError, match=r"sen-bench\[minari\]"):
        export_minari(open_dataset(stores["3d-blocks"]), tmp_path)

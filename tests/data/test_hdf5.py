"""HDF5 files as the paper's public code reads them, read back by a reader of our own."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from sen_bench.cli.main import main
from sen_bench.config.presets import SplitSize
from sen_bench.data.hdf5 import export_hdf5
from sen_bench.envs import make_world
from sen_bench.envs.reacher_physics import load_model, load_mujoco
from sen_bench.errors import DatasetError, MissingExtraError
from sen_bench.generators import generate
from sen_bench.store import Dataset, open_dataset
from sen_bench.tasks.registry import get_task
from tests.support.datasets import damage
from tests.support.recorder import Recorder

EPISODES = 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for task, episodes in (("3d-blocks", EPISODES), ("reacher", 3), ("teapot-small", 4)):
        generate(get_task(task).recipe("eval", SplitSize(episodes=episodes)), folder / f"{task}.zarr")
    return folder


@pytest.fixture
def blocks(folder: Path) -> Dataset:
    return open_dataset(folder / "3d-blocks.zarr")


def read(file: Path) -> dict[str, NDArray[Any]]:
    """Whatever lies at the root of a file, as the public code loads it."""
    with h5py.File(file, "r") as opened:
        return {name: np.asarray(values) for name, values in opened.items()}


def exported(dataset: Dataset, tmp_path: Path, **options: Any) -> dict[str, NDArray[Any]]:
    assert export_hdf5(dataset, tmp_path / "out.h5", **options) is None
    return read(tmp_path / "out.h5")


class TestLayout:
    def test_of_3d_blocks(self, blocks: Dataset, tmp_path: Path) -> None:
        file = exported(blocks, tmp_path)
        assert set(file) == {"obs", "action", "next_obs"}
        assert {values.dtype for values in file.values()} == {np.dtype(np.float32)}
        assert file["obs"].shape == file["next_obs"].shape == (EPISODES, 10, 3, 50, 50)
        frames = blocks.load("observation")
        for episode, step in ((0, 0), (EPISODES - 1, 9), (3, 4)):
            for name, frame in (("obs", step), ("next_obs", step + 1)):
                expected = (frames[episode, frame] / 255.0).transpose(2, 0, 1).astype(np.float32)
                np.testing.assert_array_equal(file[name][episode, step], expected)
        np.testing.assert_array_equal(file["action"], blocks.load("action"))

    def test_of_reacher(self, folder: Path, tmp_path: Path) -> None:
        dataset = open_dataset(folder / "reacher.zarr")
        file = exported(dataset, tmp_path)
        truth = {"state": (3, 10, 11), "qpos": (3, 10, 4), "qvel": (3, 10, 4)}
        assert set(file) == {"obs", "action", "next_obs", *truth, *(f"next_{name}" for name in truth)}
        assert file["obs"].shape == (3, 10, 6, 128, 128)
        frames = dataset.load("observation").transpose(0, 1, 4, 2, 3) / np.float32(255)
        # Two frames, the older one first.
        np.testing.assert_array_equal(file["obs"][2, 4, :3], frames[2, 4])
        np.testing.assert_array_equal(file["obs"][2, 4, 3:], frames[2, 5])
        np.testing.assert_array_equal(file["next_obs"][2, 4, 3:], frames[2, 6])
        np.testing.assert_array_equal(file["action"], dataset.load("action"))
        for name, shape in truth.items():
            assert file[name].shape == shape
            np.testing.assert_array_equal(file[name][:, 1:], file[f"next_{name}"][:, :-1])

    def test_reachers_truth_is_what_mujoco_says(self, folder: Path, tmp_path: Path) -> None:
        file = exported(open_dataset(folder / "reacher.zarr"), tmp_path)
        model = load_model()
        data = load_mujoco().MjData(model)
        for qpos, qvel, state in zip(
            *(file[name].reshape(30, -1) for name in ("next_qpos", "next_qvel", "next_state")), strict=True
        ):
            data.qpos[:], data.qvel[:] = qpos, qvel
            load_mujoco().mj_forward(model, data)
            seen = [
                *np.cos(data.qpos[:2]),
                *np.sin(data.qpos[:2]),
                *data.qpos[2:],
                *data.qvel[:2],
                *(data.body("fingertip").xpos - data.body("target").xpos),
            ]
            np.testing.assert_allclose(state, seen, rtol=1e-5, atol=1e-6)

    def test_of_matrices(self, folder: Path, tmp_path: Path) -> None:
        dataset = open_dataset(folder / "teapot-small.zarr")
        file = exported(dataset, tmp_path)
        assert file["obs"].shape == (4, 1, 1, 64, 64)
        np.testing.assert_array_equal(file["action"], dataset.load("action").astype(np.float32))

    def test_blocks_are_seamless(
        self, blocks: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = exported(blocks, tmp_path)
        monkeypatch.setattr("sen_bench.data.hdf5._BLOCK_BYTES", 1)
        assert export_hdf5(blocks, tmp_path / "small.h5") is None
        for name, values in read(tmp_path / "small.h5").items():
            np.testing.assert_array_equal(values, whole[name])

    def test_progress_ends_at_all_episodes(self, blocks: Dataset, tmp_path: Path) -> None:
        recorder = Recorder()
        export_hdf5(blocks, tmp_path / "out.h5", progress=recorder)
        assert recorder.counts[0] == (0, EPISODES)
        assert recorder.counts[-1] == (EPISODES, EPISODES)


class TestTurned:
    @pytest.mark.parametrize("task", ["3d-blocks", "reacher"])
    def test_it_is_the_twin_by_that_element(self, folder: Path, tmp_path: Path, task: str) -> None:
        dataset = open_dataset(folder / f"{task}.zarr")
        file = exported(dataset, tmp_path, element=int(dataset.load("twin/element")[0]))
        frames = dataset.load("twin/observation")[0].transpose(0, 3, 1, 2) / np.float32(255)
        steps = dataset.horizon
        np.testing.assert_array_equal(file["obs"][0, :, -3:], frames[-steps - 1 : -1])
        np.testing.assert_array_equal(file["next_obs"][0, :, -3:], frames[-steps:])
        np.testing.assert_array_equal(file["action"][0], dataset.load("twin/action")[0])

    def test_quarter_turns_of_the_grid(self, blocks: Dataset, tmp_path: Path) -> None:
        # The public code: (row, column) goes to (4 - column, row), and a direction to the one before it.
        file = exported(blocks, tmp_path, element=120)
        action, state = blocks.load("action"), blocks.load("state")
        np.testing.assert_array_equal(file["action"], action - action % 4 + (action % 4 - 1) % 4)
        turned = np.stack([4 - state[..., 1], state[..., 0]], axis=-1)
        frames = make_world("sen_bench/Blocks3D-v0").render_states(turned[:, :-1])
        np.testing.assert_array_equal(file["obs"], frames.transpose(0, 1, 4, 2, 3) / np.float32(255))

    def test_the_identity_changes_nothing(self, blocks: Dataset, tmp_path: Path) -> None:
        plain = exported(blocks, tmp_path)
        export_hdf5(blocks, tmp_path / "same.h5", element=0)
        for name, values in read(tmp_path / "same.h5").items():
            np.testing.assert_array_equal(values, plain[name])

    def test_elements_that_do_not_exist(self, folder: Path, blocks: Dataset, tmp_path: Path) -> None:
        with pytest.raises(DatasetError, match="elements go from 0 to 479"):
            export_hdf5(blocks, tmp_path / "out.h5", element=480)
        teapot = open_dataset(folder / "teapot-small.zarr")
        with pytest.raises(DatasetError, match="whose elements have no numbers"):
            export_hdf5(teapot, tmp_path / "out.h5", element=1)
        assert not list(tmp_path.iterdir())

    def test_a_world_that_is_drawn_otherwise_now(
        self, blocks: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(
            "sen_bench.envs.blocks3d.Blocks3D.render_states",
            lambda _, states: np.zeros((*states.shape[:-2], 50, 50, 3), np.uint8),
        )
        with pytest.raises(DatasetError, match="was not drawn as"):
            export_hdf5(blocks, tmp_path / "out.h5", element=120)


class TestRefusals:
    def test_nothing_is_overwritten(self, blocks: Dataset, tmp_path: Path) -> None:
        target = tmp_path / "out.h5"
        target.write_text("mine")
        with pytest.raises(DatasetError, match="already there"):
            export_hdf5(blocks, target)
        assert target.read_text() == "mine"
        moved = export_hdf5(blocks, target, force=True)
        assert moved is not None
        assert moved.read_text() == "mine"
        assert "obs" in read(target)

    def test_a_failure_leaves_nothing(
        self, blocks: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        target = tmp_path / "out.h5"
        target.write_text("mine")

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("sen_bench.data.hdf5._converted", full)
        with pytest.raises(DatasetError, match="could not be written: No space left") as caught:
            export_hdf5(blocks, target, force=True)
        assert "\n" not in str(caught.value)
        assert [file.name for file in tmp_path.iterdir()] == ["out.h5"]
        assert target.read_text() == "mine"

    def test_damaged_pixels(self, blocks: Dataset, tmp_path: Path) -> None:
        copy = open_dataset(shutil.copytree(blocks.path, tmp_path / "eval.zarr"))
        damage(copy.path / "observation")
        for element in (None, 1):
            with pytest.raises(DatasetError, match="observation is damaged") as caught:
                export_hdf5(copy, tmp_path / "out.h5", element=element)
            assert "\n" not in str(caught.value)
        assert not (tmp_path / "out.h5").exists()

    def test_without_h5py(self, blocks: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "h5py", None)
        with pytest.raises(MissingExtraError, match=r"pip install 'sen-bench\[hdf5\]'"):
            export_hdf5(blocks, tmp_path / "out.h5")


def test_the_command(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = str(folder / "3d-blocks.zarr")
    result = CliRunner().invoke(main, ["export", store, "--format", "hdf5"])
    assert result.exit_code == 0, result.output
    assert result.stdout == "3d-blocks-eval.h5\n"
    assert f"{EPISODES}/{EPISODES} episodes" in result.stderr
    again = CliRunner().invoke(main, ["export", store, "--format", "hdf5"])
    assert again.exit_code == 2
    assert again.stderr.startswith("error: 3d-blocks-eval.h5 is already there")
    turned = CliRunner().invoke(main, ["export", store, "--format", "hdf5", "--element", "120", "--quiet"])
    assert turned.stdout == "3d-blocks-eval-element-120.h5\n"
    assert not turned.stderr

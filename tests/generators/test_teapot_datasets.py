"""Datasets of 3D Teapot, read by plain zarr and numpy, as a stranger reads them."""

from __future__ import annotations

import numpy as np
import pytest
import xarray
import zarr
from scipy.linalg import expm
from scipy.spatial.transform import Rotation

from sen_bench.envs import make_world
from sen_bench.generators import generate
from tests.support.datasets import TEAPOT


@pytest.fixture(scope="module")
def teapot(tmp_path_factory: pytest.TempPathFactory) -> zarr.Group:
    path = generate(TEAPOT, tmp_path_factory.mktemp("teapot") / "eval.zarr").path
    return zarr.open_group(path, mode="r")


def test_twins_are_turned(teapot: zarr.Group) -> None:
    state, action, twin_state, twin_action, g = (
        np.asarray(teapot[name]) for name in ("state", "action", "twin/state", "twin/action", "twin/element")
    )
    g = g[:, None]
    np.testing.assert_allclose(twin_state, g @ state, rtol=0, atol=1e-14)
    np.testing.assert_allclose(twin_action, g @ action @ g.swapaxes(-1, -2), rtol=0, atol=1e-14)
    np.testing.assert_allclose(twin_state[:, 1:], twin_action @ twin_state[:, :-1], rtol=0, atol=1e-14)
    for rotations in (state, action, twin_state, twin_action, g):
        gram = rotations @ rotations.swapaxes(-1, -2)
        np.testing.assert_allclose(gram, np.broadcast_to(np.eye(3), gram.shape), rtol=0, atol=1e-14)
        np.testing.assert_allclose(np.linalg.det(rotations), 1, rtol=0, atol=1e-14)


def test_every_episode_has_an_element_of_its_own(teapot: zarr.Group) -> None:
    elements = np.asarray(teapot["twin/element"])
    assert len(np.unique(elements.reshape(len(elements), 9), axis=0)) == len(elements)


def test_generators_give_the_matrices_that_act(teapot: zarr.Group) -> None:
    element = np.asarray(teapot["twin/element"])[0]
    vector = Rotation.from_matrix(element).as_rotvec()
    one, nine = (
        expm(np.tensordot(vector, np.asarray(teapot[f"symmetry/{name}"]), axes=1))
        for name in ("rotation", "action")
    )
    np.testing.assert_allclose(one, element, rtol=0, atol=1e-12)
    action, turned = (np.asarray(teapot[name])[0, 0].ravel() for name in ("action", "twin/action"))
    np.testing.assert_allclose(nine @ action, turned, rtol=0, atol=1e-12)


def test_negatives_are_one_small_action_away(teapot: zarr.Group) -> None:
    state, negative = np.asarray(teapot["state"]), np.asarray(teapot["negative/state"])
    assert negative.shape == (TEAPOT.episodes, TEAPOT.horizon, 6, 3, 3)
    turns = negative @ state[:, 1:, None].swapaxes(-1, -2)
    angles = np.asarray(Rotation.from_matrix(turns.reshape(-1, 3, 3)).magnitude())
    np.testing.assert_allclose(angles, 2 * np.pi / 30, rtol=0, atol=1e-12)


def test_negatives_are_seen(teapot: zarr.Group) -> None:
    world = make_world(TEAPOT.world_id, **TEAPOT.world_options)
    states, frames = np.asarray(teapot["negative/state"]), np.asarray(teapot["negative/observation"])
    assert frames.shape == (TEAPOT.episodes, TEAPOT.horizon, 6, 64, 64, 1)
    np.testing.assert_array_equal(frames, world.render_states(states))


def test_actions_are_those_of_the_task(teapot: zarr.Group) -> None:
    actions = np.asarray(teapot["action"]).reshape(-1, 9)
    assert len(np.unique(actions, axis=0)) == 6


def test_xarray_finds_a_name_for_every_axis(teapot: zarr.Group) -> None:
    path = str(teapot.store_path).removeprefix("file://")
    negatives = xarray.open_zarr(path, group="negative")
    assert negatives.observation.dims == ("episode", "step", "negative", "height", "width", "channel")
    assert negatives.state.dims == ("episode", "step", "negative", "row", "column")
    assert xarray.open_zarr(path, group="twin").element.dims == (
        "episode",
        "element_row",
        "element_column",
    )

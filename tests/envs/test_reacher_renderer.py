"""Reacher is drawn as MuJoCo draws it, and the same bits whether the loops are compiled or not."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import mujoco
import numpy as np
import pytest
from numpy.typing import NDArray

from sen_bench.envs import make_world
from sen_bench.envs.reacher import GOAL
from sen_bench.envs.reacher_gl import MujocoRenderer, area_weights, shrink
from sen_bench.envs.reacher_kernels import (
    AMBIENT,
    DIFFUSE,
    SPECULAR,
    Canvas,
    draw_scene,
    place_arm,
    sine_cosine,
)
from sen_bench.envs.reacher_physics import load_model
from sen_bench.envs.reacher_renderer import MOVING_SHAPES, STATIC_SHAPES, ReacherRenderer
from sen_bench.envs.reacher_scene import FIELD_OF_VIEW, HEIGHT, LENGTHS
from sen_bench.errors import WorldError

States = NDArray[np.float64]

# The bound the project sets, and what is reached: silhouettes and highlights differ, the rest does not.
LARGEST_MEAN_DIFFERENCE = 0.5


def random_states(count: int, seed: int = 0) -> States:
    rng = np.random.default_rng(seed)
    states = np.zeros((count, 6))
    states[:, 0] = rng.uniform(-math.pi, math.pi, count)
    states[:, 1] = rng.uniform(-3.1, 3.1, count)
    states[:, 4:] = GOAL * rng.choice([-1, 1], (count, 2))
    return states


@pytest.fixture(scope="module")
def opengl() -> Iterator[MujocoRenderer]:
    renderer = MujocoRenderer()
    try:
        renderer.render(random_states(1))
    except WorldError as error:
        pytest.skip(str(error))
    yield renderer
    renderer.close()


def test_frames_are_those_of_mujoco(opengl: MujocoRenderer) -> None:
    states = random_states(12)
    ours = ReacherRenderer.shared().render(states).astype(float)
    theirs = opengl.render(states).astype(float)
    differences = np.abs(ours - theirs)
    assert differences.mean(axis=(1, 2, 3)).max() < LARGEST_MEAN_DIFFERENCE
    assert differences.max() < 30
    # Most of a frame never changes; where the arm and the goal are, both draw the same too.
    empty = np.median(theirs, axis=0)
    moving = np.abs(theirs - empty).max(axis=-1) > 20
    assert 20 < moving.sum(axis=(1, 2)).mean() < 1000
    assert differences[moving].mean() < 5


def test_the_camera_sees_what_the_paper_crops(opengl: MujocoRenderer) -> None:
    """The middle 400 of 500 pixels at MuJoCo's 45° are 400 pixels at a smaller field of view."""
    whole = MujocoRenderer(500)
    state = random_states(1, seed=3)[0]
    whole.draw(state)
    whole._model.vis.global_.fovy = 45.0
    try:
        crop = whole.draw(state)[50:450, 50:450]
    finally:
        whole.close()
    assert np.abs(shrink(crop).astype(float) - opengl.render(state)).mean() < 0.05
    assert pytest.approx(2 * math.degrees(math.atan(0.8 * math.tan(math.radians(22.5))))) == FIELD_OF_VIEW


def test_the_scene_is_that_of_the_model() -> None:
    """Shapes, colours and lights are MuJoCo's own, placed by MuJoCo itself; this needs no OpenGL."""
    model = load_model()
    data, scene = mujoco.MjData(model), mujoco.MjvScene(model, maxgeom=100)
    data.qpos[2:] = 0.1, -0.2
    mujoco.mj_forward(model, data)
    mujoco.mjv_updateScene(
        model, data, mujoco.MjvOption(), None, mujoco.MjvCamera(), mujoco.mjtCatBit.mjCAT_ALL.value, scene
    )
    moving = MOVING_SHAPES.copy()
    moving[:, 4] = moving[:, 7] = HEIGHT
    moving[0, 5] = moving[1, 2] = LENGTHS[0]
    moving[1, 5] = LENGTHS[0] + LENGTHS[1]
    moving[2, [2, 5]] = LENGTHS[0] + LENGTHS[2]
    moving[3, [2, 3, 5, 6]] = 0.1, -0.2, 0.1, -0.2
    types = mujoco.mjtGeom
    kinds = [types.mjGEOM_CAPSULE, types.mjGEOM_SPHERE, types.mjGEOM_CYLINDER, types.mjGEOM_PLANE]
    geoms = scene.geoms[: scene.ngeom]
    assert len(geoms) == len(STATIC_SHAPES) + len(moving)
    for geom, shape in zip(geoms, np.concatenate([STATIC_SHAPES, moving]), strict=True):
        assert geom.type == kinds[int(shape[0])]
        assert geom.size[0] == pytest.approx(shape[1])
        np.testing.assert_allclose(geom.pos, (shape[2:5] + shape[5:8]) / 2, atol=1e-7)
        half_length = np.linalg.norm(shape[5:8] - shape[2:5]) / 2
        if half_length:
            assert geom.size[2] == pytest.approx(half_length, rel=1e-6)
            axis = geom.mat[:, 2] * half_length * 2
            assert min(np.abs(axis - d * (shape[5:8] - shape[2:5])).max() for d in (1, -1)) < 1e-6
        np.testing.assert_allclose(geom.rgba, [*shape[8:], 1], atol=1e-6)
        assert (geom.shininess, geom.emission, geom.reflectance) == (0.5, 0, 0)
        assert geom.specular * scene.lights[0].specular[0] == SPECULAR
    assert scene.nlight == 1
    light = scene.lights[0]
    assert light.headlight
    assert not light.castshadow
    np.testing.assert_allclose([light.ambient, light.diffuse], [[AMBIENT] * 3, [DIFFUSE] * 3], atol=1e-7)


def test_sines_and_cosines() -> None:
    for angle in np.linspace(-10, 10, 401):
        sine, cosine = sine_cosine(angle)
        assert sine == pytest.approx(math.sin(angle), abs=5e-16)
        assert cosine == pytest.approx(math.cos(angle), abs=5e-16)


def test_compiled_loops_round_as_python_does() -> None:
    """No fused or reordered operation: what lets the frames be the same bits on every machine.

    CPython does one rounded IEEE operation at a time; the same source run by it must give the same numbers.
    """
    program = (
        "import json, sys, numpy as np;"
        "from sen_bench.envs.reacher_renderer import ReacherRenderer;"
        "from sen_bench.envs.reacher_kernels import sine_cosine;"
        "renderer = ReacherRenderer(size=16, samples=2);"
        "states = np.array(json.loads(sys.argv[1]));"
        "canvas = renderer._canvas;"
        "numbers = [canvas.rays, canvas.depths, canvas.colours, renderer.render(states)];"
        "numbers += [np.array([sine_cosine(x) for x in states.ravel()])];"
        "print([a.tobytes().hex() for a in numbers])"
    )
    # Repr of a float is exact, so both get the same states.
    command = [sys.executable, "-c", program, json.dumps(random_states(3).tolist())]
    outputs = [
        subprocess.run(
            command, env={**os.environ, "NUMBA_DISABLE_JIT": jit}, capture_output=True, text=True, check=True
        ).stdout
        for jit in ("0", "1")
    ]
    assert outputs[0] == outputs[1]


def test_no_pixel_of_a_moving_shape_is_left_out() -> None:
    """Only pixels near the moving shapes are drawn; drawing the whole scene anew gives the same frames."""
    renderer = ReacherRenderer(size=48, samples=2)
    canvas = renderer._canvas
    arrays: list[Any] = [np.empty_like(array) for array in canvas]
    fresh = Canvas(*arrays)
    for state in random_states(50, seed=2):
        shapes = MOVING_SHAPES.copy()
        place_arm(state, np.array(LENGTHS), HEIGHT, shapes)
        draw_scene(renderer._camera, renderer._light, np.concatenate([STATIC_SHAPES, shapes]), fresh)
        np.testing.assert_array_equal(renderer.render(state), fresh.picture)


def test_area_averaging_keeps_the_mean() -> None:
    weights = area_weights(400, 128)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    np.testing.assert_allclose(weights.sum(axis=0), 128 / 400)
    corner = np.zeros((8, 8, 3), np.uint8)
    corner[:3, :2] = 200
    assert shrink(corner, 2)[..., 0].tolist() == [[75, 0], [0, 0]]


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"MUJOCO_GL": "egl", "__EGL_VENDOR_LIBRARY_FILENAMES": "/nowhere"}, "there is no OpenGL by egl"),
        ({"MUJOCO_GL": "glfw"}, "needs a display for glfw; set MUJOCO_GL=egl"),
        ({"MUJOCO_GL": "vulkan"}, "MUJOCO_GL=vulkan names; unset MUJOCO_GL"),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="which OpenGL there is differs by system")
def test_without_opengl_the_error_says_what_to_do(environment: dict[str, str], says: str) -> None:
    program = (
        "from sen_bench.envs import make_world; from sen_bench.errors import WorldError\n"
        "try: make_world('sen_bench/Reacher-v0', renderer='mujoco').reset(seed=0)\n"
        "except WorldError as error: print(error)"
    )
    kept = {k: v for k, v in os.environ.items() if k not in {"DISPLAY", "WAYLAND_DISPLAY", "MUJOCO_GL"}}
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, env={**kept, **environment}, capture_output=True, text=True, check=True)
    assert says in done.stdout
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""


def test_mujocos_renderer_is_an_option(opengl: MujocoRenderer) -> None:
    world = make_world("sen_bench/Reacher-v0", renderer="mujoco")
    states = random_states(2)
    frames = world.render_states(states)
    world.close()
    assert (world.renderer, world.options) == ("backend", {"renderer": "mujoco"})
    np.testing.assert_array_equal(frames, opengl.render(states))
    np.testing.assert_array_equal(world.render_states(states), frames)  # and it opens again
    world.close()
    assert make_world("sen_bench/Reacher-v0").renderer == "exact"
    with pytest.raises(WorldError, match="renderer must be 'raycast' or 'mujoco', not 'gl'"):
        make_world("sen_bench/Reacher-v0", renderer="gl")

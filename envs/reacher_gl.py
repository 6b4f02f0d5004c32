"""MuJoCo's own pictures of Reacher, by OpenGL: the published look, and the oracle for our renderer."""

from __future__ import annotations

import copy
import importlib
import math
import os
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sen_bench.envs.reacher_physics import load_model, load_mujoco
from sen_bench.envs.reacher_scene import (
    AZIMUTH,
    DISTANCE,
    ELEVATION,
    FIELD_OF_VIEW,
    IMAGE_SIZE,
    LOOK_AT,
)
from sen_bench.errors import WorldError

DRAWN_SIZE = 400
"""Pixels on a side before scaling down: what the paper keeps of its 500."""

_DISPLAYS = {"DISPLAY", "WAYLAND_DISPLAY"}


def area_weights(pixels: int, size: int) -> NDArray[np.float64]:
    """How much of each of `pixels` lies in each of `size` equal parts of their row: [size, pixels]."""
    edges = np.arange(size + 1) * (pixels / size)
    left, right = np.arange(pixels), np.arange(1, pixels + 1)
    shared = np.minimum(edges[1:, None], right) - np.maximum(edges[:-1, None], left)
    return np.asarray(np.maximum(shared, 0.0) * (size / pixels))


def shrink(picture: NDArray[np.uint8], size: int = IMAGE_SIZE) -> NDArray[np.uint8]:
    """A square picture [n, n, 3] scaled down to [size, size, 3], each pixel the mean of what it covers."""
    weights = area_weights(len(picture), size)
    rows = np.tensordot(weights, picture.astype(np.float64), axes=(1, 0))
    pixels = np.tensordot(rows, weights, axes=(1, 1)).transpose(0, 2, 1)
    return np.floor(pixels + 0.5).astype(np.uint8)


class MujocoRenderer:
    """Draws with MuJoCo off screen. OpenGL is loaded when the first picture is drawn.

    The environment variable MUJOCO_GL says which OpenGL: egl (the default on Linux), osmesa or glfw (the
    default elsewhere).

    Args:
        size: Pixels on a side of what is drawn, before it is scaled down.
    """

    def __init__(self, size: int = DRAWN_SIZE) -> None:
        self._size = size
        self._context: Any = None

    def __getstate__(self) -> dict[str, Any]:
        """What can be sent to another process: everything but OpenGL."""
        return {"_size": self._size, "_context": None}

    def close(self) -> None:
        """Frees the OpenGL context; the next picture makes a new one."""
        if self._context is not None:
            self._drawer.free()
            self._context.free()
            self._context = None

    def render(self, states: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Draws states [..., 6] as uint8 [..., 128, 128, 3].

        Raises:
            WorldError: There is no OpenGL.
        """
        lead = states.shape[:-1]
        flat = states.reshape(math.prod(lead), states.shape[-1])
        frames = np.empty((len(flat), IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)
        for k, state in enumerate(flat):
            frames[k] = shrink(self.draw(state))
        return frames.reshape(*lead, *frames.shape[1:])

    def draw(self, state: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Draws one state [6] as uint8 [size, size, 3].

        Raises:
            WorldError: There is no OpenGL.
        """
        if self._context is None:
            self._open()
        mujoco, data = load_mujoco(), self._data
        data.qpos[:2], data.qpos[2:] = state[:2], state[4:]
        mujoco.mj_forward(self._model, data)
        self._context.make_current()
        mujoco.mjv_updateScene(
            self._model,
            data,
            mujoco.MjvOption(),
            None,
            self._camera,
            mujoco.mjtCatBit.mjCAT_ALL.value,
            self._scene,
        )
        area = mujoco.MjrRect(0, 0, self._size, self._size)
        picture = np.empty((self._size, self._size, 3), np.uint8)
        mujoco.mjr_render(area, self._scene, self._drawer)
        mujoco.mjr_readPixels(picture, None, area, self._drawer)
        return picture[::-1]

    def _open(self) -> None:
        """Makes an OpenGL context and what MuJoCo needs for it.

        Raises:
            WorldError: There is no OpenGL.
        """
        mujoco = load_mujoco()
        self._model = copy.copy(load_model())
        self._model.vis.global_.fovy = FIELD_OF_VIEW
        self._model.vis.global_.offwidth = self._model.vis.global_.offheight = self._size
        self._data = mujoco.MjData(self._model)
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FREE
        self._camera.lookat[:] = LOOK_AT
        self._camera.distance = DISTANCE
        self._camera.azimuth, self._camera.elevation = AZIMUTH, ELEVATION
        self._scene = mujoco.MjvScene(self._model, maxgeom=100)
        default = "egl" if sys.platform.startswith("linux") else "glfw"
        chosen = os.environ.get("MUJOCO_GL", "").strip().lower() or default
        if chosen == "glfw" and default == "egl" and not (_DISPLAYS & os.environ.keys()):
            raise WorldError("renderer 'mujoco' needs a display for glfw; set MUJOCO_GL=egl, or osmesa")
        try:
            self._context = importlib.import_module(f"mujoco.{chosen}").GLContext(self._size, self._size)
            self._context.make_current()
            self._drawer = mujoco.MjrContext(self._model, mujoco.mjtFontScale.mjFONTSCALE_100.value)
        # The kind depends on what is missing: a library, half of one, a driver, a display.
        except Exception as error:
            self._context = None
            raise WorldError(
                f"there is no OpenGL by {chosen} for renderer 'mujoco' ({error}); install it (Debian: libegl1"
                " and libgl1-mesa-dri for egl, libosmesa6 for osmesa), choose another with MUJOCO_GL=egl,"
                " osmesa or glfw, or use renderer 'raycast', which needs none"
            ) from error
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._drawer)

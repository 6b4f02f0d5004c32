"""Steps of Gymnasium's Reacher in MuJoCo, as a function of state and action alone."""

from __future__ import annotations

import functools
import importlib
import importlib.resources
import os
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sen_bench.errors import WorldError

if TYPE_CHECKING:
    import mujoco

FRAME_SKIP = 2
"""Steps of the physics, 0.01 s each, for one of the world: Gymnasium's value."""

_LOCAL = threading.local()


@functools.cache
def load_mujoco() -> Any:  # noqa: ANN401 — a module
    """The package mujoco.

    Raises:
        WorldError: It cannot be imported. On import it loads OpenGL, and where there is none its own error
            tells nobody what to do.
    """
    try:
        return importlib.import_module("mujoco")
    except (ImportError, AttributeError, OSError, RuntimeError) as error:
        chosen = os.environ.get("MUJOCO_GL")
        way_out = (
            f"it was to load the OpenGL that MUJOCO_GL={chosen} names; unset MUJOCO_GL, which only renderer"
            " 'mujoco' needs, or install it"
            if chosen
            else "install it again: pip install mujoco"
        )
        raise WorldError(f"MuJoCo cannot be loaded ({error}): {way_out}") from error


@functools.cache
def load_model() -> mujoco.MjModel:
    """Gymnasium's model of Reacher, as in its Reacher-v5."""
    file = importlib.resources.files("gymnasium").joinpath("envs/mujoco/assets/reacher.xml")
    module = load_mujoco()
    model: mujoco.MjModel = module.MjModel.from_xml_string(file.read_text())
    # Otherwise a state that MuJoCo cannot step from would be replaced by the initial one, without an error.
    model.opt.disableflags |= int(module.mjtDisableBit.mjDSBL_AUTORESET)
    return model


def _data() -> mujoco.MjData:
    """This thread's workspace; everything a step depends on is written before it."""
    if not hasattr(_LOCAL, "data"):
        _LOCAL.data = load_mujoco().MjData(load_model())
    data: mujoco.MjData = _LOCAL.data
    return data


def initial_position() -> NDArray[np.float64]:
    """The model's own joint angles and goal, float64 [4]."""
    return np.array(load_model().qpos0)


def step(states: NDArray[np.float64], actions: NDArray[np.float64]) -> NDArray[np.float64]:
    """The next states, float64 [batch, 6].

    Each step starts from a clean workspace. MuJoCo's own loop keeps the last accelerations as a first guess
    for the forces at a joint's limit; without them a step is a function of its arguments alone. The results
    are the same within the tolerance of its solver, and far within it where measured.

    Args:
        states: float64 [batch, 6]: two angles, two velocities, the goal.
        actions: float64 [batch, 2] in [-1, 1].

    Raises:
        WorldError: The physics leads from one of the states to one that is not finite.
    """
    module, model, data = load_mujoco(), load_model(), _data()
    after = states.copy()
    for k in range(len(states)):
        module.mj_resetData(model, data)
        data.qpos[:2] = states[k, :2]
        data.qpos[2:] = states[k, 4:]
        data.qvel[:2] = states[k, 2:4]
        data.ctrl[:] = actions[k]
        module.mj_step(model, data, FRAME_SKIP)
        after[k, :2] = data.qpos[:2]
        after[k, 2:4] = data.qvel[:2]
    if not np.isfinite(after).all():
        raise WorldError("the physics led to a state that is not finite")
    return after

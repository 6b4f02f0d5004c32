"""Draws the scene of Gymnasium's Reacher as MuJoCo does, without OpenGL.

Rays are cast from MuJoCo's camera at the model's shapes and lit by its headlight. Only the arm and the goal
move, so what lies behind them is drawn once and kept, ray by ray; a frame casts rays only where a moving
shape can be. `tests/envs/test_reacher_renderer.py` compares the scene with the model's, and the frames with
those that MuJoCo draws by OpenGL.

What differs from OpenGL: shapes are round where MuJoCo draws polygons, each ray is lit by itself where
OpenGL lights the corners of a polygon and interpolates, and a pixel is the mean of 16 rays.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray

from sen_bench.envs.reacher_kernels import (
    CAPSULE,
    CYLINDER,
    PLANE,
    SPHERE,
    Camera,
    Canvas,
    Floats,
    draw_scene,
    render,
)
from sen_bench.envs.reacher_scene import DISTANCE, HEIGHT, IMAGE_SIZE, LENGTHS, LOOK_AT, SLOPE

_WALL, _LINK = (0.9, 0.4, 0.6), (0.0, 0.4, 0.6)
_CORNERS = ((-0.3, -0.3), (0.3, -0.3), (0.3, 0.3), (-0.3, 0.3))


def _shape(
    kind: int, radius: float, start: tuple[float, ...], end: tuple[float, ...], colour: tuple[float, ...]
) -> list[float]:
    return [kind, radius, *start, *end, *colour]


STATIC_SHAPES = np.array(
    [
        _shape(PLANE, 1.0, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.9, 0.9, 0.9)),
        *(
            _shape(CAPSULE, 0.02, (*_CORNERS[k], HEIGHT), (*_CORNERS[(k + 1) % 4], HEIGHT), _WALL)
            for k in range(4)
        ),
        _shape(CYLINDER, 0.011, (0.0, 0.0, 0.0), (0.0, 0.0, 0.02), _WALL),
    ]
)
"""float64 [6, 11]: ground, walls and base; the values are those of the model. See `reacher_kernels`."""

MOVING_SHAPES = np.array(
    [
        _shape(CAPSULE, 0.01, (0.0,) * 3, (0.0,) * 3, _LINK),
        _shape(CAPSULE, 0.01, (0.0,) * 3, (0.0,) * 3, _LINK),
        _shape(SPHERE, 0.01, (0.0,) * 3, (0.0,) * 3, (0.0, 0.8, 0.6)),
        _shape(SPHERE, 0.009, (0.0,) * 3, (0.0,) * 3, (0.9, 0.2, 0.2)),
    ]
)
"""float64 [4, 11]: both links, the tip and the goal, not placed yet."""

STATIC_SHAPES.setflags(write=False)
MOVING_SHAPES.setflags(write=False)


class ReacherRenderer:
    """The scene, ready to draw. Rendering releases the interpreter's lock.

    Args:
        size: Pixels on a side.
        samples: Rays through a pixel, along a side.
    """

    def __init__(self, size: int = IMAGE_SIZE, samples: int = 4) -> None:
        # The camera looks 45° down from the south: sines and cosines are the root of a half.
        half = math.sqrt(0.5)
        forward = np.array([0.0, half, -half])
        self._camera = Camera(
            eye=np.array(LOOK_AT) - DISTANCE * forward,
            right=np.array([1.0, 0.0, 0.0]),
            up=np.array([0.0, half, half]),
            forward=forward,
            slope=SLOPE,
            size=size,
            samples=samples,
        )
        # MuJoCo's headlight shines from the camera in the direction of sight.
        self._light: Floats = -forward
        rays = size * samples
        self._canvas = Canvas(
            rays=np.empty((rays, rays, 3)),
            depths=np.empty((rays, rays)),
            colours=np.empty((rays, rays, 3)),
            picture=np.empty((size, size, 3), np.uint8),
        )
        draw_scene(self._camera, self._light, STATIC_SHAPES, self._canvas)

    @classmethod
    @functools.cache
    def shared(cls) -> ReacherRenderer:
        """The renderer of 128 × 128 pixels; what never moves is drawn once."""
        return cls()

    def render(self, states: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Draws states [..., 6], which must be finite, with the goal and the arm on the ground.

        Returns:
            uint8 [..., size, size, 3].
        """
        lead = states.shape[:-1]
        frames = render(
            np.ascontiguousarray(states.reshape(math.prod(lead), states.shape[-1])),
            self._camera,
            self._light,
            np.array(LENGTHS),
            HEIGHT,
            MOVING_SHAPES,
            self._canvas,
        )
        return frames.reshape(*lead, *frames.shape[1:])

"""Compiled loops of the Reacher renderer: rays against capsules, spheres, a cylinder and a plane.

Every operation here is one that IEEE 754 rounds correctly (+, −, ×, ÷, square root) or that is exact, in a
fixed order: no library function, no fused multiplication and addition. So the frames of a state are the same
bits on every machine, compiled or not. `sen_bench.envs.reacher_renderer` says what is drawn.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sen_bench.system import compiled

Floats = NDArray[np.float64]

CAPSULE, SPHERE, CYLINDER, PLANE = range(4)
"""Kinds of shape. A shape is float64 [11]: kind, radius, first end (3), second end (3), colour (3).

A sphere is at its first end. A cylinder stands upright, its first end below the second. A plane is a level
square that reaches `radius` from the axes.
"""

AMBIENT, DIFFUSE, SPECULAR = 0.1, 0.4, 0.25
"""Parts of the light: of MuJoCo's headlight, the last times the specular part of its default material."""

FAR = 1e9

# π/2 in two parts, the first with trailing zeros, so that small multiples of it are exact.
_QUARTER_HIGH = 1.57079632673412561417
_QUARTER_LOW = 6.07710050650619224932e-11


@compiled
def sine_cosine(angle: float) -> tuple[float, float]:
    """Sine and cosine of an angle of at most a few turns, to 1e-15; the C library's differ by machine."""
    quarter = math.floor(angle / (_QUARTER_HIGH + _QUARTER_LOW) + 0.5)
    x = (angle - quarter * _QUARTER_HIGH) - quarter * _QUARTER_LOW
    # Taylor's series up to x^17: |x| is at most π/4.
    square = x * x
    sine, cosine = 1.0, 1.0
    for n in range(16, 0, -2):
        sine = 1.0 - sine * square / (n * (n + 1.0))
        cosine = 1.0 - cosine * square / (n * (n - 1.0))
    sine *= x
    turn = quarter % 4
    if turn % 2:
        sine, cosine = cosine, -sine
    return (-sine, -cosine) if turn >= 2 else (sine, cosine)


@compiled
def hit_sphere(eye: Floats, ray: Floats, shape: Floats, end: int) -> float:
    """Distance along a ray of length 1 to the ball at an end of a shape (0, 1); FAR where it is missed."""
    k, radius = 2 + 3 * end, shape[1]
    x, y, z = eye[0] - shape[k], eye[1] - shape[k + 1], eye[2] - shape[k + 2]
    along = x * ray[0] + y * ray[1] + z * ray[2]
    outside = x * x + y * y + z * z - radius * radius
    root = along * along - outside
    if root < 0.0:
        return FAR
    distance: float = -along - math.sqrt(root)
    return distance


@compiled
def hit_capsule(eye: Floats, ray: Floats, shape: Floats) -> float:
    """Distance along a ray of length 1 to a capsule seen from outside; FAR where it is missed."""
    radius = shape[1]
    ax, ay, az = shape[5] - shape[2], shape[6] - shape[3], shape[7] - shape[4]
    x, y, z = eye[0] - shape[2], eye[1] - shape[3], eye[2] - shape[4]
    axis_axis = ax * ax + ay * ay + az * az
    axis_ray = ax * ray[0] + ay * ray[1] + az * ray[2]
    axis_eye = ax * x + ay * y + az * z
    a = axis_axis - axis_ray * axis_ray
    b = axis_axis * (x * ray[0] + y * ray[1] + z * ray[2]) - axis_eye * axis_ray
    c = axis_axis * (x * x + y * y + z * z) - axis_eye * axis_eye - radius * radius * axis_axis
    root = b * b - a * c
    if root < 0.0:
        return FAR
    distance: float = (-b - math.sqrt(root)) / a
    height = axis_eye + distance * axis_ray
    if height <= 0.0:
        return hit_sphere(eye, ray, shape, 0)
    if height >= axis_axis:
        return hit_sphere(eye, ray, shape, 1)
    return distance


@compiled
def hit_cylinder(eye: Floats, ray: Floats, shape: Floats) -> float:
    """Distance along a ray of length 1 to an upright cylinder seen from above; FAR where it is missed."""
    x, y = eye[0] - shape[2], eye[1] - shape[3]
    lid: float = (shape[7] - eye[2]) / ray[2]
    over_x, over_y = x + lid * ray[0], y + lid * ray[1]
    if over_x * over_x + over_y * over_y <= shape[1] * shape[1]:
        return lid
    a = ray[0] * ray[0] + ray[1] * ray[1]
    b = x * ray[0] + y * ray[1]
    c = x * x + y * y - shape[1] * shape[1]
    root = b * b - a * c
    if root < 0.0:
        return FAR
    distance: float = (-b - math.sqrt(root)) / a
    height: float = eye[2] + distance * ray[2]
    return distance if shape[4] <= height <= shape[7] else FAR


@compiled
def hit_plane(eye: Floats, ray: Floats, shape: Floats) -> float:
    """Distance along a falling ray of length 1 to a square plane; FAR where it is missed."""
    distance: float = (shape[4] - eye[2]) / ray[2]
    inside = abs(eye[0] + distance * ray[0]) <= shape[1] and abs(eye[1] + distance * ray[1]) <= shape[1]
    return distance if inside else FAR


@compiled
def hit(eye: Floats, ray: Floats, shape: Floats) -> float:
    """Distance along a ray of length 1 to a shape; FAR where it is missed."""
    if shape[0] == CAPSULE:
        return hit_capsule(eye, ray, shape)
    if shape[0] == SPHERE:
        return hit_sphere(eye, ray, shape, 0)
    if shape[0] == CYLINDER:
        return hit_cylinder(eye, ray, shape)
    return hit_plane(eye, ray, shape)


@compiled
def normal_at(point: Floats, shape: Floats, normal: Floats) -> None:
    """Writes the outward normal of length 1 at a point of a shape's surface."""
    normal[:] = 0.0
    if shape[0] == PLANE or (shape[0] == CYLINDER and point[2] >= shape[7] - 1e-9):
        normal[2] = 1.0
        return
    share = 0.0
    if shape[0] != SPHERE:
        length = 0.0
        for i in range(3):
            axis = shape[5 + i] - shape[2 + i]
            share += axis * (point[i] - shape[2 + i])
            length += axis * axis
        share = min(max(share / length, 0.0), 1.0)
    for i in range(3):
        foot = shape[2 + i] if share == 0.0 else shape[2 + i] + share * (shape[5 + i] - shape[2 + i])
        normal[i] = (point[i] - foot) / shape[1]


@compiled
def add_light(
    eye: Floats,
    ray: Floats,
    depth: float,
    light: Floats,
    shape: Floats,
    point: Floats,
    normal: Floats,
    total: Floats,
) -> None:
    """Adds what a ray sees of a shape under one far light: the lighting model of OpenGL's fixed pipeline.

    Args:
        eye: float64 [3], where the ray starts.
        ray: float64 [3], its direction, of length 1.
        depth: How far it goes.
        light: float64 [3], direction towards the light, of length 1.
        shape: float64 [11], what it hits.
        point: float64 [3], workspace.
        normal: float64 [3], workspace.
        total: float64 [3], where red, green and blue in [0, 255] are added.
    """
    for i in range(3):
        point[i] = eye[i] + depth * ray[i]
    normal_at(point, shape, normal)
    facing = max(normal[0] * light[0] + normal[1] * light[1] + normal[2] * light[2], 0.0)
    shine = 0.0
    if facing > 0.0:
        x, y, z = light[0] - ray[0], light[1] - ray[1], light[2] - ray[2]
        length = math.sqrt(x * x + y * y + z * z)
        shine = max((normal[0] * x + normal[1] * y + normal[2] * z) / length, 0.0)
        for _ in range(6):  # to the power of 64: half of OpenGL's 128
            shine *= shine
    for i in range(3):
        seen = shape[8 + i] * (AMBIENT + DIFFUSE * facing) + SPECULAR * shine
        total[i] += 255.0 * min(seen, 1.0)


class Camera(NamedTuple):
    """A pinhole camera, whose square picture has `size` × `size` pixels.

    Attributes:
        eye: float64 [3], where it is.
        right: float64 [3], of length 1.
        up: float64 [3], of length 1.
        forward: float64 [3], of length 1, where it looks.
        slope: Tangent of half the field of view.
        size: Pixels on a side.
        samples: Rays through a pixel, along a side.
    """

    eye: Floats
    right: Floats
    up: Floats
    forward: Floats
    slope: float
    size: int
    samples: int


class Canvas(NamedTuple):
    """The picture of everything that never moves, with n = size · samples rays along a side.

    Attributes:
        rays: float64 [n, n, 3], directions of sight, of length 1.
        depths: float64 [n, n], how far each ray goes; FAR where it hits nothing.
        colours: float64 [n, n, 3] in [0, 255], what each ray sees.
        picture: uint8 [size, size, 3], the mean of that in each pixel.
    """

    rays: Floats
    depths: Floats
    colours: Floats
    picture: NDArray[np.uint8]


@compiled
def aim(camera: Camera, rays: Floats) -> None:
    """Writes the directions of sight, float64 [n, n, 3]."""
    count = rays.shape[0]
    for row in range(count):
        for column in range(count):
            x = camera.slope * ((2.0 * column + 1.0) / count - 1.0)
            y = camera.slope * (1.0 - (2.0 * row + 1.0) / count)
            length = math.sqrt(1.0 + x * x + y * y)
            for i in range(3):
                along = camera.forward[i] + x * camera.right[i] + y * camera.up[i]
                rays[row, column, i] = along / length


@compiled
def look(camera: Camera, ray: Floats, shapes: Floats, nearby: int, depth: float) -> tuple[float, int]:
    """How far a ray goes, at most `depth`, and which of the shapes it hits there; -1 where none.

    Only the shapes whose bits are set in `nearby` are looked at.
    """
    which = -1
    for k in range(shapes.shape[0]):
        if (nearby >> k) & 1:
            distance = hit(camera.eye, ray, shapes[k])
            if distance < depth:
                depth, which = distance, k
    return depth, which


@compiled
def to_pixel(total: Floats, count: int, pixel: NDArray[np.uint8]) -> None:
    """Writes the mean of `count` colours in [0, 255], rounded, from their sum."""
    for i in range(3):
        pixel[i] = np.uint8(math.floor(total[i] / count + 0.5))


@compiled
def draw_scene(camera: Camera, light: Floats, shapes: Floats, canvas: Canvas) -> None:
    """Draws shapes that never move, float64 [shapes, 11], on an empty canvas."""
    point, normal, total = np.empty(3), np.empty(3), np.empty(3)
    aim(camera, canvas.rays)
    canvas.colours[:] = 0.0
    for row in range(canvas.depths.shape[0]):
        for column in range(canvas.depths.shape[1]):
            ray = canvas.rays[row, column]
            depth, which = look(camera, ray, shapes, -1, FAR)
            canvas.depths[row, column] = depth
            if which >= 0:
                add_light(
                    camera.eye, ray, depth, light, shapes[which], point, normal, canvas.colours[row, column]
                )
    many = camera.samples
    for y in range(camera.size):
        for x in range(camera.size):
            total[:] = 0.0
            for row in range(y * many, y * many + many):
                for column in range(x * many, x * many + many):
                    for i in range(3):
                        total[i] += canvas.colours[row, column, i]
            to_pixel(total, many * many, canvas.picture[y, x])


@compiled
def mark_pixels(camera: Camera, shape: Floats, bit: int, nearby: NDArray[np.uint8]) -> None:
    """Sets a bit in every pixel, of uint8 [size, size], where a capsule or a sphere can be seen.

    Its picture lies in the convex hull of the pictures of the balls at its ends, and so is no further from
    the line between their centres than the larger of them reaches.
    """
    scale, middle = 0.5 * camera.size / camera.slope, 0.5 * camera.size
    columns, rows, reach = (0.0, 0.0), (0.0, 0.0), 0.0
    for end in (5, 2):
        x = y = z = 0.0
        for i in range(3):
            offset = shape[end + i] - camera.eye[i]
            x += offset * camera.right[i]
            y += offset * camera.up[i]
            z += offset * camera.forward[i]
        columns, rows = (middle + scale * x / z, columns[0]), (middle - scale * y / z, rows[0])
        # A ball at the rim of the picture looks longer than it is wide, by less than the factor here; and the
        # corners of a pixel are 0.71 from its centre.
        reach = max(reach, 1.2 * scale * shape[1] / (z - shape[1]) + 0.75)
    across, down = columns[1] - columns[0], rows[1] - rows[0]
    length = across * across + down * down
    top, bottom = math.floor(min(rows) - reach), math.floor(max(rows) + reach) + 1
    left, right = math.floor(min(columns) - reach), math.floor(max(columns) + reach) + 1
    for row in range(max(top, 0), min(bottom, camera.size)):
        for column in range(max(left, 0), min(right, camera.size)):
            x, y = column + 0.5 - columns[0], row + 0.5 - rows[0]
            share = min(max((x * across + y * down) / length, 0.0), 1.0) if length > 0.0 else 0.0
            x -= share * across
            y -= share * down
            if x * x + y * y <= reach * reach:
                nearby[row, column] |= np.uint8(1 << bit)


@compiled
def draw_moving(
    camera: Camera, light: Floats, shapes: Floats, canvas: Canvas, frame: NDArray[np.uint8]
) -> None:
    """Draws at most eight capsules and spheres, float64 [shapes, 11], over a copy of the canvas's picture."""
    point, normal, total = np.empty(3), np.empty(3), np.empty(3)
    nearby = np.zeros((camera.size, camera.size), np.uint8)
    for k in range(shapes.shape[0]):
        mark_pixels(camera, shapes[k], k, nearby)
    many = camera.samples
    for y in range(camera.size):
        for x in range(camera.size):
            if not nearby[y, x]:
                continue
            total[:] = 0.0
            for row in range(y * many, y * many + many):
                for column in range(x * many, x * many + many):
                    ray = canvas.rays[row, column]
                    depth, which = look(camera, ray, shapes, nearby[y, x], canvas.depths[row, column])
                    if which >= 0:
                        add_light(camera.eye, ray, depth, light, shapes[which], point, normal, total)
                    else:
                        for i in range(3):
                            total[i] += canvas.colours[row, column, i]
            to_pixel(total, many * many, frame[y, x])


@compiled
def place_arm(state: Floats, lengths: Floats, height: float, moving: Floats) -> None:
    """Puts the moving shapes where a state has them.

    Args:
        state: float64 [6]: two angles, two velocities, the goal.
        lengths: float64 [3], from the base to the elbow, from there to the end of the second link and to the
            tip.
        height: How high all of it is.
        moving: float64 [4, 11]: first link, second link, tip and goal, to be placed.
    """
    sine, cosine = sine_cosine(state[0])
    elbow_x, elbow_y = lengths[0] * cosine, lengths[0] * sine
    sine, cosine = sine_cosine(state[0] + state[1])
    moving[0, 5], moving[0, 6] = elbow_x, elbow_y
    moving[1, 2], moving[1, 3] = elbow_x, elbow_y
    moving[1, 5], moving[1, 6] = elbow_x + lengths[1] * cosine, elbow_y + lengths[1] * sine
    moving[2, 2], moving[2, 3] = elbow_x + lengths[2] * cosine, elbow_y + lengths[2] * sine
    moving[3, 2], moving[3, 3] = state[4], state[5]
    moving[:, 4] = height
    moving[:, 7] = height
    for k in (2, 3):
        moving[k, 5], moving[k, 6] = moving[k, 2], moving[k, 3]


@compiled
def render(
    states: Floats,
    camera: Camera,
    light: Floats,
    lengths: Floats,
    height: float,
    moving: Floats,
    canvas: Canvas,
) -> NDArray[np.uint8]:
    """Draws states [batch, 6] as uint8 [batch, size, size, 3]; see `place_arm` and `draw_moving`."""
    frames = np.empty((states.shape[0], camera.size, camera.size, 3), np.uint8)
    shapes = moving.copy()
    for k in range(states.shape[0]):
        frames[k] = canvas.picture
        place_arm(states[k], lengths, height, shapes)
        draw_moving(camera, light, shapes, canvas, frames[k])
    return frames

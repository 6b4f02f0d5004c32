"""Builds the tables of the 3D Blocks renderer by asking matplotlib for the coverage of every face.

`python -m tests.oracles.blocks3d_tables` rewrites `envs/assets/blocks3d.npz`; a test checks that the
committed file holds what this module builds with the installed matplotlib.

A cube has six faces; matplotlib fills each and then strokes its outline. On a transparent canvas Agg leaves
in the alpha channel exactly the coverage with which it blends a shape, so drawing every shape of every cell
once, alone, captures all that matters. The faces of neighbouring cubes that touch are not drawn at all.
"""

from __future__ import annotations

import io
import itertools
import math
from typing import Any, NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import RendererAgg
from mpl_toolkits.mplot3d import proj3d
from mpl_toolkits.mplot3d.art3d import Poly3DCollection
from numpy.typing import NDArray

from tests.oracles.blocks3d import (
    COLOURS,
    CROP_COLUMNS,
    CROP_ROWS,
    GRID_SIZE,
    IMAGE_SIZE,
    blocks_figure,
    canvas,
    crop,
    new_renderer,
)
from tests.paths import ROOT

ASSET = ROOT / "envs" / "assets" / "blocks3d.npz"

FACES = ((-1, 0, 0), (0, 1, 0), (1, 0, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1))
"""Outward normals (row, column, height) of a cube's faces: up, right, down, left, top, bottom."""

CELLS = tuple((row, column) for row in range(GRID_SIZE) for column in range(GRID_SIZE))

RESIZE_BITS = 22
"""PIL holds the weights of an 8-bit resize as integers of this many binary places."""


class Cube(NamedTuple):
    """How matplotlib draws one cube that stands alone.

    Attributes:
        depth: matplotlib's sorting key of the cube; greater is farther away and is drawn earlier.
        faces: The faces, as indices into `FACES`, in the order they are drawn.
        arguments: What `draw_path_collection` was given.
    """

    depth: float
    faces: tuple[int, ...]
    arguments: tuple[Any, ...]


class _Recorder:
    """A renderer that keeps the arguments of the collections it draws, but for empty ones."""

    def __init__(self, renderer: RendererAgg) -> None:
        self._renderer = renderer
        self.collections: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._renderer, name)

    def draw_path_collection(self, *args: Any, **kwargs: Any) -> None:
        if args[2]:
            self.collections.append(args)
        self._renderer.draw_path_collection(*args, **kwargs)


def capture_cube(cell: tuple[int, int], colour: str = COLOURS[0]) -> Cube:
    """Records how matplotlib draws a cube of one colour that stands alone on one cell."""
    figure = blocks_figure([cell], [colour])
    recorder: Any = _Recorder(new_renderer())
    figure.draw(recorder)
    (arguments,) = recorder.collections
    axes: Any = figure.axes[0]
    (collection,) = (artist for artist in axes.collections if isinstance(artist, Poly3DCollection))
    return Cube(
        float(collection.do_3d_projection()),
        tuple(_face_of(path.vertices[:4], cell, axes.get_proj()) for path in arguments[2]),
        arguments,
    )


def _face_of(corners: NDArray[np.float64], cell: tuple[int, int], projection: Any) -> int:
    """Which face has these projected corners."""
    found = []
    for index, normal in enumerate(FACES):
        # The corners of the unit cube that lie on the side the normal points to.
        offsets = [
            c for c in itertools.product((0, 1), repeat=3) if np.dot(np.multiply(2, c) - 1, normal) > 0
        ]
        points = np.add(offsets, (*cell, 0)).astype(np.float64)
        flat = np.stack(proj3d.proj_transform(*points.T, projection)[:2], axis=-1)
        if all(np.isclose(flat, corner).all(-1).any() for corner in corners):
            found.append(index)
    (face,) = found
    return face


def _draw_shape(arguments: tuple[Any, ...], index: int, *, fill: Any, line: Any) -> NDArray[np.uint8]:
    """The crop with one path of a collection on a transparent canvas, uint8 [240, 490, 4].

    Args:
        arguments: Of `draw_path_collection`.
        index: Which of the paths.
        fill: The colours to fill with, [0 or 1, 4]; none leaves the fill out.
        line: The colours of the outline, likewise.
    """
    renderer = new_renderer()
    gc, transform, paths, transforms, offsets, offset_transform, _, _, *style = arguments
    path = [paths[index]]
    renderer.draw_path_collection(
        gc, transform, path, transforms, offsets, offset_transform, fill, line, *style, hatchcolors=line
    )
    return canvas(renderer)[CROP_ROWS, CROP_COLUMNS]


def _palette(colour: str) -> NDArray[np.uint8]:
    """The shaded colours of the faces of a cube, uint8 [6, 3]."""
    cube = capture_cube((2, 2), colour)
    shades, nothing = cube.arguments[6], np.zeros((0, 4))
    palette = np.zeros((len(FACES), 3), dtype=np.uint8)
    for index, face in enumerate(cube.faces):
        pixels = _draw_shape(cube.arguments, index, fill=shades[[index]], line=nothing)
        (palette[face],) = np.unique(pixels[pixels[..., 3] == 255][:, :3], axis=0)
    return palette


def resize_weights(size: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The integer weights with which PIL's Lanczos filter scales `size` pixels down to 50.

    Returns:
        int32 [50], the first pixel each output looks at, and int32 [50, taps], its weights in units of
        2^-22, padded with zeros.
    """
    scale = size / IMAGE_SIZE
    support = 3.0 * scale
    starts = np.zeros(IMAGE_SIZE, dtype=np.int32)
    weights = np.zeros((IMAGE_SIZE, 2 * math.ceil(support) + 1), dtype=np.int32)
    for out in range(IMAGE_SIZE):
        center = (out + 0.5) * scale
        first, last = max(0, int(center - support + 0.5)), min(size, int(center + support + 0.5))
        exact = [_lanczos((x - center + 0.5) / scale) for x in range(first, last)]
        total = sum(exact)
        starts[out] = first
        for tap, weight in enumerate(exact):
            fixed = weight / total * (1 << RESIZE_BITS)
            weights[out, tap] = int(fixed + math.copysign(0.5, fixed))
    taps = int(np.flatnonzero(weights.any(0))[-1]) + 1
    return starts, weights[:, :taps]


def _lanczos(x: float) -> float:
    def sinc(t: float) -> float:
        return 1.0 if t == 0 else math.sin(math.pi * t) / (math.pi * t)

    return sinc(x) * sinc(x / 3.0) if -3.0 <= x < 3.0 else 0.0


def build_tables() -> dict[str, NDArray[Any]]:
    """Everything the renderer needs, by the names it reads."""
    white, nothing = np.ones((1, 4)), np.zeros((0, 4))
    cubes = [capture_cube(cell) for cell in CELLS]
    boxes = np.zeros((len(CELLS), len(FACES), 2, 4), dtype=np.int16)
    covers = []
    for c, cube in enumerate(cubes):
        shapes = {face: index for index, face in enumerate(cube.faces)}
        for face, part in itertools.product(range(len(FACES)), range(2)):
            fill, line = ((white, nothing), (nothing, white))[part]
            cover = _draw_shape(cube.arguments, shapes[face], fill=fill, line=line)[..., 3]
            rows, columns = (np.flatnonzero(cover.any(axis)) for axis in (1, 0))
            top, left = rows[0], columns[0]
            height, width = rows[-1] + 1 - top, columns[-1] + 1 - left
            boxes[c, face, part] = top, left, height, width
            covers.append(cover[top : top + height, left : left + width].ravel())
    depths = [cube.depth for cube in cubes]
    if len(set(depths)) != len(depths):
        raise ValueError("two cells are equally far away: their order depends on the state")
    row_starts, row_weights = resize_weights(CROP_ROWS.stop - CROP_ROWS.start)
    column_starts, column_weights = resize_weights(CROP_COLUMNS.stop - CROP_COLUMNS.start)
    return {
        "background": crop(blocks_figure([])),
        "boxes": boxes,
        "cell_order": np.argsort(depths)[::-1].astype(np.uint8),
        "column_starts": column_starts,
        "column_weights": column_weights,
        "covers": np.concatenate(covers),
        "face_order": np.array([cube.faces for cube in cubes], dtype=np.uint8),
        "palette": np.stack([_palette(colour) for colour in COLOURS]),
        "row_starts": row_starts,
        "row_weights": row_weights,
    }


def encode_tables(tables: dict[str, NDArray[Any]]) -> bytes:
    """The tables as the bytes of an .npz; equal tables give equal bytes."""
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=False, **dict(sorted(tables.items())))
    return stream.getvalue()


if __name__ == "__main__":
    ASSET.write_bytes(encode_tables(build_tables()))

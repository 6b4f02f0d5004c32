"""Sprites of 3D Blocks: what drawing a cube does to each pixel, worked out from the coverage of its faces."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sen_bench.envs.blocks3d_scene import GRID_SIZE

NEIGHBOURS = ((-1, 0), (0, 1), (1, 0), (0, -1))
"""Offsets of the cells that share the faces 0 to 3 of a cube; bit i of a set of neighbours is the i-th."""

INK = 6
"""The palette entry of the outlines, after those of the six faces."""

OPAQUE = 255


class Sprites(NamedTuple):
    """How to draw a cube on each cell, for each set of neighbours that touch it.

    A sprite has the key `16 * cell + neighbours`; its share of x is `x_index[key] : x_index[key + 1]`.
    A pixel is flat (one colour of the palette), inner (mixed from colours of the cube alone) or on the
    rim (mixed with whatever was there before).

    Attributes:
        flats: int16 [F, 4], runs of flat pixels: row, first column, end column, palette entry.
        flat_index: int32 [401].
        inners: int16 [I, 2], row and column.
        inner_colours: uint8 [I, colours, 3].
        inner_index: int32 [401].
        rims: int16 [R, 2], row and column.
        rim_index: int32 [401].
        blends: uint8 [B, 2], palette entry and coverage, in the order they are applied.
        blend_index: int32 [R + 1], which of `blends` belong to a rim pixel.
        extents: int16 [25, height, 2], the first and the end column that a cube on a cell covers in a row;
            equal where it covers none.
    """

    flats: NDArray[np.int16]
    flat_index: NDArray[np.int32]
    inners: NDArray[np.int16]
    inner_colours: NDArray[np.uint8]
    inner_index: NDArray[np.int32]
    rims: NDArray[np.int16]
    rim_index: NDArray[np.int32]
    blends: NDArray[np.uint8]
    blend_index: NDArray[np.int32]
    extents: NDArray[np.int16]


def blend(below: NDArray[Any], colour: NDArray[Any], cover: NDArray[Any]) -> NDArray[np.int64]:
    """What Agg makes of opaque pixels when it draws an opaque colour over them with some coverage.

    Its 8-bit blender divides by the new alpha before that is rounded, so a pixel p becomes `(256 c - 255 p) a
    + 65280 p` over `65280 + a`, rounded down. Full coverage is a plain copy.

    Args:
        below: 0 to 255, what was there; all arguments broadcast.
        colour: 0 to 255, what is drawn.
        cover: 0 to 255, how much of the pixel it covers.
    """
    p, c, a = (np.asarray(x, dtype=np.int64) for x in (below, colour, cover))
    return np.where(a == OPAQUE, c, (256 * c * a + p * (65280 - 255 * a)) // (65280 + a))


def build_sprites(
    boxes: NDArray[np.int16],
    covers: NDArray[np.uint8],
    face_order: NDArray[np.uint8],
    palette: NDArray[np.uint8],
    height: int,
) -> Sprites:
    """Works out the sprites of every cell and every set of touching neighbours it can have.

    Args:
        boxes: int16 [25, 6, 2, 4], (top, left, height, width) of the fill and the outline of each face.
        covers: uint8, the coverages in these boxes, one after another.
        face_order: uint8 [25, 6], the faces of a cube in the order they are drawn.
        palette: uint8 [colours, 7, 3], the colours of the faces and of the outline.
        height: Of the picture.
    """
    sizes = boxes[..., 2].astype(np.int64) * boxes[..., 3]
    starts = (np.cumsum(sizes) - sizes.ravel()).reshape(sizes.shape)
    extents = np.zeros((len(boxes), height, 2), np.int16)
    parts = []
    for cell, (row, column) in enumerate(np.ndindex(GRID_SIZE, GRID_SIZE)):
        top, left = (int(n) for n in boxes[cell, :, :, :2].min((0, 1)))
        bottom, right = (int(n) for n in (boxes[cell, :, :, :2] + boxes[cell, :, :, 2:]).max((0, 1)))
        # uint8 [12, h, w]: the fill and then the outline of each face, in the order they are drawn.
        layers = np.zeros((2 * len(face_order[cell]), bottom - top, right - left), np.uint8)
        for layer, (face, part) in enumerate((int(f), p) for f in face_order[cell] for p in (0, 1)):
            y, x, tall, wide = (int(n) for n in boxes[cell, face, part])
            start = starts[cell, face, part]
            cover = covers[start : start + sizes[cell, face, part]].reshape(tall, wide)
            layers[layer, y - top : y - top + tall, x - left : x - left + wide] = cover
        entries = np.stack([face_order[cell], np.full_like(face_order[cell], INK)], axis=-1).ravel()

        touched: NDArray[np.bool_] = np.any(layers > 0, axis=0)
        # A box is no higher than what is in it, so each of its rows has a pixel.
        extents[cell, top:bottom, 0] = left + touched.argmax(axis=1)
        extents[cell, top:bottom, 1] = right - touched[:, ::-1].argmax(axis=1)

        for neighbours in range(16):
            beside = [offset for bit, offset in enumerate(NEIGHBOURS) if neighbours >> bit & 1]
            possible = all(0 <= row + dr < GRID_SIZE and 0 <= column + dc < GRID_SIZE for dr, dc in beside)
            drawn = [
                layer
                for layer, face in enumerate(np.repeat(face_order[cell], 2))
                if possible and not (face < 4 and neighbours >> face & 1)
            ]
            parts.append(_sprite(layers[drawn], entries[drawn], palette, (top, left)))

    def joined(name: int) -> NDArray[Any]:
        return np.concatenate([part[name] for part in parts])

    def index(name: int) -> NDArray[np.int32]:
        return np.cumsum([0, *(len(part[name]) for part in parts)]).astype(np.int32)

    counts = joined(5)
    return Sprites(
        flats=joined(0),
        flat_index=index(0),
        inners=joined(1),
        inner_colours=joined(2),
        inner_index=index(1),
        rims=joined(3),
        rim_index=index(3),
        blends=joined(4),
        blend_index=np.cumsum(np.concatenate([[0], counts])).astype(np.int32),
        extents=extents,
    )


def _sprite(
    covers: NDArray[np.uint8], entries: NDArray[np.uint8], palette: NDArray[np.uint8], corner: tuple[int, int]
) -> tuple[NDArray[Any], ...]:
    """One sprite: flats, inners, inner_colours, rims, blends and the number of blends of each rim pixel.

    Args:
        covers: uint8 [L, h, w], the coverages of what is drawn, in order.
        entries: uint8 [L], the palette entry each is drawn with.
        palette: uint8 [colours, 7, 3].
        corner: Row and column of the first pixel.
    """
    layers, height, width = covers.shape
    # What lies below the last opaque layer of a pixel is gone; -1 where no layer is opaque.
    order = np.arange(layers)[:, None, None]
    base = np.where(covers == OPAQUE, order, -1).max(axis=0, initial=-1)
    mixed = ((covers > 0) & (order > base)).any(axis=0)

    flat = np.full((height, width + 2), -1)
    flat[:, 1:-1] = np.where((base >= 0) & ~mixed, np.append(entries, 0)[base], -1)
    ends = flat[:, 1:] != flat[:, :-1]
    rows, first = np.nonzero(ends[:, :-1] & (flat[:, 1:-1] >= 0))
    _, last = np.nonzero(ends[:, 1:] & (flat[:, 1:-1] >= 0))
    flats = np.stack(
        [rows + corner[0], first + corner[1], last + 1 + corner[1], flat[rows, first + 1]], axis=-1
    )

    inners = np.argwhere((base >= 0) & mixed)
    above = covers[:, inners[:, 0], inners[:, 1]]
    bottom = base[inners[:, 0], inners[:, 1]]
    colours = np.zeros((len(inners), len(palette), 3), np.int64)
    for layer, entry in enumerate(entries):
        cover = np.where(layer < bottom, 0, above[layer])[:, None, None]
        colours = blend(colours, palette[:, entry], cover)

    rims = np.argwhere((base < 0) & mixed)
    over = covers[:, rims[:, 0], rims[:, 1]].T
    pixel, layer_of = np.nonzero(over)
    blends = np.stack([entries[layer_of], over[pixel, layer_of]], axis=-1)
    return (
        flats.astype(np.int16),
        (inners + corner).astype(np.int16),
        colours.astype(np.uint8),
        (rims + corner).astype(np.int16),
        blends.astype(np.uint8),
        np.bincount(pixel, minlength=len(rims)),
    )

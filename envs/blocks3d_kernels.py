"""Compiled loops of the 3D Blocks renderer: frames from sprites.

Everything is integer arithmetic, so frames are the same bits on every machine. See
`sen_bench.envs.blocks3d_renderer` for what the arrays are.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sen_bench.envs.blocks3d_scene import GRID_SIZE
from sen_bench.envs.blocks3d_sprites import Sprites
from sen_bench.system import compiled

RESIZE_BITS = 22
"""PIL weighs 8-bit pixels by integers with this many binary places."""

TAPS = 64
"""Weights per output in the horizontal pass, padded with zeros: whole vectors of any processor."""

RECIPROCAL_BITS = 48
RECIPROCALS = -(-(1 << RECIPROCAL_BITS) // (65280 + np.arange(256, dtype=np.int64)))
"""int64 [256]: ceil(2^48 / (65280 + a)). For n < 2^24, `n * RECIPROCALS[a] >> 48 == n // (65280 + a)`."""


class Resize(NamedTuple):
    """One pass of the resize.

    Attributes:
        starts: int32 [50], the first pixel that each output looks at.
        weights: int32 [50, taps], the weights of the pixels from there on, padded with zeros.
    """

    starts: NDArray[np.int32]
    weights: NDArray[np.int32]


@compiled
def blend_pixel(below: np.int64, colour: np.int64, cover: np.int64) -> np.int64:
    """`blocks3d_sprites.blend` for one pixel with partial coverage (cover < 255), without a division."""
    weighted = 256 * colour * cover + below * (65280 - 255 * cover)
    return np.int64((weighted * RECIPROCALS[cover]) >> RECIPROCAL_BITS)


@compiled
def to_byte(total: np.int32) -> np.uint8:
    """Turns a weighted sum of pixels, to which a half has already been added, into a pixel."""
    return np.uint8(min(max(total >> RESIZE_BITS, np.int32(0)), np.int32(255)))


@compiled
def draw_sprite(
    canvas: NDArray[np.uint8], sprites: Sprites, palette: NDArray[np.uint8], key: int, colour: int
) -> None:
    """Draws one cube over what is already on the canvas.

    Args:
        canvas: uint8 [3, height, width].
        sprites: See `Sprites`.
        palette: uint8 [colours, 7, 3].
        key: 16 · cell + the set of touching neighbours.
        colour: Which of the colours.
    """
    for i in range(sprites.flat_index[key], sprites.flat_index[key + 1]):
        row, first, end, entry = sprites.flats[i]
        for channel in range(3):
            canvas[channel, row, first:end] = palette[colour, entry, channel]
    for i in range(sprites.inner_index[key], sprites.inner_index[key + 1]):
        row, column = sprites.inners[i]
        for channel in range(3):
            canvas[channel, row, column] = sprites.inner_colours[i, colour, channel]
    for i in range(sprites.rim_index[key], sprites.rim_index[key + 1]):
        row, column = sprites.rims[i]
        red, green, blue = (
            np.int64(canvas[0, row, column]),
            np.int64(canvas[1, row, column]),
            np.int64(canvas[2, row, column]),
        )
        for j in range(sprites.blend_index[i], sprites.blend_index[i + 1]):
            shade = palette[colour, sprites.blends[j, 0]]
            cover = np.int64(sprites.blends[j, 1])
            red = blend_pixel(red, np.int64(shade[0]), cover)
            green = blend_pixel(green, np.int64(shade[1]), cover)
            blue = blend_pixel(blue, np.int64(shade[2]), cover)
        canvas[0, row, column] = red
        canvas[1, row, column] = green
        canvas[2, row, column] = blue


@compiled
def shrink_columns(
    canvas: NDArray[np.uint8], columns: Resize, stale: NDArray[np.int64], shrunk: NDArray[np.uint8]
) -> None:
    """Runs the horizontal pass where it is needed.

    Args:
        canvas: uint8 [3, height, width], as wide as the padded weights reach.
        columns: The pass.
        stale: int64 [height], bit o of which is set where output o is to be computed.
        shrunk: uint8 [height or more, 150], where the outputs go, channels last.
    """
    for row in range(stale.shape[0]):
        outputs = stale[row]
        if not outputs:
            continue
        for out in range(columns.starts.shape[0]):
            if not (outputs >> out) & 1:
                continue
            first = columns.starts[out]
            weights = columns.weights[out]
            # Views of a fixed length and int32 throughout let the compiler use vector instructions.
            reds = canvas[0, row, first : first + TAPS]
            greens = canvas[1, row, first : first + TAPS]
            blues = canvas[2, row, first : first + TAPS]
            red = green = blue = np.int32(1 << (RESIZE_BITS - 1))
            for tap in range(TAPS):
                red = np.int32(red + weights[tap] * np.int32(reds[tap]))
                green = np.int32(green + weights[tap] * np.int32(greens[tap]))
                blue = np.int32(blue + weights[tap] * np.int32(blues[tap]))
            shrunk[row, 3 * out] = to_byte(red)
            shrunk[row, 3 * out + 1] = to_byte(green)
            shrunk[row, 3 * out + 2] = to_byte(blue)


@compiled
def shrink_rows(shrunk: NDArray[np.uint8], rows: Resize, frame: NDArray[np.uint8]) -> None:
    """The vertical pass.

    Args:
        shrunk: uint8 [height, 150], as high as the padded weights reach.
        rows: The pass.
        frame: uint8 [50, 150], where the result goes.
    """
    width = shrunk.shape[1]
    sums = np.empty(width, np.int32)
    for out in range(frame.shape[0]):
        sums[:] = 1 << (RESIZE_BITS - 1)
        for tap in range(rows.weights.shape[1]):
            weight = rows.weights[out, tap]
            pixels = shrunk[rows.starts[out] + tap]
            for x in range(width):
                sums[x] = np.int32(sums[x] + weight * np.int32(pixels[x]))
        line = frame[out]
        for x in range(width):
            line[x] = to_byte(sums[x])


@compiled
def copy_line(source: NDArray[np.uint8], target: NDArray[np.uint8]) -> None:
    """Copies one line of bytes, without the checks of a slice assignment."""
    for x in range(target.shape[0]):
        target[x] = source[x]


@compiled
def equal_states(a: NDArray[np.int64], b: NDArray[np.int64]) -> bool:
    """Whether two states [O, 2] are the same."""
    equal = True
    for i in range(a.shape[0]):
        equal &= a[i, 0] == b[i, 0] and a[i, 1] == b[i, 1]
    return equal


@compiled
def draw_state(
    state: NDArray[np.int64],
    canvas: NDArray[np.uint8],
    stale: NDArray[np.int64],
    sprites: Sprites,
    palette: NDArray[np.uint8],
    cell_order: NDArray[np.uint8],
    reach: NDArray[np.int64],
) -> None:
    """Draws the cubes of one state [O, 2], back to front, and notes in `stale` what that changes.

    The other arguments are those of `render` and `shrink_columns`.
    """
    # One more cell on every side, so that looking at a neighbour needs no bounds check.
    occupant = np.full((GRID_SIZE + 2, GRID_SIZE + 2), -1, np.int64)
    for i in range(state.shape[0]):
        occupant[state[i, 0] + 1, state[i, 1] + 1] = i
    for cell in cell_order:
        row, column = cell // GRID_SIZE + 1, cell % GRID_SIZE + 1
        colour = occupant[row, column]
        if colour < 0:
            continue
        neighbours = (
            (occupant[row - 1, column] >= 0) * 1
            + (occupant[row, column + 1] >= 0) * 2
            + (occupant[row + 1, column] >= 0) * 4
            + (occupant[row, column - 1] >= 0) * 8
        )
        draw_sprite(canvas, sprites, palette, 16 * cell + neighbours, colour)
        for y in range(stale.shape[0]):
            stale[y] |= reach[cell, y]


@compiled
def render(
    states: NDArray[np.int64],
    background: NDArray[np.uint8],
    shrunk_background: NDArray[np.uint8],
    sprites: Sprites,
    palette: NDArray[np.uint8],
    cell_order: NDArray[np.uint8],
    reach: NDArray[np.int64],
    rows: Resize,
    columns: Resize,
) -> NDArray[np.uint8]:
    """Draws frames.

    Args:
        states: int64 [N, O, 2], valid placements.
        background: uint8 [3, height, width], the floor without cubes, as wide as the padded weights reach.
        shrunk_background: uint8 [height, 150], its horizontal pass, as high as the padded weights reach.
        sprites: See `Sprites`.
        palette: uint8 [colours, 7, 3].
        cell_order: uint8 [25], the cells from the farthest to the nearest.
        reach: int64 [25, height], bit o of which is set where a cube on a cell changes output o of a row.
        rows: The vertical pass.
        columns: The horizontal pass.

    Returns:
        uint8 [N, 50, 150], channels last.
    """
    height, size = reach.shape[1], columns.starts.shape[0]
    frames = np.empty((states.shape[0], size, 3 * size), np.uint8)
    canvas = background.copy()
    shrunk = shrunk_background.copy()
    stale = np.zeros(height, np.int64)
    for frame in range(states.shape[0]):
        # A blocked move leaves the state, and so the picture, as it was: two in five of a random walk.
        if frame > 0 and equal_states(states[frame], states[frame - 1]):
            for line in range(size):
                copy_line(frames[frame - 1, line], frames[frame, line])
            continue
        draw_state(states[frame], canvas, stale, sprites, palette, cell_order, reach)
        shrink_columns(canvas, columns, stale, shrunk)
        shrink_rows(shrunk, rows, frames[frame])
        for y in range(height):
            if stale[y]:
                for channel in range(3):
                    copy_line(background[channel, y], canvas[channel, y])
                copy_line(shrunk_background[y], shrunk[y])
                stale[y] = 0
    return frames

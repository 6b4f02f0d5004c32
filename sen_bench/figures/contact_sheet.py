"""Episodes of a dataset as pictures: a contact sheet, or an animation; twins below their originals."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from sen_bench.envs import make_world
from sen_bench.errors import DatasetError, UnknownNameError
from sen_bench.store import Dataset
from sen_bench.symmetry import SO3, Group, action_label, element_label
from sen_bench.system import check_output, write_atomically

#: Frames are enlarged by a whole factor to at least this many pixels.
_CELL = 100
_GAP, _MARGIN, _LABEL, _LINE = 6, 8, 130, 16
_INK, _PAPER = (20, 20, 20), (255, 255, 255)
#: Milliseconds that a frame of an animation is shown.
_FRAME_MS = 500

Labeller = Callable[[NDArray[Any]], str]


def contact_sheet(
    dataset: Dataset, episodes: Sequence[int], *, twin: bool = False, frames: int = 8
) -> Image.Image:
    """Draws the first frames of episodes side by side, with the action between every two frames.

    Args:
        dataset: Where they come from.
        episodes: Their numbers.
        twin: Whether to draw each episode's twin below it, with the group element.
        frames: The most frames to draw of each.

    Raises:
        DatasetError: If there is no such episode, or no twin.
    """
    rows = _rows(dataset, episodes, twin=twin)
    label = _action_labels(dataset)
    shown = min(frames, len(rows[0][1]))
    cell = enlarged(rows[0][1][0]).size
    width = _LABEL + shown * (cell[0] + _GAP) + _MARGIN
    height = len(rows) * (cell[1] + _LINE + _GAP) + _MARGIN
    sheet = Image.new("RGB", (width, height), _PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=11)
    for row, (title, pixels, actions) in enumerate(rows):
        top = _MARGIN + row * (cell[1] + _LINE + _GAP)
        draw.multiline_text((_MARGIN, top + cell[1] // 3), title, _INK, font)
        for frame in range(shown):
            left = _LABEL + frame * (cell[0] + _GAP)
            sheet.paste(enlarged(pixels[frame]), (left, top))
            # The leading frames of an episode have no action.
            step = frame - (len(pixels) - len(actions) - 1)
            if 0 <= step < len(actions) and frame + 1 < shown:
                draw.text((left, top + cell[1] + 1), label(actions[step]), _INK, font)
    return sheet


def animation(dataset: Dataset, episodes: Sequence[int], *, twin: bool = False) -> list[Image.Image]:
    """Draws every frame of episodes, one picture per time step; the arguments are as for a contact sheet."""
    rows = _rows(dataset, episodes, twin=twin)
    label = _action_labels(dataset)
    cell = enlarged(rows[0][1][0]).size
    size = (_LABEL + cell[0] + _MARGIN, len(rows) * (cell[1] + _LINE + _GAP) + _MARGIN)
    pictures = []
    font = ImageFont.load_default(size=11)
    for frame in range(len(rows[0][1])):
        picture = Image.new("RGB", size, _PAPER)
        draw = ImageDraw.Draw(picture)
        for row, (title, pixels, actions) in enumerate(rows):
            top = _MARGIN + row * (cell[1] + _LINE + _GAP)
            draw.multiline_text((_MARGIN, top + cell[1] // 3), f"{title}\nframe {frame}", _INK, font)
            picture.paste(enlarged(pixels[frame]), (_LABEL, top))
            step = frame - (len(pixels) - len(actions) - 1)
            if 0 <= step < len(actions):
                draw.text((_LABEL, top + cell[1] + 1), label(actions[step]), _INK, font)
        pictures.append(picture)
    return pictures


def save_view(
    dataset: Dataset, episodes: Sequence[int], path: Path, *, twin: bool = False, frames: int = 8
) -> None:
    """Writes a contact sheet (``.png``) or an animation (``.gif``).

    Raises:
        DatasetError: If there is no such episode or no twin, or the file is neither kind.
        ConfigError: If the file cannot be written; nothing is drawn then.
    """
    kind = path.suffix.lower()
    if kind not in {".png", ".gif"}:
        raise DatasetError(f"a view is a .png or a .gif, not {path.name!r}")
    check_output(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind == ".gif":
            first, *rest = animation(dataset, episodes, twin=twin)
            write_atomically(
                path,
                lambda part: first.save(
                    part, "GIF", save_all=True, append_images=rest, duration=_FRAME_MS, loop=0
                ),
            )
        else:
            sheet = contact_sheet(dataset, episodes, twin=twin, frames=frames)
            write_atomically(path, lambda part: sheet.save(part, "PNG"))
    except OSError as error:
        raise DatasetError(f"cannot write {path}: {error.strerror or error}") from error


def _rows(
    dataset: Dataset, episodes: Sequence[int], *, twin: bool
) -> list[tuple[str, NDArray[np.uint8], NDArray[Any]]]:
    """For each episode, and its twin, the title, the frames and the actions."""
    if twin and not dataset.has_twin:
        raise DatasetError(f"{dataset.path} has no twins; eval splits have")
    rows = []
    for episode in episodes:
        if not 0 <= episode < dataset.episodes:
            raise DatasetError(f"{dataset.path} has no episode {episode}; it has 0 to {dataset.episodes - 1}")
        rows.append((f"episode {episode}", *_trajectory(dataset, "", episode)))
        if twin:
            element = dataset.read("twin/element", episode, episode + 1)[0]
            title = twin_title(dataset.symmetry.group, episode, element)
            rows.append((title, *_trajectory(dataset, "twin/", episode)))
    return rows


def twin_title(group: Group | SO3, episode: int, element: NDArray[Any]) -> str:
    """What the twin of an episode is called, in lines that end before the first frame."""
    label = element_label(group, element).replace(" about ", "\nabout ")
    return f"twin of {episode} by\n{label}"


def _trajectory(dataset: Dataset, prefix: str, episode: int) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    frames, actions = (
        dataset.read(f"{prefix}{name}", episode, episode + 1)[0] for name in ("observation", "action")
    )
    return frames, actions


def enlarged(frame: NDArray[np.uint8]) -> Image.Image:
    """One frame, ``[H, W, 3]`` or ``[H, W, 1]``, in colour and large enough to look at."""
    image = Image.fromarray(frame[..., 0] if frame.shape[-1] == 1 else frame).convert("RGB")
    factor = max(1, math.ceil(_CELL / max(image.size)))
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


def _action_labels(dataset: Dataset) -> Labeller:
    """How to write an action: by its name if the world has one for it, otherwise by its numbers."""
    try:
        names = make_world(dataset.world_id, **dataset.world_options).action_names
    except UnknownNameError:  # a world of a third party that is not installed here
        names = ()

    return lambda action: action_label(names, action)

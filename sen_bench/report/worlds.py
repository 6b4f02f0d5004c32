"""Pictures of a world and its twin: a short episode and the same after a group element, as data URIs."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sen_bench.config import SplitSize
from sen_bench.generators import draw_elements, leading_frames, render, roll_out, twin_of
from sen_bench.symmetry import action_label, element_label
from sen_bench.tasks import Task

STEPS: Final = 3
"""Steps that are shown; there is one frame more."""


@dataclass(frozen=True)
class Picture:
    """A frame.

    Attributes:
        source: The PNG as a ``data:`` URI.
        alt: What it shows.
        action: The action that follows, or nothing after the last frame.
    """

    source: str
    alt: str
    action: str


@dataclass(frozen=True)
class WorldPictures:
    """The first evaluation episode of a task and its twin.

    Attributes:
        task: The task's name.
        title: The task's title.
        group: The group of the world.
        element: The element of the twin.
        side: Width of a frame in pixels.
        episode: Frames of the episode.
        twin: Frames of its twin.
    """

    task: str
    title: str
    group: str
    element: str
    side: int
    episode: tuple[Picture, ...]
    twin: tuple[Picture, ...]


def draw_world(task: Task) -> WorldPictures:
    """Draws the beginning of the first evaluation episode, the one of record, and of its twin."""
    world = task.world()
    recipe = task.recipe("eval", SplitSize(episodes=1, horizon=STEPS))
    episodes = roll_out(world, recipe, 0, 1)
    elements = draw_elements(world, episodes.seed)
    group = world.symmetry.group
    element = element_label(group, elements[0])
    rows = []
    for what, shown in (("", episodes), (f" of the twin by {element}", twin_of(world, episodes, elements))):
        frames = render(world, shown.state, lambda: None)[0, leading_frames(world) :]
        actions = [action_label(world.action_names, action) for action in shown.action[0]]
        rows.append(
            tuple(
                Picture(_data_uri(frame), f"{task.title}: frame {step}{what}", action)
                for step, (frame, action) in enumerate(zip(frames, [*actions, ""], strict=True))
            )
        )
    side = int(frames.shape[2])
    return WorldPictures(task.name, task.title, group.name, element, side, *rows)


def _data_uri(frame: NDArray[np.uint8]) -> str:
    """A frame ``[H, W, 1 or 3]`` as a PNG in a URI."""
    file = io.BytesIO()
    Image.fromarray(frame[..., 0] if frame.shape[-1] == 1 else frame).save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()

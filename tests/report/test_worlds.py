"""Pictures of the worlds are those of the episodes of record."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from sen_bench.config.presets import SplitSize
from sen_bench.generators.episodes import draw_elements, render, roll_out, twin_of
from sen_bench.report import draw_world
from sen_bench.tasks.registry import get_task


def test_pictures_are_the_frames_of_the_episode_of_record_and_its_twin() -> None:
    task = get_task("2d-shapes")
    world = task.world()
    recipe = task.recipe("eval", SplitSize(episodes=1, horizon=3))
    episodes = roll_out(world, recipe, 0, 1)
    twins = twin_of(world, episodes, draw_elements(world, episodes.seed))
    drawn = draw_world(task)
    for pictures, states in ((drawn.episode, episodes.state), (drawn.twin, twins.state)):
        frames = render(world, states, lambda: None)[0]
        for picture, frame in zip(pictures, frames, strict=True):
            np.testing.assert_array_equal(_pixels(picture.source), frame)


def _pixels(source: str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    data = base64.b64decode(source.removeprefix("data:image/png;base64,"))
    return np.asarray(Image.open(io.BytesIO(data)))

"""The ways that an agent takes to its goals, as an animation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from sen_bench.envs import World
from sen_bench.errors import ConfigError
from sen_bench.figures.contact_sheet import enlarged, twin_title
from sen_bench.system import check_output, write_atomically

if TYPE_CHECKING:
    from sen_bench.planning import Outcomes, Problems

_GAP, _MARGIN, _LABEL, _LINE = 6, 8, 130, 16
_INK, _PAPER = (20, 20, 20), (255, 255, 255)
_FRAME_MS, _LAST_MS = 500, 2000
"""Milliseconds that a step, and the end, are shown."""


def save_ways(world: World, ways: Sequence[tuple[Problems, Outcomes]], path: Path) -> None:
    """Writes what an agent does, step by step beside its goals, each problem above its twin.

    Args:
        world: The world.
        ways: The problems and what became of them, and the same of their twins.
        path: The file, a ``.gif``.

    Raises:
        ConfigError: The file is of another kind, or cannot be written.
    """
    check_animation(path)
    first, *rest = _pictures(world, ways)
    durations = [*(_FRAME_MS for _ in rest), _LAST_MS]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(
            path,
            lambda part: first.save(
                part, "GIF", save_all=True, append_images=rest, duration=durations, loop=0
            ),
        )
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror or error}") from error


def check_animation(path: Path) -> None:
    """Refuses a file that is no animation or cannot be written, before anything is done for it.

    Raises:
        ConfigError: If it is such a one.
    """
    if path.suffix.lower() != ".gif":
        raise ConfigError(f"an animation is a .gif, not {path.name!r}")
    check_output(path)


def _pictures(world: World, ways: Sequence[tuple[Problems, Outcomes]]) -> list[Image.Image]:
    """A picture for each number of steps."""
    rows = []
    for number in range(len(ways[0][0])):
        for place, (problems, outcomes) in enumerate(ways):
            title = f"problem {number}"
            if place:
                title = twin_title(world.symmetry.group, number, problems.elements[number])
            reached = int(outcomes.steps[number]) if outcomes.success[number] else None
            frames = [enlarged(frame) for frame in world.render_states(outcomes.states[number])]
            goal = enlarged(world.render_states(problems.goals[number, -1]))
            rows.append((title, frames, goal, reached))
    side = rows[0][2].width
    size = (_LABEL + 2 * side + _GAP + _MARGIN, len(rows) * (side + _LINE + _GAP) + _MARGIN)
    font = ImageFont.load_default(size=11)
    pictures = []
    for step in range(max(map(len, (row[1] for row in rows)))):
        picture = Image.new("RGB", size, _PAPER)
        draw = ImageDraw.Draw(picture)
        for place, (title, frames, goal, reached) in enumerate(rows):
            top = _MARGIN + place * (side + _LINE + _GAP)
            done = reached is not None and step >= reached
            state = f"reached after {reached}" if done else f"step {step}"
            draw.multiline_text((_MARGIN, top + side // 3), f"{title}\n{state}", _INK, font)
            picture.paste(frames[step], (_LABEL, top))
            picture.paste(goal, (_LABEL + side + _GAP, top))
            draw.text((_LABEL + side + _GAP, top + side + 1), "goal", _INK, font)
        pictures.append(picture)
    return pictures

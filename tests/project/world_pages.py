"""Writes what the code knows into the pages of docs/worlds: `python -m tests.project.world_pages`.

A page has the facts of a task between `<!-- facts of TASK -->` and `<!-- end of facts -->`; everything else
is written by hand. The pictures of some pages are drawn here, an episode above its twin.
`tests/project/test_world_pages.py` checks both.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import gymnasium
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sen_bench.config.presets import SplitSize
from sen_bench.envs import World
from sen_bench.generators.episodes import roll_out
from sen_bench.symmetry import Group
from sen_bench.tasks.registry import get_task
from sen_bench.tasks.task import Split, Task
from tests.paths import DOCS

PICTURED = ("2d-shapes", "rush-hour")

_FACTS = re.compile(r"(?<=<!-- facts of )(\S+)( -->\n)(.*?)(?=<!-- end of facts -->)", re.DOTALL)
_FRAMES, _ZOOM, _GAP = 6, 2, 4


def facts(task: Task) -> str:
    """What the task and its world say of themselves, as two tables."""
    world = task.world()
    rows = [
        ("Task, world", f"`{task.name}`, `{task.world_id}`"),
        ("Observation", f"uint8 {' × '.join(map(str, world.observation_space.shape or ()))}"),
        ("State", _state(world)),
        ("Action", _action(world)),
        *_symmetry(world),
        ("Renderer", f"`{world.renderer}`"),
    ]
    table = [f"| {name} | {text} |" for name, text in rows]
    splits = [
        f"| `{name}` | {spec.episodes:,} × {spec.horizon} | {spec.purpose} | {_drawn(world, spec)} |"
        for name, spec in task.splits.items()
    ]
    heading = "| Split | Episodes × steps | For | Actions |"
    return "\n".join(["| | |", "|---|---|", *table, "", heading, "|---|---|---|---|", *splits]) + "\n"


def _state(world: World) -> str:
    state = world.sample_state(np.random.default_rng(0))
    axes = "; ".join(f"{axis}: {', '.join(names)}" for axis, names in world.state_names.items())
    return f"{state.dtype} [{', '.join(world.state_axes)}]; {axes}"


def _action(world: World) -> str:
    names = ", ".join(world.action_names)
    if isinstance(world.action_space, gymnasium.spaces.Discrete):
        return f"{world.action_space.n}: {names}"
    return f"`{world.action_space}`: {names}"


def _symmetry(world: World) -> list[tuple[str, str]]:
    symmetry = world.symmetry
    acts = ", ".join(f"`{name}` ({rho.dim})" for name, rho in symmetry.representations.items())
    group = symmetry.group
    size = f", {group.order} elements" if isinstance(group, Group) else ""
    elements = ", ".join(map(str, symmetry.twin_elements)) or f"all of {group.name}, uniformly"
    pixels = "not known"
    if symmetry.observation is not None:
        pixels = f"known for the elements {elements}: `{symmetry.observation}`"
    return [
        ("Group", f"{group.name}{size}"),
        ("Representations", acts),
        ("Action on pixels", pixels),
        ("Elements of twins", elements),
    ]


def _drawn(world: World, spec: Split) -> str:
    policy = spec.policy
    if spec.slice:
        return "those of the slice"
    if policy.absolute:
        return ", ".join(
            f"|{name}|" if entry in policy.absolute else name for entry, name in enumerate(world.action_names)
        ).replace("|", r"\|")
    if policy.allowed is None:
        return "all"
    return ", ".join(world.action_names[action] for action in policy.allowed)


def page_with_facts(text: str) -> str:
    """A page with its facts brought up to date."""
    return _FACTS.sub(lambda match: f"{match[1]}{match[2]}{facts(get_task(match[1]))}", text)


def picture(task: Task) -> NDArray[np.uint8]:
    """The first frames of an episode above those of its twin, turned by a quarter, uint8 [H, W, 3]."""
    world = task.world()
    recipe = task.recipe("eval", SplitSize(episodes=1, horizon=_FRAMES - 1))
    states = roll_out(world, recipe, 0, 1).state[0]
    turned = world.transform_state(world.symmetry.twin_elements[0], states)
    frames = world.render_states(np.stack([states, turned]))
    frames = frames.repeat(_ZOOM, axis=2).repeat(_ZOOM, axis=3)
    padding = ((0, 0), (0, 0), (_GAP, 0), (_GAP, 0), (0, 0))
    frames = np.pad(frames, padding, constant_values=128)
    sheet = np.concatenate([np.concatenate(list(row), axis=1) for row in frames], axis=0)
    return np.pad(sheet, ((0, _GAP), (0, _GAP), (0, 0)), constant_values=128)


def pages() -> list[Path]:
    """The pages there are."""
    return sorted((DOCS / "worlds").glob("*.md"))


def main() -> None:
    """Brings every page, and the pictures drawn here, up to date."""
    for page in pages():
        page.write_text(page_with_facts(page.read_text(encoding="utf-8")), encoding="utf-8")
        sys.stderr.write(f"{page}\n")
    for name in PICTURED:
        path = DOCS / "images" / f"{name}.png"
        Image.fromarray(picture(get_task(name))).save(path, optimize=True)
        sys.stderr.write(f"{path}\n")


if __name__ == "__main__":
    main()

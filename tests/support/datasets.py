"""Recipes of small datasets and a look at what lies in a folder, shared by the tests of generation."""

from __future__ import annotations

from pathlib import Path

from sen_bench.generators import Recipe
from tests.support.fake_worlds import DRIFT, WIDE

BLOCKS = Recipe(
    task="3d-blocks",
    split="eval",
    world_id="sen_bench/Blocks3D-v0",
    episodes=130,
    horizon=4,
    seed=3,
    twin=True,
)
TEAPOT = Recipe(
    task="teapot-small",
    split="eval",
    world_id="sen_bench/Teapot-v0",
    world_options={"actions": "small"},
    episodes=200,
    horizon=2,
    twin=True,
    negatives=True,
)
# Eight shards, as every dataset has that is large enough.
TALL = Recipe(task="drift", split="train", world_id=DRIFT, episodes=4000, horizon=60)
# Five shards of 25 episodes, the last one of 10, of some hundred kilobytes in all.
SHARDED = Recipe(task="wide", split="eval", world_id=WIDE, episodes=110, horizon=3, twin=True)
SMALL = Recipe(task="drift", split="train", world_id=DRIFT, episodes=5, horizon=3, twin=True)


def tree(root: Path) -> dict[str, bytes]:
    return {f.relative_to(root).as_posix(): f.read_bytes() for f in root.rglob("*") if f.is_file()}


def left_behind(folder: Path) -> list[str]:
    """What lies in a folder but locks, which are empty files."""
    return sorted(f.name for f in folder.iterdir() if not f.name.endswith(".lock"))


def damage(array: Path) -> None:
    """Overwrites the middle of every file of an array; sizes stay."""
    for file in (array / "c").rglob("*"):
        if file.is_file():
            data = bytearray(file.read_bytes())
            data[len(data) // 4 : len(data) // 2] = bytes(len(data) // 2 - len(data) // 4)
            file.write_bytes(data)

"""The tasks of the paper."""

from __future__ import annotations

from sen_bench.baselines import BLOCKS_3D, KINDS, RUSH_HOUR, SHAPES_2D, ObjectSpaces
from sen_bench.generators import Policy
from sen_bench.tasks.models import NamedBuilder
from sen_bench.tasks.task import Split, Task

UP, RIGHT, DOWN, LEFT = range(4)
"""The directions in the actions of grid worlds, which are numbered ``4 * object + direction``."""


_GRID_SPLITS = {
    "train": Split(1000, 100, "training"),
    "eval": Split(10_000, 10, "evaluation, with twins", twin=True),
}


def _limited(purpose: str, directions: tuple[int, ...]) -> Split:
    """A training split of a grid world in which only some directions are drawn."""
    allowed = tuple(action for action in range(20) if action % 4 in directions)
    return Split(
        100_000,
        1,
        f"training {purpose} (generalisation from limited actions)",
        policy=Policy(allowed=allowed),
    )


def _slice(purpose: str) -> Split:
    """A training split of which the group has more: one step of a world's slice an episode [ours]."""
    return Split(100_000, 1, f"training {purpose} (what is known of the orbit)", slice=True)


_GRID_SLICE = _slice("with one quarter of the board and the direction up only")


def _models(builder: str, kinds: tuple[str, ...], **given: ObjectSpaces) -> dict[str, NamedBuilder]:
    """The models of a world: a builder of our baselines makes all kinds of them."""
    return {kind: NamedBuilder(f"sen_bench.baselines:{builder}", {"kind": kind, **given}) for kind in kinds}


def _object_models(spaces: ObjectSpaces) -> dict[str, NamedBuilder]:
    """The models of a grid world."""
    return _models("build_object_model", KINDS, spaces=spaces)


_SHAPES_2D = Task(
    name="2d-shapes",
    title="2D Shapes",
    world_id="sen_bench/Shapes2D-v0",
    splits={
        **_GRID_SPLITS,
        "train-limited": _limited("with the direction up only", (UP,)),
        "train-slice": _GRID_SLICE,
    },
    models=_object_models(SHAPES_2D),
    symmetric_models=("sen",),
)

_BLOCKS_3D = Task(
    name="3d-blocks",
    title="3D Blocks",
    world_id="sen_bench/Blocks3D-v0",
    splits={
        **_GRID_SPLITS,
        "train-limited": _limited("without the direction left", (UP, RIGHT, DOWN)),
        "train-slice": _GRID_SLICE,
    },
    models=_object_models(BLOCKS_3D),
    symmetric_models=("sen",),
)

_RUSH_HOUR = Task(
    name="rush-hour",
    title="Rush Hour",
    world_id="sen_bench/RushHour-v0",
    splits={**_GRID_SPLITS, "train-slice": _GRID_SLICE},
    models=_object_models(RUSH_HOUR),
    symmetric_models=("sen",),
    ranked_locally=True,
)

_REACHER = Task(
    name="reacher",
    title="Reacher",
    world_id="sen_bench/Reacher-v0",
    splits={
        "train": Split(2000, 10, "training", warmup=50),
        "eval": Split(1000, 10, "evaluation, with twins", twin=True, warmup=50),
        "train-limited": Split(
            2000,
            10,
            "training without negative torques of joint 1 (generalisation from limited actions)",
            policy=Policy(absolute=(1,)),
            warmup=50,
        ),
    },
    models=_models("build_reacher_model", KINDS),
    symmetric_models=("sen",),
    ranked_locally=True,
)

_TEAPOTS = tuple(
    Task(
        name=f"teapot-{actions}",
        title=f"3D Teapot, {actions} actions",
        world_id="sen_bench/Teapot-v0",
        world_options={"actions": actions},
        splits={
            "train": Split(100_000, 1, "training"),
            # The paper does not say how many; this is our choice.
            "eval": Split(10_000, 1, "evaluation, with twins and hard negatives", twin=True, negatives=True),
            "train-slice": _slice("with poses within a quarter turn of the identity only"),
        },
        models={
            **_models("build_teapot_model", ("matmul", "tfn", "none")),
            "vae": NamedBuilder("sen_bench.baselines:build_teapot_vae"),
        },
        symmetric_models=("matmul", "tfn"),
        models_on_request=("vae",),
    )
    for actions in ("small", "large")
)

_TASKS = {task.name: task for task in (_SHAPES_2D, _BLOCKS_3D, _RUSH_HOUR, _REACHER, *_TEAPOTS)}

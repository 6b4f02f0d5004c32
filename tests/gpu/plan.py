"""What a session on a borrowed GPU does, and in which order; and the same in small, to rehearse it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from tests.gpu.step_times import PLAIN
from tests.support.presets import TINY

Models = tuple[str, tuple[str, ...]]
"""A task and models of it."""


@dataclass(frozen=True)
class Plan:
    """What is done.

    Attributes:
        device: The device.
        preset: A preset by name, or the text of one.
        tests: What pytest is given.
        models: Models whose steps are timed, those that decide most first.
        cheap: Forms that begin at once, which are timed for all models before the others.
        compiled: Forms that are compiled first.
        precisions: The precisions that are timed, one after the other, those that decide most first.
        runs: What is trained: task, split and model, in the order of what they decide.
        precision: What it is trained in.
        workers: Processes that generate data, and models that are compiled side by side.
        steps: Steps that are timed.
        seconds_of_tests: What the tests may take.
        seconds_of_times: What timing steps may take, all forms together.
    """

    device: str
    preset: str
    tests: tuple[str, ...]
    models: tuple[Models, ...]
    cheap: tuple[str, ...]
    compiled: tuple[str, ...]
    precisions: tuple[str, ...]
    runs: tuple[tuple[str, str, str], ...]
    precision: str
    workers: int
    steps: int
    seconds_of_tests: float
    seconds_of_times: float


_OBJECTS: Final = ("none", "sen", "full")
_TEAPOT: Final = ("matmul", "tfn", "none")

PAPER: Final = Plan(
    device="cuda",
    preset="paper",
    tests=("tests/gpu/test_cuda.py",),
    models=(
        ("reacher", _OBJECTS),
        ("3d-blocks", _OBJECTS),
        ("2d-shapes", _OBJECTS),
        ("rush-hour", _OBJECTS),
        ("teapot-large", _TEAPOT),
    ),
    cheap=(PLAIN, "eager", "graph"),
    compiled=("compiled", "compiled graph"),
    precisions=("bfloat16", "tf32", "float32"),
    runs=(
        *(("reacher", "train", model) for model in _OBJECTS),
        *(("3d-blocks", "train-limited", model) for model in ("sen", "none", "full")),
        *(("rush-hour", "train", model) for model in ("sen", "none", "full")),
        *(("3d-blocks", "train", model) for model in ("sen", "none", "full")),
        *(("2d-shapes", split, model) for split in ("train", "train-limited") for model in _OBJECTS),
        *((task, "train", model) for task in ("teapot-large", "teapot-small") for model in _TEAPOT),
    ),
    precision="bfloat16",
    workers=16,
    steps=10,
    seconds_of_tests=90,
    seconds_of_times=270,
)

TOY: Final = Plan(
    device="cpu",
    preset=TINY,
    tests=("tests/gpu/test_cuda.py",),
    models=(("3d-blocks", ("none",)),),
    cheap=(PLAIN, "eager", "graph"),
    compiled=(),
    precisions=("bfloat16", "tf32"),
    runs=(("3d-blocks", "train", "none"),),
    precision="float32",
    workers=1,
    steps=1,
    seconds_of_tests=600,
    seconds_of_times=600,
)
"""The same on a CPU with networks of a few channels. Nothing is compiled, which takes half a minute."""

PLANS: Final = {
    "paper": PAPER,
    "times": replace(PAPER, tests=(), runs=(), seconds_of_times=3600),
    "runs": replace(PAPER, tests=(), models=(), seconds_of_times=0),
    "toy": TOY,
}
"""All of it, its halves for sessions that follow, and the rehearsal."""

"""How many times more transitions a second our training takes than the plain one, at the paper's widths."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from sen_bench.system.device import device_name
from tests.benchmarks.ratios import Ratio
from tests.benchmarks.training_forms import Code, Form, Precision, Runner, running, training_step

ROUNDS = 3
NARROW = {"embedding_channels": 2, "hidden": 4}
PAPER_BATCH = {"3d-blocks": 1024, "2d-shapes": 1024, "reacher": 256}
"""For a GPU."""
CPU_BATCH = {"3d-blocks": 128, "2d-shapes": 128, "reacher": 16}
"""Fewer for Reacher, of which a plain step takes seconds at the paper's widths."""
BOUNDS = {
    ("3d-blocks", "sen"): 3.0,
    ("3d-blocks", "none"): 2.5,
    ("3d-blocks", "full"): 2.0,
    ("2d-shapes", "sen"): 2.5,
    ("reacher", "sen"): 1.6,
    ("reacher", "none"): 2.5,
}
COMPILED_BOUNDS = BOUNDS | {("3d-blocks", "sen"): 4.0}


@pytest.fixture(scope="module", params=list(BOUNDS), ids="-".join)
def plain(
    request: pytest.FixtureRequest, device: torch.device
) -> Iterator[tuple[Form, Callable[[], Runner]]]:
    """A plain form, and what starts it, once, for all of ours to be measured against it."""
    task, kind = request.param
    count = (CPU_BATCH if device.type == "cpu" else PAPER_BATCH)[task]
    form = Form("plain", task, kind, {}, count, device=str(device))
    with ExitStack() as stack:
        yield form, functools.cache(lambda: stack.enter_context(running(form)))


@pytest.mark.parametrize(
    ("code", "precision"),
    [("ours", "float32"), ("ours", "bfloat16"), ("compiled", "float32"), ("compiled", "bfloat16")],
)
def test_training_step(
    benchmark: BenchmarkFixture,
    report_ratio: Callable[[Ratio], None],
    plain: tuple[Form, Callable[[], Runner]],
    code: Code,
    precision: Precision,
) -> None:
    """Both forms in turn on the same batch, so that a change in the machine's load meets both."""
    form, start = plain
    mine = replace(form, code=code, precision=precision)
    if benchmark.disabled:
        if mine.code == "compiled" or precision == "bfloat16":
            pytest.skip(
                "measured with --benchmark-enable; that ours and the plain form run is seen in float32"
            )
        toys = [training_step(replace(each, widths=NARROW, batch=2)) for each in (form, mine)]
        benchmark.pedantic(toys[1], setup=toys[0])  # type: ignore[no-untyped-call]
        return
    theirs = start()
    theirs.seconds.clear()
    with running(mine) as ours:
        benchmark.pedantic(ours.step, setup=theirs.step, rounds=ROUNDS)  # type: ignore[no-untyped-call]
    seconds, plain_seconds = min(ours.seconds), min(theirs.seconds)
    benchmark.extra_info |= {
        "ratio": plain_seconds / seconds,
        "transitions_per_second": form.batch / seconds,
        "plain_transitions_per_second": form.batch / plain_seconds,
        "batch": form.batch,
        "device": device_name(torch.device(form.device)),
    }
    bounds = COMPILED_BOUNDS if code == "compiled" else BOUNDS
    report_ratio(
        Ratio(
            f"{form.task} {form.kind} {precision}{' compiled' if code == 'compiled' else ''}",
            plain_seconds / seconds,
            bounds[form.task, form.kind],
            f"{form.batch / seconds:.1f} against {form.batch / plain_seconds:.1f} transitions/s,"
            f" batch {form.batch}",
        )
    )

"""How many times more transitions a second our training takes than the plain one, at the paper's widths."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from sen_bench.device import device_name
from tests.benchmarks.ratios import Ratio
from tests.benchmarks.training_forms import Code, Form, running, training_step

ROUNDS = 3
NARROW = {"embedding_channels": 2, "hidden": 4}
PAPER_BATCH = {"3d-blocks": 1024, "2d-shapes": 1024, "reacher": 256}
"""For a GPU."""
CPU_BATCH = {"3d-blocks": 128, "2d-shapes": 128, "reacher": 16}
"""Those of the preset `cpu`; fewer for Reacher, of which a plain step takes seconds at the paper's widths."""
BOUNDS = {
    ("3d-blocks", "sen"): 3.0,
    ("3d-blocks", "none"): 2.5,
    ("3d-blocks", "full"): 2.0,
    ("2d-shapes", "sen"): 2.5,
    ("reacher", "sen"): 1.6,
    ("reacher", "none"): 2.5,
}
COMPILED_BOUNDS = BOUNDS | {("3d-blocks", "sen"): 4.0}


@pytest.mark.parametrize(
    ("code", "precision"),
    [("ours", "float32"), ("ours", "bfloat16"), ("compiled", "float32"), ("compiled", "bfloat16")],
)
@pytest.mark.parametrize(("task", "kind"), list(BOUNDS))
@pytest.mark.timeout(900)
def test_training_step(
    benchmark: BenchmarkFixture,
    report_ratio: Callable[[Ratio], None],
    device: torch.device,
    task: str,
    kind: str,
    code: Code,
    precision: str,
) -> None:
    """Both forms in turn on the same batch, so that a change in the machine's load meets both."""
    if benchmark.disabled:
        # That it runs, at toy size: what is compiled, or narrower, is tested elsewhere.
        form = Form("plain", task, kind, NARROW, batch=2)
        benchmark.pedantic(training_step(form), setup=training_step(replace(form, code="ours")))
        return
    count = (CPU_BATCH if device.type == "cpu" else PAPER_BATCH)[task]
    with (
        running(Form("plain", task, kind, {}, count, device=str(device))) as plain,
        running(Form(code, task, kind, {}, count, precision, str(device))) as ours,
    ):
        benchmark.pedantic(ours.step, setup=plain.step, rounds=ROUNDS)
    seconds, plain_seconds = min(ours.seconds), min(plain.seconds)
    benchmark.extra_info |= {
        "ratio": plain_seconds / seconds,
        "transitions_per_second": count / seconds,
        "plain_transitions_per_second": count / plain_seconds,
        "batch": count,
        "device": device_name(device),
    }
    bounds = COMPILED_BOUNDS if code == "compiled" else BOUNDS
    report_ratio(
        Ratio(
            f"{task} {kind} {precision}{' compiled' if code == 'compiled' else ''}",
            plain_seconds / seconds,
            bounds[task, kind],
            f"{count / seconds:.1f} against {count / plain_seconds:.1f} transitions/s, batch {count}",
        )
    )

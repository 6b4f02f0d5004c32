"""The time of a training step of models, in every form and precision: a process for each task.

`python -m tests.gpu.step_times 3d-blocks sen --preset paper --csv steps.csv` adds a line for each form as
soon as it is measured, so that a process that is stopped loses only what it has not measured yet.
"""

from __future__ import annotations

import csv
import itertools
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Final

import click
import numpy as np
import torch

from sen_bench.config import NegativeSampling, TrainingConfig, load_preset
from sen_bench.data import Transitions
from sen_bench.system import QUIET, device_name, float32_products, prepare_device, resolve_device
from sen_bench.tasks import get_task
from sen_bench.training.execution import Execution
from sen_bench.training.profile import Stages
from sen_bench.training.static_step import WARM_UP
from sen_bench.training.steps import Steps
from tests.oracles.plain_models import PlainTraining, plain_model
from tests.support.batches import world_frames

PRECISIONS: Final = ("float32", "tf32", "bfloat16")
FORMS: Final = {
    "eager": Execution(),
    "graph": Execution(graph=True, must_graph=True),
    "compiled": Execution(compiled=True, must_compile=True),
    "compiled graph": Execution(compiled=True, graph=True, must_compile=True, must_graph=True),
}
"""Ours; what compiles comes last, as it takes longest to begin."""
PLAIN: Final = "plain"
"""The plain implementation, which is measured in float32."""


@dataclass(frozen=True)
class StepTime:
    """A line of the table.

    Attributes:
        task: A task by name.
        model: A model by name.
        batch: Transitions in a batch.
        form: One of `FORMS`, or `PLAIN`.
        precision: The precision.
        ms: Milliseconds a step; None: it failed.
        first_s: Seconds of the steps before, of which the first ones compile and capture.
        peak_mib: MiB that PyTorch had allocated at most; 0 on a CPU.
        device: What it ran on.
        torch_version: The version of PyTorch.
        error: Why it failed, in one line.
    """

    task: str
    model: str
    batch: int
    form: str
    precision: str
    ms: float | None
    first_s: float | None
    peak_mib: int
    device: str
    torch_version: str
    error: str = ""


def measure(
    task: str, model: str, form: str, precision: str, *, preset: str, device: torch.device, steps: int
) -> StepTime:
    """Times a form.

    Args:
        task: A task by name.
        model: A model by name.
        form: One of `FORMS`, or `PLAIN`.
        precision: Of ours.
        preset: Where the widths and the size of batches come from.
        device: Where.
        steps: Steps that are timed, after those that compile and capture.
    """
    ms = first = None
    error = ""
    batch = load_preset(preset).for_task(task).training.batch_size
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    try:
        with float32_products(device, precision):
            step = _step(task, model, form, precision, preset, device)
            first = _seconds(step, WARM_UP + 2, device)
            ms = 1e3 * _seconds(step, steps, device) / steps
    except Exception as cause:  # noqa: BLE001 — the other forms are to be measured too
        error = f"{type(cause).__name__}: {next(iter(str(cause).splitlines()), '')}"
    peak = torch.cuda.max_memory_allocated(device) >> 20 if device.type == "cuda" else 0
    return StepTime(
        task, model, batch, form, precision, ms, first, peak, device_name(device), torch.__version__, error
    )


def _step(
    task: str, model: str, form: str, precision: str, preset: str, device: torch.device
) -> Callable[[], object]:
    """One step as training takes it, on transitions that are on the device."""
    of_task = load_preset(preset).for_task(task)
    count = of_task.training.batch_size
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = get_task(task).build_model(model, of_task.models.get(model, {})).to(device)
    rng = np.random.default_rng(0)
    frames, actions = world_frames(task, count, rng=rng)
    transitions = Transitions(frames, actions[:, None], device)
    index = torch.arange(count, device=device)
    permutation = torch.from_numpy(rng.permutation(count)).to(device)
    if form == PLAIN:
        plain = PlainTraining(plain_model(network))
        return lambda: plain.step(transitions.batch(index), permutation)
    network.train()
    optimizer = torch.optim.Adam(network.parameters(), lr=of_task.training.learning_rate, fused=True)
    settings = {**of_task.training.model_dump(), "precision": precision}
    taken = Steps(
        network,
        optimizer,
        transitions,
        TrainingConfig.model_validate(settings),
        FORMS[form],
        progress=QUIET,
        stages=Stages(),
    )

    def step() -> None:
        if taken.replayed(index, permutation, None, _NEGATIVES) is None:
            loss = taken.measure(index, permutation, None, _NEGATIVES, whole=True)
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward([loss.total])
            optimizer.step()

    return step


_NEGATIVES: Final = NegativeSampling()


def _seconds(step: Callable[[], object], count: int, device: torch.device) -> float:
    """Seconds of so many steps, with the device at rest before and after."""
    _wait(device)
    began = time.perf_counter()
    for _ in range(count):
        step()
    _wait(device)
    return time.perf_counter() - began


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def append(path: Path, line: StepTime) -> None:
    """Adds a line to the table, with its header if it is the first one."""
    begun = path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(StepTime)], lineterminator="\n")
        if not begun:
            writer.writeheader()
        writer.writerow(asdict(line))


@click.command()
@click.argument("task")
@click.argument("models", nargs=-1, required=True)
@click.option("--preset", default="paper", show_default=True)
@click.option("--device", default="auto", show_default=True)
@click.option("--form", "forms", multiple=True, type=click.Choice([PLAIN, *FORMS]), required=True)
@click.option("--precision", "precisions", multiple=True, type=click.Choice(PRECISIONS), required=True)
@click.option("--steps", default=20, show_default=True)
@click.option(
    "--csv", "table", type=click.Path(path_type=Path), help="Adds lines there; without it, nothing is kept."
)
def main(
    *,
    task: str,
    models: tuple[str, ...],
    preset: str,
    device: str,
    forms: tuple[str, ...],
    precisions: tuple[str, ...],
    steps: int,
    table: Path | None,
) -> None:
    """Times the training step of models of one task, each in all forms before the next one."""
    where = resolve_device(device)
    prepare_device(where)
    for model, form in itertools.product(models, forms):
        for precision in ("float32",) if form == PLAIN else precisions:
            line = measure(task, model, form, precision, preset=preset, device=where, steps=steps)
            click.echo(f"{task} {model} {form} {precision}: {line.error or f'{line.ms:.2f} ms'}")
            if table is not None:
                append(table, line)


if __name__ == "__main__":
    main()

"""Training steps, ours and the plain one, each in a process of its own as it would be run."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Literal

import torch

from sen_bench.data.transitions import Batch
from sen_bench.system.device import prepare_device
from sen_bench.tasks.registry import get_task
from sen_bench.training.compilation import compiled_loss
from sen_bench.training.loss import contrastive_loss
from tests.oracles.plain_models import HINGE, LEARNING_RATE, PlainTraining, plain_model
from tests.support.batches import world_batch

Code = Literal["plain", "ours", "compiled"]
Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class Form:
    """A way to train a model on a batch.

    Attributes:
        code: The plain implementation, ours, or ours compiled.
        task: A task by name.
        kind: A model by name.
        widths: Its options; none for the paper's.
        batch: Transitions in a batch.
        precision: Of ours.
        device: Where.
    """

    code: Code
    task: str
    kind: str
    widths: dict[str, int]
    batch: int
    precision: Precision = "float32"
    device: str = "cpu"


def training_step(form: Form) -> Callable[[], None]:
    """One step on one batch, the same of all forms: forwards, backwards and the optimiser."""
    torch.manual_seed(0)
    device = torch.device(form.device)
    model = get_task(form.task).build_model(form.kind, form.widths).to(device)
    batch, permutation = world_batch(form.task, form.batch, seed=0)
    batch = Batch(*(each.to(device) for each in (batch.observation, batch.action, batch.next_observation)))
    permutation = permutation.to(device)
    if form.code == "plain":
        plain = PlainTraining(plain_model(model))
        return lambda: _discard(plain.step(batch, permutation))
    loss = compiled_loss() if form.code == "compiled" else contrastive_loss
    dtype = getattr(torch, form.precision)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=True)

    def step() -> None:
        terms = loss(model, batch, permutation, hinge=HINGE, dtype=dtype)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward([terms.total])
        optimizer.step()

    return step


def _discard(_: object) -> None:
    """Nothing is done with the loss."""


class Runner:
    """A form in a process of its own, with one thread, which steps when it is told to.

    Only ours is prepared as our training prepares a process (`prepare_device`); float32 is float32 in both.

    Args:
        pipe: To that process.
        steps: Steps that are measured at once.
    """

    def __init__(self, pipe: Connection, steps: int) -> None:
        self._pipe, self._steps = pipe, steps
        self.seconds: list[float] = []

    def step(self) -> None:
        """Steps, and takes down the seconds of a step.

        Raises:
            EOFError: The process has died; why stands on its stderr.
        """
        self._pipe.send(self._steps)
        self.seconds.append(float(self._pipe.recv()))


@contextmanager
def running(form: Form) -> Iterator[Runner]:
    """Starts a form, lets it warm up, and ends it."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(form, theirs))
    process.start()
    theirs.close()
    try:
        runner = Runner(ours, steps=20 if form.device.startswith("cuda") else 1)
        runner.step()
        runner.seconds.clear()
        yield runner
        ours.send(0)
    finally:
        ours.close()
        process.join(60)
        if process.is_alive():
            process.kill()


def _serve(form: Form, pipe: Connection) -> None:
    """Steps as often as is asked for, until none are."""
    torch.set_num_threads(1)
    device = torch.device(form.device)
    if form.code == "plain":
        torch.backends.cudnn.allow_tf32 = False  # as in ours, or a GPU would compute with fewer digits for it
    else:
        prepare_device(device)
    step = training_step(form)
    while count := pipe.recv():
        began = _clock(device)
        for _ in range(count):
            step()
        pipe.send((_clock(device) - began) / count)


def _clock(device: torch.device) -> float:
    """Seconds of this process on a CPU, which others may use too; else of the clock, the device at rest."""
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()

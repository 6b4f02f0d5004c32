"""How far each precision is from float64: `python -m tests.benchmarks.precision_agreement` prints a table.

TensorFloat32 is emulated, so that no GPU is needed: factors are rounded as its tensor cores round them, sums
are float32 in the order of this machine.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from sen_bench.baselines.model import WorldModel
from sen_bench.data.transitions import Batch
from sen_bench.tasks.registry import get_task
from sen_bench.training.loss import contrastive_loss
from tests.support.batches import world_batch
from tests.support.tensor_float32 import TensorFloat32

PRECISIONS = ("float32", "tf32", "bfloat16")
MODELS = (
    ("3d-blocks", "sen", 32),
    ("3d-blocks", "none", 32),
    ("2d-shapes", "sen", 64),
    ("reacher", "sen", 4),
    ("reacher", "none", 8),
    ("teapot-large", "matmul", 64),
)
"""Tasks, models, and how many transitions are enough for them."""


@dataclass(frozen=True)
class Agreement:
    """Relative errors against float64, in the L2 norm.

    Attributes:
        latents: Of the predicted latents.
        loss: Of the loss.
        gradient: Of the gradient of all parameters.
    """

    latents: float
    loss: float
    gradient: float


def agreement(
    task: str, name: str, count: int, widths: Mapping[str, int] | None = None
) -> dict[str, Agreement]:
    """Each precision against float64, of an untrained model in training on one batch.

    Args:
        task: A task by name.
        name: A model by name.
        count: Transitions in the batch.
        widths: Options of the model; None: the paper's.
    """
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = get_task(task).build_model(name, dict(widths or {}))
    batch, permutation = world_batch(task, count, seed=0)
    exact = _outcome(model.double(), _as(batch, torch.float64), permutation, "float64")
    model.float()
    found = {}
    for precision in PRECISIONS:
        computed = _outcome(model, batch, permutation, precision)
        found[precision] = Agreement(*(_error(*pair) for pair in zip(computed, exact, strict=True)))
    return found


def _outcome(model: WorldModel, batch: Batch, permutation: Tensor, precision: str) -> tuple[Tensor, ...]:
    """Predicted latents, loss and gradient."""
    model = copy.deepcopy(model)
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    factors: AbstractContextManager[object] = TensorFloat32() if precision == "tf32" else nullcontext()
    with factors:
        with torch.no_grad(), torch.autocast("cpu", dtype, enabled=dtype == torch.bfloat16):
            latents = copy.deepcopy(model)(batch.observation, batch.action)
        total = contrastive_loss(model, batch, permutation, hinge=1.0, dtype=dtype).total
        torch.autograd.backward([total])
    gradient = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    return latents.flatten(), total.detach().flatten(), gradient


def _as(batch: Batch, dtype: torch.dtype) -> Batch:
    action = batch.action.to(dtype) if batch.action.is_floating_point() else batch.action
    return Batch(batch.observation.to(dtype), action, batch.next_observation.to(dtype))


def _error(computed: Tensor, exact: Tensor) -> float:
    return float((computed.double() - exact).norm() / exact.norm())


def main() -> None:
    """Prints a table in Markdown."""
    sys.stdout.write("| task | model | precision | latents | loss | gradient |\n|---|---|---|---|---|---|\n")
    for task, name, count in MODELS:
        for precision, found in agreement(task, name, count).items():
            numbers = " | ".join(f"{error:.0e}" for error in (found.latents, found.loss, found.gradient))
            sys.stdout.write(f"| `{task}` | `{name}` | {precision} | {numbers} |\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()

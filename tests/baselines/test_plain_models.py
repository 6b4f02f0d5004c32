"""Our models train as the plain ones do: the same loss at every step from the same weights and batches."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sen_bench.data.transitions import Batch
from sen_bench.tasks.registry import get_task
from sen_bench.training.loss import contrastive_loss
from tests.oracles.plain_models import HINGE, LEARNING_RATE, PlainTraining, plain_model
from tests.support.batches import world_batch

STEPS = 20
TOLERANCE = 1e-4


def _noise(count: int, *, seed: int) -> tuple[Batch, Tensor]:
    """Transitions of Reacher with noise for pixels, and a permutation."""
    generator = torch.Generator().manual_seed(seed)
    before, after = torch.rand(2, count, 128, 128, 6, generator=generator).permute(0, 1, 4, 2, 3)
    torques = 2 * torch.rand(count, 2, generator=generator) - 1
    return Batch(before, torques, after), torch.randperm(count, generator=generator)


def _assert_same_training(
    task: str, kind: str, widths: dict[str, int], batches: list[tuple[Batch, Tensor]], learning_rate: float
) -> None:
    torch.manual_seed(0)
    model = get_task(task).build_model(kind, widths)
    plain = PlainTraining(plain_model(model), learning_rate)
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate, fused=True)

    def loss(batch: Batch, permutation: Tensor) -> Tensor:
        return contrastive_loss(model, batch, permutation, hinge=HINGE, dtype=torch.float32).total

    ours, theirs = [], []
    for batch in batches:
        total = loss(*batch)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward([total])
        optimizer.step()
        ours.append(total.item())
        theirs.append(plain.step(*batch).item())
    assert ours == pytest.approx(theirs, rel=TOLERANCE, abs=TOLERANCE)
    # Not because nothing is learned.
    assert abs(loss(*batches[0]).item() - ours[0]) > 100 * TOLERANCE * max(1, ours[0])


@pytest.mark.parametrize(
    ("task", "kind", "width", "count"),
    [
        ("3d-blocks", "sen", 8, 8),
        ("3d-blocks", "none", 8, 8),
        ("3d-blocks", "full", 2, 8),
        ("2d-shapes", "sen", 8, 16),
    ],
)
def test_over_20_steps_the_loss_is_the_plain_models(task: str, kind: str, width: int, count: int) -> None:
    batches = [world_batch(task, count, seed=seed) for seed in range(STEPS)]
    widths = {"embedding_channels": width, "hidden": 24}
    _assert_same_training(task, kind, widths, batches, LEARNING_RATE)


@pytest.mark.parametrize(("kind", "hidden"), [("sen", 8), ("none", 24)])
def test_over_20_steps_the_loss_of_reacher_is_the_plain_models(kind: str, hidden: int) -> None:
    """By shorter steps and on noise: at the paper's rate, rounding alone grows up to tenfold a step.

    Frames of Reacher differ in few pixels, by which its norms divide, and its untrained loss is about ten.
    """
    batches = [_noise(8, seed=seed) for seed in range(STEPS)]
    widths = {"embedding_channels": 4, "hidden": hidden}
    _assert_same_training("reacher", kind, widths, batches, LEARNING_RATE / 50)


@pytest.mark.slow
def test_over_20_steps_the_loss_is_the_plain_models_at_the_papers_widths() -> None:
    """By shorter steps: at the paper's rate, rounding alone grows to more than the tolerance."""
    batches = [world_batch("3d-blocks", 8, seed=seed) for seed in range(STEPS)]
    _assert_same_training("3d-blocks", "sen", {}, batches, LEARNING_RATE / 10)

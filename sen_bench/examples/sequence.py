"""The paper's illustrative example: what stands before equivariant layers learns to be equivariant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast

import torch
from torch import Tensor, nn

from sen_bench.errors import ConfigError
from sen_bench.examples import sizes
from sen_bench.examples.shifts import shift_equivariance_error
from sen_bench.examples.sinusoids import sample_sinusoids
from sen_bench.system import QUIET, Advance, Progress, seeded

_SHOW_EVERY = 50


class SequenceNetwork(nn.Module):
    """A fully connected layer, and what labels the sequence that it makes.

    Args:
        rest: Sequences ``[N, 1, LENGTH]`` to log-odds ``[N, 1, LENGTH]`` of a peak at each position.
    """

    def __init__(self, rest: nn.Module) -> None:
        super().__init__()
        self.first = nn.Linear(sizes.LENGTH, sizes.LENGTH, bias=False)
        self.rest = rest

    def forward(self, samples: Tensor) -> Tensor:
        """Sequences ``[N, LENGTH]`` to log-odds of a peak at each position, of the same shape."""
        return cast("Tensor", self.rest(self.first(samples).unsqueeze(1))).squeeze(1)


def _convolutions() -> nn.Module:
    """Three layers that commute with cyclic shifts, whatever their weights."""

    def convolution(before: int) -> nn.Conv1d:
        padding = sizes.KERNEL // 2
        return nn.Conv1d(before, sizes.CHANNELS, sizes.KERNEL, padding=padding, padding_mode="circular")

    return nn.Sequential(
        convolution(1), nn.ReLU(), convolution(sizes.CHANNELS), nn.ReLU(), nn.Conv1d(sizes.CHANNELS, 1, 1)
    )


def _fully_connected() -> nn.Module:
    """Two layers that know nothing of the order of positions."""
    return nn.Sequential(
        nn.Linear(sizes.LENGTH, sizes.HIDDEN), nn.ReLU(), nn.Linear(sizes.HIDDEN, sizes.LENGTH)
    )


NETWORKS: Final[dict[str, Callable[[], nn.Module]]] = {
    "convolutions": _convolutions,
    "fully-connected": _fully_connected,
}
"""By name, what follows the first layer, which is fully connected in both."""


@dataclass(frozen=True)
class TrainedNetwork:
    """A network after its training.

    Attributes:
        name: Its name in `NETWORKS`.
        weight: The matrix of its first layer, float32 ``[LENGTH, LENGTH]``.
        parameters: How many trainable numbers it has.
        accuracy: Share of the positions of unseen sequences that are labelled right.
        whole: Share of unseen sequences in which every position is.
        equivariance_error: `shift_equivariance_error` of the matrix.
    """

    name: str
    weight: Tensor
    parameters: int
    accuracy: float
    whole: float
    equivariance_error: float


@dataclass(frozen=True)
class SequenceExample:
    """What came out.

    Attributes:
        networks: One for each of `NETWORKS`, trained alike on the same data.
        no_peak: Share of the positions of unseen sequences without a peak: the accuracy of calling none one.
        samples: An unseen sequence, float32 ``[LENGTH]``.
        labels: Its labels, of the same shape.
    """

    networks: tuple[TrainedNetwork, ...]
    no_peak: float
    samples: Tensor
    labels: Tensor


def train_sequence_example(
    *, seed: int = 0, steps: int = sizes.DEFAULT_STEPS, progress: Progress = QUIET
) -> SequenceExample:
    """Trains both networks on sampled sinusoids to label the peaks (paper, the illustrative example).

    Supervised, with the binary cross-entropy of each position, AdamW and a rate that falls to 0 along a
    cosine; sizes are ours. On the CPU equal arguments give equal results.

    Args:
        seed: Of data, initial weights and batches.
        steps: Steps of the optimiser for each network.
        progress: Shows how it goes.

    Raises:
        ConfigError: If the seed or the number of steps is out of range.
    """
    if steps < 1:
        raise ConfigError(f"steps must be at least 1, not {steps}")
    if not 0 <= seed < 2**32:
        raise ConfigError(f"the seed must be 0 to 2**32 - 1, not {seed}")
    generator = torch.Generator().manual_seed(seed)
    train = sample_sinusoids(sizes.TRAIN_SEQUENCES, generator)
    test = sample_sinusoids(sizes.TEST_SEQUENCES, generator)
    networks = tuple(_trained(name, train, test, seed, steps, progress) for name in NETWORKS)
    samples, labels = test
    return SequenceExample(networks, 1 - float(labels.mean()), samples[0], labels[0])


def _trained(
    name: str,
    train: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
    seed: int,
    steps: int,
    progress: Progress,
) -> TrainedNetwork:
    with seeded(seed, torch.device("cpu")):
        network = SequenceNetwork(NETWORKS[name]())
        with progress.work(f"train {name}", "steps") as advance:
            _train(network, *train, steps=steps, advance=advance)
    samples, labels = test
    with torch.inference_mode():
        right = (network(samples) > 0) == labels.bool()
    weight = network.first.weight.detach()
    return TrainedNetwork(
        name=name,
        weight=weight,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        accuracy=float(right.float().mean()),
        whole=float(right.all(dim=1).float().mean()),
        equivariance_error=shift_equivariance_error(weight),
    )


def _train(
    network: SequenceNetwork, samples: Tensor, labels: Tensor, *, steps: int, advance: Advance
) -> None:
    """Trains in place, on batches drawn with replacement."""
    groups = [
        {"params": network.first.parameters(), "weight_decay": sizes.WEIGHT_DECAY},
        {"params": network.rest.parameters(), "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=sizes.LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(1, steps + 1):
        index = torch.randint(len(samples), (sizes.BATCH_SIZE,))
        loss = nn.functional.binary_cross_entropy_with_logits(network(samples[index]), labels[index])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        if step % _SHOW_EVERY == 0 or step == steps:
            advance(step, steps)

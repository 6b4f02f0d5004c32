"""How many parameters each part of a model has, and whether models have about equally many."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from sen_bench.baselines import WorldModel, parameter_count
from sen_bench.checks.samples import Samples

SAME_BUDGET = 1.1
"""How many times the parameters of the smallest model the largest may have, for equal budgets [ours]."""


@dataclass(frozen=True)
class ParameterCounts:
    """Trainable numbers of a model.

    Attributes:
        embedding: Those that S depends on.
        encoder: Those that E depends on, and S does not.
        transition: Those that only T depends on.
        total: All, even those that nothing depends on.
    """

    embedding: int
    encoder: int
    transition: int
    total: int


def count_parameters(model: WorldModel, samples: Samples) -> ParameterCounts:
    """Counts the parameters of each part, by what the part's output depends on.

    Args:
        model: The model, on the CPU; it is left as it is.
        samples: States and actions of its world; one is enough.
    """
    training = model.training
    model.eval()
    left = {parameter for parameter in model.parameters() if parameter.requires_grad}
    counts = []
    with torch.enable_grad():
        embedding = model.embed(samples.observation())
        latent = model.encode(embedding.detach())
        following = model.transition(latent.detach(), samples.action())
        for output in (embedding, latent, following):
            leaves = _leaves(output)
            counts.append(sum(parameter.numel() for parameter in left if parameter in leaves))
            left = {parameter for parameter in left if parameter not in leaves}
    model.train(training)
    of_embedding, of_encoder, of_transition = counts
    return ParameterCounts(of_embedding, of_encoder, of_transition, parameter_count(model))


def _leaves(output: Tensor) -> set[Tensor]:
    """The tensors with gradients that an output was computed from; no gradient is computed to find them."""
    leaves: set[Tensor] = set()
    nodes, seen = [output.sum().grad_fn], set()
    while nodes:
        node = nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if node.name().endswith("AccumulateGrad"):  # the node of a leaf
            leaves.add(node.variable)  # type: ignore[attr-defined]
        nodes += [following for following, _ in node.next_functions]
    return leaves


def budget_ratio(totals: Iterable[int]) -> float:
    """The largest number of parameters over the smallest; infinite if that is zero and the largest is not."""
    numbers = list(totals)
    smallest, largest = min(numbers), max(numbers)
    if smallest == largest:
        return 1.0
    return largest / smallest if smallest else float("inf")

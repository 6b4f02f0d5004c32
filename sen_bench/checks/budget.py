"""How many parameters each part of a model has, and whether models have about equally many."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sen_bench.baselines import CheckedModel, WorldModel, parameter_count
from sen_bench.envs import World
from sen_bench.system import settings_restored

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


def count_parameters(model: WorldModel, world: World) -> ParameterCounts:
    """Counts the parameters of each part, by what the part's output depends on.

    The model is run once, on an image of noise: what an output depends on lies in the network, and drawing
    the world would take longer than everything else.

    Args:
        model: The model, on the CPU; it is left as it is.
        world: Its world.

    Raises:
        ExtensionError: The model gives tensors of other shapes or types than it should.
    """
    height, width, channels = world.observation_space.shape or ()
    shape = (1, channels * world.frame_stack, height, width)
    observation = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    action = torch.from_numpy(np.array(world.sample_action(np.random.default_rng(0)))[None])
    training = model.training
    model.eval()
    left = {parameter for parameter in model.parameters() if parameter.requires_grad}
    counts = []
    checked = CheckedModel(model)
    with torch.enable_grad(), settings_restored():
        torch.set_num_threads(1)  # for a single image, more only wait for each other
        embedding = checked.embed(observation)
        latent = checked.encode(embedding.detach())
        following = checked.transition(latent.detach(), action)
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

"""The learning rates of the parts of a network, and what becomes of them in the course of training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import nn

from sen_bench.config import TrainingConfig
from sen_bench.errors import ConfigError

_PART = "part"
_INSIDE: Final = {"codes": "embedding.codes"}
"""Where a part is, if not under its own name."""


def parameter_groups(network: nn.Module, parts: Sequence[str]) -> list[dict[str, Any]]:
    """The parameters of a network in groups, as PyTorch's optimisers take them.

    Args:
        network: The network.
        parts: The parts that have a learning rate of their own, by their names in `RateFactors`.

    Returns:
        A group of all that is in none of the parts, and one for each part.

    Raises:
        ConfigError: If the network has no such part.
    """
    paths = {part: _INSIDE.get(part, part) for part in parts}
    modules = dict(network.named_modules())
    for part, path in paths.items():
        if path not in modules:
            there = ", ".join(name for name, _ in network.named_children()) or "none"
            raise ConfigError(
                f"training.learning_rate_of: {type(network).__name__} has no part {path!r} with parameters"
                f" (a module of that name; its parts are: {there}); leave {part} out"
            )
    inside: dict[str, list[nn.Parameter]] = {part: [] for part in parts}
    rest: list[nn.Parameter] = []
    # A part of a part is nearer to its parameters.
    nearest = sorted(paths, key=lambda part: len(paths[part]), reverse=True)
    for name, parameter in network.named_parameters():
        home = next((part for part in nearest if name.startswith(f"{paths[part]}.")), None)
        (rest if home is None else inside[home]).append(parameter)
    # The rest has no name: without parts, checkpoints are what they were before there were any.
    return [{"params": rest}, *({"params": inside[part], _PART: part} for part in parts)]


def set_learning_rates(
    optimizer: torch.optim.Optimizer, config: TrainingConfig, *, epoch: int, share: float
) -> None:
    """Sets the learning rates of a step.

    Args:
        optimizer: The optimiser of `parameter_groups`.
        config: The settings.
        epoch: The epoch, counted from 1.
        share: The share of all steps that lie before this one.
    """
    factors = config.rate_factors_in(epoch)
    for group in optimizer.param_groups:
        factor = factors.of(group[_PART]) if _PART in group else 1.0
        rate = factor * config.learning_rate
        group["lr"] = rate * (1 + math.cos(math.pi * share)) / 2 if config.schedule == "cosine" else rate

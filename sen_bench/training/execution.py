"""How the steps of a training are executed: as they come, compiled, or as one CUDA graph; and who decides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch

COMPILING_PAYS_FROM: Final = 2_500
"""Steps of whole batches that win the time of compiling back [ours]: with 3D Blocks ``sen`` in batches of 128
on an H200 it was won back after 2,100. A graph of compiled code should save more a step; that was not
measured."""


@dataclass(frozen=True)
class Execution:
    """How steps are executed. Losses and weights are the same up to rounding.

    Attributes:
        compiled: Whether the loss and its gradient are compiled (torch.compile).
        graph: Whether a whole step, from gathering its batch to the optimiser, is one CUDA graph.
        must_compile: Whether that it cannot be compiled is an error, because it was asked for.
        must_graph: Whether that it cannot be a graph is an error, likewise.
        notice: What a person should know about it, in one line; None: nothing.
    """

    compiled: bool = False
    graph: bool = False
    must_compile: bool = False
    must_graph: bool = False
    notice: str | None = None


def choose_execution(
    device: torch.device, *, steps: int, held: bool, compiled: bool | None, graph: bool | None
) -> Execution:
    """How a training is executed.

    What is not asked for is decided by the device and the length of the training: on a GPU, at least
    `COMPILING_PAYS_FROM` steps are compiled and made a graph; all others are executed as they come.

    Args:
        device: What is trained on.
        steps: Steps of whole batches that are left.
        held: Whether all training data is on the device. Where it is streamed, a step waits for what is read,
            which no graph can.
        compiled: Whether compiling is asked for; None: not said.
        graph: Whether a graph is asked for; None: not said.
    """
    pays = device.type == "cuda" and steps >= COMPILING_PAYS_FROM
    chosen_compiled = pays if compiled is None else compiled
    wanted_graph = pays if graph is None else graph
    said = []
    if device.type == "cuda" and None in (compiled, graph):
        form = {
            (False, False): "one by one, not compiled",
            (True, False): "one by one, compiled",
            (False, True): "as one CUDA graph, not compiled",
            (True, True): "as one CUDA graph of compiled code",
        }[chosen_compiled, wanted_graph and held]
        said.append(f"steps: {form} ({steps:,} are left; compiling pays from {COMPILING_PAYS_FROM:,} on)")
    if wanted_graph and not held:
        said.append("steps are no CUDA graph, because the training data is streamed")
    return Execution(
        compiled=chosen_compiled,
        graph=wanted_graph and held,
        must_compile=compiled is True,
        must_graph=graph is True,
        notice="; ".join(said) or None,
    )

"""A training step whose tensors keep their place in memory, so that a GPU can repeat it as one CUDA graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import torch
from torch import Tensor

WARM_UP: Final = 5
"""Steps before a graph is captured. They are steps of the training like all others; in them libraries choose
their algorithms and take memory, which must not happen while a graph is captured."""


class StaticStep:
    """One step of training, from given indices to changed weights, that can be repeated as a CUDA graph.

    What differs from step to step comes in through buffers: the indices, the permutation and the learning
    rates. Everything else is on the device already, and stays where it is: weights, gradients, moments.
    Nothing is read back. On a GPU the first `WARM_UP` calls execute the step as it comes, the next one
    captures it, and from then on it is replayed. Elsewhere it is executed as it comes each time, which
    computes the same.

    Args:
        measure: The loss, first, and what else is to be known, as scalars; of tensors as `like` describes.
        optimizer: Adam, fused, of what is trained.
        like: Tensors of the shapes, types and device of what `measure` takes.
    """

    def __init__(
        self,
        measure: Callable[..., Sequence[Tensor]],
        optimizer: torch.optim.Optimizer,
        like: Sequence[Tensor],
    ) -> None:
        self._measure = measure
        self._optimizer = optimizer
        self._inputs = tuple(torch.empty_like(each) for each in like)
        self._device = like[0].device
        # A tensor, because a graph repeats a number for ever; float32 is what the fused kernel reads.
        self._rates = [torch.zeros((), device=self._device) for _ in optimizer.param_groups]
        self._set_rates: list[float] = [0.0] * len(self._rates)
        self._terms: Tensor | None = None
        self._replayed = _CudaGraph(self._device) if self._device.type == "cuda" else None

    def advance(self, *inputs: Tensor) -> Tensor:
        """Takes a step, at the learning rates that the optimiser has.

        Args:
            inputs: What `measure` takes.

        Returns:
            What `measure` gives, stacked, on the device.

        Raises:
            RuntimeError: The step cannot be captured. It was not taken then, and nothing is changed.
        """
        for buffer, given in zip(self._inputs, inputs, strict=True):
            buffer.copy_(given)
        for number, group in enumerate(self._optimizer.param_groups):
            if self._set_rates[number] != group["lr"]:
                self._rates[number].fill_(group["lr"])
                self._set_rates[number] = group["lr"]
        if self._replayed is None:
            self._take()
        else:
            self._replayed.run(self._take)
        if self._terms is None:
            raise AssertionError("a step has no terms")
        return self._terms.clone()

    def _take(self) -> None:
        """The step itself, in buffers alone: what a graph repeats."""
        with self._rates_in_tensors():
            self._optimizer.zero_grad(set_to_none=True)
            measured = self._measure(*self._inputs)
            measured[0].backward()  # type: ignore[no-untyped-call]
            self._optimizer.step()
        terms = torch.stack(list(measured)).detach()
        if self._terms is None:  # in the first call, never in a capture
            self._terms = torch.empty_like(terms)
        self._terms.copy_(terms)

    @contextmanager
    def _rates_in_tensors(self) -> Iterator[None]:
        """Has the optimiser read its rates from the buffers; checkpoints go on to have numbers."""
        groups = self._optimizer.param_groups
        before = [(group["lr"], group["capturable"]) for group in groups]
        # Only in a capture: PyTorch warns of an optimiser that says so and is not captured.
        capturing = self._device.type == "cuda" and torch.cuda.is_current_stream_capturing()
        for group, rate in zip(groups, self._rates, strict=True):
            group["lr"], group["capturable"] = rate, capturing
        try:
            yield
        finally:
            for group, (lr, capturable) in zip(groups, before, strict=True):
                group["lr"], group["capturable"] = lr, capturable


class _CudaGraph:
    """Executes a function as it comes a few times, captures it, and replays it from then on.

    Args:
        device: The GPU.
    """

    def __init__(self, device: torch.device) -> None:
        # Captures are made on a stream of their own; steps before them belong on the same one, where they
        # leave libraries with the memory that they will want.
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._device = device
        self._executed = 0
        self._graph: torch.cuda.CUDAGraph | None = None

    def run(self, function: Callable[[], None]) -> None:
        """Has the function done once."""
        if self._graph is None and self._executed < WARM_UP:
            current = torch.cuda.current_stream(self._device)
            self._stream.wait_stream(current)
            with torch.cuda.stream(self._stream):
                function()
            current.wait_stream(self._stream)
            self._executed += 1
            return
        if self._graph is None:
            self._graph = self._captured(function)
        self._graph.replay()

    def _captured(self, function: Callable[[], None]) -> torch.cuda.CUDAGraph:
        """The function as a graph; capturing it does nothing of what it says."""
        graph = torch.cuda.CUDAGraph()
        current = torch.cuda.current_stream(self._device)
        try:
            with torch.cuda.device(self._device), torch.cuda.graph(graph, stream=self._stream):
                function()
        except BaseException:
            # PyTorch leaves its own stream in place if the end of a capture fails too.
            torch.cuda.set_stream(current)
            raise
        return graph

"""The optimiser steps of one attempt at training a world model, in whichever way they are executed."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from sen_bench.baselines import GenerativeModel, WorldModel
from sen_bench.config import NegativeSampling, TrainingConfig
from sen_bench.data import Batch, TrainingData
from sen_bench.errors import CompileError
from sen_bench.system import Progress, seeded
from sen_bench.training.capture_hazards import capture_hazard
from sen_bench.training.compilation import compile_errors, compiled_loss
from sen_bench.training.evidence import evidence_loss
from sen_bench.training.execution import Execution
from sen_bench.training.loss import LossFunction, LossTerms, contrastive_loss, unwatched
from sen_bench.training.profile import Stages
from sen_bench.training.static_step import StaticStep

_DTYPES = {"float32": torch.float32, "tf32": torch.float32, "bfloat16": torch.bfloat16}

_Form = tuple[int, NegativeSampling]
"""What code is compiled for, and graphs are captured for: the size of a batch, and its negatives."""


class Steps:
    """Takes steps on one network, all in the same way until that turns out to be impossible.

    Args:
        network: What is trained.
        optimizer: Its optimiser.
        transitions: The training data.
        config: The settings.
        execution: How steps of whole batches are executed; smaller batches are executed as they come.
        progress: Is told what a person should know.
        stages: Is told which stage of a step is running.

    Raises:
        CompileError: Compiling is asked for, and the model is trained by a loss of its own.
    """

    def __init__(
        self,
        network: WorldModel,
        optimizer: torch.optim.Optimizer,
        transitions: TrainingData,
        config: TrainingConfig,
        execution: Execution,
        *,
        progress: Progress,
        stages: Stages,
    ) -> None:
        if execution.compiled and isinstance(network, GenerativeModel):
            why = f"{type(network).__name__} is trained by a loss of its own, which is not compiled"
            if execution.must_compile:
                raise CompileError(f"{why}; use --no-compile")
            execution = replace(execution, compiled=False)
            progress.message(f"not compiled: {why}")
        self.execution = execution
        self._network = network
        self._optimizer = optimizer
        self._transitions = transitions
        self._config = config
        self._progress = progress
        self._stages = stages
        self._compiled: tuple[_Form, LossFunction] | None = None
        self._static: tuple[_Form, StaticStep] | None = None

    def measure(
        self,
        index: Tensor,
        permutation: Tensor,
        later: Tensor | None,
        negatives: NegativeSampling,
        *,
        whole: bool,
    ) -> LossTerms:
        """The loss of a batch, with its gradient, step by step: compiled, if that is how it is done.

        Args:
            index: int64 ``[B]``, which transitions.
            permutation: int64 ``[B]``, whose latents are the negatives.
            later: int64 ``[n]``, how many steps later the negatives of the same episode were observed; None:
                there are none.
            negatives: What the negatives are.
            whole: Whether it is a batch as most are; others are never compiled for.
        """
        return self._measure(index, permutation, later, negatives, whole=whole, stage=self._stages.stage)

    def replayed(
        self, index: Tensor, permutation: Tensor, later: Tensor | None, negatives: NegativeSampling
    ) -> Tensor | None:
        """Takes a whole step as a graph; arguments as for `measure`.

        Returns:
            The terms of the loss, on the device; None if no step was taken, because it is to be executed as
            it comes, or has to be.

        Raises:
            CompileError: A graph was asked for, and is not possible.
        """
        if not self.execution.graph:
            return None
        inputs = (index, permutation, *([] if later is None else [later]))
        form = len(index), negatives
        if self._static is None or self._static[0] != form:
            self._static = None  # gives its memory back before the next one takes its own
            if self._device.type == "cuda" and (why := self._hazard(inputs, negatives)) is not None:
                self._no_graph(f"it {why}", None)
                return None
            step = StaticStep(self._static_measure(negatives), self._optimizer, inputs)
            self._static = form, step
        with self._stages.stage("graph"):
            try:
                return self._static[1].advance(*inputs)
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:  # what PyTorch raises where a capture is broken off
                self._static = None
                self._no_graph(next(iter(str(error).splitlines()), type(error).__name__), error)
        return None

    @property
    def _device(self) -> torch.device:
        return self._transitions.device

    def _static_measure(self, negatives: NegativeSampling) -> Callable[..., LossTerms]:
        """The loss for `StaticStep`; nobody is told of its stages, as they are recorded once and for all."""

        def measure(index: Tensor, permutation: Tensor, later: Tensor | None = None) -> LossTerms:
            return self._measure(index, permutation, later, negatives, whole=True, stage=unwatched)

        return measure

    def _measure(
        self,
        index: Tensor,
        permutation: Tensor,
        later: Tensor | None,
        negatives: NegativeSampling,
        *,
        whole: bool,
        stage: Callable[[str], AbstractContextManager[object]],
    ) -> LossTerms:
        with stage("data"):
            batch = self._batch(index, later)
        options = self._options(negatives)
        if self.execution.compiled and whole:
            try:
                with compile_errors():
                    loss = self._compiled_for((len(index), negatives), batch, permutation, options)
                    with stage("forward"):
                        return loss(self._network, batch, permutation, **options)
            except CompileError as error:
                if self.execution.must_compile:
                    raise
                self.execution = replace(self.execution, compiled=False)
                self._progress.message(f"not compiled: {error}")
        return self._loss_of(self._network, batch, permutation, options, stage)

    def _loss_of(
        self,
        network: WorldModel,
        batch: Batch,
        permutation: Tensor,
        options: dict[str, Any],
        stage: Callable[[str], AbstractContextManager[object]],
    ) -> LossTerms:
        """The loss of a batch as it comes: the contrastive one, or the model's own."""
        if isinstance(network, GenerativeModel):
            return evidence_loss(network, batch, permutation, dtype=options["dtype"], stage=stage)
        return contrastive_loss(network, batch, permutation, **options, stage=stage)

    def _compiled_for(
        self, form: _Form, batch: Batch, permutation: Tensor, options: dict[str, Any]
    ) -> LossFunction:
        """The loss as compiled code, which is compiled when it is first called."""
        if self._compiled is None or self._compiled[0] != form:
            # Compiled code counts no changes in place, and hides what is wrong with a model's tensors.
            with torch.no_grad(), seeded(0, self._device):
                contrastive_loss(copy.deepcopy(self._network), batch, permutation, **options)
            self._progress.message("compiling; the first step takes about a minute")
            self._compiled = form, compiled_loss()
        return self._compiled[1]

    def _hazard(self, inputs: tuple[Tensor, ...], negatives: NegativeSampling) -> str | None:
        """What keeps a step from being captured, seen in steps of a copy of the network."""
        network = copy.deepcopy(self._network)
        index, permutation, *later = inputs

        def step() -> None:
            batch = self._batch(index, later[0] if later else None)
            loss = self._loss_of(network, batch, permutation, self._options(negatives), unwatched)
            torch.autograd.backward([loss.total])

        with seeded(0, self._device):
            return capture_hazard(step, network, self._device)

    def _no_graph(self, why: str, cause: Exception | None) -> None:
        """Steps are executed one by one from now on.

        Raises:
            CompileError: If a graph was asked for.
        """
        said = f"the training step cannot be a CUDA graph ({why})"
        if self.execution.must_graph:
            raise CompileError(f"{said}; use --no-cuda-graph") from cause
        self.execution = replace(self.execution, graph=False)
        self._progress.message(f"{said}; steps are executed one by one")

    def _batch(self, index: Tensor, later: Tensor | None) -> Batch:
        if later is None:
            return self._transitions.batch(index)
        return self._transitions.batch_with_negatives(index, later)

    def _options(self, negatives: NegativeSampling) -> dict[str, Any]:
        """The keyword arguments of the loss."""
        return {
            "hinge": self._config.hinge,
            "dtype": _DTYPES[self._config.precision],
            "form": self._config.loss,
            "margin_other": negatives.margin_other,
            "per_object": negatives.per_object,
            "bystander_weight": self._config.bystander_weight,
        }

"""Training one model with one seed, from wherever it stopped to the last epoch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from sen_bench.baselines import GenerativeModel, WorldModel
from sen_bench.config import NegativeSampling, TrainingConfig
from sen_bench.data import TrainingData, Transitions
from sen_bench.errors import ConfigError
from sen_bench.system import QUIET, Progress, float32_products
from sen_bench.trackers import Tracking
from sen_bench.training.checkpoint import Checkpoint
from sen_bench.training.collapse import CollapseDetector
from sen_bench.training.compilation import compile_errors, keep_compiled_code
from sen_bench.training.epochs import EpochTraining
from sen_bench.training.execution import Execution, choose_execution
from sen_bench.training.log import MetricsLog
from sen_bench.training.loss import LOSS_TERMS, LossTerms
from sen_bench.training.negatives import other_steps
from sen_bench.training.profile import Stages
from sen_bench.training.steps import Steps
from sen_bench.training.suitability import check_suitability

#: How often training is restarted at most with ``on_collapse = "restart"``.
MAX_RESTARTS = 5
#: What to do about a checkpoint of another run.
OTHER_RUN = "choose another --runs folder, or train with --force, which moves the old run aside"


@dataclass(frozen=True)
class TrainingResult:
    """A trained model and what it took.

    Attributes:
        model: The model after the last epoch, in evaluation mode.
        epochs: Epochs finished in the last attempt.
        restarts: How often training was restarted after a collapse.
        collapsed: Whether the detector took the model for collapsed at the end.
        transitions_seen: Transitions trained on in all attempts.
        seconds: Wall time of training in all attempts and processes.
    """

    model: WorldModel
    epochs: int
    restarts: int
    collapsed: bool
    transitions_seen: int
    seconds: float


class _Collapsed(Exception):  # noqa: N818 — not an error, but the way out of an epoch
    """An epoch ended early because the model collapsed and the settings say not to go on."""


def train(
    build: Callable[[], WorldModel],
    transitions: TrainingData,
    config: TrainingConfig,
    *,
    seed: int,
    folder: Path,
    identity: dict[str, str],
    progress: Progress = QUIET,
    tracking: Tracking | None = None,
    compiled: bool | None = False,
    graph: bool | None = False,
    stages: Stages | None = None,
) -> TrainingResult:
    """Trains a model, or resumes where an earlier call with the same arguments stopped.

    All randomness derives from the seed, the attempt and the epoch, also that of layers such as dropout; an
    interrupted run ends with the same weights to the bit on the CPU (with the same number of threads).

    Args:
        build: Makes the untrained model; called under seeded generators.
        transitions: The training data, on the device to train on.
        config: The settings.
        seed: The seed of the run.
        folder: Where ``checkpoint.pt`` and ``metrics.jsonl`` are kept.
        identity: What the run is; a checkpoint with another identity is refused.
        progress: Shows how it goes.
        tracking: The trackers that losses go to as well.
        compiled: Whether the loss and its gradient are compiled (torch.compile). The weights are then equal
            up to rounding; a run may go on either way. None: `choose_execution` decides.
        graph: Whether whole steps are one CUDA graph, with weights equal up to rounding. None: likewise.
            Without a GPU the same step is executed as it comes.
        stages: Is told which step and stage is under way, such as a `StepProfiler`.

    Raises:
        CheckpointError: If a checkpoint cannot be read or written, or is of another run.
        CompileError: If the loss of this model cannot be compiled, or nothing can on this machine; or if a
            graph is asked for, and its step cannot be one.
        ConfigError: If there are fewer than two transitions, the model lacks objects that act or a part that
            is to have a learning rate of its own, or episodes are too short for negatives of their own.
        DatasetError: If the data is streamed, and a file of it is gone or damaged.
        DeviceError: If the device cannot compute in this precision.
        ExtensionError: If the model gives tensors of other shapes or types than it should, or its transition
            changes latents in place.
        NonFiniteError: If the loss is no longer a number.
    """
    if len(transitions) < 2:
        raise ConfigError(
            "training needs at least two transitions; a negative is another sample of the batch"
        )
    if config.has_same_episode_negatives and transitions.steps < 2:
        raise ConfigError(
            "training.negatives: episodes of one step have no frames but the two of their transition, so no"
            " negatives of the same episode; set same_episode to 0"
        )
    keep_compiled_code()
    run = _ModelTraining(
        build,
        transitions,
        config,
        seed=seed,
        folder=folder,
        identity=identity,
        progress=progress,
        compiled=compiled,
        graph=graph,
        stages=stages or Stages(),
    )
    with float32_products(transitions.device, config.precision), compile_errors():
        run.run(tracking)
    return TrainingResult(
        run.network.eval(), run.epoch, run.attempt, run.collapsed, run.samples_seen, run.seconds
    )


class _ModelTraining(EpochTraining[WorldModel]):
    """The training of a world model, which is watched for collapse.

    The loss is the contrastive one, unless the model has one of its own.
    """

    terms = LOSS_TERMS
    unit = "transitions"
    remedy = OTHER_RUN
    divergence_remedy = 'lower it or use precision = "float32"'

    def __init__(
        self,
        build: Callable[[], WorldModel],
        transitions: TrainingData,
        config: TrainingConfig,
        *,
        seed: int,
        folder: Path,
        identity: dict[str, str],
        progress: Progress,
        compiled: bool | None,
        graph: bool | None,
        stages: Stages,
    ) -> None:
        self._transitions = transitions
        self._asked = {"compiled": compiled, "graph": graph}
        self._execution: Execution | None = None
        self._steps: Steps | None = None
        self._was_compiled = False
        super().__init__(
            build,
            len(transitions),
            config,
            seed=seed,
            device=transitions.device,
            folder=folder,
            identity=identity,
            progress=progress,
            stages=stages,
        )
        check_suitability(self.network, config)

    @property
    def collapsed(self) -> bool:
        return self._detector.collapsed

    def begin(self, attempt: int) -> None:
        super().begin(attempt)
        self._detector = CollapseDetector(self._config.hinge)
        if self._steps is not None:
            self._was_compiled = self._compiled
            self._execution = self._steps.execution  # with what turned out to be impossible
            self._steps = None

    def restore(self, checkpoint: Checkpoint) -> None:
        super().restore(checkpoint)
        self._detector = CollapseDetector(
            self._config.hinge, streak=checkpoint.streak, collapsed=checkpoint.collapsed
        )
        self._was_compiled = checkpoint.compiled

    def checkpoint(self) -> Checkpoint:
        return replace(
            super().checkpoint(),
            streak=self._detector.streak,
            collapsed=self._detector.collapsed,
            compiled=self._compiled,
        )

    @property
    def _compiled(self) -> bool:
        """Whether any of the training was compiled, also in earlier attempts and other processes."""
        return self._was_compiled or (self._steps is not None and self._steps.execution.compiled)

    def train_epoch(self, log: MetricsLog) -> None:
        """Trains one epoch and saves a checkpoint; or, after a collapse, does what the settings say."""
        self._detector.hinge = self._config.resting_loss_in(self.epoch + 1)
        try:
            super().train_epoch(log)
        except _Collapsed:
            if self._config.on_collapse == "stop":
                self.stopped = True
                self._progress.message("stopped, as --on-collapse stop says")
            else:
                self.begin(self.attempt + 1)
                self._progress.message(
                    f"restart {self.attempt} of at most {MAX_RESTARTS}, with a derived seed"
                )
            self.save(log)

    def order(self, generator: torch.Generator, following: torch.Generator | None) -> Tensor:
        order = self._transitions.order(generator, following=following)
        if self._negatives.same_episode:
            steps = other_steps(len(order), self._transitions.steps, self.negatives_generator)
            self._later = steps.to(order.device)
        return order

    @property
    def _negatives(self) -> NegativeSampling:
        """What the negatives are in the epoch that is next or under way."""
        return self._config.negatives_in(self.epoch + 1)

    def measure(self, index: Tensor, permutation: Tensor) -> LossTerms:
        steps, negatives = self._taken, self._negatives
        return steps.measure(
            index, permutation, self._later_of(index), negatives, whole=len(index) == self._whole
        )

    def advance(self, index: Tensor, permutation: Tensor) -> Tensor:
        if len(index) == self._whole:
            terms = self._taken.replayed(index, permutation, self._later_of(index), self._negatives)
            if terms is not None:
                return terms
        return super().advance(index, permutation)

    @property
    def _whole(self) -> int:
        """The size of all batches of an epoch but the last one, for which nothing is compiled or captured."""
        return min(self.batch_size, len(self._transitions))

    def _later_of(self, index: Tensor) -> Tensor | None:
        """When the negatives of the same episode were observed, of the first transitions of a batch."""
        if not self._negatives.same_episode:
            return None
        return self._later[index[: self._negatives.count_in(len(index))]]

    @property
    def _taken(self) -> Steps:
        """What takes the steps of this attempt."""
        if self._steps is None:
            if self._execution is None:
                self._execution = self._chosen()
            self._steps = Steps(
                self.network,
                self.optimizer,
                self._transitions,
                self._config,
                self._execution,
                progress=self._progress,
                stages=self._stages,
            )
        return self._steps

    def _chosen(self) -> Execution:
        """How the steps that are left are executed; says so where that was not asked for."""
        epochs = range(self.epoch + 1, self._config.epochs + 1)
        execution = choose_execution(
            self._device,
            steps=sum(len(self._transitions) // self._config.batch_size_in(epoch) for epoch in epochs),
            held=isinstance(self._transitions, Transitions),
            **self._asked,
        )
        if execution.notice is not None:
            self._progress.message(execution.notice)
        return execution

    def watch(self, row: list[float], log: MetricsLog) -> None:
        super().watch(row, log)
        total, _, _, separation = row
        change = self._detector.update(total, separation)
        if change is not None:
            self._announce(change, log)

    def _announce(self, change: str, log: MetricsLog) -> None:
        """Reports and logs a collapse or a recovery; leaves the epoch if the settings say not to go on."""
        log.add(event=change, attempt=self.attempt, epoch=self.epoch + 1, step=self.step)
        if change == "recovered":
            self._progress.message(f"recovered from the collapse at step {self.step}")
            return
        # The loss of a generative model is far above the margin, so that the separation decides alone.
        rests = (
            ""
            if isinstance(self.network, GenerativeModel)
            else f" and the loss rests at the margin {self._detector.hinge:g}"
        )
        self._progress.message(
            f"COLLAPSED at step {self.step} (epoch {self.epoch + 1}): all latents are equal{rests}"
        )
        action = self._config.on_collapse
        if action == "stop" or (action == "restart" and self.attempt < MAX_RESTARTS):
            raise _Collapsed

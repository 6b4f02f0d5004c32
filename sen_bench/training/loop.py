"""Training one model with one seed, from wherever it stands to the last epoch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from sen_bench.baselines.model import WorldModel
from sen_bench.config import TrainingConfig
from sen_bench.data import Transitions
from sen_bench.errors import ConfigError, NonFiniteError
from sen_bench.training.checkpoint import Checkpoint
from sen_bench.training.collapse import CollapseDetector
from sen_bench.training.log import MetricsLog
from sen_bench.training.loss import contrastive_loss

#: How often training is restarted at most under ``on_collapse = "restart"``.
MAX_RESTARTS = 5
#: Losses are fetched from the device once in so many steps, because fetching waits for it.
FETCH_EVERY = 10

_INIT, _ORDER = 0, 1
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Status:
    """Where training stands, for a progress display.

    Attributes:
        epoch: The epoch under way, from 1.
        epochs: How many there will be.
        step: Steps done in this epoch.
        steps: Steps in an epoch.
        loss: Mean loss of the last few steps.
        speed: Transitions a second since this process started training.
        seconds_left: Until the last epoch ends, at this speed.
        collapsed: Whether all latents are equal.
        restarts: How often training was restarted after a collapse.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    speed: float
    seconds_left: float
    collapsed: bool
    restarts: int


class Reporter(Protocol):
    """Who is told how training goes."""

    def progress(self, status: Status) -> None:
        """Called every few steps."""

    def message(self, text: str) -> None:
        """Called with a line that a person should read, such as that the model has collapsed."""


@dataclass(frozen=True)
class TrainingResult:
    """A trained model and what it took.

    Attributes:
        model: The model after the last epoch, in evaluation mode.
        epochs: Epochs finished in the last attempt.
        restarts: How often training was restarted after a collapse.
        collapsed: Whether the detector held the model for collapsed at the end.
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
    transitions: Transitions,
    config: TrainingConfig,
    *,
    seed: int,
    folder: Path,
    identity: dict[str, str],
    reporter: Reporter,
    tensorboard: bool = False,
) -> TrainingResult:
    """Trains a model, or goes on where an earlier call with the same arguments stopped.

    All randomness derives from the seed, the attempt and the epoch; a run that was interrupted ends with the
    same weights to the bit on the CPU (with the same number of threads).

    Args:
        build: Makes the untrained model; called under a seeded generator.
        transitions: The training data, on the device to train on.
        config: The settings.
        seed: The seed of the run.
        folder: Where ``checkpoint.pt`` and ``metrics.jsonl`` are kept.
        identity: What the run is; a checkpoint with another identity is refused.
        reporter: Is told how it goes.
        tensorboard: Whether to write TensorBoard events to ``folder/tensorboard`` too.

    Raises:
        CheckpointError: If a checkpoint cannot be read or written, or is of another run.
        ConfigError: If there are fewer than two transitions, or TensorBoard is missing.
        NonFiniteError: If the loss is no longer a number.
    """
    if len(transitions) < 2:
        raise ConfigError(
            "training needs at least two transitions; a negative is another sample of the batch"
        )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "checkpoint.pt"
    run = _Run(build, transitions, config, seed=seed, path=path, identity=identity, reporter=reporter)
    if path.exists():
        run.restore(Checkpoint.load(path, transitions.device))
    if not run.finished:
        keep = (run.attempt, run.epoch + 1)
        board = folder / "tensorboard" if tensorboard else None
        with MetricsLog(folder / "metrics.jsonl", keep=keep, tensorboard=board) as log:
            while not run.finished:
                run.train_epoch(log)
    return TrainingResult(
        run.model.eval(), run.epoch, run.attempt, run.detector.collapsed, run.transitions_seen, run.seconds
    )


class _Run:
    """The mutable state of a training run."""

    def __init__(
        self,
        build: Callable[[], WorldModel],
        transitions: Transitions,
        config: TrainingConfig,
        *,
        seed: int,
        path: Path,
        identity: dict[str, str],
        reporter: Reporter,
    ) -> None:
        self._build = build
        self._transitions = transitions
        self._config = config
        self._seed = seed
        self._path = path
        self._identity = identity
        self._reporter = reporter
        self._session = (time.perf_counter(), 0)  # when this process began, and transitions since
        self.transitions_seen = 0
        self.seconds = 0.0
        self._begin(attempt=0)

    def _begin(self, attempt: int) -> None:
        """Makes an untrained model for an attempt."""
        self.attempt = attempt
        self.epoch = 0
        self.step = 0
        self.stopped = False
        self.detector = CollapseDetector(self._config.hinge)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_derive(self._seed, attempt, _INIT))
            model = self._build()
        self.model = model.to(self._transitions.device)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=self._config.learning_rate, fused=True)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Goes back to a checkpoint."""
        checkpoint.check_identity(self._identity, self._path)
        self._begin(checkpoint.attempt)
        self.model.load_state_dict(checkpoint.model)
        self.optimizer.load_state_dict(checkpoint.optimizer)
        self.epoch, self.step, self.stopped = checkpoint.epoch, checkpoint.step, checkpoint.stopped
        self.transitions_seen, self.seconds = checkpoint.transitions_seen, checkpoint.seconds
        self.detector.streak, self.detector.collapsed = checkpoint.streak, checkpoint.collapsed

    def _save(self) -> None:
        Checkpoint(
            identity=self._identity,
            epoch=self.epoch,
            attempt=self.attempt,
            step=self.step,
            transitions_seen=self.transitions_seen,
            seconds=self.seconds,
            streak=self.detector.streak,
            collapsed=self.detector.collapsed,
            stopped=self.stopped,
            model=self.model.state_dict(),
            optimizer=self.optimizer.state_dict(),
        ).save(self._path)

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to train."""
        return self.stopped or self.epoch >= self._config.epochs

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The epoch's batches: indices, and the permutation of the negatives; none of a single sample."""
        generator = torch.Generator().manual_seed(_derive(self._seed, self.attempt, _ORDER, self.epoch))
        order = torch.randperm(len(self._transitions), generator=generator)
        for index in torch.split(order, self._config.batch_size):
            if len(index) > 1:
                permutation = torch.randperm(len(index), generator=generator)
                device = self._transitions.device
                yield index.to(device, non_blocking=True), permutation.to(device, non_blocking=True)

    def train_epoch(self, log: MetricsLog) -> None:
        """Trains one epoch and saves a checkpoint; or, after a collapse, does what the settings say."""
        started = time.perf_counter()
        steps = math.ceil(len(self._transitions) / self._config.batch_size)
        self.model.train()
        waiting: list[Tensor] = []
        losses: list[float] = []
        try:
            for done, (index, permutation) in enumerate(self._batches(), start=1):
                self._set_learning_rate((self.epoch + (done - 1) / steps) / self._config.epochs)
                waiting.append(self._train_step(index, permutation))
                if len(waiting) == FETCH_EVERY or done == steps:
                    losses += self._take_in(waiting, log)
                    waiting.clear()
                    self._reporter.progress(self._status(done, steps, losses[-FETCH_EVERY:]))
            if waiting:  # the last batch of the epoch was left out
                losses += self._take_in(waiting, log)
        except _Collapsed:
            self.seconds += time.perf_counter() - started
            if self._config.on_collapse == "stop":
                self.stopped = True
                self._reporter.message("stopped, as --on-collapse stop says")
            else:
                self._begin(self.attempt + 1)
                self._reporter.message(
                    f"restart {self.attempt} of at most {MAX_RESTARTS}, with a derived seed"
                )
            self._save()
            return
        self.epoch += 1
        seconds = time.perf_counter() - started
        self.seconds += seconds
        log.add(
            event="epoch",
            attempt=self.attempt,
            epoch=self.epoch,
            step=self.step,
            mean_loss=sum(losses) / len(losses),
            seconds=seconds,
            collapsed=self.detector.collapsed,
        )
        self._save()

    def _set_learning_rate(self, progress: float) -> None:
        """Sets the learning rate for a step, by the share of all steps that lie before it."""
        if self._config.schedule == "cosine":
            for group in self.optimizer.param_groups:
                group["lr"] = self._config.learning_rate * (1 + math.cos(math.pi * progress)) / 2

    def _train_step(self, index: Tensor, permutation: Tensor) -> Tensor:
        """One optimiser step; the loss, its terms and the separation, ``[4]``, still on the device."""
        batch = self._transitions.batch(index)
        dtype = _DTYPES[self._config.precision]
        terms = contrastive_loss(self.model, batch, permutation, hinge=self._config.hinge, dtype=dtype)
        self.optimizer.zero_grad(set_to_none=True)
        terms.total.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.transitions_seen += len(index)
        self._session = (self._session[0], self._session[1] + len(index))
        return torch.stack(terms).detach()

    def _take_in(self, waiting: list[Tensor], log: MetricsLog) -> list[float]:
        """Fetches the terms of the last steps, watches for collapse and logs their means; the losses."""
        rows = torch.stack(waiting).tolist()
        for total, _, _, separation in rows:
            self.step += 1
            if not math.isfinite(total):
                raise NonFiniteError(
                    f"the loss is {total} at step {self.step} (epoch {self.epoch + 1});"
                    f' lower the learning rate ({self._config.learning_rate}) or use precision = "float32"'
                )
            change = self.detector.update(total, separation)
            if change is not None:
                self._announce(change, log)
        means = np.mean(rows, axis=0).tolist()
        names = ("loss", "positive", "negative", "separation")
        where = {"attempt": self.attempt, "epoch": self.epoch + 1, "step": self.step}
        log.add(event="steps", **where, **dict(zip(names, means, strict=True)))
        return [row[0] for row in rows]

    def _announce(self, change: str, log: MetricsLog) -> None:
        """Says and logs a collapse or a recovery; leaves the epoch where the settings say not to go on."""
        log.add(event=change, attempt=self.attempt, epoch=self.epoch + 1, step=self.step)
        if change == "recovered":
            self._reporter.message(f"recovered from the collapse at step {self.step}")
            return
        self._reporter.message(
            f"COLLAPSED at step {self.step} (epoch {self.epoch + 1}): all latents are equal"
            f" and the loss rests at the margin {self._config.hinge:g}"
        )
        action = self._config.on_collapse
        if action == "stop" or (action == "restart" and self.attempt < MAX_RESTARTS):
            raise _Collapsed

    def _status(self, done: int, steps: int, losses: list[float]) -> Status:
        began, seen = self._session
        speed = seen / max(time.perf_counter() - began, 1e-9)
        left = (self._config.epochs - self.epoch) * len(self._transitions) - done * self._config.batch_size
        return Status(
            epoch=self.epoch + 1,
            epochs=self._config.epochs,
            step=done,
            steps=steps,
            loss=sum(losses) / len(losses),
            speed=speed,
            seconds_left=max(left, 0) / speed,
            collapsed=self.detector.collapsed,
            restarts=self.attempt,
        )


def _derive(seed: int, *purpose: int) -> int:
    """A seed for one purpose: independent of those for other purposes, equal on every machine."""
    return int(
        np.random.SeedSequence(seed, spawn_key=purpose).generate_state(1, np.uint64)[0] >> np.uint64(1)
    )

"""Training of any network, epoch by epoch: seeding, batches, log, progress, checkpoints."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from sen_bench.config import TrainingConfig
from sen_bench.errors import NonFiniteError
from sen_bench.system import Progress, Status, seeded
from sen_bench.trackers import Tracking
from sen_bench.training.checkpoint import CHECKPOINT_FILE, Checkpoint
from sen_bench.training.log import METRICS_FILE, MetricsLog, read_metrics, writing
from sen_bench.training.pending_terms import PendingTerms
from sen_bench.training.profile import Stages
from sen_bench.training.rates import parameter_groups, set_learning_rates

#: Losses are fetched from the device once every so many steps, because fetching waits for it.
FETCH_EVERY = 10
#: The share of a training that may go into its checkpoints on a GPU, where saving one can outlast an epoch.
SAVING_SHARE = 0.1

_INIT, _ORDER, _MODEL, _NEGATIVES = 0, 1, 2, 3

NetworkT = TypeVar("NetworkT", bound=nn.Module)


class EpochTraining(ABC, Generic[NetworkT]):
    """The mutable state of a training; a subclass says what the loss is, and may watch for more.

    All randomness derives from the seed, the attempt and the epoch: also what a network draws from PyTorch's,
    NumPy's and Python's global generators, which the caller gets back as they were. An interrupted training
    ends with the same weights to the bit on the CPU (with the same number of threads).

    Args:
        build: Makes the untrained network; called under seeded generators.
        samples: How many samples there are.
        config: How long and how fast: epochs, batches, learning rate and its schedule.
        seed: The seed.
        device: Where it is trained.
        folder: Where ``checkpoint.pt`` and ``metrics.jsonl`` are kept.
        identity: What is trained; a checkpoint with another identity is refused.
        progress: Shows how it goes.
        stages: Is told which step and stage is running.
    """

    terms: ClassVar[tuple[str, ...]]
    """The names of what :meth:`measure` returns, the loss first."""
    unit: ClassVar[str]
    """What the samples are, in the plural."""
    remedy: ClassVar[str]
    """What to do about a checkpoint of something else."""
    divergence_remedy: ClassVar[str]
    """What to do when the loss is no longer a number."""

    def __init__(
        self,
        build: Callable[[], NetworkT],
        samples: int,
        config: TrainingConfig,
        *,
        seed: int,
        device: torch.device,
        folder: Path,
        identity: dict[str, str],
        progress: Progress,
        stages: Stages | None = None,
    ) -> None:
        self._build = build
        self._samples = samples
        self._config = config
        self._seed = seed
        self._device = device
        self._folder = folder
        self._path = folder / CHECKPOINT_FILE
        self._identity = identity
        self._progress = progress
        self._stages = stages or Stages()
        self._session = (time.perf_counter(), 0)  # when this process began, and the samples since then
        self._saved = (time.perf_counter(), 0.0)  # when the last checkpoint was saved, and how long that took
        self.samples_seen = 0
        self.seconds = 0.0
        self.begin(attempt=0)

    @abstractmethod
    def measure(self, index: Tensor, permutation: Tensor) -> tuple[Tensor, ...]:
        """The loss of a batch, with its gradient, and what else is logged: a scalar for each of `terms`.

        Args:
            index: int64 ``[B]``, which samples; where :meth:`order` has it.
            permutation: int64 ``[B]`` on the device, a random permutation of the batch.
        """

    def advance(self, index: Tensor, permutation: Tensor) -> Tensor:
        """One optimiser step, at the learning rates that the optimiser has.

        Args:
            index: As for :meth:`measure`.
            permutation: Likewise.

        Returns:
            What :meth:`measure` gives, ``[len(terms)]``, still on the device.
        """
        measured = self.measure(index, permutation)
        with self._stages.stage("backward"):
            self.optimizer.zero_grad(set_to_none=True)
            measured[0].backward()  # type: ignore[no-untyped-call]
        with self._stages.stage("optimiser"):
            self.optimizer.step()
        return torch.stack(measured).detach()

    def order(self, generator: torch.Generator, following: torch.Generator | None) -> Tensor:  # noqa: ARG002
        """The order of the samples in an epoch, int64 ``[N]``, on the device unless it is wanted elsewhere.

        Args:
            generator: What it is drawn from.
            following: What the order of the next epoch will be drawn from, for those who prepare it; None if
                this is the last one.
        """
        return torch.randperm(self._samples, generator=generator).to(self._device)

    @property
    def collapsed(self) -> bool:
        """Whether all latents are equal, if latents are what is learned."""
        return False

    def begin(self, attempt: int) -> None:
        """Makes an untrained network for an attempt."""
        self.attempt = attempt
        self.epoch = 0
        self.step = 0
        self.stopped = False
        self.network = build_seeded(self._build, self._device, seed=self._seed, attempt=attempt)
        groups = parameter_groups(self.network, self._config.parts_with_rates)
        self.optimizer = torch.optim.Adam(groups, lr=self._config.learning_rate, fused=True)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Goes back to a checkpoint.

        Raises:
            CheckpointError: If it belongs to something else.
        """
        checkpoint.check_identity(self._identity, self._path, remedy=self.remedy)
        self.begin(checkpoint.attempt)
        checkpoint.put_into(self.network, self._path, self.optimizer)
        self.epoch, self.step, self.stopped = checkpoint.epoch, checkpoint.step, checkpoint.stopped
        self.samples_seen, self.seconds = checkpoint.samples_seen, checkpoint.seconds

    def checkpoint(self) -> Checkpoint:
        """What the next epoch starts from."""
        return Checkpoint(
            identity=self._identity,
            epoch=self.epoch,
            attempt=self.attempt,
            step=self.step,
            samples_seen=self.samples_seen,
            seconds=self.seconds,
            stopped=self.stopped,
            model=self.network.state_dict(),
            optimizer=self.optimizer.state_dict(),
        )

    @property
    def batch_size(self) -> int:
        """Samples in a batch of the epoch that is next or under way; the last one may be smaller."""
        return self._config.batch_size_in(self.epoch + 1)

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to train."""
        return self.stopped or self.epoch >= self._config.epochs

    def run(self, tracking: Tracking | None = None) -> None:
        """Trains from the last checkpoint, if there is one, to the last epoch.

        Raises:
            CheckpointError: If a checkpoint cannot be read or written, or belongs to something else.
            NonFiniteError: If the loss is no longer a number.
        """
        with writing(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
        there = Checkpoint.load(self._path, self._device) if self._path.exists() else None
        if there is not None:
            self.restore(there)
        # What is wrong with the log is found before training.
        read_metrics(self._folder / METRICS_FILE, self.terms, until=there)
        if not self.finished:
            keep = (self.attempt, self.epoch + 1)
            with (
                MetricsLog(
                    self._folder / METRICS_FILE, keep=keep, tracking=tracking, progress=self._progress
                ) as log,
                closing(self._stages),
            ):
                while not self.finished:
                    self.train_epoch(log)

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The epoch's batches: indices, and a permutation for negatives; none of a single sample."""
        generator = self._order_generator(self.epoch)
        last = self.epoch + 1 >= self._config.epochs
        order = self.order(generator, None if last else self._order_generator(self.epoch + 1))
        batches = [index for index in torch.split(order, self.batch_size) if len(index) > 1]
        permutations = [torch.randperm(len(index), generator=generator) for index in batches]
        # Moved at once: a copy from the CPU's memory waits until a GPU has finished everything queued before.
        moved = torch.split(torch.cat(permutations).to(self._device), self.batch_size)
        yield from zip(batches, moved, strict=True)

    def _order_generator(self, epoch: int) -> torch.Generator:
        """What the order of an epoch of this attempt is drawn from, and then its permutations."""
        return torch.Generator().manual_seed(_derive(self._seed, self.attempt, _ORDER, epoch))

    @property
    def negatives_generator(self) -> torch.Generator:
        """What is drawn from for the negatives of the epoch that is next or under way."""
        return torch.Generator().manual_seed(_derive(self._seed, self.attempt, _NEGATIVES, self.epoch))

    def train_epoch(self, log: MetricsLog) -> None:
        """Trains one epoch and saves a checkpoint."""
        started = time.perf_counter()
        # Seeded for each epoch, so that one that is trained by another process draws what this one would.
        purpose = _derive(self._seed, self.attempt, _MODEL, self.epoch)
        try:
            with seeded(purpose, self._device):
                losses = self._train_batches(log)
        finally:
            seconds = time.perf_counter() - started
            self.seconds += seconds
        self.epoch += 1
        log.add(
            event="epoch",
            attempt=self.attempt,
            epoch=self.epoch,
            step=self.step,
            mean_loss=sum(losses) / len(losses),
            seconds=seconds,
            collapsed=self.collapsed,
        )
        if self._saving_is_due:
            self.save(log)

    def save(self, log: MetricsLog) -> None:
        """Saves a checkpoint, and the log up to it."""
        began = time.perf_counter()
        log.sync()
        self.checkpoint().save(self._path)
        ended = time.perf_counter()
        self._saved = ended, ended - began

    @property
    def _saving_is_due(self) -> bool:
        """Whether an epoch that has ended is saved: on a GPU, only as often as `SAVING_SHARE` allows."""
        when, took = self._saved
        return self.finished or not self._on_gpu or SAVING_SHARE * (time.perf_counter() - when) >= took

    @property
    def _on_gpu(self) -> bool:
        """Whether work is queued for a device that must not wait for what is done here meanwhile."""
        return self._device.type == "cuda"

    def _train_batches(self, log: MetricsLog) -> list[float]:
        """The steps of one epoch; their losses."""
        steps = math.ceil(self._samples / self.batch_size)
        self.network.train()
        waiting: list[tuple[Tensor, int]] = []
        coming: deque[PendingTerms] = deque()
        # Looking at some losses while the next steps are under way; not where a collapse ends the epoch.
        ahead = 1 if self._on_gpu and self._config.on_collapse == "continue" else 0
        losses: list[float] = []
        batches = self._batches()
        for done in range(1, steps + 1):
            with self._stages.step():
                with self._stages.stage("data"):
                    batch = next(batches, None)
                if batch is not None:  # a last batch of one sample is left out
                    share = (self.epoch + (done - 1) / steps) / self._config.epochs
                    set_learning_rates(self.optimizer, self._config, epoch=self.epoch + 1, share=share)
                    waiting.append((self.advance(*batch), len(batch[0])))
                    self.samples_seen += len(batch[0])
                    self._session = (self._session[0], self._session[1] + len(batch[0]))
                if len(waiting) == FETCH_EVERY or (waiting and done == steps):
                    coming.append(PendingTerms(waiting, done, self.samples_seen))
                    waiting.clear()
                while len(coming) > (ahead if done < steps else 0):
                    measured = coming.popleft()
                    losses += self._take_in(measured, log)
                    self._progress.status(self._status(measured.done, steps, losses[-FETCH_EVERY:]))
        return losses

    def _take_in(self, measured: PendingTerms, log: MetricsLog) -> list[float]:
        """Watches the terms of some steps and logs their means.

        Means are over samples: the last batch of an epoch may be a small one, which must not count as much as
        a whole one.

        Returns:
            The loss of each step.
        """
        rows = measured.rows()
        for row in rows:
            self.step += 1
            self.watch(row, log)
        # Of equal batches this is the plain mean, to the bit.
        means = np.average(rows, axis=0, weights=measured.sizes / measured.sizes.max()).tolist()
        where = {"attempt": self.attempt, "epoch": self.epoch + 1, "step": self.step}
        terms = dict(zip(self.terms, means, strict=True))
        log.add(event="steps", **where, samples=measured.samples, **terms)
        return [row[0] for row in rows]

    def watch(self, row: list[float], log: MetricsLog) -> None:  # noqa: ARG002 — for those who watch for more
        """Takes in the terms of one step.

        Raises:
            NonFiniteError: If the loss is no longer a number.
        """
        if not math.isfinite(row[0]):
            raise NonFiniteError(
                f"the loss is {row[0]} at step {self.step} (epoch {self.epoch + 1}) with the learning rate"
                f" {self._config.learning_rate}; {self.divergence_remedy}"
            )

    def _status(self, done: int, steps: int, losses: list[float]) -> Status:
        began, seen = self._session
        speed = seen / max(time.perf_counter() - began, 1e-9)
        left = (self._config.epochs - self.epoch) * self._samples - done * self.batch_size
        return Status(
            epoch=self.epoch + 1,
            epochs=self._config.epochs,
            step=done,
            steps=steps,
            loss=sum(losses) / len(losses),
            unit=self.unit,
            speed=speed,
            seconds_left=max(left, 0) / speed,
            collapsed=self.collapsed,
            restarts=self.attempt,
        )


def build_seeded(build: Callable[[], NetworkT], device: torch.device, *, seed: int, attempt: int) -> NetworkT:
    """Makes the network that a training begins with.

    Args:
        build: Makes it, drawing from the global random generators.
        device: Where it is wanted.
        seed: The seed of the training.
        attempt: How often it was restarted after a collapse.
    """
    with seeded(_derive(seed, attempt, _INIT), device):
        return build().to(device)


def _derive(seed: int, *purpose: int) -> int:
    """A seed for one purpose: independent of those for other purposes, equal on every machine."""
    return int(
        np.random.SeedSequence(seed, spawn_key=purpose).generate_state(1, np.uint64)[0] >> np.uint64(1)
    )

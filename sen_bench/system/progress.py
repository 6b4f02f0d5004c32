"""How long work tells people how far it is: one protocol for everything that may take long."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable


@dataclass(frozen=True)
class Status:
    """How far a training is.

    Attributes:
        epoch: The current epoch, from 1.
        epochs: How many there will be.
        step: Steps done in this epoch.
        steps: Steps in an epoch.
        loss: Mean loss of the last few steps.
        unit: What is trained on, in the plural: "transitions".
        speed: How many of those per second since this process started training.
        seconds_left: Until the last epoch ends, at this speed.
        collapsed: Whether all latents are equal.
        restarts: How often training was restarted after a collapse.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    unit: str
    speed: float
    seconds_left: float
    collapsed: bool
    restarts: int

    @property
    def done(self) -> int:
        """Steps done in all epochs of this attempt."""
        return (self.epoch - 1) * self.steps + self.step

    @property
    def total(self) -> int:
        """Steps in all epochs."""
        return self.epochs * self.steps

    def __str__(self) -> str:
        text = (
            f"epoch {self.epoch}/{self.epochs}  step {self.step}/{self.steps}  loss {self.loss:.4f}"
            f"  {self.speed:.0f} {self.unit}/s  {duration(self.seconds_left)} left"
        )
        if self.restarts:
            text += f"  restart {self.restarts}"
        if self.collapsed:
            text += "  COLLAPSED: all latents equal"
        return text


@dataclass(frozen=True)
class WorkStatus:
    """How far a counted piece of work is.

    Attributes:
        title: What it is.
        done: How much is done.
        total: How much there is.
        unit: What is counted, in the plural.
    """

    title: str
    done: int
    total: int
    unit: str

    def __str__(self) -> str:
        return f"{self.title}: {self.done}/{self.total} {self.unit}"


#: Called with how much of a piece of work is done, and how much there is.
Advance = Callable[[int, int], None]


@runtime_checkable
class Progress(Protocol):
    """What shows how long work goes: a `Terminal`, a log, nothing (`QUIET`), or something of your own."""

    def message(self, text: str) -> None:
        """Takes a line that a person should read, such as that a model has collapsed."""

    def work(self, title: str, unit: str) -> AbstractContextManager[Advance]:
        """Shows a counted piece of work while it runs; there may be another within it.

        Args:
            title: What it is: "evaluate sen".
            unit: What is counted, in the plural: "episodes".

        Returns:
            A context manager. Its value is called with how much is done and how much there is, from whatever
            thread does the work.
        """

    def training(self, name: str) -> AbstractContextManager[None]:
        """Shows the training of a run while it runs; :meth:`status` is told how far it is."""

    def status(self, status: Status) -> None:
        """Is told how far the current training is; called every few steps."""


class SweepProgress(Progress, Protocol):
    """What also shows jobs that run at the same time, such as those of a sweep's worker processes."""

    def job(self, name: str) -> AbstractContextManager[Callable[[Status | WorkStatus], None]]:
        """Shows a job while it runs; the value is called with how far it is."""


class Quiet:
    """Shows nothing."""

    def message(self, text: str) -> None:
        """Keeps it to itself."""

    @contextmanager
    def work(self, title: str, unit: str) -> Iterator[Advance]:  # noqa: ARG002 — as the protocol has it
        """Shows nothing."""
        yield lambda _done, _total: None

    @contextmanager
    def training(self, name: str) -> Iterator[None]:  # noqa: ARG002
        """Shows nothing."""
        yield

    def status(self, status: Status) -> None:
        """Shows nothing."""

    @contextmanager
    def job(self, name: str) -> Iterator[Callable[[Status | WorkStatus], None]]:  # noqa: ARG002
        """Shows nothing."""
        yield lambda _state: None


#: What functions use if they are given no `Progress`.
QUIET: Final = Quiet()


def duration(seconds: float) -> str:
    """Seconds in words: ``42 s``, ``7 min``, ``3.2 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"

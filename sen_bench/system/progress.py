"""Who is told how long work goes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Status:
    """Where training stands, for a progress display.

    Attributes:
        epoch: The epoch under way, from 1.
        epochs: How many there will be.
        step: Steps done in this epoch.
        steps: Steps in an epoch.
        loss: Mean loss of the last few steps.
        unit: What is trained on, in the plural: "transitions".
        speed: Of those, how many a second since this process started training.
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


class Reporter(Protocol):
    """Who is told how training goes."""

    def progress(self, status: Status) -> None:
        """Called every few steps."""

    def message(self, text: str) -> None:
        """Called with a line that a person should read, such as that the model has collapsed."""


#: A callback that is told how much of a piece of work is done, and how much there is.
Advance = Callable[[int, int], None]


class Console(Reporter, Protocol):
    """Who is told how a run goes: a training reporter that knows what is being trained, and other work."""

    def training(self, name: str) -> AbstractContextManager[None]:
        """Shows the training of a run while it is under way."""

    def task(self, title: str, unit: str) -> AbstractContextManager[Advance]:
        """Shows a piece of work while it is under way."""

"""Somebody to tell progress to who remembers it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sen_bench.system import Advance, Status


class Recorder:
    """Remembers what it is told, and can interrupt as Ctrl-C would.

    Args:
        interrupt_after: At which status of a training to interrupt, from 1.
        advanced: Is called whenever a piece of work gets on, with how much is done and how much there is.

    Attributes:
        messages: The lines for people.
        statuses: Where trainings stood.
        counts: How much was done and how much there was, of all pieces of work.
        works: The same by title and unit: "evaluate episodes".
    """

    def __init__(
        self,
        interrupt_after: int | None = None,
        *,
        advanced: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> None:
        self.messages: list[str] = []
        self.statuses: list[Status] = []
        self.counts: list[tuple[int, int]] = []
        self.works: dict[str, list[tuple[int, int]]] = {}
        self._interrupt_after = interrupt_after
        self._advanced = advanced

    def message(self, text: str) -> None:
        self.messages.append(text)

    @contextmanager
    def work(self, title: str, unit: str) -> Iterator[Advance]:
        counts = self.works.setdefault(f"{title} {unit}", [])

        def advance(done: int, total: int) -> None:
            counts.append((done, total))
            self.counts.append((done, total))
            self._advanced(done, total)

        yield advance

    @contextmanager
    def training(self, name: str) -> Iterator[None]:
        del name
        yield

    def status(self, status: Status) -> None:
        self.statuses.append(status)
        if self._interrupt_after is not None and len(self.statuses) >= self._interrupt_after:
            raise KeyboardInterrupt

"""The log of a run: messages about it, and how it failed, in `run.log` in its folder."""

from __future__ import annotations

import datetime as dt
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from sen_bench.errors import CheckpointError, SenBenchError
from sen_bench.system import Advance, Progress, Status

LOG_FILE: Final = "run.log"
"""The file of the log, in the folder of a run."""


class RunLog:
    """Writes down what it is told and passes it on: messages, the ends of epochs, and errors.

    Lines are added to those of earlier attempts, each with date and time, UTC.

    Args:
        path: The file, in an existing folder.
        progress: Is told everything too.
    """

    def __init__(self, path: Path, progress: Progress) -> None:
        self._path = path
        self._progress = progress

    def __enter__(self) -> Self:
        """Opens the file.

        Raises:
            CheckpointError: If it cannot be written.
        """
        try:
            self._file = self._path.open("a", encoding="utf-8")
        except OSError as error:
            raise CheckpointError(f"cannot write {self._path}: {error.strerror or error}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(value, SenBenchError):
            self._write(f"error: {value}")
        elif isinstance(value, Exception):
            self._write("".join(traceback.format_exception(kind, value, trace)).rstrip())
        elif value is not None:
            self._write("interrupted")
        self._file.close()

    def _write(self, text: str) -> None:
        now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        self._file.write(f"{now} {text}\n")
        self._file.flush()

    def message(self, text: str) -> None:
        """A line that a person should read."""
        self._write(text)
        self._progress.message(text)

    def status(self, status: Status) -> None:
        """Where training stands."""
        if status.step == status.steps:
            self._write(
                f"epoch {status.epoch}/{status.epochs}: loss {status.loss:.4f},"
                f" {status.speed:.0f} {status.unit}/s"
            )
        self._progress.status(status)

    @contextmanager
    def training(self, name: str) -> Iterator[None]:
        """A training that is under way."""
        self._write(f"training {name}")
        with self._progress.training(name):
            yield

    @contextmanager
    def work(self, title: str, unit: str) -> Iterator[Advance]:
        """A piece of work that is under way."""
        self._write(title)
        with self._progress.work(title, unit) as advance:
            yield advance

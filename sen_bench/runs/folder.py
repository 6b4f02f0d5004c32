"""The folder of a run: who may train in it, and how the run is started afresh."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from sen_bench.errors import CheckpointError
from sen_bench.system import Progress, move_aside, sweep_drafts

# Seconds that a process which was just killed may take to let go of its run.
_RELEASE_SECONDS = 10


@dataclass(frozen=True)
class RunFolder:
    """Where a run keeps its checkpoint and logs.

    Attributes:
        path: The folder.
        name: What the run is called.
    """

    path: Path
    name: str

    def make(self) -> None:
        """Creates the folder if it is missing.

        Raises:
            CheckpointError: If it cannot be created.
        """
        with one_line(f"cannot make {self.path}"):
            self.path.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keeps other processes from training the same run; released by the system when this one dies.

        What a process that was killed left half written in the folder is removed.

        Raises:
            CheckpointError: If another process is training it, or the system refuses to write there.
        """
        lock = FileLock(self._beside("lock"), timeout=_RELEASE_SECONDS)
        try:
            with one_line(f"cannot make {self.path}"):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                lock.acquire()
                sweep_drafts(self.path)
        except Timeout:
            raise CheckpointError(f"another process is training {self.name}; wait until it is done") from None
        try:
            yield
        finally:
            lock.release()

    def begin_anew(self, progress: Progress) -> None:
        """Makes room for a fresh start: moves what is there aside, and says so.

        From then on the run counts as not done, whatever the tables say about it, until it is `recorded`.

        Raises:
            CheckpointError: If another process is training it, or the system refuses. Nothing is moved then.
        """
        with self.alone():
            with one_line(f"cannot move {self.path} aside"):
                # First, so that a kill in between does not lose the request.
                self._beside("anew").touch()
            self.move_aside(progress)

    def move_aside(self, progress: Progress) -> None:
        """Moves the folder aside, if there is one, and says so; the caller is `alone` in it.

        Raises:
            CheckpointError: If the system refuses.
        """
        with one_line(f"cannot move {self.path} aside"):
            aside = move_aside(self.path) if self.path.exists() else None
        if aside is not None:
            progress.message(f"moved {self.path} to {aside}")

    @property
    def begun_anew(self) -> bool:
        """Whether it was started afresh and is not `recorded` yet."""
        return self._beside("anew").exists()

    def recorded(self) -> None:
        """Notes that its rows are in the tables."""
        self._beside("anew").unlink(missing_ok=True)

    def _beside(self, what: str) -> Path:
        """A hidden file next to the folder, which stays when the folder is moved aside."""
        return self.path.with_name(f".{self.path.name}.{what}")


@contextmanager
def one_line(failure: str) -> Iterator[None]:
    """Turns what the system refuses into an error of one line, except a full disk, which commands report.

    Raises:
        CheckpointError: Instead of any other `OSError`.
    """
    try:
        yield
    except Timeout:  # an OSError, too
        raise
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise CheckpointError(f"{failure}: {error.strerror or error}") from error

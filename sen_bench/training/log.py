"""The metrics log of a run: one JSON object per line, also passed on to trackers if asked for.

The last entry of each line, ``check``, is the beginning of the SHA-256 of the file up to that entry. So a
line proves itself and all lines before it. It is written by appending alone, and a process may be killed at
any time.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sen_bench.errors import CheckpointError
from sen_bench.system import QUIET, Progress, write_atomically
from sen_bench.trackers import Tracking, TrackingSession
from sen_bench.training.checkpoint import Checkpoint
from sen_bench.training.log_lines import check_entry, read_lines

#: The name of the file, in the folder of a run or of a decoder.
METRICS_FILE = "metrics.jsonl"


class MetricsLog:
    """Appends measurements to a JSON-lines file, each line flushed as it is written.

    Args:
        path: The file.
        keep: Lines of an interrupted epoch are dropped when a run resumes: a line is kept while
            ``(attempt, epoch) < keep``; epochs count from 1, an event belongs to the epoch it happened in.
        tracking: The trackers that the measurements go to as well.
        progress: Is told when one of them fails.

    Raises:
        CheckpointError: If the existing file is not a metrics log, or cannot be written.
        MissingExtraError: If packages of a tracker are not installed.
        UnknownNameError: If there is no such tracker.
        ExtensionError: If the plugin with a tracker cannot be imported.
    """

    def __init__(
        self,
        path: Path,
        *,
        keep: tuple[int, int],
        tracking: Tracking | None = None,
        progress: Progress = QUIET,
    ) -> None:
        # To the byte, as what follows proves it.
        kept = list(
            takewhile(lambda line: (line.values["attempt"], line.values["epoch"]) < keep, read_lines(path))
        )
        text = b"".join(line.text for line in kept)
        with writing(path):
            write_atomically(path, lambda temporary: temporary.write_bytes(text))
            self._file = path.open("ab")
        self._digest = hashlib.sha256(text)
        self._trackers: TrackingSession | None = None
        if tracking is not None:
            last = max((line.values["step"] for line in kept), default=0)
            try:
                self._trackers = tracking.begin(last, progress)
            except BaseException:
                self._file.close()
                raise

    def add(self, **values: float | str | bool) -> None:
        """Writes one line; ``attempt``, ``epoch`` and ``step`` are among the values."""
        text = json.dumps(values).removesuffix("}").encode()
        self._digest.update(text)
        rest = check_entry(self._digest.hexdigest()) + b"\n"
        self._digest.update(rest)
        self._file.write(text + rest)
        self._file.flush()
        if self._trackers is not None:
            measured = {f"train/{name}": value for name, value in values.items() if isinstance(value, float)}
            self._trackers.log(measured, int(values["step"]))

    def sync(self) -> None:
        """Has what was added reach the disk, before a checkpoint says that the log reaches so far."""
        os.fsync(self._file.fileno())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sync()
        self._file.close()
        if self._trackers is not None:
            failed = isinstance(value, Exception)
            self._trackers.close("finished" if kind is None else "failed" if failed else "interrupted")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns what the system refuses into an error of one line, except a full disk, which commands report.

    Raises:
        CheckpointError: Instead of any other `OSError`.
    """
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise CheckpointError(f"cannot write {path}: {error.strerror or error}") from error


def read_metrics(
    path: Path, terms: Sequence[str] = (), *, until: Checkpoint | None = None
) -> tuple[list[dict[str, Any]], str]:
    """Reads a log, and says what of it cannot be proven.

    A last line that was cut off by a crash, and so does not end, is left out.

    Args:
        path: The file; there need be none.
        terms: What every line about steps must have, such as `LOSS_TERMS`: finite numbers of at least 0.
        until: The last checkpoint of the training that wrote the log; it has to reach as far.

    Returns:
        The lines, without their check values; and one line of text for a person, empty if all is proven.

    Raises:
        CheckpointError: It is not a metrics log, was changed, ends too early, or its steps do not follow each
            other.
    """
    lines = read_lines(path, terms)
    values = [line.values for line in lines]
    proven = bool(lines) and lines[-1].checked
    remarks: list[str] = []
    if not proven and lines:
        remarks.append(
            "has no check values, as earlier versions wrote none: a changed digit would not be noticed"
        )
    elif unchecked := sum(not line.checked for line in lines):
        remarks.append(f"has no check values in its first {unchecked} lines, from an earlier version")
    if lines and (values[0]["attempt"], values[0]["epoch"]) > (0, 1):
        remarks.append(f"begins in epoch {values[0]['epoch']}: what was measured before is lost")
    if until is not None and not _reaches(values, until):
        end = f"does not reach its checkpoint, of epoch {until.epoch}: its end is lost"
        if proven:
            raise CheckpointError(f"{path} {end}; move the file away")
        remarks.append(end if lines else "is missing or empty: there is no learning curve")
    return values, f"{path} {', and '.join(remarks)}" if remarks else ""


def _reaches(lines: Sequence[dict[str, Any]], checkpoint: Checkpoint) -> bool:
    """Whether a log has the line after which a checkpoint is saved."""
    if checkpoint.stopped:
        wanted = {"event": "collapsed", "attempt": checkpoint.attempt, "step": checkpoint.step}
    elif checkpoint.epoch:
        wanted = {
            "event": "epoch",
            "attempt": checkpoint.attempt,
            "epoch": checkpoint.epoch,
            "step": checkpoint.step,
        }
    else:  # begun again after a collapse
        wanted = {"event": "collapsed", "attempt": checkpoint.attempt - 1}
    return any(wanted.items() <= line.items() for line in lines)

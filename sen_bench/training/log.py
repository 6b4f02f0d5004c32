"""The metrics log of a run: one JSON object per line, and TensorBoard if asked for."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sen_bench.errors import CheckpointError, ConfigError
from sen_bench.system import write_atomically

#: The name of the file, in the folder of a run or of a decoder.
METRICS_FILE = "metrics.jsonl"

# What tables of curves can hold; a loss in float32 is smaller, and one that is not finite ends the training.
_LARGEST = 1e100
# Every line says where in the training it was written.
_PLACE = ("attempt", "epoch", "step")


class MetricsLog:
    """Appends measurements to a JSON-lines file, each line flushed as it is written.

    Args:
        path: The file.
        keep: Lines of an interrupted epoch are dropped when a run resumes: a line is kept while
            ``(attempt, epoch) < keep``; epochs count from 1, an event belongs to the epoch it happened in.
        tensorboard: A folder to write TensorBoard events to as well.

    Raises:
        CheckpointError: If the existing file is not a metrics log, or cannot be written.
        ConfigError: If TensorBoard is asked for and not installed.
    """

    def __init__(self, path: Path, *, keep: tuple[int, int], tensorboard: Path | None = None) -> None:
        kept = [line for line in read_metrics(path) if (line["attempt"], line["epoch"]) < keep]
        text = "".join(json.dumps(line) + "\n" for line in kept)
        with writing(path):
            write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
            self._file = path.open("a", encoding="utf-8")
        self._board: Any = None
        if tensorboard is not None:
            try:
                from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 — an optional extra
            except ImportError:
                raise ConfigError(
                    "--tensorboard needs the tensorboard package: pip install 'sen-bench[tensorboard]'"
                ) from None
            steps = [line["step"] for line in kept]
            self._board = SummaryWriter(str(tensorboard), purge_step=max(steps, default=0) + 1)

    def add(self, **values: float | str | bool) -> None:
        """Writes one line; ``attempt``, ``epoch`` and ``step`` are among the values."""
        self._file.write(json.dumps(values) + "\n")
        self._file.flush()
        if self._board is not None:
            for name, value in values.items():
                if isinstance(value, float):
                    self._board.add_scalar(f"train/{name}", value, values["step"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.fsync(self._file.fileno())
        self._file.close()
        if self._board is not None:
            self._board.close()


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


def read_metrics(path: Path, terms: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The whole lines of a log, none if there is no log; a last line cut off by a crash is left out.

    Args:
        path: The file.
        terms: What every line about steps must have, such as `LOSS_TERMS`: finite numbers of at least 0.

    Raises:
        CheckpointError: It is not a metrics log, or its steps do not follow each other.
    """
    if not path.exists():
        return []
    lines: list[dict[str, Any]] = []
    last = (0, 0)  # attempt and step of the last line about steps
    try:
        texts = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}; move it away") from error
    for number, text in enumerate(texts, start=1):
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            if number == len(texts):
                break
            line = None
        if not _is_line(line, terms):
            raise CheckpointError(f"{path}, line {number}, is not one of a metrics log; move the file away")
        if line["event"] == "steps":
            place = (line["attempt"], line["step"])
            if place <= last:
                raise CheckpointError(
                    f"{path}, line {number}, is of step {place[1]} in attempt {place[0]}, which does not come"
                    f" after step {last[1]} in attempt {last[0]}; move the file away"
                )
            last = place
        lines.append(line)
    return lines


def _is_line(line: object, terms: Sequence[str]) -> bool:
    """Whether something has what every line of a log has, and no number that no training gives."""
    if not isinstance(line, dict) or not all(type(line.get(name)) is int for name in _PLACE):
        return False
    numbers = [value for value in line.values() if type(value) in {int, float}]
    # Not `math.isfinite`, which integers of any length overflow.
    if not isinstance(line.get("event"), str) or not all(0 <= number <= _LARGEST for number in numbers):
        return False
    return line["event"] != "steps" or all(type(line.get(term)) in {int, float} for term in terms)

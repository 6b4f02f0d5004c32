"""The metrics log of a run: one JSON object per line, and TensorBoard if asked for."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sen_bench.errors import CheckpointError, ConfigError
from sen_bench.system import write_atomically

#: The name of the file, in the folder of a run or of a decoder.
METRICS_FILE = "metrics.jsonl"

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
        CheckpointError: If the existing file is not a metrics log.
        ConfigError: If TensorBoard is asked for and not installed.
    """

    def __init__(self, path: Path, *, keep: tuple[int, int], tensorboard: Path | None = None) -> None:
        kept = [line for line in read_metrics(path) if (line["attempt"], line["epoch"]) < keep]
        text = "".join(json.dumps(line) + "\n" for line in kept)
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


def read_metrics(path: Path, terms: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The whole lines of a log, none if there is no log; a last line cut off by a crash is left out.

    Args:
        path: The file.
        terms: What every line about steps must have, such as `LOSS_TERMS`.

    Raises:
        CheckpointError: It is not a metrics log.
    """
    if not path.exists():
        return []
    lines = []
    try:
        texts = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}; move it away") from error
    for number, text in enumerate(texts, start=1):
        try:
            line = json.loads(text)
        except json.JSONDecodeError:
            break
        if not _is_line(line, terms):
            raise CheckpointError(f"{path}, line {number}, is not one of a metrics log; move the file away")
        lines.append(line)
    return lines


def _is_line(line: object, terms: Sequence[str]) -> bool:
    """Whether something has what every line of a log has."""
    if not isinstance(line, dict) or not all(type(line.get(name)) is int for name in _PLACE):
        return False
    return line.get("event") != "steps" or all(type(line.get(term)) in {int, float} for term in terms)

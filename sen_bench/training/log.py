"""The metrics log of a run: one JSON object a line, and TensorBoard where it is asked for."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sen_bench.errors import ConfigError
from sen_bench.files import write_atomically


class MetricsLog:
    """Appends measurements to a JSON-lines file, each line flushed as it is written.

    Args:
        path: The file.
        keep: Lines of an interrupted epoch are dropped when a run goes on: a line is kept while
            ``(attempt, epoch) < keep``; epochs count from 1, an event belongs to the epoch it happened in.
        tensorboard: A folder to write TensorBoard events to as well.

    Raises:
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
            steps = [line["step"] for line in kept if "step" in line]
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


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a log, none where there is none; a last line cut off by a crash is left out."""
    if not path.exists():
        return []
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            break
    return lines

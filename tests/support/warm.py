"""Processes that have their imports behind them: cheap to start, and so to kill in mid-work again and again.

To start a process that trains costs seconds, most of them for imports of PyTorch. What it does then is the
same however it was started; how sweeps start theirs is tested in tests/sweep/test_jobs.py.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess, ForkServerContext
from pathlib import Path
from typing import Any
from unittest import mock

from sen_bench.cli.main import main

# PyTorch imports the first when the first optimiser is made.
_IMPORTED = (
    "torch._dynamo",
    "sen_bench.data",
    "sen_bench.generators",
    "sen_bench.tasks.models",
    "sen_bench.sweep.worker",
)


def warm_processes() -> ForkServerContext:
    """What starts processes as forks of one that has imported what training needs, for one thread.

    They have its environment, not that of a test.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_IMPORTED))
    with mock.patch.dict(os.environ, OMP_NUM_THREADS="1"):
        forkserver.ensure_running()
    return context


class WarmCommand:
    """A command line in a process group of its own, whose worker processes are forks.

    Args:
        folder: Where it works, and where `said.txt` is what it says.
        arguments: Of the command line.
    """

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.said = folder / "said.txt"
        self._process = warm_processes().Process(target=_command, args=(folder, self.said, arguments))
        self._process.start()

    def ended(self) -> bool:
        """Whether it has ended."""
        return not self._process.is_alive()

    def kill(self) -> None:
        """Kills all its processes at once; nothing, if it has ended meanwhile."""
        assert self._process.pid is not None
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def exit_code(self) -> int:
        """What it ended with, once it has; below 0, minus the number of a signal."""
        self._process.join()
        assert self._process.exitcode is not None
        return self._process.exitcode


class _Forks:
    """Starts forks that, as spawned processes, keep none of the pipes of their parent to others."""

    def __init__(self) -> None:
        self._parents: list[Connection] = []

    def Pipe(self) -> tuple[Connection, Connection]:  # noqa: N802 — as multiprocessing calls it
        ours, theirs = multiprocessing.Pipe()
        self._parents.append(ours)
        return ours, theirs

    def Process(self, target: Callable[..., None], args: tuple[Any, ...], name: str) -> ForkProcess:  # noqa: N802
        return ForkProcess(target=self._serve, args=(target, args), name=name)

    def _serve(self, target: Callable[..., None], args: tuple[Any, ...]) -> None:
        for connection in self._parents:
            connection.close()
        target(*args)


def _command(folder: Path, said: Path, arguments: tuple[str, ...]) -> None:
    os.setsid()
    os.chdir(folder)
    with said.open("w") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    multiprocessing.get_context = {"spawn": _Forks()}.__getitem__  # type: ignore[assignment]
    main(list(arguments))

"""A time budget for work on a borrowed machine: stages that may fail, and of which none may outlast it."""

from __future__ import annotations

import subprocess
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

GRACE: Final = 10.0
"""Seconds that a program gets to end after it was told to; `sen-bench` keeps what it has finished."""


class StageError(Exception):
    """A stage that did not end well, in one line."""


class Session:
    """Does one stage after another, as long as there is time, and writes down what became of each.

    Args:
        log: What is written to, line by line, so that it is there whatever happens.
        seconds: How long everything may take.
        reserve: Seconds of these that are kept for the end, when results are packed.
        clock: Seconds that have passed since some moment.
    """

    def __init__(
        self, log: Path, *, seconds: float, reserve: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.log = log
        self._clock = clock
        self._began = clock()
        self._ends = self._began + seconds - reserve

    @property
    def left(self) -> float:
        """Seconds that stages may still take; less than 0 when they are used up."""
        return self._ends - self._clock()

    def say(self, text: str) -> None:
        """Adds lines to the log, after the seconds that have passed."""
        with self.log.open("a", encoding="utf-8") as file:
            file.write(f"[{self._clock() - self._began:6.1f} s] {text}\n")

    def stage(
        self, name: str, work: Callable[[float], None], *, least: float = 0, most: float = float("inf")
    ) -> None:
        """Does a stage, unless there is too little time; if it fails, the next one has its turn.

        Args:
            name: What it is called in the log.
            work: Does it, given the seconds that it may take.
            least: With fewer seconds than this it is not begun.
            most: It gets no more than this.
        """
        seconds = min(self.left, most)
        if seconds < max(least, GRACE):
            self.say(f"{name}: left out, {max(0, seconds):.0f} s are left")
            return
        self.say(f"{name}: begins, and may take {seconds:.0f} s")
        try:
            work(seconds)
        except StageError as error:
            self.say(f"{name}: {error}")
        except Exception:  # noqa: BLE001 — whatever it is, the other stages are worth their time
            self.say(f"{name}: FAILED\n{traceback.format_exc()}")
        else:
            self.say(f"{name}: done")


def run_within(
    commands: Sequence[Sequence[str]],
    seconds: float,
    *,
    log: Path,
    folder: Path,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Runs programs side by side, and stops those that take too long.

    Args:
        commands: Each with its arguments.
        seconds: How long all of them may take, with the `GRACE` at the end.
        log: What their output is added to.
        folder: Where they run.
        environment: Their environment; None: that of this process.

    Raises:
        StageError: If one failed, or had to be stopped.
    """
    ends = time.monotonic() + seconds - GRACE
    with log.open("ab") as output:
        running = [
            subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT)
            for command in commands
        ]
        stopped = []
        try:
            for process in running:
                try:
                    process.wait(max(0, ends - time.monotonic()))
                except subprocess.TimeoutExpired:
                    stopped.append(process)
                    process.terminate()
        finally:
            for process in running:
                try:
                    process.wait(max(0, ends + GRACE - time.monotonic()))
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
    for process in running:
        if process.returncode and process not in stopped:
            raise StageError(f"FAILED: exit code {process.returncode}; its output is above")
    if stopped:
        raise StageError(f"stopped after {seconds:.0f} s")

"""Progress on stderr: a live line on a terminal, a plain line now and then anywhere else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console as RichConsole
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from sen_bench.store import Dataset, is_url, open_dataset
from sen_bench.sweep import Count
from sen_bench.system import Advance, Status

#: Exit codes: some runs failed; a mistake of the user's; ended by Ctrl-C or SIGTERM (as shells have it).
EXIT_FAILED, EXIT_MISTAKE, EXIT_INTERRUPTED, EXIT_TERMINATED = 1, 2, 130, 143

#: Seconds between two plain lines of the same piece of work.
PLAIN_EVERY = 10.0


class Terminal:
    """Shows long work on stderr; stdout is left to results.

    Args:
        quiet: Whether to show only messages, no progress.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._rich = RichConsole(stderr=True)
        self._quiet = quiet
        self._live = self._rich.is_terminal and not quiet
        self._last_line = 0.0
        self._training: Progress | None = None
        self._name = ""
        self._jobs: Progress | None = None
        self._lines: dict[int, TaskID] = {}

    def message(self, text: str) -> None:
        """A line a person should read."""
        if self._live:
            self._rich.print(text, markup=False, highlight=False)
        else:
            click.echo(text, err=True)

    def result(self, text: str) -> None:
        """A result, for stdout, also while the training of a run is shown."""
        # Whoever shows progress takes hold of stdout too, and would put the text on stderr.
        if self._training is not None:
            self._training.stop()
        click.echo(text)
        if self._training is not None:
            self._training.start()

    def _plain(self, text: str, *, always: bool) -> None:
        """A plain line, unless the last one was a moment ago."""
        now = time.monotonic()
        if not self._quiet and (always or now - self._last_line >= PLAIN_EVERY):
            self._last_line = now
            click.echo(text, err=True)

    @contextmanager
    def task(self, title: str, unit: str) -> Iterator[Advance]:
        """Shows a piece of work that is counted in ``unit``."""
        if not self._live:
            yield lambda done, total: self._plain(f"{title}: {done}/{total} {unit}", always=done == total)
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(unit),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self._rich, transient=True) as progress:
            shown = progress.add_task(title, total=None)
            yield lambda done, total: progress.update(shown, completed=done, total=total)

    @contextmanager
    def opened(self, store: Path | str) -> Iterator[Dataset]:
        """A dataset to read from; shows what is fetched meanwhile, if it lies behind a URL."""
        if not is_url(store):
            yield open_dataset(store)
            return
        with self.task(f"fetching {store}", "bytes") as advance:
            yield open_dataset(store, progress=advance)

    @contextmanager
    def training(self, name: str) -> Iterator[None]:
        """Shows the training of one run, told by :meth:`progress`."""
        self._name = name
        if not self._live:
            yield
            return
        # The name has a line of its own: with it, what matters would not fit a narrow terminal.
        self.message(f"training {name}")
        columns = (TextColumn("{task.description}"), BarColumn(bar_width=12))
        with Progress(*columns, console=self._rich, transient=True) as progress:
            progress.add_task("", total=None)
            self._training = progress
            try:
                yield
            finally:
                self._training = None

    def progress(self, status: Status) -> None:
        """Where training stands."""
        state = _describe(status)
        if self._training is not None:
            done, total = _steps(status)
            shown = self._training.task_ids[0]
            self._training.update(shown, completed=done, total=total, description=state)
        else:
            self._plain(f"{self._name}: {state}", always=status.step == status.steps)

    @contextmanager
    def jobs(self) -> Iterator[None]:
        """Shows jobs that go on at the same time, told by :meth:`show` and :meth:`clear`: a line for each."""
        if not self._live:
            yield
            return
        columns = (
            TextColumn("{task.fields[name]}"),
            BarColumn(bar_width=12),
            TextColumn("{task.description}"),
        )
        with Progress(*columns, console=self._rich, transient=True) as table:
            self._jobs = table
            try:
                yield
            finally:
                self._jobs = None
                self._lines.clear()

    def show(self, job: int, name: str, state: Status | Count | None) -> None:
        """What a job is doing, and where it stands."""
        text = "begins" if state is None else _describe(state)
        if self._jobs is None:
            if state is not None:
                self._plain(f"{name}: {text}", always=False)
            return
        if job not in self._lines:
            self._lines[job] = self._jobs.add_task("", total=None, name="")
        line = self._lines[job]
        if state is None:
            # A bar that has a total keeps it unless it is begun anew.
            self._jobs.reset(line, total=None, visible=True, name=name, description=text)
            return
        done, total = _steps(state)
        self._jobs.update(line, name=name, description=text, completed=done, total=total, visible=True)

    def clear(self, job: int) -> None:
        """The job has nothing to do."""
        if self._jobs is not None and job in self._lines:
            self._jobs.update(self._lines[job], visible=False)


def _steps(state: Status | Count) -> tuple[int, int]:
    """How much of a piece of work is done, and how much there is."""
    if isinstance(state, Count):
        return state.done, state.total
    return (state.epoch - 1) * state.steps + state.step, state.epochs * state.steps


def _describe(state: Status | Count) -> str:
    """Where a piece of work stands, in words."""
    if isinstance(state, Count):
        return f"{state.title}: {state.done}/{state.total} {state.unit}"
    text = (
        f"epoch {state.epoch}/{state.epochs}  step {state.step}/{state.steps}  loss {state.loss:.4f}"
        f"  {state.speed:.0f} {state.unit}/s  {duration(state.seconds_left)} left"
    )
    if state.restarts:
        text += f"  restart {state.restarts}"
    if state.collapsed:
        text += "  COLLAPSED: all latents equal"
    return text


def duration(seconds: float) -> str:
    """Seconds as a person says them: ``42 s``, ``7 min``, ``3.2 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"

"""Progress on stderr: live bars on a terminal, a plain line now and then anywhere else."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from sen_bench.system.progress import QUIET, Advance, Progress, Status, WorkStatus
from sen_bench.system.text import shown

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.progress import Progress as Bars
    from rich.progress import ProgressColumn

#: Seconds between two plain lines.
PLAIN_EVERY = 10.0


def as_progress(progress: Progress | bool) -> Progress:  # noqa: FBT001 — as those who call from Python say it
    """What shows how work goes: a `Terminal` for True, nothing for False."""
    if isinstance(progress, bool):
        return Terminal() if progress else QUIET
    return progress


class Terminal:
    """Shows on stderr how long work goes; stdout is left for results.

    If stderr is not a terminal, such as in a log file or a notebook, it is a plain line now and then.

    Args:
        quiet: Whether to show only messages.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        # Not at the top: a command that only prints its help, or shows nothing, need not wait for it.
        from rich.console import Console  # noqa: PLC0415

        console = Console(stderr=True)
        self._console = console
        self._quiet = quiet
        self._screen = _Screen(console) if console.is_terminal and not quiet else None
        self._last_line = -math.inf
        self._name = ""
        self._training: Bars | None = None
        self._jobs: Bars | None = None
        self._jobs_shown = ExitStack()

    def message(self, text: str) -> None:
        """A line that a person should read; what is not printable in it is escaped, see `shown`."""
        text = shown(text)
        if self._screen is not None:
            self._console.print(text, markup=False, highlight=False)
        else:
            _write(text)

    @contextmanager
    def work(self, title: str, unit: str) -> Iterator[Advance]:
        """Shows a piece of work that is counted in ``unit``; see `Progress.work`."""
        if self._screen is None:
            yield lambda done, total: self._plain(
                str(WorkStatus(title, done, total, unit)), always=done == total
            )
            return
        with self._screen.showing(*_work_columns(unit)) as bars:
            bar = bars.add_task(shown(title), total=None)
            yield lambda done, total: bars.update(bar, completed=done, total=total)

    @contextmanager
    def training(self, name: str) -> Iterator[None]:
        """Shows the training of one run, told by :meth:`status`."""
        self._name = name = shown(name)
        if self._screen is None:
            yield
            return
        # The name has a line of its own: otherwise what matters would not fit a narrow terminal.
        self.message(f"training {name}")
        with self._screen.showing(*_state_columns()) as bars:
            bars.add_task("", total=None)
            self._training = bars
            try:
                yield
            finally:
                self._training = None

    def status(self, status: Status) -> None:
        """Shows where the training stands."""
        if self._training is not None:
            bar = self._training.task_ids[0]
            self._training.update(bar, completed=status.done, total=status.total, description=shown(status))
        else:
            self._plain(f"{self._name}: {status}", always=status.step == status.steps)

    @contextmanager
    def job(self, name: str) -> Iterator[Callable[[Status | WorkStatus], None]]:
        """Shows a job beside the others that are running, a line for each."""
        name = shown(name)
        if self._screen is None:
            yield lambda state: self._plain(f"{name}: {state}", always=False)
            return
        if self._jobs is None:
            self._jobs = self._jobs_shown.enter_context(self._screen.showing(*_state_columns(named=True)))
        jobs = self._jobs
        # The line of a job that has ended: those below do not jump up and down.
        bar = next((task.id for task in jobs.tasks if not task.visible), None)
        if bar is None:
            bar = jobs.add_task("", total=None, name="")
        jobs.reset(bar, total=None, visible=True, name=name, description="begins")
        try:
            yield lambda state: jobs.update(
                bar, completed=state.done, total=state.total, description=shown(state)
            )
        finally:
            jobs.update(bar, visible=False)
            if not any(task.visible for task in jobs.tasks):
                self._jobs = None
                self._jobs_shown.close()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Takes the bars away for as long as something else is written."""
        if self._screen is None:
            yield
            return
        with self._screen.paused():
            yield

    def _plain(self, text: str, *, always: bool) -> None:
        """A plain line, unless the last one was a moment ago."""
        now = time.monotonic()
        if not self._quiet and (always or now - self._last_line >= PLAIN_EVERY):
            self._last_line = now
            _write(shown(text))


def _write(text: str) -> None:
    """Writes a line to stderr, whatever that is at the moment."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


class _Screen:
    """The part of a terminal that is drawn again and again: groups of bars, one below the other.

    Args:
        console: Where it is.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        # What is shown may begin and end in any order, in the threads that fetch datasets too.
        self._lock = threading.RLock()
        self._groups: tuple[Bars, ...] = ()
        self._live: Live | None = None

    @contextmanager
    def showing(self, *columns: ProgressColumn) -> Iterator[Bars]:
        """Shows a group of bars, which is still empty."""
        from rich.progress import Progress as Bars  # noqa: PLC0415 — see Terminal

        bars = Bars(*columns, console=self._console, auto_refresh=False)
        with self._lock:
            self._groups = (*self._groups, bars)
            self._refresh()
        try:
            yield bars
        finally:
            with self._lock:
                self._groups = tuple(group for group in self._groups if group is not bars)
                self._refresh()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Shows nothing meanwhile."""
        with self._lock:
            groups, self._groups = self._groups, ()
            self._refresh()
            try:
                yield
            finally:
                self._groups = groups
                self._refresh()

    def _refresh(self) -> None:
        """Starts drawing when there is something to draw, and stops when there no longer is."""
        from rich.live import Live  # noqa: PLC0415 — see Terminal

        if self._groups and self._live is None:
            self._live = Live(console=self._console, transient=True, get_renderable=self._drawn)
            self._live.start(refresh=True)
        elif not self._groups and self._live is not None:
            self._live.stop()
            self._live = None

    def _drawn(self) -> Any:  # noqa: ANN401 — whatever rich can draw
        from rich.console import Group  # noqa: PLC0415 — see Terminal

        return Group(*self._groups)


def _work_columns(unit: str) -> list[ProgressColumn]:
    """A piece of work: what it is, a bar, how much is done, and the time."""
    from rich.progress import (  # noqa: PLC0415 — see Terminal
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return [
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    ]


def _state_columns(*, named: bool = False) -> list[ProgressColumn]:
    """A training or a job: a short bar and its state in words, with its name before the bar or not."""
    from rich.progress import BarColumn, TextColumn  # noqa: PLC0415 — see Terminal

    bar, state = BarColumn(bar_width=12), TextColumn("{task.description}", markup=False)
    return [TextColumn("{task.fields[name]}", markup=False), bar, state] if named else [state, bar]

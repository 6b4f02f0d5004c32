"""The command line: results go to stdout, everything else to stderr; a user's mistake ends in one line."""

from __future__ import annotations

import errno
import importlib
import io
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final, TextIO

import click

from sen_bench import __version__
from sen_bench.cli.console import EXIT_INTERRUPTED, EXIT_MISTAKE, EXIT_TERMINATED
from sen_bench.errors import SenBenchError, SenBenchWarning
from sen_bench.system import shown

_COMMANDS: Final[Mapping[str, str]] = {
    "check": "model_commands:check_command",
    "check-world": "world_command:check_world_command",
    "clean": "clean_command:clean_command",
    "decode": "picture_commands:decode_command",
    "doctor": "doctor_commands:doctor_command",
    "evaluate": "run_commands:evaluate_command",
    "example": "example_command:example_command",
    "export": "export_commands:export_command",
    "fetch": "fetch_command:fetch_command",
    "figures": "picture_commands:figures_command",
    "generate": "data_commands:generate_command",
    "info": "data_commands:info_command",
    "leaderboard": "leaderboard_command:leaderboard_command",
    "merge": "merge_command:merge_command",
    "models": "model_commands:models_command",
    "plan": "plan_command:plan_command",
    "publish": "publish_command:publish_command",
    "references": "references_command:references_command",
    "report": "report_commands:report_command",
    "run": "sweep_command:run_command",
    "study": "study_command:study_command",
    "tasks": "data_commands:tasks_command",
    "train": "run_commands:train_command",
    "verify": "verify_commands:verify_command",
    "view": "data_commands:view_command",
}
"""Where each command is: a module of this room, and its name there."""


class _OnDemand(MutableMapping[str, click.Command]):
    """Commands by name, as click keeps them; the module of one is imported when it is first asked for."""

    def __init__(self, places: Mapping[str, str]) -> None:
        self._found: dict[str, click.Command | str] = dict(places)

    def __getitem__(self, name: str) -> click.Command:
        found = self._found[name]
        if isinstance(found, str):
            module, _, attribute = found.partition(":")
            found = self._found[name] = getattr(importlib.import_module(f"sen_bench.cli.{module}"), attribute)
        return found

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._found[name] = command

    def __delitem__(self, name: str) -> None:
        del self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


class _Commands(click.Group):
    """Ends users' mistakes in one line."""

    def main(self, *args: Any, **extra: Any) -> Any:  # noqa: ANN401 — as click declares it
        """Runs a command, also where the output cannot show everything, helps and complaints included."""
        with _any_encoding():
            return super().main(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 — as click declares it
        try:
            with _terminable(), _warnings_in_one_line(), _without_display():
                return super().invoke(ctx)
        except SenBenchError as error:
            # Names in it may come from outside, and a terminal obeys what is written to it.
            click.echo(f"error: {shown(error)}", err=True)
        except OSError as error:
            if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
                raise
            click.echo("error: the disk is full; make space and give the same command again", err=True)
        except KeyboardInterrupt as interrupt:
            terminated = isinstance(interrupt, _TerminatedError)
            what = "terminated" if terminated else "interrupted"
            click.echo(f"{what}; {_again(ctx, self)}", err=True)
            ctx.exit(EXIT_TERMINATED if terminated else EXIT_INTERRUPTED)
        return ctx.exit(EXIT_MISTAKE)


def _again(ctx: click.Context, group: click.Group) -> str:
    """What to do after a command was interrupted: those with --force leave alone what is finished."""
    command = group.commands.get(ctx.invoked_subcommand or "")
    commands = command.commands.values() if isinstance(command, click.Group) else [command]
    if any("--force" in option.opts for some in commands if some for option in some.params):
        return "give the same command again, without --force, to do only what is not finished"
    return "give the same command again"


class _TerminatedError(KeyboardInterrupt):
    """Raised at SIGTERM, which job schedulers send when time is up: ends work as Ctrl-C does."""


@contextmanager
def _terminable() -> Iterator[None]:
    """Makes SIGTERM stop the processes and jobs that a command started, and tidy up, before it ends."""
    if threading.current_thread() is not threading.main_thread():  # other threads cannot set handlers
        yield
        return
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _warnings_in_one_line() -> Iterator[None]:
    """Shows our own warnings as lines without the code they come from, each once."""
    with warnings.catch_warnings():
        warnings.simplefilter("default", SenBenchWarning)
        others = warnings.showwarning

        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if issubclass(category, SenBenchWarning):
                click.echo(f"warning: {shown(message)}", err=True)
            else:
                others(message, category, filename, lineno, file, line)

        warnings.showwarning = show
        yield


@contextmanager
def _without_display() -> Iterator[None]:
    """Has Matplotlib draw to files, whatever a notebook that runs a command has set for itself.

    Matplotlib cannot even be imported where the backend of a notebook is named and not installed.
    """
    before = os.environ.get("MPLBACKEND")
    os.environ["MPLBACKEND"] = "agg"
    try:
        yield
    finally:
        if before is None:
            del os.environ["MPLBACKEND"]
        else:
            os.environ["MPLBACKEND"] = before


@contextmanager
def _any_encoding() -> Iterator[None]:
    """Has output replace what its encoding cannot show, such as ± in that of a Windows console or a pipe."""
    streams = [stream for stream in (sys.stdout, sys.stderr) if isinstance(stream, io.TextIOWrapper)]
    before = [stream.errors for stream in streams]
    for stream in streams:
        stream.reconfigure(errors="replace")
    try:
        yield
    finally:
        for stream, errors in zip(streams, before, strict=True):
            if not stream.closed:
                stream.reconfigure(errors=errors)


def _terminate(signum: int, frame: FrameType | None) -> None:
    del frame
    # Once is enough: nothing must disturb the tidying up.
    signal.signal(signum, signal.SIG_IGN)
    raise _TerminatedError


@click.group(
    cls=_Commands,
    commands=_OnDemand(_COMMANDS),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="sen-bench")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Datasets with known symmetries, and a benchmark of world models on them.

    \b
    See everything work in a few minutes, from data to leaderboard:
      sen-bench run 3d-blocks --preset smoke
    Run the whole benchmark at toy size, two runs at a time:
      sen-bench run --all --preset smoke --jobs 2
    Generate the paper's datasets:
      sen-bench generate --all
    Train and score the paper's three models on a GPU:
      sen-bench run 3d-blocks --preset paper --seeds 0-2 --device cuda
    """
    # For --model package.module:Class. Last, so that nothing here hides an installed package.
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
        ctx.call_on_close(lambda: sys.path.remove(here))

"""What belongs to a command line: exit codes, and results on stdout."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from sen_bench.system import Terminal

#: Exit codes: some runs failed; a mistake of the user's; ended by Ctrl-C or SIGTERM (as shells have it).
EXIT_FAILED, EXIT_MISTAKE, EXIT_INTERRUPTED, EXIT_TERMINATED = 1, 2, 130, 143


def print_result(terminal: Terminal, text: str) -> None:
    """Prints a result, also while progress is shown: that takes hold of stdout and writes to stderr."""
    with terminal.paused():
        click.echo(text)

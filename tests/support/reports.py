"""What the commands behind `make bench` and `make quality` share: plain tables, and errors of one line."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Mapping
from typing import Literal

import click
from rich import box
from rich.console import Console
from rich.table import Table

from sen_bench.errors import SenBenchError


def plain_table(columns: Mapping[str, Literal["left", "right"]], rows: Iterable[Iterable[str]]) -> str:
    """Rows under headings, as wide as they need, without colours or trailing spaces.

    Args:
        columns: Heading -> how its column is aligned.
        rows: Their cells.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    for heading, justify in columns.items():
        table.add_column(heading, justify=justify)
    for row in rows:
        table.add_row(*row)
    text = io.StringIO()
    Console(file=text, width=1000, color_system=None, markup=False, emoji=False, highlight=False).print(table)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()).strip("\n")


def run_program(command: click.Command) -> None:
    """Runs a command as a program: a mistake ends in one line and exit code 2, which no failed check has."""
    try:
        command()
    except SenBenchError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)

"""The command that finds what other commands left behind, and removes it on request."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

import sen_bench.system
from sen_bench.cli.options import data_option, results_option, runs_option
from sen_bench.errors import SenBenchError


@click.command("clean")
@data_option
@runs_option
@results_option
@click.option(
    "--locks",
    is_flag=True,
    help="Also the lock files that no process of this machine holds; use it while no other machine works in"
    " these folders.",
)
@click.option("--remove", "--yes", "remove", is_flag=True, help="Delete what is listed, for good.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with sizes in bytes.")
def clean_command(data: Path, runs: Path, results: Path, *, locks: bool, remove: bool, as_json: bool) -> None:
    """List what other commands left behind, with its size; delete it only with --remove.

    That is what --force moved aside (`train.zarr.old-1`, `seed-0.old-1`), and drafts that a killed process
    left more than an hour ago (`.index.html.4711-1.partial`). Unfinished datasets and runs are kept: the
    command that began them goes on with them. Links are not followed.

    Locks (`runs.csv.lock`, `.seed-0.lock`) are empty files that stay when they are released. They do no harm;
    --locks lists them, too, except those that are held.

    \b
    Examples:
      sen-bench clean
      sen-bench clean --runs /scratch/runs --data /scratch/data
      sen-bench clean --locks --remove
    """
    rows: list[dict[str, Any]] = []
    for folder in dict.fromkeys((data, runs, results)):
        try:
            found = list(sen_bench.system.find_leftovers(folder, locks=locks)) if folder.exists() else []
            for leftover in found:
                if remove and not sen_bench.system.remove_leftover(leftover):
                    continue  # a lock that was taken meanwhile
                path = str(leftover.path)
                rows.append({"path": path, "bytes": leftover.size, "kind": leftover.kind, "removed": remove})
                if not as_json:
                    click.echo(f"{_size(leftover.size):>9}  {sen_bench.system.shown(path)}")
        except OSError as error:
            what = "remove what is left over" if remove else "look"
            raise SenBenchError(f"cannot {what} in {folder}: {error.strerror or error}") from error
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    size = sum(row["bytes"] for row in rows)
    if not rows:
        click.echo("nothing is left over", err=True)
    elif remove:
        click.echo(f"removed: {_size(size)}", err=True)
    else:
        click.echo(f"{_size(size)} could be freed; nothing is removed without --remove", err=True)


def _size(count: int) -> str:
    """Bytes, as people read them."""
    amount, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"

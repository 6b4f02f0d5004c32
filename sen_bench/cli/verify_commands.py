"""The command that verifies datasets."""

from __future__ import annotations

from pathlib import Path

import click

import sen_bench.checks
import sen_bench.store
from sen_bench.cli.console import EXIT_MISTAKE
from sen_bench.cli.options import StorePlace, quiet_option
from sen_bench.errors import DatasetError
from sen_bench.system import Terminal, shown


@click.command("verify")
@click.argument("stores", nargs=-1, required=True, metavar="STORE...", type=StorePlace())
@click.option("--quick", is_flag=True, help="Check only the names and sizes of files.")
@click.option(
    "--regenerate",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Also generate N random episodes again and compare them.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed they are drawn from."
)
@quiet_option
@click.pass_context
def verify_command(
    context: click.Context,
    stores: tuple[Path | str, ...],
    *,
    quick: bool,
    regenerate: int,
    seed: int,
    quiet: bool,
) -> None:
    """Check that each dataset STORE is complete and correct.

    Compares every file with the sha256 in the manifest, then looks at the contents: shapes, finite values,
    ranges of actions, the annotation of the symmetry, and that twins are the transformed episodes. The first
    broken thing is named, with what to do about it, and the exit code is 2. A dataset behind a URL is fetched
    first, as far as it is not in the local cache; cached files are checked again, but not compared with those
    behind the URL.

    \b
    Examples:
      sen-bench verify data/3d-blocks/train.zarr
      sen-bench verify data/*/*.zarr --quick
      sen-bench verify data/3d-blocks/eval.zarr --regenerate 20
    """
    terminal = Terminal(quiet=quiet)
    broken = False
    for store in stores:
        try:
            folder = _fetched(store, terminal) if sen_bench.store.is_url(store) else store
            report = sen_bench.checks.verify(
                folder, quick=quick, regenerate=regenerate, seed=seed, progress=terminal
            )
        except DatasetError as error:
            broken = True
            click.echo(f"error: {shown(error)}", err=True)
        else:
            click.echo(f"{store}: whole ({'; '.join(report.checks)})")
    if broken:
        context.exit(EXIT_MISTAKE)


def _fetched(url: Path | str, terminal: Terminal) -> Path:
    """The folder with the whole copy of a dataset behind a URL."""
    dataset = sen_bench.store.open_dataset(url, progress=terminal)
    dataset.fetch()
    return dataset.path

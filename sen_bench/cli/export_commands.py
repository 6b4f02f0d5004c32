"""The command that writes datasets in other formats."""

from __future__ import annotations

from pathlib import Path

import click

import sen_bench.data
import sen_bench.store
from sen_bench.cli.options import quiet_option, store_argument
from sen_bench.system import Terminal


@click.command("export")
@store_argument
@click.option(
    "--format",
    "form",
    type=click.Choice(["hdf5"]),
    required=True,
    help="hdf5: the format that the paper's public code reads.",
)
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="The file.  [default: TASK-SPLIT.h5]"
)
@click.option(
    "--element",
    type=int,
    metavar="G",
    help="Write the episodes as seen after this group element, rendered again.",
)
@click.option("--force", is_flag=True, help="Move an existing file aside.")
@quiet_option
def export_command(
    store: Path | str, form: str, out: Path | None, element: int | None, *, force: bool, quiet: bool
) -> None:
    """Write the dataset STORE in another format.

    The public evaluation also needs every episode after a quarter turn: that is element 120 of the grid
    worlds' group, and element 1 of Reacher's.

    \b
    Examples:
      sen-bench export data/3d-blocks/train.zarr --format hdf5
      sen-bench export data/3d-blocks/eval.zarr --format hdf5 --element 120 --out rot90.h5
    """
    del form  # there is one so far
    terminal = Terminal(quiet=quiet)
    dataset = sen_bench.store.open_dataset(store, progress=terminal)
    # Before the rest, many files at a time; block by block they would come one after the other.
    for name in sen_bench.data.EXPORTED:
        dataset.fetch(f"{name}/")
    turned = "" if element is None else f"-element-{element}"
    path = out or Path(f"{dataset.task}-{dataset.split}{turned}.h5")
    moved = sen_bench.data.export_hdf5(dataset, path, element=element, force=force, progress=terminal)
    if moved is not None:
        terminal.message(f"moved the old file to {moved}")
    click.echo(str(path))

"""The command that writes datasets in other formats."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

import sen_bench.data
import sen_bench.store
from sen_bench.cli.options import quiet_option, store_argument
from sen_bench.errors import ConfigError
from sen_bench.system import Terminal, check_output

if TYPE_CHECKING:
    from sen_bench.store import Dataset


@click.command("export")
@store_argument
@click.option(
    "--format",
    "form",
    type=click.Choice(["hdf5", "minari"]),
    required=True,
    help="hdf5: the format that the paper's public code reads. minari: what Farama's Minari loads, with"
    " twins, hard negatives and the symmetry.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="The file of hdf5, or the folder of Minari's datasets.  [default: TASK-SPLIT.h5; minari]",
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
    store: Path | str,
    form: Literal["hdf5", "minari"],
    out: Path | None,
    element: int | None,
    *,
    force: bool,
    quiet: bool,
) -> None:
    """Write the dataset STORE in another format.

    The public evaluation also needs every episode after a quarter turn: that is element 120 of the grid
    worlds' group, and element 1 of Reacher's.

    Minari finds a dataset by its name, which is printed, in the folder that MINARI_DATASETS_PATH names.

    \b
    Examples:
      sen-bench export data/3d-blocks/train.zarr --format hdf5
      sen-bench export data/3d-blocks/eval.zarr --format hdf5 --element 120 --out rot90.h5
      sen-bench export data/3d-blocks/eval.zarr --format minari --out ~/.minari/datasets
    """
    terminal = Terminal(quiet=quiet)
    dataset = sen_bench.store.open_dataset(store, progress=terminal)
    if form == "minari":
        _export_minari(dataset, out or Path("minari"), element, terminal, force=force)
        return
    if out is not None and out.is_dir():
        raise ConfigError(f"{out} is a folder; name the file to write, as {out / 'dataset.h5'}")
    turned = "" if element is None else f"-element-{element}"
    path = out or Path(f"{dataset.task}-{dataset.split}{turned}.h5")
    check_output(path)
    # Before the rest, many files at a time; block by block they would come one after the other.
    for name in sen_bench.data.EXPORTED:
        dataset.fetch(f"{name}/")
    moved = sen_bench.data.export_hdf5(dataset, path, element=element, force=force, progress=terminal)
    if moved is not None:
        terminal.message(f"moved the old file to {moved}")
    click.echo(str(path))


def _export_minari(
    dataset: Dataset, root: Path, element: int | None, terminal: Terminal, *, force: bool
) -> None:
    """Writes a dataset for Minari, and prints where it is and what it is called.

    Raises:
        ConfigError: If the root is no folder that can be written, or an element is given.
    """
    if element is not None:
        raise ConfigError("--element is for --format hdf5; for Minari, twins are written with the episodes")
    check_output(root, folder=True)
    dataset.fetch("")  # many files at a time; block by block they would come one after the other
    path, moved = sen_bench.data.export_minari(dataset, root, force=force, progress=terminal)
    if moved is not None:
        terminal.message(f"moved the old dataset to {moved}")
    name = sen_bench.data.minari_id(dataset)
    terminal.message(f"Minari loads it as {name} with MINARI_DATASETS_PATH={root.absolute()}")
    click.echo(str(path))

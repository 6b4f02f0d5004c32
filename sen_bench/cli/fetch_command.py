"""The command that brings published datasets here."""

from __future__ import annotations

from pathlib import Path

import click

import sen_bench.config
import sen_bench.publishing
from sen_bench.cli.options import data_option, quiet_option
from sen_bench.config import preset_names
from sen_bench.system import Terminal


@click.command("fetch")
@click.argument("urls", nargs=-1, required=True, metavar="URL...")
@data_option
@click.option(
    "--preset",
    metavar="NAME|FILE.toml",
    help=f"Whose sizes the datasets have: {', '.join(preset_names())}, or a TOML file.  [default: the"
    " paper's sizes]",
)
@click.option(
    "--regenerate",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Also generate N random episodes of each again and compare them.",
)
@click.option("--force", is_flag=True, help="Move another dataset that lies in the place aside.")
@quiet_option
def fetch_command(
    urls: tuple[str, ...], data: Path, preset: str | None, regenerate: int, *, force: bool, quiet: bool
) -> None:
    """Put the dataset behind each URL where `run` looks for it: at data/TASK/SPLIT.zarr.

    Every file is compared with the manifest as it arrives, and the whole is then checked as by `verify`. What
    is not of the recipe of its task is refused before it is fetched. To resume, give the same command again.

    \b
    Examples:
      sen-bench fetch hf://datasets/OWNER/NAME/3d-blocks/eval.zarr
      sen-bench fetch hf://datasets/OWNER/NAME@v1.0/3d-blocks/{train,eval}.zarr --regenerate 20
      sen-bench fetch https://example.org/smoke/3d-blocks/eval.zarr --preset smoke
    """
    terminal = Terminal(quiet=quiet)
    loaded = None if preset is None else sen_bench.config.load_preset(preset)
    for url in urls:
        result = sen_bench.publishing.fetch(
            url, data, preset=loaded, regenerate=regenerate, force=force, progress=terminal
        )
        if result.moved_aside is not None:
            terminal.message(f"moved the old dataset to {result.moved_aside}")
        click.echo(f"{result.path}: {'fetched' if result.created else 'already there, nothing to do'}")

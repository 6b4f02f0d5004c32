"""The command that publishes datasets and runs."""

from __future__ import annotations

from pathlib import Path

import click

import sen_bench.publishing
from sen_bench.cli.options import StorePlace, quiet_option, results_option
from sen_bench.errors import ConfigError
from sen_bench.system import Terminal


@click.command("publish")
@click.argument("sources", nargs=-1, required=True, metavar="STORE|RUN...", type=StorePlace())
@click.option(
    "--to",
    "target",
    required=True,
    metavar="FOLDER|hf://…",
    help="A folder, or a repository: hf://datasets/OWNER/NAME, for runs hf://OWNER/NAME, also with @BRANCH.",
)
@click.option("--license", "license_", metavar="SPDX|URL", help="The licence, such as CC-BY-4.0.")
@click.option("--creator", "creators", multiple=True, metavar="NAME", help="Who made it; repeat for several.")
@click.option("--url", help="The page of the publication.  [default: of hf://… that of the repository]")
@click.option("--date", metavar="YYYY-MM-DD", help="The day it is published.")
@click.option("--name", help="What it is called.  [default: as the folder or repository]")
@click.option(
    "--info",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.toml",
    help="The same and more: title, description, publisher, citation, version, keywords, [rai].",
)
@click.option("--strict", is_flag=True, help="Refuse, rather than say, that something is missing.")
@click.option("--private", is_flag=True, help="Make the repository private, if it is new.")
@results_option
@click.option("--force", is_flag=True, help="Move an existing folder aside.")
@quiet_option
def publish_command(
    sources: tuple[Path | str, ...],
    target: str,
    license_: str | None,
    creators: tuple[str, ...],
    url: str | None,
    date: str | None,
    name: str | None,
    file: Path | None,
    results: Path,
    *,
    strict: bool,
    private: bool,
    force: bool,
    quiet: bool,
) -> None:
    """Publish datasets, or trained runs, with a card, metadata and checksums.

    Every dataset is verified first. The folder has the datasets or runs, README.md with the front matter that
    the Hugging Face Hub reads, croissant.json (of datasets: Croissant with the fields for responsible AI),
    and SHA256SUMS. It is there when it is whole. Uploads need `pip install 'sen-bench[hub]'` and a token
    (`hf auth login` or HF_TOKEN); to resume one, give the same command again.

    \b
    Examples:
      sen-bench publish data/3d-blocks/*.zarr --to blocks --license CC-BY-4.0 --creator "Ada Lovelace"
      sen-bench publish data/3d-blocks/*.zarr --to hf://datasets/OWNER/blocks --info blocks.toml --strict
      sen-bench publish runs/3d-blocks/train/sen/cpu/seed-* --to hf://OWNER/sen-blocks --license MIT
    """
    terminal = Terminal(quiet=quiet)
    given = {
        "license": license_,
        "creators": list(creators),
        "url": url,
        "date": date,
        "name": name,
    }
    info = sen_bench.publishing.PublicationInfo.read(file, given).at(target)
    if info.missing:
        said = f"nothing says {', '.join(info.missing)}, which venues such as NeurIPS ask for"
        if strict:
            raise ConfigError(f"{said}; give the options, or --info FILE.toml")
        terminal.message(f"{said}; going on without")
    where = sen_bench.publishing.publish(
        sources, target, info, results=results, private=private, force=force, progress=terminal
    )
    click.echo(where)

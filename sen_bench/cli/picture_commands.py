"""The commands that draw pictures of trained runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

import sen_bench.figures
import sen_bench.runs
import sen_bench.system
from sen_bench.cli.options import data_option, device_option, picture_options, quiet_option
from sen_bench.figures import DECODER_EPOCHS, DECODER_FRAMES, DEFAULT_FORMATS, FORMATS
from sen_bench.system import Terminal, number_of

if TYPE_CHECKING:
    from sen_bench.figures import Format
    from sen_bench.runs import Run


def _run(folder: Path, data: Path, device: str) -> Run:
    """The run in a folder, on a prepared device."""
    where = sen_bench.system.resolve_device(device)
    sen_bench.system.prepare_device(where)
    return sen_bench.runs.open_run(folder, data=data, device=where)


def _formats(chosen: tuple[Format, ...]) -> tuple[Format, ...]:
    return tuple(kind for kind in FORMATS if kind in chosen) or DEFAULT_FORMATS


@click.command("figures")
@picture_options
@device_option
@data_option
def figures_command(
    run: Path, out: Path | None, formats: tuple[Format, ...], device: str, data: Path
) -> None:
    """Draw the learning curve and the latent space of a trained run.

    RUN is the run's folder, as `sen-bench train` prints it. What the latent space looks like depends on the
    group and on how it acts on latents: docs/pictures.md shows and explains each figure.

    \b
    Examples:
      sen-bench figures runs/3d-blocks/train/sen/cpu/seed-0
      sen-bench figures runs/reacher/train/sen/paper/seed-0 --format pdf --out paper/figures
    """
    chosen = _run(run, data, device)
    for path in sen_bench.figures.draw_figures(chosen, out or run / "figures", _formats(formats)):
        click.echo(str(path))


@click.command("decode")
@picture_options
@click.option(
    "--epochs",
    type=click.IntRange(min=1),
    default=DECODER_EPOCHS,
    show_default=True,
    help="Passes of the decoder over its frames.",
)
@click.option(
    "--frames",
    type=click.IntRange(min=2),
    default=DECODER_FRAMES,
    show_default=True,
    help="The most frames of the training split that the decoder learns from.",
)
@device_option
@data_option
@click.option("--force", is_flag=True, help="Move an existing decoder aside and train again.")
@quiet_option
def decode_command(
    run: Path,
    out: Path | None,
    formats: tuple[Format, ...],
    epochs: int,
    frames: int,
    device: str,
    data: Path,
    *,
    force: bool,
    quiet: bool,
) -> None:
    """Train a decoder on the latents of a trained run, and draw what it sees.

    RUN is the run's folder, as `sen-bench train` prints it. The model stays as it is. Beside frames and their
    reconstructions it shows frames of their twins, and what the decoder makes of the latents transformed by
    the group: if the latents are as symmetric as the model claims, the two look alike. If interrupted, it
    resumes when the same command is given again.

    \b
    Examples:
      sen-bench decode runs/3d-blocks/train/sen/cpu/seed-0
      sen-bench decode runs/teapot-large/train/matmul/paper/seed-0 --epochs 30 --device cuda
    """
    terminal = Terminal(quiet=quiet)
    chosen = _run(run, data, device)
    result = sen_bench.figures.decode(
        chosen,
        out or run / "figures",
        _formats(formats),
        terminal,
        epochs=epochs,
        frames=frames,
        force=force,
    )
    click.echo(f"decoder: {number_of(result.epochs, 'epoch')}, {result.seconds:.0f} s")
    click.echo(f"mean squared error of frames: {result.reconstruction_error:.5f}")
    if result.twin_error is None:
        terminal.message(
            "the group does not act on the latents of this model: only reconstructions are drawn"
        )
    else:
        click.echo(f"mean squared error of twins, from transformed latents: {result.twin_error:.5f}")
    for path in result.paths:
        click.echo(str(path))

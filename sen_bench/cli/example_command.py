"""`sen-bench example`: the paper's idea in small."""

from __future__ import annotations

from pathlib import Path

import click

import sen_bench.examples
import sen_bench.figures
from sen_bench.cli.options import quiet_option
from sen_bench.examples import DEFAULT_STEPS
from sen_bench.system import Terminal, check_output


@click.group("example")
def example_command() -> None:
    """Show the idea of the paper in seconds, on a problem without worlds and datasets.

    \b
    Example:
      sen-bench example sequence
    """


@example_command.command("sequence")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of all randomness.")
@click.option(
    "--steps",
    type=click.IntRange(min=1),
    default=DEFAULT_STEPS,
    show_default=True,
    help="Steps of the optimiser for each network.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    multiple=True,
    default=("sequence.png",),
    show_default=True,
    help="The picture: .png, .svg or .pdf. May be repeated.",
)
@quiet_option
def sequence_command(seed: int, steps: int, out: tuple[Path, ...], *, quiet: bool) -> None:
    """Train two networks to label the peaks of sinusoids, and look at their first layers.

    Both begin with the same fully connected layer. In one, convolutions follow, which are equivariant under
    cyclic shifts: there the first layer learns to be equivariant too, though nothing in it says so, and its
    matrix comes out banded and circulant. In the other, fully connected layers follow, and it does not. So
    it is with images: what stands before an equivariant model can learn how the group acts.

    The equivariance error of a circulant matrix is 0, that of a random one about 1.41.

    \b
    Examples:
      sen-bench example sequence
      sen-bench example sequence --seed 1 --out figure.pdf --out figure.png
    """
    for path in out:
        sen_bench.figures.format_of(path)
        check_output(path)
    example = sen_bench.examples.train_sequence_example(
        seed=seed, steps=steps, progress=Terminal(quiet=quiet)
    )
    click.echo(
        f"{'after the first layer':23}{'parameters':>11}{'accuracy':>10}{'whole sequences':>17}"
        f"{'equivariance error':>20}"
    )
    for network in example.networks:
        click.echo(
            f"{network.name:23}{network.parameters:>11,}{network.accuracy:>10.1%}{network.whole:>17.1%}"
            f"{network.equivariance_error:>20.2f}"
        )
    click.echo(f"calling no position a peak: accuracy {example.no_peak:.1%}")
    sen_bench.figures.save_sequence_figure(example, out)
    for path in out:
        click.echo(str(path))

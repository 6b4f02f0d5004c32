"""Options that several commands share, and the types of their values."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from pydantic import ByteSize, TypeAdapter

from sen_bench.config import preset_names
from sen_bench.figures import FORMATS
from sen_bench.store import is_url

Command = TypeVar("Command", bound=Callable[..., Any])


# More are a slip of the pen, and would take the memory of this machine before anything is said.
_MOST_SEEDS = 10_000


def available_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class SeedRange(click.ParamType[tuple[int, ...]]):
    """Seeds such as ``0``, ``0-2`` or ``0,3,7-9``."""

    name = "seeds"

    def convert(
        self, value: str | tuple[int, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Parses the text."""
        if isinstance(value, tuple):
            return value
        seeds: set[int] = set()
        for part in value.split(","):
            match = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
            if match is None or int(match[2] or match[1]) < int(match[1]):
                self.fail(f"{part!r} is no seed or range of seeds; write 0, 0-2 or 0,3,7-9", param, ctx)
            if int(match[2] or match[1]) - int(match[1]) >= _MOST_SEEDS:
                self.fail(f"{part!r} are too many seeds; at most {_MOST_SEEDS} can be asked for", param, ctx)
            seeds.update(range(int(match[1]), int(match[2] or match[1]) + 1))
        return tuple(sorted(seeds))


class MemorySize(click.ParamType["int | None"]):
    """An amount of memory in bytes, such as ``8GiB`` or ``500 MB``; None for ``auto``."""

    name = "size"

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | None:
        """Parses the text."""
        if isinstance(value, int) or value == "auto":
            return None if value == "auto" else int(value)
        # pydantic takes a number without a unit too, and whatever follows the unit.
        if not re.fullmatch(r"\s*\d+(\.\d+)?\s*[kmgt]i?b\s*", value, re.IGNORECASE):
            self.fail(f"{value!r} is no size; write 512MiB, 8GiB, 1.5GB or auto", param, ctx)
        return int(TypeAdapter(ByteSize).validate_python(value))


class Names(click.ParamType[tuple[str, ...]]):
    """Names, with commas between them."""

    name = "names"

    def convert(
        self, value: str | tuple[str, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Parses the text."""
        if isinstance(value, tuple):
            return value
        names = tuple(part.strip() for part in value.split(","))
        if not all(names):
            self.fail(f"{value!r} lacks a name; write A or A,B", param, ctx)
        return names


class StorePlace(click.ParamType["Path | str"]):
    """A dataset: a folder, or a URL."""

    name = "store"

    def convert(
        self, value: Path | str, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path | str:
        """A path, unless it is a URL."""
        del param, ctx
        return value if is_url(value) else Path(value)


store_argument = click.argument("store", type=StorePlace())


def _folder(option: str, default: str, text: str) -> Callable[[Command], Command]:
    return click.option(
        option,
        type=click.Path(file_okay=False, path_type=Path),
        default=default,
        show_default=True,
        help=text,
    )


data_option = _folder("--data", "data", "Folder of the datasets.")
runs_option = _folder("--runs", "runs", "Folder of checkpoints and logs.")
results_option = _folder("--results", "results", "Folder of the result tables.")
workers_option = click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=available_cores,
    show_default="all cores",
    help="Processes that generate data. The bytes written do not depend on it.",
)
device_option = click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1.")
quiet_option = click.option("--quiet", is_flag=True, help="Show no progress.")


def run_options(command: Command) -> Command:
    """What selects the runs of one task: task, models, seeds, settings, device, folders."""
    split = click.option(
        "--train-split", default="train", show_default=True, metavar="SPLIT", help="Split to train on."
    )
    return click.argument("task")(split(settings_options(command)))


def settings_options(command: Command) -> Command:
    """What selects runs, but for their tasks and splits: models, seeds, settings, device, folders."""
    for option in reversed(
        (
            click.option(
                "--models",
                "--model",
                "models",
                type=Names(),
                multiple=True,
                metavar="NAME|MODULE:CLASS,...",
                help="Models, or package.module:Class of your own; also given repeatedly."
                "  [default: the task's]",
            ),
            click.option("--seeds", type=SeedRange(), help="Such as 0, 0-2 or 0,3.  [default: the preset's]"),
            click.option(
                "--preset",
                default="cpu",
                show_default=True,
                metavar="NAME|FILE.toml",
                help=f"How large: {', '.join(preset_names())}, or a TOML file of your own.",
            ),
            click.option(
                "--precision",
                type=click.Choice(["float32", "bfloat16"]),
                help="Precision of the networks; losses stay float32.  [default: the preset's]",
            ),
            click.option(
                "--on-collapse",
                type=click.Choice(["continue", "stop", "restart"]),
                help="What follows when all latents have become equal.  [default: the preset's]",
            ),
            click.option(
                "--data-memory",
                type=MemorySize(),
                default="auto",
                show_default=True,
                metavar="SIZE|auto",
                help="Memory on the device for training data, such as 8GiB; larger data is streamed through"
                " it, in another order. auto: as the run was begun; else all in memory, if half of what is"
                " free holds it.",
            ),
            click.option(
                "--eval-memory",
                type=MemorySize(),
                default="auto",
                show_default=True,
                metavar="SIZE|auto",
                help="Memory on the device for evaluation: half for frames, half for ranking. No score"
                " depends on it. auto: 16 MiB on a CPU, 4 GiB on a GPU.",
            ),
            device_option,
            data_option,
            runs_option,
            results_option,
            quiet_option,
        )
    ):
        command = option(command)
    return command


def cluster_options(command: Command) -> Command:
    """Where else the work may be done."""
    for option in reversed(
        (
            click.option(
                "--cluster",
                "where",
                metavar="ADDRESS|slurm",
                help="Work on a Dask cluster, such as tcp://host:8786, in place of this machine.",
            ),
            click.option(
                "--cluster-options",
                "slurm",
                type=click.Path(dir_okay=False, path_type=Path),
                metavar="FILE.toml",
                help="What to ask SLURM for: jobs, cores, memory, ….",
            ),
        )
    ):
        command = option(command)
    return command


def picture_options(command: Command) -> Command:
    """What is drawn, and where to."""
    for option in reversed(
        (
            click.argument("run", type=click.Path(file_okay=False, path_type=Path)),
            click.option(
                "--out",
                type=click.Path(file_okay=False, path_type=Path),
                help="Folder of the figures.  [default: RUN/figures]",
            ),
            click.option(
                "--format",
                "formats",
                type=click.Choice(FORMATS),
                multiple=True,
                help="Format; repeat for both.  [default: both]",
            ),
        )
    ):
        command = option(command)
    return command


def training_options(command: Command) -> Command:
    """What training does besides."""
    for option in reversed(
        (
            click.option(
                "--tensorboard", is_flag=True, help="Also write TensorBoard events into the run's folder."
            ),
            click.option("--force", is_flag=True, help="Move an existing run aside and train anew."),
            click.option(
                "--compile/--no-compile",
                "compiled",
                default=False,
                show_default=True,
                help="Compile the training step (torch.compile): about a minute of compiling for each model,"
                " then steps that are much faster on a GPU, hardly on a CPU. A run may go on either way.",
            ),
        )
    ):
        command = option(command)
    return command

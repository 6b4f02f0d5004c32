"""Options that several commands share, and the types of their values."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

import sen_bench.cluster
import sen_bench.config
import sen_bench.store
import sen_bench.trackers
from sen_bench.config import preset_names
from sen_bench.errors import ConfigError
from sen_bench.figures import FORMATS

Command = TypeVar("Command", bound=Callable[..., Any])


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
        try:
            return sen_bench.config.parse_seeds(value)
        except ConfigError as error:
            self.fail(str(error), param, ctx)


class MemorySize(click.ParamType["int | None"]):
    """An amount of memory in bytes, such as ``8GiB`` or ``500 MB``; None for ``auto``."""

    name = "size"

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | None:
        """Parses the text."""
        try:
            return sen_bench.config.parse_memory(value)
        except ConfigError as error:
            self.fail(str(error), param, ctx)


class Setting(click.ParamType["tuple[str, object]"]):
    """A setting beside the preset, such as ``training.epochs=3``: its dotted name, and its value."""

    name = "setting"

    def convert(
        self,
        value: str | tuple[str, object],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[str, object]:
        """Parses the text."""
        if isinstance(value, tuple):
            return value
        try:
            return sen_bench.config.parse_setting(value)
        except ConfigError as error:
            self.fail(str(error), param, ctx)


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
        return value if sen_bench.store.is_url(value) else Path(value)


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


set_option = click.option(
    "--set",
    "settings",
    type=Setting(),
    multiple=True,
    metavar="KEY=VALUE",
    help="A setting beside the preset, such as training.epochs=3 or models.sen.hidden=64; repeat for several."
    " Makes a variant of the preset, with folders and rows of its own.",
)


def settings_of(pairs: tuple[tuple[str, object], ...]) -> dict[str, object]:
    """The settings that `set_option` was given, by their names.

    Raises:
        ConfigError: If one is given twice.
    """
    settings = dict(pairs)
    for name in settings:
        if [given for given, _ in pairs].count(name) > 1:
            raise ConfigError(f"--set {name} is given twice; give it once")
    return settings


class SettingsCommand(click.Command):
    """A command with `set_option`, which knows how to spell a setting that is given as an option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parses the arguments.

        Raises:
            click.NoSuchOption: Of an option that is a setting, with what to write instead.
        """
        given = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            option = error.option_name
            field = option.removeprefix("--").replace("-", "_")
            fields_of = {
                "training": sen_bench.config.TrainingConfig.model_fields,
                "evaluation": sen_bench.config.EvaluationConfig.model_fields,
            }
            for section, fields in fields_of.items():
                if field in fields:
                    message = (
                        f"no such option {option}; write --set {section}.{field}={_value(option, given)}"
                    )
                    raise click.NoSuchOption(option, message, ctx=ctx) from None
            raise


def _value(option: str, arguments: list[str]) -> str:
    """The value that an option was given, as far as can be told."""
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        name, equals, value = argument.partition("=")
        if name == option:
            value = value if equals else following
            return value if value and not value.startswith("-") else "…"
    return "…"


def run_options(command: Command) -> Command:
    """What selects the runs of one task: task, models, seeds, settings, device, folders."""
    split = click.option(
        "--train-split", default="train", show_default=True, metavar="SPLIT", help="Split to train on."
    )
    return click.argument("task")(split(settings_options(command)))


def settings_options(command: Command) -> Command:
    """What selects runs, apart from tasks and splits: models, seeds, settings, device, folders."""
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
                type=click.Choice(["float32", "tf32", "bfloat16"]),
                help="Precision of the networks; weights and losses stay float32. tf32 (TensorFloat32) takes"
                " a GPU.  [default: the preset's]",
            ),
            click.option(
                "--on-collapse",
                type=click.Choice(["continue", "stop", "restart"]),
                help="What to do when all latents have become equal.  [default: the preset's]",
            ),
            set_option,
            click.option(
                "--data-memory",
                type=MemorySize(),
                default="auto",
                show_default=True,
                metavar="SIZE|auto",
                help="Memory on the device for training data, such as 8GiB; larger data is streamed through"
                " it, in another order. auto: as when the run was started; new runs all in memory, if half of"
                " what is free holds it.",
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
    """Where else the work can be done. The command takes ``where``, ``slurm`` and ``tls``."""
    command = _with_tls_files(command)
    for option in reversed(
        (
            click.option(
                "--cluster",
                "where",
                metavar="ADDRESS|slurm",
                help="Work on a Dask cluster, such as tcp://host:8786, instead of this machine.",
            ),
            click.option(
                "--cluster-options",
                "slurm",
                type=click.Path(dir_okay=False, path_type=Path),
                metavar="FILE.toml",
                help="What to ask SLURM for: jobs, cores, memory, ….",
            ),
            *(
                click.option(
                    f"--tls-{name}",
                    type=click.Path(dir_okay=False, path_type=Path),
                    metavar="FILE.pem",
                    help=f"For a cluster at tls://…: {what}.",
                )
                for name, what in (
                    ("ca", "the certificate that has signed the scheduler's"),
                    ("cert", "the certificate that this command shows"),
                    ("key", "its private key"),
                )
            ),
        )
    ):
        command = option(command)
    return command


def _with_tls_files(command: Command) -> Command:
    """Hands a command one value for the three files of TLS: ``tls``, a `TlsFiles` or None."""

    @functools.wraps(command)
    def wrapped(
        *positional: Any,  # noqa: ANN401
        tls_ca: Path | None,
        tls_cert: Path | None,
        tls_key: Path | None,
        **named: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        tls = sen_bench.cluster.TlsFiles.given(named["where"], tls_ca, tls_cert, tls_key)
        return command(*positional, tls=tls, **named)

    return wrapped  # type: ignore[return-value]


def picture_options(command: Command) -> Command:
    """What is drawn, and where it is written."""
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
                help="Format; repeat for several.  [default: png and svg]",
            ),
        )
    ):
        command = option(command)
    return command


def training_options(command: Command) -> Command:
    """What training does in addition."""
    for option in reversed(
        (
            click.option(
                "--log-to",
                type=Names(),
                multiple=True,
                metavar="TRACKER,...",
                help="Also log to tensorboard, wandb, trackio, mlflow, or a tracker of a plugin; each needs"
                " the extra of its name. Nothing leaves this machine unless its own settings say so.",
            ),
            click.option("--tensorboard", is_flag=True, help="Short for --log-to tensorboard."),
            click.option("--force", is_flag=True, help="Move an existing run aside and train again."),
            click.option(
                "--compile/--no-compile",
                "compiled",
                default=None,
                help="Compile the training step (torch.compile): about a minute of compiling for each model,"
                " then steps that are much faster on a GPU, hardly on a CPU. Runs resume either way."
                "  [default: on a GPU, where at least 2,500 steps are left]",
            ),
            click.option(
                "--cuda-graph/--no-cuda-graph",
                "graph",
                default=None,
                help="Have a GPU repeat the whole training step as one CUDA graph, which waits for no CPU."
                "  [default: as --compile]",
            ),
        )
    ):
        command = option(command)
    return command


def trackers_of(names: tuple[tuple[str, ...], ...], *, tensorboard: bool) -> tuple[str, ...]:
    """The trackers that the options ask for, which can be used.

    Args:
        names: Their names, a tuple for each time that the option was given.
        tensorboard: Whether TensorBoard is asked for by its own option.

    Raises:
        SenBenchError: If there is none of a name, or it is not installed.
    """
    given = [name for some in names for name in some]
    return sen_bench.trackers.check_trackers([*given, *(["tensorboard"] if tensorboard else [])])

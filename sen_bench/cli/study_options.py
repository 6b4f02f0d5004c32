"""What the commands of studies have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

import sen_bench.results
from sen_bench.cli.options import settings_options, training_options
from sen_bench.cli.sweeping import sweep_options
from sen_bench.errors import ConfigError
from sen_bench.figures import FORMATS
from sen_bench.tasks import model_names, reference_model

if TYPE_CHECKING:
    from sen_bench.results import Metric
    from sen_bench.tasks import Task

task_option: Final = click.option("--task", required=True, metavar="TASK", help="The task.")

metric_option: Final = click.option(
    "--metric", "metric_name", metavar="NAME", help="Score to draw, such as H@1.  [default: the task's first]"
)


def study_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The formats of the figure, and what selects runs and says how they are carried out.

    The command takes ``formats``, ``how``, and what `settings_options` and `training_options` give.
    """
    formats = click.option(
        "--format",
        "formats",
        type=click.Choice(FORMATS),
        multiple=True,
        help="Format of the figure; repeat for several.  [default: png and svg]",
    )
    return formats(settings_options(training_options(sweep_options(command))))


def metric_of(name: str | None, known: Sequence[Metric], task: Task) -> Metric | None:
    """The score that was named; None where none was.

    Args:
        name: Its name or heading.
        known: The scores that the table of the study has.
        task: What is studied.

    Raises:
        ConfigError: If there is no such score, or not in the table, or not in this task.
    """
    metric = None if name is None else sen_bench.results.find_metric(name)
    if metric is not None and metric not in known:
        raise ConfigError(
            f"{metric.label} is not in the table of this study; choose one of"
            f" {', '.join(each.label for each in known)}"
        )
    if metric is not None and metric.name == "hh_at_1" and not task.split("eval").negatives:
        raise ConfigError(
            f"{metric.label} is of hard negatives, and {task.name} has none in its split eval; choose another"
            " score"
        )
    return metric


def check_drawn(metric: Metric, there: Iterable[str]) -> None:
    """Refuses a score that no run has, before an empty figure takes the place of an earlier one.

    Args:
        metric: What is to be drawn.
        there: The names of the scores that are defined.

    Raises:
        ConfigError: If it is not among them.
    """
    names = set(there)
    if metric.name not in names:
        labels = ", ".join(each.label for each in sen_bench.results.SHOWN if each.name in names)
        raise ConfigError(f"{metric.label} is undefined for all of these runs; name one of {labels}")


def models_in_order(task: Task, studied: Iterable[str]) -> list[str]:
    """The models in the order of their colours on the page of results."""
    reference = reference_model(task.name)
    first = [] if reference is None else [reference]
    return list(dict.fromkeys([*first, *model_names(task), *studied]))

"""Rows of the leaderboard as the page shows them: scores, published numbers, the runs behind them, gaps."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import pandas as pd

from sen_bench.config import load_preset
from sen_bench.errors import ExtensionError
from sen_bench.report.colours import model_colours
from sen_bench.report.formatting import column_title, score_text
from sen_bench.report.page_data import PageData
from sen_bench.results import (
    GROUP,
    SHOWN,
    Metric,
    headline_metric,
    model_title,
    no_better_than_no_change,
    no_change,
)
from sen_bench.tasks import Task, get_task, task_names


@dataclass(frozen=True)
class Published:
    """A number of the paper.

    Attributes:
        mean: Its mean.
        std: Its standard deviation, or NaN.
        source: Where it was published.
        note: What to know about it, or an empty text.
    """

    mean: float
    std: float
    source: str
    note: str

    @property
    def origin(self) -> str:
        """Where it was published, and what to know about it."""
        return f"{self.source}: {self.note}" if self.note else self.source


@dataclass(frozen=True)
class Score:
    """What the runs of a row scored in one metric; NaN if it is undefined or unknown.

    Attributes:
        mean: Their mean.
        std: Their standard deviation.
        low: Lower end of the 95 % interval.
        high: Upper end.
        versus: How it compares with the symmetric embedding network, in words, or an empty text.
        published: What the paper reports for the same task, split, model and horizon.
        no_change: What predicting that nothing changes scores on the same latents.
        exact_no_change: What it scores on exact latents of the same evaluation data.
    """

    mean: float = math.nan
    std: float = math.nan
    low: float = math.nan
    high: float = math.nan
    versus: str = ""
    published: Published | None = None
    no_change: float = math.nan
    exact_no_change: float = math.nan


@dataclass(frozen=True)
class Facts:
    """One run at one horizon: where a number comes from.

    Attributes:
        identity: Its name, and the digests of its training data and settings.
        scores: Its own scores, as text by heading.
        facts: Everything else, as text by name.
        collapsed: Whether its latents collapsed.
    """

    identity: tuple[str, str, str]
    scores: tuple[tuple[str, str], ...]
    facts: tuple[tuple[str, str], ...]
    collapsed: bool

    @property
    def run_id(self) -> str:
        """Its name."""
        return self.identity[0]


@dataclass(frozen=True)
class Entry:
    """A row: the runs that are averaged, or none where nothing was run.

    Attributes:
        task: The task.
        known: The task itself; None if its plugin is missing or broken here.
        split: The split trained on.
        model: The model.
        colour: The number of the model: its place, and its colour in charts. A model has the same on the
            whole page, and 0 are those that others are compared with, the symmetric embedding networks.
        preset: The preset; empty if nothing was run for the task and split.
        horizon: Steps ahead.
        variant: What tells it apart from rows that differ only in data or settings, or an empty text.
        scores: By metric.
        runs: The runs.
        devices: Where they ran.
        parameters: Trainable numbers of the model, or None.
        seconds: Mean seconds of training and evaluation, or NaN.
        ranked_locally: Whether it is ranked by local H@1, among the rows of its task, split and preset.
    """

    task: str
    known: Task | None
    split: str
    model: str
    colour: int
    preset: str
    horizon: int
    variant: str
    scores: Mapping[str, Score]
    runs: tuple[Facts, ...] = ()
    devices: tuple[str, ...] = ()
    parameters: int | None = None
    seconds: float = math.nan
    ranked_locally: bool = False

    @property
    def rank(self) -> tuple[float, int, str]:
        """What rows of the same task, split, preset and horizon are sorted by."""
        score = self.scores[_LOCAL].mean if self.ranked_locally else 0.0
        return math.inf if math.isnan(score) else -score, self.colour, self.variant

    @property
    def card(self) -> tuple[str, str, str]:
        """Its task, split and preset: what stands together on the page."""
        return self.task, self.split, self.preset

    @property
    def title(self) -> str:
        """What the task is called."""
        return self.known.title if self.known else self.task

    @property
    def label(self) -> str:
        """The model, and what tells it apart from others of the same name."""
        return f"{self.model} {self.variant}" if self.variant else self.model

    @property
    def collapsed(self) -> int:
        """How many of its runs collapsed."""
        return sum(run.collapsed for run in self.runs)

    @property
    def no_better(self) -> bool:
        """Whether it predicts no better than that nothing changes, by its relative error."""
        return no_better_than_no_change(self.scores["relative_error"].mean)


def usable_tasks() -> list[Task]:
    """All tasks except those of broken plugins, which must not keep anybody from their other results."""
    tasks = []
    for name in task_names():
        try:
            tasks.append(get_task(name))
        except ExtensionError:
            continue
    return tasks


def entries(tables: PageData) -> list[Entry]:
    """All rows: every task that is known or was run, with every model of each split, run or not.

    Returns:
        In the order of tasks, splits and presets; of each the longest horizon first. Models are in the order
        of their colours, except where a task is ranked by local H@1, and all that was run of it with that
        split and preset has that.
    """
    tasks = {task.name: task for task in usable_tasks()}
    published = _published(tables.published)
    colours = model_colours(tables, tasks)
    made = _run_entries(tables, published, tasks, colours)
    made += [entry for task in tasks.values() for entry in _missing(task, made, published, colours)]
    without = {entry.card for entry in made if entry.runs and math.isnan(entry.scores[_LOCAL].mean)}
    asking = {task.name for task in tasks.values() if task.ranked_locally}
    made = [
        replace(entry, ranked_locally=entry.task in asking and entry.card not in without) for entry in made
    ]
    order = [*tasks, *sorted({entry.task for entry in made} - set(tasks))]
    return sorted(made, key=lambda e: (order.index(e.task), e.split, e.preset, -e.horizon, e.rank))


def headline(entry: Entry, horizon: int) -> Metric:
    """What the task of an entry is judged by first."""
    negatives = entry.known is not None and entry.known.splits["eval"].negatives
    return headline_metric(horizon, ranked_locally=entry.ranked_locally, negatives=negatives)


_LOCAL: Final = "local_hits_at_1"


Place = tuple[str, str, str, int, str]
"""Task, training split, model, horizon and metric of a published number."""


def _published(table: pd.DataFrame) -> dict[Place, Published]:
    """The published numbers; of several for one place the first, which is what counts."""
    told: dict[Place, Published] = {}
    for row in table.to_dict("records"):
        place = (row["task"], row["train_split"], row["model"], int(row["horizon"]), row["metric"])
        source, note = _text_or_nothing(row["source"]), _text_or_nothing(row["note"])
        told.setdefault(place, Published(float(row["mean"]), float(row["std"]), source, note))
    return told


def _text_or_nothing(value: object) -> str:
    return value if isinstance(value, str) else ""


def _run_entries(
    tables: PageData,
    published: Mapping[Place, Published],
    tasks: Mapping[str, Task],
    colours: Mapping[tuple[str, str], int],
) -> list[Entry]:
    """A row for each of the leaderboard."""
    references = {
        (row["task"], row["horizon"], row["eval_dataset_digest"]): row
        for row in tables.references.to_dict("records")
        if row["reference"] == "no-change"
    }
    rows = tables.leaderboard.to_dict("records")
    groups = dict(iter(tables.runs.groupby(list(GROUP), sort=False)))
    variants: dict[tuple[Any, ...], set[tuple[Any, ...]]] = {}
    for row in rows:
        variants.setdefault(_same_name(row), set()).add(_digests(row))
    made = []
    for row in rows:
        runs = groups[tuple(row[name] for name in GROUP)]
        among = sorted(variants[_same_name(row)])
        place = (row["task"], row["train_split"], row["model"], int(row["horizon"]))
        exact = references.get((row["task"], row["horizon"], row["eval_dataset_digest"]), {})
        made.append(
            Entry(
                task=row["task"],
                known=tasks.get(row["task"]),
                split=row["train_split"],
                model=model_title(row),
                colour=colours[row["task"], row["model"]],
                preset=row["preset"],
                horizon=int(row["horizon"]),
                variant=f"({among.index(_digests(row)) + 1})" if len(among) > 1 else "",
                scores={m.name: _score(row, m, published.get((*place, m.name)), exact) for m in SHOWN},
                runs=tuple(_facts(run) for run in runs.to_dict("records")),
                devices=tuple(sorted(set(runs["device"]))),
                parameters=int(row["parameters"]),
                seconds=float(row["train_seconds"] + row["eval_seconds"]),
            )
        )
    return made


def _same_name(row: Mapping[Any, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("task", "train_split", "preset", "model"))


def _digests(row: Mapping[Any, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in GROUP if name.endswith("_digest") or name == "eval_episodes")


# A relation to the symmetric embedding network, as the leaderboard has it, in words.
_VERSUS: Final = {"better": "better than SEN", "worse": "worse than SEN", "overlap": "not apart"}


def _score(
    row: Mapping[Any, Any], metric: Metric, published: Published | None, exact: Mapping[Any, Any]
) -> Score:
    name, beside = metric.name, no_change(metric)
    return Score(
        float(row[f"{name}_mean"]),
        float(row[f"{name}_std"]),
        float(row[f"{name}_iqm_low"]),
        float(row[f"{name}_iqm_high"]),
        _VERSUS.get(row[f"{name}_vs_sen"], ""),
        published,
        math.nan if beside is None else float(row[f"{beside.name}_mean"]),
        float(exact.get(name, math.nan)),
    )


# Columns of a run that are shown as text; its scores and what names the row are shown elsewhere.
_FACTS: Final = (
    "seed",
    "restarts",
    "epochs",
    "transitions_seen",
    "train_seconds",
    "eval_seconds",
    "eval_episodes",
    "device",
    "precision",
    "compiled",
    "version",
    "torch_version",
    "config_digest",
    "train_dataset_digest",
    "eval_dataset_digest",
    "train_files_digest",
    "eval_files_digest",
)


def _facts(row: Mapping[Any, Any]) -> Facts:
    return Facts(
        identity=(row["run_id"], row["train_dataset_digest"], row["config_digest"]),
        scores=tuple(
            (column_title(metric), score_text(metric, row[metric.name]))
            for metric in SHOWN
            if not math.isnan(row[metric.name])
        ),
        facts=tuple(
            (name.replace("_", " "), _fact(row[name]))
            for name in (*_FACTS, *(["external"] if isinstance(row.get("external"), str) else []))
            if name in row
        ),
        collapsed=bool(row["collapsed"]),
    )


def _fact(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return "not recorded" if math.isnan(value) else f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _missing(
    task: Task,
    made: Sequence[Entry],
    published: Mapping[Place, Published],
    colours: Mapping[tuple[str, str], int],
) -> Iterable[Entry]:
    """What was not run: models that are missing beside others of their split and preset, or all of them."""
    for split in task.default_train_splits:
        mine = [entry for entry in made if (entry.task, entry.split) == (task.name, split)]
        for preset in sorted({entry.preset for entry in mine}) or [""]:
            longest = max((e.horizon for e in mine if e.preset == preset), default=_usual_horizon(task))
            for model in task.models:
                ran = {e.horizon for e in mine if (e.preset, e.model) == (preset, model)}
                told = {h for t, s, m, h, _ in published if (t, s, m) == (task.name, split, model)}
                if model in task.models_on_request and not ran:  # nobody misses it
                    continue
                for horizon in sorted(told - ran if ran or told else {longest}):
                    scores = {
                        m.name: Score(published=published.get((task.name, split, model, horizon, m.name)))
                        for m in SHOWN
                    }
                    colour = colours[task.name, model]
                    yield Entry(task.name, task, split, model, colour, preset, horizon, "", scores)


def _usual_horizon(task: Task) -> int:
    """The longest horizon of a task in the preset ``paper``; 1 if that does not mention the task."""
    sizes = load_preset("paper").tasks.get(task.name)
    return max(sizes.evaluation.horizons) if sizes else 1

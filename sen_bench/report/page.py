"""What the page says, arranged and in words; the template only marks it up."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import pandas as pd

from sen_bench import __version__
from sen_bench.config import Preset, load_preset, preset_names
from sen_bench.report.cards import Card, cards
from sen_bench.report.chart_rows import NOT_RUN
from sen_bench.report.colours import model_colours
from sen_bench.report.entries import Entry, entries, usable_tasks
from sen_bench.report.page_data import PageData
from sen_bench.report.panels import (
    Panel,
    curve_panels,
    equivariance_panels,
    glance_panels,
    horizon_panels,
    limited_panels,
)
from sen_bench.report.worlds import WorldPictures
from sen_bench.report.worth import WorthFigure
from sen_bench.report.worth_of_acting import acting_figure
from sen_bench.report.worth_of_data import data_figure
from sen_bench.report.worth_of_orbit import orbit_figure
from sen_bench.results import SHOWN, Metric

OWN_PRESET: Final = "a preset of one's own; config.json in the folder of a run has its settings"


@dataclass(frozen=True)
class TaskResults:
    """What is shown of a task, besides its charts.

    Attributes:
        task: Its name.
        title: Its title.
        splits: The training splits except the plain one, each with what it is for.
        metrics: The columns of its leaderboard: the metrics that are known for at least one row, what it is
            judged by first.
        entries: The rows of its leaderboard.
        cards: What to read first, for each split and preset.
        world: Pictures, or None where none could be drawn.
    """

    task: str
    title: str
    splits: tuple[tuple[str, str], ...]
    metrics: tuple[Metric, ...]
    entries: tuple[Entry, ...]
    cards: tuple[Card, ...]
    world: WorldPictures | None


@dataclass(frozen=True)
class Choice:
    """What a filter can be set to.

    Attributes:
        name: Of the filter, as in the rows' data.
        label: Of the filter.
        values: Each value with its label.
    """

    name: str
    label: str
    values: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class PresetFacts:
    """What a preset means.

    Attributes:
        name: Its name.
        description: What it says of itself.
        epochs: By task, in words: those of the runs if there are any, otherwise those of the preset.
        differs: What differs from the paper, in words, or nothing.
        runs: How many runs it has.
    """

    name: str
    description: str
    epochs: str
    differs: str
    runs: int


@dataclass(frozen=True)
class Device:
    """Where runs were made.

    Attributes:
        name: The device.
        precisions: The arithmetic there.
        runs: How many runs.
        hours: Of training and evaluation together.
    """

    name: str
    precisions: str
    runs: int
    hours: str


@dataclass(frozen=True)
class Page:
    """Everything on the page.

    Attributes:
        version: Of sen-bench.
        runs: How many runs.
        ran: How many combinations of task, split and model were run.
        combinations: How many there are.
        hours: Of all runs, in words.
        choices: The filters.
        glance: The most important chart of each task, split and preset.
        headlines: Those of them that are shown first.
        tasks: What is shown of each task.
        limited: Generalisation from limited actions.
        horizons: H@k against horizons.
        equivariance: Equivariance errors.
        curves: Learning curves.
        presets: What presets mean.
        devices: Where the runs were made.
        missing: What was not run.
        metrics: All scores that are shown.
        sources: Where the published numbers come from, each with what to know about it.
        worth: What symmetry is worth: the figures of which there are tables.
    """

    version: str
    runs: int
    ran: int
    combinations: int
    hours: str
    choices: tuple[Choice, ...]
    glance: tuple[Panel, ...]
    headlines: tuple[Panel, ...]
    tasks: tuple[TaskResults, ...]
    limited: tuple[Panel, ...]
    horizons: tuple[Panel, ...]
    equivariance: tuple[Panel, ...]
    curves: tuple[Panel, ...]
    presets: tuple[PresetFacts, ...]
    devices: tuple[Device, ...]
    missing: tuple[str, ...]
    metrics: tuple[Metric, ...]
    sources: tuple[str, ...]
    worth: tuple[WorthFigure, ...] = ()


def build_page(tables: PageData, worlds: Sequence[WorldPictures]) -> Page:
    """Arranges the tables.

    Args:
        tables: From `read_page_data`.
        worlds: From `draw_world`.
    """
    rows = entries(tables)
    combinations = {(entry.task, entry.split, entry.model) for entry in rows}
    ran = {(entry.task, entry.split, entry.model) for entry in rows if entry.runs}
    once = tables.runs.drop_duplicates(["run_id", "config_digest", "train_dataset_digest"])
    titles = {entry.task: entry.title for entry in rows}
    glance = tuple(glance_panels(rows))
    return Page(
        version=__version__,
        runs=len(once),
        ran=len(ran),
        combinations=len(combinations),
        hours=_hours(float((once["train_seconds"] + once["eval_seconds"]).sum())),
        choices=_choices(rows),
        glance=glance,
        headlines=headlines(glance),
        tasks=tuple(_task_results(rows, worlds)),
        limited=tuple(limited_panels(rows)),
        horizons=tuple(horizon_panels(rows)),
        equivariance=tuple(equivariance_panels(rows)),
        curves=tuple(curve_panels(rows, tables.curves)),
        presets=tuple(
            _preset(name, titles, once[once["preset"] == name])
            for name in dict.fromkeys([*sorted(once["preset"].unique()), *preset_names()])
        ),
        devices=tuple(
            Device(
                str(device),
                ", ".join(sorted(group["precision"].unique())),
                len(group),
                _hours(float((group["train_seconds"] + group["eval_seconds"]).sum())),
            )
            for device, group in once.groupby("device", sort=True)
        ),
        missing=tuple(
            dict.fromkeys(
                f"{entry.title}, {entry.split}: {entry.model}"
                for entry in rows
                if (entry.task, entry.split, entry.model) not in ran
            )
        ),
        metrics=SHOWN,
        sources=tuple(
            dict.fromkeys(
                score.published.origin for entry in rows for score in entry.scores.values() if score.published
            )
        ),
        worth=tuple(_worth(tables)),
    )


def _worth(tables: PageData) -> Iterator[WorthFigure]:
    tasks = {task.name: task for task in usable_tasks()}
    colours = model_colours(tables, tasks)
    for figure in (
        data_figure(tables.efficiency, tasks, colours),
        orbit_figure(tables.orbit, tasks, colours),
        acting_figure(tables.planning, tables.runs, tasks, colours),
    ):
        if figure is not None:
            yield figure


HEADLINES: Final = (("2d-shapes", "train-limited"), ("3d-blocks", "train-limited"), ("teapot-large", "train"))
"""The results that carry the paper: task and training split."""


def headlines(glance: Sequence[Panel]) -> tuple[Panel, ...]:
    """What to look at first: the results that carry the paper; where none was run, the first three that were.

    Of several presets, the one is shown with which most of the models were run; of equals, the paper's.

    Args:
        glance: The most important chart of each task, split and preset.
    """
    by_place: dict[tuple[str, str], list[Panel]] = {}
    for panel in glance:
        by_place.setdefault((panel.task, panel.split), []).append(panel)
    best = {place: min(panels, key=_gaps) for place, panels in by_place.items()}
    carrying = [best[place] for place in HEADLINES if place in best]
    ran = [panel for panel in best.values() if panel.preset]
    return tuple(carrying if any(panel.preset for panel in carrying) or not ran else ran[: len(HEADLINES)])


def _gaps(panel: Panel) -> tuple[int, bool]:
    """How much is missing in a panel that is to be shown first."""
    rows = panel.dots.rows if panel.dots else ()
    return sum(row.text == NOT_RUN for row in rows), panel.preset != "paper"


def _task_results(rows: Sequence[Entry], worlds: Sequence[WorldPictures]) -> list[TaskResults]:
    pictures = {world.task: world for world in worlds}
    made = []
    for task, of_task in groupby(rows, key=lambda entry: entry.task):
        mine = tuple(of_task)
        its_cards = tuple(cards(mine))
        known = [
            metric
            for metric in SHOWN
            if any(
                not math.isnan(entry.scores[metric.name].mean) or entry.scores[metric.name].published
                for entry in mine
            )
        ]
        first = {card.metric.name for card in its_cards}
        metrics = tuple(sorted(known, key=lambda metric: metric.name not in first))
        splits = mine[0].known.splits if mine[0].known else {}
        used = (split for split in dict.fromkeys(entry.split for entry in mine) if split != "train")
        purposes = tuple((split, splits[split].purpose) for split in used if split in splits)
        made.append(TaskResults(task, mine[0].title, purposes, metrics, mine, its_cards, pictures.get(task)))
    return made


def _choices(rows: Sequence[Entry]) -> tuple[Choice, ...]:
    def plain(values: Sequence[str]) -> tuple[tuple[str, str], ...]:
        return tuple((value, value) for value in dict.fromkeys(values) if value)

    return (
        Choice("task", "Task", tuple(dict.fromkeys((entry.task, entry.title) for entry in rows))),
        Choice("split", "Trained on", plain([entry.split for entry in rows])),
        Choice("model", "Model", plain([entry.model for entry in rows])),
        Choice("horizon", "Steps ahead", plain([str(h) for h in sorted({entry.horizon for entry in rows})])),
        Choice("preset", "Preset", plain([entry.preset for entry in rows])),
        Choice("device", "Device", plain(sorted({device for entry in rows for device in entry.devices}))),
    )


def _preset(name: str, titles: Mapping[str, str], runs: pd.DataFrame) -> PresetFacts:
    """What is known about a preset: a user's own is not at hand, and ours may have changed since a run."""
    preset = load_preset(name) if name in preset_names() else None
    if len(runs):
        trained = [(str(row["task"]), int(row["epochs"])) for row in runs.to_dict("records")]
    else:
        trained = [(task, sizes.training.epochs) for task, sizes in preset.tasks.items()] if preset else []
    epochs: dict[int, dict[str, None]] = {}
    for task, count in trained:
        epochs.setdefault(count, {})[titles.get(task, task)] = None
    if len(epochs) == 1:
        text = str(next(iter(epochs)))
    else:
        text = "; ".join(f"{count}: {', '.join(tasks)}" for count, tasks in sorted(epochs.items()))
    if preset is None:
        return PresetFacts(name, OWN_PRESET, text, "", len(runs))
    return PresetFacts(name, preset.description, text, _differences(preset, titles), len(runs))


def _differences(preset: Preset, titles: Mapping[str, str]) -> str:
    """Where the data and widths of a preset differ from the paper's."""
    paper = load_preset("paper")
    found = []
    for what, name in (("data", "data"), ("widths of networks", "models")):
        tasks = [
            titles.get(task, task)
            for task, sizes in preset.tasks.items()
            if task in paper.tasks and getattr(sizes, name) != getattr(paper.tasks[task], name)
        ]
        everywhere = len(tasks) == len(preset.tasks)
        if tasks:
            found.append(f"smaller {what}: {'all tasks' if everywhere else ', '.join(tasks)}")
    return "; ".join(found)


def _hours(seconds: float) -> str:
    """A time in words."""
    return f"{seconds / 3600:.1f} h" if seconds >= 5400 else f"{seconds / 60:.0f} min"


def duration(seconds: float) -> str:
    """A mean time of a row, or a dash."""
    return "–" if math.isnan(seconds) else _hours(seconds)


def devices_json(entry: Entry) -> str:
    """The devices of a row, for the script."""
    return json.dumps(list(entry.devices))

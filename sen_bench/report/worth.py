"""What symmetry is worth: figures with what they show and what they do not show, in words."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from sen_bench.config import load_preset, preset_names
from sen_bench.report.formatting import preset_parts
from sen_bench.report.panels import Panel
from sen_bench.system import number_of
from sen_bench.tasks import Task


@dataclass(frozen=True)
class WorthPanel:
    """A chart of one task, split and preset.

    Attributes:
        panel: The chart, with its numbers.
        says: What it shows, in a sentence; backticks are around names of models.
        beware: What it does not show, a sentence each, in the same way.
        settings: What differs from the preset.
    """

    panel: Panel
    says: str
    beware: tuple[str, ...]
    settings: tuple[str, ...]


@dataclass(frozen=True)
class WorthFigure:
    """One question, with a chart for each task that was asked it.

    Attributes:
        kind: Its name, in those of files.
        title: The question.
        about: How to read the charts.
        tables: What it is made from.
        panels: The charts.
    """

    kind: str
    title: str
    about: str
    tables: str
    panels: tuple[WorthPanel, ...]


def place_order(
    tasks: Mapping[str, Task], task: str, split: str, preset: str
) -> tuple[int, str, bool, str, str]:
    """What charts are sorted by; the first one is seen before anything is opened.

    Tasks are in their order, those that are not known here last. Of a task, what was trained on a part of the
    actions is first, as symmetry is worth most there.
    """
    order = list(tasks)
    return order.index(task) if task in order else len(order), task, split == "train", split, preset


def listed(texts: Iterable[str]) -> str:
    """Texts as a list in a sentence: "a, b and c"."""
    *first, last = texts
    return f"{', '.join(first)} and {last}" if first else last


def runs_caution(counts: Collection[int]) -> str:
    """On how many runs the numbers rest.

    Args:
        counts: How many runs each number is of; at least one.
    """
    few, many = min(counts), max(counts)
    if many < 3:
        seeds = number_of(many, "seed") if few == many else f"{few} or {number_of(many, 'seed')}"
        return f"{seeds} each, too few for intervals: differences may be chance."
    if few < 3:
        return f"{few} to {many} seeds each; only those of three or more have intervals."
    if few == many == 3:
        return "3 seeds each, whose 95 % intervals go from the lowest to the highest."
    return f"{few if few == many else f'{few} to {many}'} seeds each."


def no_better_caution(where: Mapping[str, str]) -> str:
    """Which models predict motion no better than no change; empty where none does.

    Args:
        where: By model, where that is so; an empty text: that goes without saying.
    """
    if not where:
        return ""
    told = listed(f"`{model}` {place}".rstrip() for model, place in where.items())
    return f"No better than predicting no change, by the relative error: {told}."


def collapse_caution(collapsed: int, runs: int) -> str:
    """How many runs collapsed; empty where none did."""
    return f"{collapsed} of {runs} runs collapsed." if collapsed else ""


def preset_caution(preset: str, task: str) -> str:
    """In what the runs are not those of the paper; empty where they are.

    Args:
        preset: The preset, with the settings beside it.
        task: The name of the task.
    """
    name, settings = preset_parts(preset)
    if name not in preset_names():
        return "The preset is none of ours: networks, data and training need not be those of the paper."
    own, paper = (load_preset(known).tasks.get(task) for known in (name, "paper"))
    sections = {setting.partition(".")[0] for setting in settings if "=" in setting}
    parts = (("models", "widths of networks"), ("data", "amount of data"), ("training", "training"))
    others = sections - {"models", "data", "evaluation"}  # names of variants leave out "training."
    differing = [
        what
        for section, what in parts
        if section in sections
        or (section == "training" and others)
        or (own is not None and paper is not None and getattr(own, section) != getattr(paper, section))
    ]
    return f"Not as in the paper: {listed(differing)}." if differing else ""

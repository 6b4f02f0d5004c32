"""What symmetry is worth in acting: goals reached by planning with models."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from sen_bench.report.chart_rows import NO_BETTER_MARK, split_note, steps_text, trained_title
from sen_bench.report.charts import Row, dot_chart
from sen_bench.report.formatting import preset_parts
from sen_bench.report.panels import Numbers, Panel
from sen_bench.report.worth import (
    WorthFigure,
    WorthPanel,
    listed,
    no_better_caution,
    place_order,
    preset_caution,
    runs_caution,
)
from sen_bench.results import PlanningRow, Summary, no_better_than_no_change, summarise
from sen_bench.tasks import Task

_REFERENCES = {"random": "random actions reach", "oracle": "an oracle that plans in the true world"}
"""The references, in their order on the page, and what is said of them."""


@dataclass(frozen=True)
class _Actor:
    """What was planned with in the same way: the runs of a model that differ in their seeds, or a reference.

    Attributes:
        label: What it is called.
        colour: Of its model; None: a reference.
        rows: Its rows.
        success: Over runs, the share of goals reached.
        no_better: Whether its model predicts no better than no change, as far as that is known.
    """

    label: str
    colour: int | None
    rows: tuple[PlanningRow, ...]
    success: Summary
    no_better: bool = False

    @property
    def twin_success(self) -> float:
        """The share of goals reached in the twins, as an interquartile mean over runs."""
        return summarise([row.twin_success for row in self.rows]).iqm

    def mean(self, column: str) -> float:
        """The mean of a column over runs; NaN if it is undefined for one of them."""
        return summarise([getattr(row, column) for row in self.rows]).mean


def acting_figure(
    rows: Sequence[PlanningRow],
    runs: pd.DataFrame,
    tasks: Mapping[str, Task],
    colours: Mapping[tuple[str, str], int],
) -> WorthFigure | None:
    """How many goals are reached, a chart for each task, training split, preset and set of problems.

    Args:
        rows: The rows of `planning.csv`.
        runs: Those of `runs.csv`, which say how well the same models predict.
        tasks: The tasks that can be used here.
        colours: From `model_colours`.

    Returns:
        The figure; None where nothing was planned with a model.
    """
    groups: dict[tuple[str, str, str, str, str], list[PlanningRow]] = {}
    for row in rows:
        if row.train_split is not None and row.preset is not None:
            place = (row.task, row.train_split, row.preset, row.problems_digest, row.planning_digest)
            groups.setdefault(place, []).append(row)
    panels = []
    for place in sorted(groups, key=lambda place: (place_order(tasks, *place[:3]), place[3:])):
        task, *_, problems, planning = place
        references = [
            _Actor(name, None, (row,), summarise([row.success]))
            for name in _REFERENCES
            for row in rows
            if row.train_split is None
            and (row.task, row.model) == (task, name)
            and (row.problems_digest, row.planning_digest) == (problems, planning)
        ]
        agents = _models(groups[place], runs, colours)
        panels.append(_panel(place[:3], [*agents, *references], tasks.get(task)))
    if not panels:
        return None
    return WorthFigure(
        "acting",
        "Is a better latent good for acting?",
        "Goals reached in the true world by planning with the predictions of a model, from a frame of the"
        " start and one of the goal; in brackets in the twins, the same problems seen after a group element."
        " Dots are the problems, rings their twins: interquartile means over seeds, the problems with their"
        " 95 % intervals from three seeds on. Dashed marks are what needs no model: actions drawn at random,"
        " and an oracle that plans in the true world.",
        "planning.csv",
        tuple(panels),
    )


def _models(
    rows: Sequence[PlanningRow], runs: pd.DataFrame, colours: Mapping[tuple[str, str], int]
) -> list[_Actor]:
    """The models of a chart: rows that differ in their seeds only belong together."""
    alike: dict[tuple[int, str, str, str, int], list[PlanningRow]] = {}
    for row in rows:
        what = (row.config_digest or "", row.train_dataset_digest or "", row.epochs or 0)
        alike.setdefault((colours[row.task, row.model], row.model, *what), []).append(row)
    names = [model for _, model, *_ in sorted(alike)]
    agents = []
    for number, key in enumerate(sorted(alike)):
        colour, model, *_ = key
        own = tuple(alike[key])
        which = f" ({names[:number].count(model) + 1})" if names.count(model) > 1 else ""
        useless = no_better_than_no_change(_relative_error(own, runs))
        agents.append(
            _Actor(f"{model}{which}", colour, own, summarise([row.success for row in own]), useless)
        )
    return agents


def _relative_error(rows: Sequence[PlanningRow], runs: pd.DataFrame) -> float:
    """The mean relative error of some runs at the longest horizon scored; NaN where it is not known."""
    (config,) = {row.config_digest for row in rows}
    scored = runs[runs["run_id"].isin([row.run_id for row in rows]) & (runs["config_digest"] == config)]
    longest = scored[scored["horizon"] == scored["horizon"].max()]
    return float(longest["relative_error"].mean())


def _panel(place: tuple[str, str, str], agents: Sequence[_Actor], known: Task | None) -> WorthPanel:
    task, split, preset = place
    first = agents[0].rows[0]
    models = [agent for agent in agents if agent.colour is not None]
    rows = [_row(agent) for agent in agents]
    words = "; ".join(
        f"{agent.label} {_percent(agent.success.iqm)}, in the twins {_percent(agent.twin_success)}"
        for agent in agents
    )
    goals = f"{first.problems} goals {steps_text(first.distance)} away"
    panel = Panel(
        task,
        split,
        preset,
        trained_title(known, task, split),
        dot_chart(
            rows,
            x_label="goals reached, %; in brackets the twins",
            summary=f"Of {goals} are reached: {words}.",
            limits=(0, 100),
            pair=("the problems", "their twins"),
        ),
        numbers=_numbers(agents),
        note=split_note(known, split),
        about=f"{goals}, at most {first.budget} actions, planned by {first.planner}",
    )
    beware = (
        runs_caution({len(agent.rows) for agent in models}),
        preset_caution(preset, task),
        no_better_caution({agent.label: "(†)" for agent in models if agent.no_better}),
    )
    return WorthPanel(
        panel, _says(goals, models, agents), tuple(text for text in beware if text), preset_parts(preset)[1]
    )


def _row(agent: _Actor) -> Row:
    success, twins = 100 * agent.success.iqm, 100 * agent.twin_success
    text = f"{success:.1f} ({twins:.1f})" + NO_BETTER_MARK * agent.no_better
    if agent.colour is None:
        return Row(agent.label, text, reference=success)
    interval = agent.success.interval
    return Row(agent.label, text, agent.colour, success, 100 * interval.low, 100 * interval.high, other=twins)


def _says(goals: str, models: Sequence[_Actor], agents: Sequence[_Actor]) -> str:
    reached = listed(
        f"`{agent.label}` reaches {_percent(agent.success.iqm)} (in the twins {_percent(agent.twin_success)})"
        for agent in models
    )
    others = [
        f"{_REFERENCES[agent.label]} {_percent(agent.success.iqm)}"
        for agent in agents
        if agent.colour is None
    ]
    return f"Of {goals}, {reached}{f'; {listed(others)}' if others else ''}."


def _numbers(agents: Sequence[_Actor]) -> Numbers:
    rows = []
    for agent in agents:
        interval = agent.success.interval
        rows.append(
            (
                agent.label,
                f"{100 * agent.success.iqm:.1f}",
                f"{100 * interval.low:.1f} to {100 * interval.high:.1f}" if interval.known else "–",
                f"{100 * agent.twin_success:.1f}",
                _number(agent.mean("steps_above")),
                f"{100 * agent.mean('twin_same'):.1f}",
                f"{len(agent.rows)}" if agent.colour is not None else "–",
            )
        )
    headings = ("agent", "reached %", "95 %", "twins %", "steps above the optimum", "as its twin %", "runs")
    return Numbers(headings, tuple(rows))


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2f}"

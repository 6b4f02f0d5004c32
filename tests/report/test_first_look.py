"""What the page shows before anything is opened: the results to look at first, and a card for each task."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from sen_bench.report import Page, build_page, read_page_data, render_page
from sen_bench.report.formatting import column_title
from sen_bench.report.page import headlines
from sen_bench.results.references import ReferenceRow, append_references
from sen_bench.results.rows import append_rows
from sen_bench.results.scores import SHOWN
from tests.support.html import Element, parse
from tests.support.report_tables import report_rows
from tests.support.rows import make_row

TEAPOT = {"task": "teapot-large", "train_split": "train"}


def _page(folder: Path) -> Element:
    return parse(render_page(build_page(read_page_data(folder), [])))


def _cards(page: Element, **place: str) -> list[Element]:
    return page.all("div", **{"class": "card"}, **place)


def test_the_results_that_carry_the_paper_are_shown_first_and_say_their_numbers(page: Element) -> None:
    figures = [f for f in page.all("figure") if f.attributes.get("id", "").startswith("headline")]
    assert [figure.all("b")[0].text for figure in figures] == [
        "2D Shapes, limited actions",
        "3D Blocks, limited actions",
        "3D Teapot, large actions",
    ]
    # Of two presets, the one with more models; what was not run is said to be missing.
    assert [figure.all("figcaption")[0].all("span")[0].text for figure in figures] == [
        "cpu",
        "not run",
        "cpu",
    ]
    (drawing,) = figures[2].all("svg")
    assert drawing.attributes["aria-label"] == (
        "HH@1 1 step ahead: matmul 93.0 ± 2.0 (95 %: 91.0 to 95.0; published: 100.0);"
        " none 28.0 ± 2.0 (95 %: 26.0 to 30.0; published: 7.4);"
        " tfn 18.0 ± 2.0 (no better than no change; 95 %: 16.0 to 20.0)."
    )
    assert "training with the direction up only" in figures[0].text


def test_of_presets_with_equally_many_models_the_papers_is_shown_first(tmp_path: Path) -> None:
    place = {"task": "2d-shapes", "train_split": "train-limited"}
    append_rows(
        tmp_path / "runs.csv",
        [make_row(**place, preset=preset, run_id=preset) for preset in ("cpu", "paper", "smoke")],
    )
    assert build_page(read_page_data(tmp_path), []).headlines[0].preset == "paper"


def test_where_none_of_those_was_run_the_first_that_were_are_shown(tmp_path: Path) -> None:
    append_rows(
        tmp_path / "runs.csv", [make_row(task=task, run_id=task) for task in ("reacher", "rush-hour")]
    )
    glance = build_page(read_page_data(tmp_path), []).glance
    assert [panel.task for panel in headlines(glance)] == ["rush-hour", "reacher"]
    assert [panel.task for panel in headlines([p for p in glance if not p.preset])] == [
        "2d-shapes",
        "3d-blocks",
        "teapot-large",
    ]


def test_a_card_has_the_score_of_the_longest_horizon_beside_the_name_of_the_model(
    page: Element, built: Page
) -> None:
    (card,) = _cards(page, data_task="2d-shapes", data_split="train", data_preset="cpu")
    assert "10 steps ahead" in card.all("thead")[0].text
    rows = card.all("tbody")[0].all("tr")
    assert [row.children[0].text for row in rows] == ["sen", "full", "none"]
    (entry,) = [
        e
        for t in built.tasks
        for e in t.entries
        if (e.task, e.label, e.horizon, e.split, e.preset) == ("2d-shapes", "full", 10, "train", "cpu")
    ]
    mean = entry.scores["hits_at_1"].mean
    assert rows[1].children[1].text.startswith(f"{100 * mean:.1f} ± ")
    # Every task has one for each split and preset, run or not.
    assert {card.attributes["data-task"] for card in _cards(page)} == {task.task for task in built.tasks}
    (absent,) = _cards(page, data_task="3d-blocks", data_split="train-limited")
    assert absent.all("tbody")[0].text.count("not run") == 3


def test_the_longest_horizon_stands_first(built: Page) -> None:
    for task in built.tasks:
        places: dict[tuple[str, str], list[int]] = {}
        for entry in task.entries:
            places.setdefault((entry.split, entry.preset), []).append(entry.horizon)
        assert all(horizons == sorted(horizons, reverse=True) for horizons in places.values())


def test_a_table_has_a_column_for_every_score_that_is_known_the_headline_first(page: Element) -> None:
    (table,) = page.all("table", data_title="3D Teapot, large actions")
    titles = [button.text for button in table.all("thead")[0].all("button")]
    assert titles[:4] == ["model", "steps", "HH@1 %", "H@1 %"]
    rows = [row for row in report_rows() if row.task == "teapot-large"]
    known = {
        column_title(metric)
        for metric in SHOWN
        for row in rows
        if not math.isnan(getattr(row, metric.name) or math.nan)
    }
    assert len(known) > 5
    assert set(titles[2:-6]) == known


def test_what_no_change_scores_on_exact_latents_is_a_row_and_a_line_where_data_are_the_same(
    tmp_path: Path,
) -> None:
    rows = [
        make_row(**TEAPOT, model="matmul", run_id="a", hh_at_1=0.9),
        make_row(task="rush-hour", run_id="b", eval_dataset_digest="sha256:other"),
    ]
    append_rows(tmp_path / "runs.csv", rows)
    append_references(
        tmp_path / "references.csv",
        [
            ReferenceRow(
                task=row.task,
                reference="no-change",
                horizon=row.horizon,
                latents="rotations",
                hits_at_1=0.1,
                hits_at_5=0.1,
                hits_at_10=0.1,
                mrr=0.1,
                hh_at_1=0.123,
                local_hits_at_1=0.1,
                local_mrr=0.1,
                eval_episodes=row.eval_episodes,
                eval_dataset_digest=rows[0].eval_dataset_digest,
            )
            for row in rows
        ],
    )
    page = _page(tmp_path)
    (card,) = _cards(page, data_task="teapot-large")
    (row,) = card.all("tr", **{"class": "nothing"})
    assert "12.3" in row.text
    assert len(card.all("path", **{"class": "reference"})) == 4
    (drawing,) = page.all("figure", id="headline-3")[0].all("svg")
    assert drawing.attributes["aria-label"].endswith("; predicting no change from exact latents 12.3.")
    (other,) = _cards(page, data_task="rush-hour")
    assert not other.all("path", **{"class": "reference"})


def test_rows_of_a_table_say_beside_the_model_what_they_were_trained_on_where_there_is_a_choice(
    page: Element,
) -> None:
    for task, said in (("2d-shapes", "train-limited, cpu"), ("teapot-large", "")):
        split = "train-limited" if said else "train"
        (name, *_) = page.all("tbody", data_task=task, data_split=split, data_preset="cpu")[0].all("th")
        assert (
            "".join(small.text for small in name.all("small") if "bad" not in str(small.attributes)) == said
        )


def test_a_model_has_one_colour_on_the_whole_page(built: Page) -> None:
    colours: dict[str, set[int]] = {}
    for task in built.tasks:
        for entry in task.entries:
            colours.setdefault(entry.model, set()).add(entry.colour)
    assert all(len(own) == 1 for own in colours.values())
    assert colours["sen"] == colours["matmul"] == {0}
    own = [colours[model] for model in ("sen", "full", "none", "tfn", "own:Model")]
    assert len(set.union(*own)) == len(own)


@pytest.mark.parametrize("closed", ["meanings", "scroll", "figures", "frames"])
def test_the_rest_is_on_demand_without_a_script(page: Element, closed: str) -> None:
    opened = [d for d in page.all("details") if "open" in d.attributes]
    assert not opened
    inside = [e for d in page.all("details") for e in d.walk() if e.attributes.get("class") == closed]
    everywhere = [e for e in page.walk() if e.attributes.get("class") == closed]
    outside = {id(e) for e in everywhere} - {id(e) for e in inside}
    # The short table of devices is in the open.
    assert len(outside) == (1 if closed == "scroll" else 0)

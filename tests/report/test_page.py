"""The page of results shows every run, every gap and every published number."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sen_bench.report import Page, build_page, read_page_data, render_page
from sen_bench.report.entries import entries
from sen_bench.report.formatting import column_title, score_text
from sen_bench.results.rows import append_rows, read_runs
from sen_bench.results.scores import SHOWN
from sen_bench.tasks.registry import get_task, task_names
from tests.support.html import Element, parse, table_rows
from tests.support.report_tables import report_rows
from tests.support.rows import make_row

METRIC = {metric.name: metric for metric in SHOWN}


def _published_row(page: Element) -> Element:
    """The row of the tables that has a published number with a note."""
    (body,) = page.all(
        "tbody",
        data_task="2d-shapes",
        data_split="train-limited",
        data_preset="cpu",
        data_model="none",
        data_horizon="1",
    )
    return body


def test_every_run_is_behind_a_number_with_all_that_is_known_of_it(page: Element) -> None:
    for row in report_rows():
        place = {"data_task": row.task, "data_split": row.train_split, "data_model": row.model}
        (body,) = page.all("tbody", **place, data_horizon=str(row.horizon), data_preset=row.preset)
        (run,) = [a for a in body.all("article") if a.attributes["aria-label"] == f"Run {row.run_id}"]
        for known in (
            row.run_id,
            row.device,
            row.precision,
            row.version,
            row.torch_version,
            row.config_digest,
            row.train_dataset_digest,
            row.eval_dataset_digest,
            row.train_files_digest,
            row.eval_files_digest,
            f"{row.train_seconds:,.1f}",
            f"{row.epochs:,}",
            score_text(METRIC["mrr"], row.mrr),
        ):
            assert str(known) in run.text


def test_means_deviations_and_published_numbers_stand_in_their_cells(page: Element, results: Path) -> None:
    runs = read_runs(results / "runs.csv")
    place = {"task": "2d-shapes", "train_split": "train-limited", "model": "none", "horizon": 1}
    mine = runs[(runs[list(place)] == list(place.values())).all(axis=1)]
    mean, std = 100 * mine["hits_at_10"].mean(), 100 * mine["hits_at_10"].std()
    body = _published_row(page)
    (cell,) = [cell for cell in body.all("td") if "published" in cell.text]
    assert cell.text.strip().startswith(f"{mean:.1f} ± {std:.1f}")
    assert "2.8 ± 0.6" in cell.text
    assert float(cell.attributes["data-value"]) == pytest.approx(mean / 100)


def test_one_seed_has_no_deviation_and_no_interval(page: Element) -> None:
    one, three = (
        page.all("tbody", data_task=task, data_split="train", data_model="sen", data_horizon="10")[0]
        for task in ("3d-blocks", "2d-shapes")
    )
    numbers = [cell for cell in one.all("tr")[0].all("td") if "number" in cell.attributes.get("class", "")]
    assert len(numbers) > 8
    assert not [cell.text for cell in numbers if "±" in cell.text or "95 %" in cell.text]
    assert "±" in three.text
    assert "95 %" in three.text


def test_what_was_not_run_is_missing_and_not_invented(page: Element) -> None:
    ran = {(row.task, row.train_split, row.model) for row in report_rows()}
    absent = [body for body in table_rows(page) if body.attributes.get("class") == "absent"]
    shown = {tuple(body.attributes[f"data-{k}"] for k in ("task", "split", "model")) for body in absent}
    expected = {
        (name, split, model)
        for name in task_names()
        for split in get_task(name).default_train_splits
        for model in get_task(name).models
        if model not in get_task(name).models_on_request
    }
    assert expected - ran <= shown
    assert not [model for _, _, model in shown if model == "vae"]
    for body in absent:
        cells = body.all("td")
        assert "not run" in body.text
        assert not body.all("article")
        # What was published is shown even where nothing was run, as the paper's.
        scores = cells[1:-6]
        assert all(cell.attributes["data-value"] == "" for cell in scores)
        assert all(re.fullmatch(r"\s*(published .*)?", cell.text) for cell in scores)
    (missing,) = page.all("ul", **{"class": "missing"})
    listed = {item.text for item in missing.all("li")}
    assert "3D Blocks, train-limited: sen" in listed
    assert not listed & {f"{get_task(t).title}, {s}: {m}" for t, s, m in ran}
    (body,) = page.all("tbody", data_task="reacher", data_split="train-limited", data_model="sen")
    assert "59.4 ± 4.6" in body.text


def test_a_collapse_is_said(page: Element) -> None:
    (body,) = page.all("tbody", data_task="rush-hour", data_preset="cpu", data_model="none")
    assert "1 collapsed" in body.text


def test_charts_of_equivariance_have_its_errors_and_no_others(page: Element) -> None:
    figures = [f for f in page.all("figure") if f.attributes.get("id", "").startswith("equivariance")]
    words = " ".join(
        drawing.attributes["aria-label"] for figure in figures for drawing in figure.all("svg", role="img")
    )
    shown = {
        metric.name for metric in METRIC.values() if f"{column_title(metric)}: {metric.meaning}." in words
    }
    assert shown == {"ee_embedding", "ee_latent", "die_embedding", "die_model"}
    assert METRIC["relative_error"].meaning in page.text


def test_a_page_of_no_runs_says_so(tmp_path: Path) -> None:
    append_rows(tmp_path / "runs.csv", [])
    page = parse(render_page(build_page(read_page_data(tmp_path), [])))
    assert all(body.attributes["class"] == "absent" for body in table_rows(page))
    assert len(page.all("figure", id="headline-1")[0].all("span", **{"class": "tag none"})) == 1
    assert not [
        figure for figure in page.all("figure") if figure.attributes.get("id", "").startswith("curve")
    ]


def test_no_change_stands_beside_scores_where_there_is_one_and_what_is_no_better_is_marked(
    tmp_path: Path,
) -> None:
    moving = make_row(relative_error=0.89, no_change_hits_at_1=0.123)
    append_rows(tmp_path / "runs.csv", [moving, make_row(model="none", run_id="none", relative_error=0.9)])
    page = parse(render_page(build_page(read_page_data(tmp_path), [])))
    sen, none = (
        page.all("tbody", data_task="3d-blocks", data_model=model, data_preset="smoke")[0].text
        for model in ("sen", "none")
    )
    assert none.count("no better than no change") == none.count("no change") == 1
    assert sen.count("no change: 12.3") == sen.count("no change") == 1
    (card,) = page.all("div", **{"class": "card"}, data_task="3d-blocks", data_preset="smoke")
    sen, _, none = (row.text for row in card.all("tbody")[0].all("tr"))
    assert "no change: 12.3" in sen
    assert "no better than no change" not in sen
    assert "no better than no change" in none


def test_of_two_published_numbers_the_posters_is_shown(tmp_path: Path) -> None:
    append_rows(tmp_path / "runs.csv", [])
    rows = entries(read_page_data(tmp_path))
    (row,) = [row for row in rows if (row.task, row.model) == ("teapot-large", "none")]
    published = row.scores["hh_at_1"].published
    assert published is not None
    assert (published.mean, "poster" in published.source) == (0.939, True)


def test_every_published_number_leads_to_its_source_and_note(page: Element) -> None:
    body = _published_row(page)
    (link,) = [a for a in body.all("a") if "source" in a.attributes["href"]]
    (target,) = page.all("li", id=link.attributes["href"].removeprefix("#"))
    assert target.text == "a paper: perhaps ten steps"
    numbers = page.all("small", **{"class": "paper"})
    assert numbers
    assert all(len(number.all("a")) == 1 for number in numbers)


def test_the_page_says_without_a_mouse_what_scores_mean(page: Element) -> None:
    (meanings,) = page.all("dl", **{"class": "meanings"})
    told = dict(zip(*([e.text for e in meanings.all(tag)] for tag in ("dt", "dd")), strict=True))
    headings = {b.text for b in page.all("button") if b.attributes.get("title")}
    assert told["MRR %"] == METRIC["mrr"].meaning
    assert headings & set(told)
    assert {heading for heading in headings if "@" in heading or "(" in heading} <= set(told)


def test_rows_that_differ_in_settings_only_are_told_apart(tmp_path: Path) -> None:
    limited = {"train_split": "train-limited", "run_id": "limited"}
    rows = [make_row(), make_row(config_digest="sha256:other"), make_row(**limited)]
    append_rows(tmp_path / "runs.csv", rows)
    tables = read_page_data(tmp_path)
    labels = [entry.label for entry in entries(tables) if entry.runs]
    assert sorted(labels) == ["sen", "sen (1)", "sen (2)"]
    # Which of the two is to be compared with that of limited actions, nobody knows.
    (panel,) = [panel for panel in build_page(tables, []).limited if panel.task == "3d-blocks"]
    assert panel.dots is not None
    assert [(row.label, row.text, len(row.marks)) for row in panel.dots.rows] == [
        ("sen", "several → 30.0", 1),
        ("full", "not run", 0),
        ("none", "not run", 0),
    ]


def test_presets_show_the_epochs_that_were_trained_not_those_of_today(built: Page) -> None:
    presets = {preset.name: preset for preset in built.presets}
    assert (presets["cpu"].runs, presets["cpu"].epochs) == (26, "5")
    assert (presets["mine"].runs, presets["mine"].epochs) == (2, "5")
    assert (presets["smoke"].runs, presets["smoke"].differs != "") == (0, True)
    assert presets["paper"].differs == ""

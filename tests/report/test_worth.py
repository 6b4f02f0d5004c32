"""What symmetry is worth: sentences and charts of the tables of studies and of planning, and none without."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sen_bench.report import Page, build_page, read_page_data, render_page
from sen_bench.report.formatting import preset_parts, short_preset
from sen_bench.report.page_data import PageData
from sen_bench.report.rendering import coded
from sen_bench.report.worth import WorthPanel, preset_caution, runs_caution
from sen_bench.report.worth_of_data import times_text
from sen_bench.results.orbit_generalisation import orbit_rows
from sen_bench.results.sample_efficiency import StudiedPart, efficiency_rows
from tests.support.html import Element
from tests.support.worth_tables import DATA, NARROW, ORBIT, PLANNING, TEAPOT_DATA, part, planned

NO_BETTER = "No better than predicting no change, by the relative error:"


@pytest.fixture(scope="module")
def bare(results: Path) -> PageData:
    """The tables of runs alone."""
    tables = read_page_data(results, results / "published.csv")
    return replace(tables, efficiency=(), orbit=(), planning=())


def _panels(page: Page, kind: str) -> list[WorthPanel]:
    return [panel for figure in page.worth if figure.kind == kind for panel in figure.panels]


def _of_data(bare: PageData, parts: list[StudiedPart]) -> WorthPanel:
    tables = replace(bare, efficiency=tuple(efficiency_rows(parts, rival="none")))
    (panel,) = _panels(build_page(tables, []), "data")
    return panel


def test_the_data_that_none_needs_is_said_with_its_interval(built: Page) -> None:
    shapes, teapot = _panels(built, "data")
    assert shapes.says == (
        "For the H@1 that `sen` has with 100 transitions (40.0 %, 10 steps ahead), `none` needs 10 times as"
        " many (by the ends of the 95 % intervals at most 1 to at least 100 times), the largest ratio of the"
        " 2 parts; with 10,000, `sen` has 90.0 % and `none` has 60.0 %."
    )
    assert shapes.beware == (
        "3 seeds each, whose 95 % intervals go from the lowest to the highest.",
        "Not as in the paper: widths of networks and training.",
        f"{NO_BETTER} `none` with 100 transitions.",
    )
    assert shapes.settings == ("models.none.hidden=128", "models.sen.hidden=64")
    assert teapot.says == (
        "For the HH@1 that `matmul` has with 300 transitions (50.0 %, 1 step ahead), `none` needs at least 33"
        " times as many, the largest ratio of the 2 parts; with 10,000, `matmul` has 90.0 % and `none` has"
        " 20.0 %."
    )
    assert teapot.beware == (
        "1 seed each, too few for intervals: differences may be chance.",
        f"{NO_BETTER} `none` with 300 transitions.",
        "1 of 4 runs collapsed.",
    )


def test_a_chart_of_data_is_logarithmic_and_hollow_where_nothing_is_predicted(built: Page) -> None:
    panel = _panels(built, "data")[0].panel
    (chart,) = panel.lines
    assert [tick.text for tick in chart.x_ticks] == ["100", "10k"]
    hollow = {line.name: [mark.hollow for mark in line.marks] for line in chart.lines}
    assert hollow == {"sen": [False, False], "none": [True, False]}
    assert chart.summary == (
        "H@1 10 steps ahead against transitions trained on: sen 40.0 % with 100, 90.0 % with 10,000; none"
        " 20.0 % with 100, 60.0 % with 10,000."
    )
    assert panel.numbers is not None
    assert panel.numbers.headings == (
        "model, transitions", "H@1 %", "95 %", "data none needs", "rel. error", "steps", "runs"
    )  # fmt: skip
    assert panel.numbers.rows[0] == (
        "sen, 100", "40.0", "30.0 to 50.0", "10 times as many", "0.60", "300", "3"
    )  # fmt: skip
    assert panel.numbers.rows[2][1:5] == ("20.0", "10.0 to 30.0", "–", "0.95")


def test_an_interval_that_is_enclosed_by_what_was_measured_has_no_bounds(bare: PageData) -> None:
    parts = [
        part("2d-shapes", "none", 100, [0.0, 0.05, 0.1]),
        part("2d-shapes", "none", 10_000, [0.9, 0.95, 1.0]),
        part("2d-shapes", "sen", 100, [0.4, 0.5, 0.6]),
    ]
    assert "needs 10 times as many (by the ends of the 95 % intervals 4.6 to 22 times);" in (
        _of_data(bare, parts).says
    )


def test_a_ratio_counts_only_where_something_is_predicted(bare: PageData) -> None:
    parts = [
        part("2d-shapes", "none", 100, [0.1]),
        part("2d-shapes", "none", 10_000, [0.5]),
        part("2d-shapes", "sen", 100, [0.7], relative_error=0.9),
        part("2d-shapes", "sen", 10_000, [0.6]),
    ]
    assert _of_data(bare, parts).says == (
        "With 10,000 transitions `none` does not reach the H@1 that `sen` has with 10,000 transitions"
        " (60.0 %, 10 steps ahead), the only part with which `sen` predicts better than no change; with"
        " 10,000, `sen` has 60.0 % and `none` has 50.0 %."
    )


def test_where_none_was_not_studied_scores_are_said(bare: PageData) -> None:
    says = _of_data(bare, [p for p in DATA if p.model == "sen"]).says
    assert says == "With 10,000 transitions `sen` has 90.0 % (H@1, 10 steps ahead)."


@pytest.mark.parametrize(
    ("ratio", "bound", "text"),
    [
        (1.736, None, "1.7 times as many"),
        (123.4, None, "120 times as many"),
        (10.000000000000002, "at most", "at most 10 times as many"),
        (9.999999999999998, "at least", "at least 10 times as many"),
        (1.96, "at least", "at least 1.9 times as many"),
        (0.341, "at most", "at most 0.35 times as many"),
    ],
)
def test_a_bound_is_never_rounded_to_more_than_it_says(ratio: float, bound: str | None, text: str) -> None:
    assert times_text(ratio, bound) == text


def test_the_orbit_is_told_from_the_slice_to_the_farthest_and_beyond(built: Page) -> None:
    (orbit,) = _panels(built, "orbit")
    assert orbit.panel.title == "2D Shapes, a slice of the orbit"
    assert orbit.says == (
        "MRR, 1 step ahead: `sen` goes from 80.0 % in the slice to 70.0 % at 180 degrees and `none` goes from"
        " 90.0 % in the slice to 5.0 % at 180 degrees; beyond the orbit `sen` has 20.0 % and `none` has"
        " 2.0 %; the relative error (1: as if nothing changed) goes from 0.20 to 0.30 for `sen` and 0.10 to"
        " 0.95 for `none`."
    )
    assert orbit.beware == (
        "2 seeds each, too few for intervals: differences may be chance.",
        "Not as in the paper: widths of networks and training.",
        f"{NO_BETTER} `none` at 180 degrees and beyond the orbit.",
    )
    (chart,) = orbit.panel.lines
    assert [tick.text for tick in chart.x_ticks] == ["in it", "90", "180", "beyond"]
    # What lies beyond the orbit is at no distance, and no line leads there.
    assert [[len(stroke) for stroke in line.strokes] for line in chart.lines] == [[3, 1], [3, 1]]
    assert [mark.hollow for mark in chart.lines[1].marks] == [False, False, True, True]


def test_where_the_score_is_lowest_between_the_ends_is_said(bare: PageData) -> None:
    runs = [
        row.model_copy(update={"mrr": 0.3}) if (row.model, row.distance_high) == ("sen", 90) else row
        for row in ORBIT
    ]
    (orbit,) = _panels(build_page(replace(bare, orbit=tuple(orbit_rows(runs))), []), "orbit")
    assert orbit.says.startswith(
        "MRR, 1 step ahead: `sen` goes from 80.0 % in the slice to 70.0 % at 180 degrees (lowest 30.0 % at 90"
        " degrees) and `none` goes from 90.0 % in the slice to 5.0 % at 180 degrees; beyond"
    )


def test_classes_of_several_degrees_are_told_by_both_ends(bare: PageData) -> None:
    runs = [row.model_copy(update={"orbit_class": "45 to 90 degrees", "distance_low": 45.0})
            for row in ORBIT if row.distance_high == 90]  # fmt: skip
    tables = replace(bare, orbit=tuple(orbit_rows(runs)))
    (orbit,) = _panels(build_page(tables, []), "orbit")
    assert orbit.says.startswith("MRR, 1 step ahead: `sen` has 80.0 % at 45 to 90 degrees and ")
    assert orbit.panel.lines[0].x_ticks[0].text == "45\N{EN DASH}90"


def test_goals_reached_are_said_with_the_twins_and_the_references(built: Page) -> None:
    shapes, teapot = _panels(built, "acting")
    assert shapes.says == (
        "Of 100 goals 5 steps away, `sen` reaches 96.0 % (in the twins 90.0 %) and `none` reaches 0.0 % (in"
        " the twins 1.0 %); random actions reach 2.0 % and an oracle that plans in the true world 100.0 %."
    )
    assert shapes.beware[0] == "3 seeds each, whose 95 % intervals go from the lowest to the highest."
    assert shapes.panel.note == "training with the direction up only"
    assert shapes.panel.dots is not None
    assert [(row.label, row.text) for row in shapes.panel.dots.rows] == [
        ("sen", "96.0 (90.0)"),
        ("none", "0.0 (1.0)"),
        ("random", "2.0 (2.0)"),
        ("oracle", "100.0 (100.0)"),
    ]
    assert [row.reference_at is None for row in shapes.panel.dots.rows] == [True, True, False, False]
    # The interval alone: what joined the ring to the dot would lengthen it.
    sen = shapes.panel.dots.rows[0]
    (((low, _), (high, _)),) = sen.bars
    ring, dot = (mark.x for mark in sen.marks)
    assert (high - low, dot - low, dot - ring) == pytest.approx(
        (4 * (dot - ring) / 6, (dot - ring) / 3, dot - ring)
    )
    assert ring < low < dot < high
    assert shapes.panel.numbers is not None
    assert shapes.panel.numbers.rows[0] == ("sen", "96.0", "94.0 to 98.0", "90.0", "1.00", "75.0", "3")
    assert shapes.panel.numbers.rows[1][4] == "–"
    # The same run is in runs.csv, where its relative error says that it has learned nothing of motion.
    assert teapot.says == "Of 100 goals 5 steps away, `tfn` reaches 10.0 % (in the twins 10.0 %)."
    assert teapot.beware[-1] == f"{NO_BETTER} `tfn` (†)."
    assert teapot.panel.dots is not None
    assert teapot.panel.dots.rows[0].text == "10.0 (10.0) †"


def test_runs_with_other_settings_or_problems_are_never_averaged(bare: PageData) -> None:
    sen = PLANNING[0]
    others = [
        sen,
        sen.model_copy(update={"config_digest": "sha256:other"}),
        sen.model_copy(update={"problems_digest": "sha256:others", "problems": 20}),
    ]
    first, second = _panels(build_page(replace(bare, planning=tuple(others)), []), "acting")
    assert [panel.says.partition(",")[0] for panel in (first, second)] == [
        "Of 20 goals 5 steps away",
        "Of 100 goals 5 steps away",
    ]
    assert first.panel.dots is not None
    assert second.panel.dots is not None
    assert [row.label for row in first.panel.dots.rows] == ["sen"]
    assert [row.label for row in second.panel.dots.rows] == ["sen (1)", "sen (2)"]


def test_references_alone_make_no_figure(bare: PageData) -> None:
    tables = replace(bare, planning=(planned("2d-shapes", None, "random", 0.0, 0.0),))
    assert build_page(tables, []).worth == ()


def test_figures_are_there_as_far_as_tables_are(bare: PageData, page: Element) -> None:
    assert "What symmetry is worth" not in render_page(build_page(bare, []))
    only = build_page(replace(bare, efficiency=tuple(efficiency_rows(TEAPOT_DATA, rival="none"))), [])
    assert [figure.kind for figure in only.worth] == ["data"]
    text = render_page(only)
    assert text.count("How much data does it save?") == 2
    assert "good for acting" not in text
    (heading,) = page.all("h2", id="worth")
    assert heading.text == "What symmetry is worth"
    # The first of each question is seen at once, the others on demand.
    closed = {e.attributes.get("id") for d in page.all("details") for e in d.all("figure")}
    assert {"data-2", "acting-2"} <= closed
    assert not {"data-1", "orbit-1", "acting-1"} & closed
    (first,) = page.all("figure", id="data-1")
    assert first.all("span", **{"class": "tag"})[0].text == "cpu + 2 settings"
    assert "Beside the preset: models.none.hidden=128, models.sen.hidden=64." in first.text
    assert "`" not in first.text


def test_models_of_studies_only_have_colours_of_their_own(bare: PageData) -> None:
    own = [part("2d-shapes", "own.module:Model", n, [0.5]) for n in (100, 10_000)]
    (chart,) = _of_data(bare, [*DATA, *own]).panel.lines
    assert [line.name for line in chart.lines] == ["sen", "none", "own.module:Model"]
    assert len({line.colour for line in chart.lines}) == 3


def test_a_task_that_is_not_installed_is_shown_by_its_name(bare: PageData) -> None:
    panel = _of_data(bare, [part("elsewhere:toy", "sen", count, [0.5]) for count in (100, 10_000)])
    assert panel.panel.title == "elsewhere:toy, all actions"


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        ({2}, "2 seeds each, too few for intervals: differences may be chance."),
        ({1, 2}, "1 or 2 seeds each, too few for intervals: differences may be chance."),
        ({1, 3}, "1 to 3 seeds each; only those of three or more have intervals."),
        ({5}, "5 seeds each."),
        ({3, 5}, "3 to 5 seeds each."),
    ],
)
def test_how_many_seeds_there_are_is_said(counts: set[int], text: str) -> None:
    assert runs_caution(counts) == text


@pytest.mark.parametrize(
    ("preset", "text"),
    [
        ("paper", ""),
        ("paper+evaluation.horizons=1", ""),
        ("paper+data.train.episodes=10", "Not as in the paper: amount of data."),
        ("paper+epochs=2", "Not as in the paper: training."),
        (
            "mine+epochs=2",
            "The preset is none of ours: networks, data and training need not be those of the paper.",
        ),
    ],
)
def test_what_differs_from_the_paper_is_said(preset: str, text: str) -> None:
    assert preset_caution(preset, "2d-shapes") == text


def test_names_in_sentences_are_escaped() -> None:
    assert coded("`<b>` has 9 % & more") == "<code>&lt;b&gt;</code> has 9\N{NO-BREAK SPACE}% &amp; more"


def test_a_long_name_of_a_preset_is_cut_off_where_it_says_so() -> None:
    long = "cpu+evaluation.horizons=1+models.none.hidden=128+m+8e2684e8636a472a"
    assert preset_parts(long) == (
        "cpu",
        ("evaluation.horizons=1", "models.none.hidden=128", "m…", "digest 8e2684e8636a472a"),
    )
    assert short_preset(long) == "cpu + 2 or more settings"
    assert [short_preset(preset) for preset in ("cpu", "cpu+epochs=2", NARROW)] == [
        "cpu",
        "cpu + 1 setting",
        "cpu + 2 settings",
    ]
    assert preset_caution(long, "2d-shapes") == "Not as in the paper: widths of networks and training."

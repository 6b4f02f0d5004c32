"""The page of results: valid and self-contained, shows every run and every gap, escapes what it is told."""

from __future__ import annotations

import base64
import hashlib
import io
import itertools
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from sen_bench.cli.main import main
from sen_bench.config.presets import SplitSize
from sen_bench.errors import ResultsError
from sen_bench.generators.episodes import draw_elements, render, roll_out, twin_of
from sen_bench.report import Page, build_page, draw_world, read_tables, render_page, write_page
from sen_bench.report.charts import MARKS, Points, Row, dot_chart, line_chart, mark_path
from sen_bench.report.entries import METRIC, entries
from sen_bench.report.worlds import WorldPictures
from sen_bench.results.rows import append_rows, read_runs
from sen_bench.tasks.registry import get_task, task_names
from sen_bench.tasks.task import Task
from tests.support.report_tables import STRANGE, report_rows, write_report_tables
from tests.support.rows import make_row

VOID = {"meta", "link", "img", "br", "path", "input"}


@dataclass
class Element:
    """An element of a page."""

    tag: str
    attributes: dict[str, str]
    content: list[Element | str] = field(default_factory=list)

    @property
    def children(self) -> list[Element]:
        return [child for child in self.content if isinstance(child, Element)]

    @property
    def text(self) -> str:
        return "".join(child if isinstance(child, str) else child.text for child in self.content)

    def walk(self) -> Iterator[Element]:
        yield self
        for child in self.children:
            yield from child.walk()

    def all(self, tag: str, **attributes: str) -> list[Element]:
        wanted = {name.replace("_", "-"): value for name, value in attributes.items()}
        return [
            element
            for element in self.walk()
            if element.tag == tag and all(element.attributes.get(k) == v for k, v in wanted.items())
        ]


class StrictParser(HTMLParser):
    """Builds a tree; a tag that is not closed where it should be is an error."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Element("root", {})
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice: {names}"
        element = Element(tag, {name: value or "" for name, value in attrs})
        self._open[-1].content.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        element = self._open.pop()
        assert element.tag == tag, f"</{tag}> closes <{element.tag}>"

    def handle_data(self, data: str) -> None:
        self._open[-1].content.append(data)

    def close(self) -> None:
        super().close()
        assert self._open == [self.root], [element.tag for element in self._open]


def parse(text: str) -> Element:
    parser = StrictParser()
    parser.feed(text)
    parser.close()
    return parser.root


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report_tables(tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="module")
def built(results: Path) -> Page:
    tables = read_tables(results, results / "published.csv")
    return build_page(tables, [draw_world(get_task("2d-shapes"))])


@pytest.fixture(scope="module")
def text(built: Page) -> str:
    return render_page(built)


@pytest.fixture(scope="module")
def page(text: str) -> Element:
    return parse(text)


def _rows(page: Element) -> list[Element]:
    return [body for body in page.all("tbody") if "data-row" in body.attributes]


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


def test_ids_are_unique_and_references_lead_somewhere(page: Element) -> None:
    ids = [element.attributes["id"] for element in page.walk() if "id" in element.attributes]
    assert len(ids) == len(set(ids))
    referring = ("for", "aria-labelledby", "aria-controls")
    used = [
        element.attributes[name]
        for element in page.walk()
        for name in referring
        if name in element.attributes
    ]
    used += [a.attributes["href"].removeprefix("#") for a in page.all("a")]
    assert used
    assert set(used) <= set(ids)


def test_nothing_is_fetched_and_the_policy_forbids_it(page: Element, text: str) -> None:
    for element in page.walk():
        for name in ("src", "href", "srcset", "action", "data", "poster", "style"):
            value = element.attributes.get(name, "#")
            assert value.startswith(("#", "data:")), f"<{element.tag} {name}={value[:60]!r}>"
        assert not [name for name in element.attributes if name.startswith("on")], element.tag
    assert "url(" not in text
    assert "@import" not in text
    assert not re.search(r"https?://", text)
    (policy,) = page.all("meta", http_equiv="Content-Security-Policy")
    rules = dict(rule.strip().split(" ", 1) for rule in policy.attributes["content"].split(";"))
    assert rules["default-src"] == "'none'"
    assert "unsafe" not in policy.attributes["content"]
    for kind in ("style", "script"):
        (element,) = page.all(kind)
        digest = hashlib.sha256(element.text.encode()).digest()
        assert rules[f"{kind}-src"] == f"'sha256-{base64.b64encode(digest).decode()}'"


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
            METRIC["mrr"].text(row.mrr),
        ):
            assert str(known) in run.text


def test_markup_in_a_name_stays_text(page: Element, text: str) -> None:
    assert len(page.all("script")) == 1
    assert STRANGE not in text
    assert STRANGE in page.text
    (option,) = page.all("option", value=f"{STRANGE} GPU")
    assert option.text == f"{STRANGE} GPU"


def test_means_deviations_and_published_numbers_stand_in_their_cells(page: Element, results: Path) -> None:
    runs = read_runs(results / "runs.csv")
    place = {"task": "2d-shapes", "train_split": "train-limited", "model": "none", "horizon": 1}
    mine = runs[(runs[list(place)] == list(place.values())).all(axis=1)]
    mean, std = 100 * mine["hits_at_10"].mean(), 100 * mine["hits_at_10"].std()
    body = _published_row(page)
    (cell,) = [cell for cell in body.all("td") if "paper" in cell.text]
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
    absent = [body for body in _rows(page) if body.attributes.get("class") == "absent"]
    shown = {tuple(body.attributes[f"data-{k}"] for k in ("task", "split", "model")) for body in absent}
    expected = {
        (name, split, model)
        for name in task_names()
        for split in get_task(name).splits
        for model in get_task(name).models
        if split != "eval"
    }
    assert expected - ran <= shown
    for body in absent:
        cells = body.all("td")
        assert "not run" in body.text
        assert not body.all("article")
        # What was published is shown even where nothing was run, as the paper's.
        scores = cells[4:-3]
        assert all(cell.attributes["data-value"] == "" for cell in scores)
        assert all(re.fullmatch(r"\s*(paper\d+ .*)?", cell.text) for cell in scores)
    (missing,) = page.all("ul", **{"class": "missing"})
    listed = {item.text for item in missing.all("li")}
    assert "3D Blocks, train-limited: sen" in listed
    assert not listed & {f"{get_task(t).title}, {s}: {m}" for t, s, m in ran}
    (body,) = page.all("tbody", data_task="reacher", data_split="train-limited", data_model="sen")
    assert "59.4 ± 4.6" in body.text


def test_a_collapse_is_said(page: Element) -> None:
    (body,) = page.all("tbody", data_task="rush-hour", data_preset="cpu", data_model="none")
    assert "1 collapsed" in body.text


def test_it_can_be_read_without_eyes(page: Element) -> None:
    (html,) = page.all("html")
    assert html.attributes["lang"] == "en"
    skip = page.all("a")[0]
    assert skip.attributes["href"] == "#content"
    levels = [int(element.tag[1]) for element in page.walk() if re.fullmatch("h[1-6]", element.tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    for table in page.all("table"):
        heads = [th for th in table.all("th") if th.attributes.get("scope") == "col"]
        assert heads
        assert all(th.attributes.get("scope") in {"col", "row"} for th in table.all("th"))
        if "data-board" in table.attributes:
            assert table.all("caption")
            assert len({len(body.all("tr")[0].children) for body in table.all("tbody")} | {len(heads)}) == 1
    for picture in page.all("img"):
        assert picture.attributes["alt"]
    for drawing in page.all("svg"):
        named = drawing.attributes.get("role") == "img" and drawing.attributes.get("aria-label")
        assert named or drawing.attributes.get("aria-hidden") == "true"
    for figure in page.all("figure"):
        assert figure.all("figcaption")
    for choice in page.all("select"):
        assert page.all("label", **{"for": choice.attributes["id"]})
    (status,) = page.all("p", role="status")
    assert status.attributes["aria-live"] == "polite"


def test_charts_say_their_numbers_in_words(page: Element) -> None:
    (figure,) = [
        figure
        for figure in page.all("figure", data_task="teapot-large", data_preset="cpu")
        if figure.attributes["id"].startswith("glance")
    ]
    (drawing,) = figure.all("svg")
    assert drawing.attributes["aria-label"] == (
        "HH@1 1 step ahead: matmul 93.0 ± 2.0 (95 %: 91.0 to 95.0; published: 100.0);"
        " tfn 18.0 ± 2.0 (95 %: 16.0 to 20.0); none 28.0 ± 2.0 (95 %: 26.0 to 30.0; published: 7.4)."
    )


def test_charts_of_equivariance_have_its_errors_and_no_others(page: Element) -> None:
    (section,) = page.all("section", aria_labelledby="equivariance")
    words = " ".join(drawing.attributes["aria-label"] for drawing in section.all("svg"))
    shown = {metric.name for metric in METRIC.values() if f"{metric.heading}: {metric.title}." in words}
    assert shown == {"ee_embedding", "ee_latent", "die_embedding", "die_model"}
    assert METRIC["relative_error"].title in page.text


def test_equal_tables_give_equal_pages(results: Path, text: str) -> None:
    tables = read_tables(results, results / "published.csv")
    assert render_page(build_page(tables, [draw_world(get_task("2d-shapes"))])) == text


def test_a_page_of_no_runs_says_so(tmp_path: Path) -> None:
    append_rows(tmp_path / "runs.csv", [])
    page = parse(render_page(build_page(read_tables(tmp_path), [])))
    assert all(body.attributes["class"] == "absent" for body in _rows(page))
    assert "No learning curves are recorded" in page.text


def test_pictures_are_the_frames_of_the_episode_of_record_and_its_twin() -> None:
    task = get_task("2d-shapes")
    world = task.world()
    recipe = task.recipe("eval", SplitSize(episodes=1, horizon=3))
    episodes = roll_out(world, recipe, 0, 1)
    twins = twin_of(world, episodes, draw_elements(world, episodes.seed))
    drawn = draw_world(task)
    for pictures, states in ((drawn.episode, episodes.state), (drawn.twin, twins.state)):
        frames = render(world, states, lambda: None)[0]
        for picture, frame in zip(pictures, frames, strict=True):
            np.testing.assert_array_equal(_pixels(picture.source), frame)


def _pixels(source: str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    data = base64.b64decode(source.removeprefix("data:image/png;base64,"))
    return np.asarray(Image.open(io.BytesIO(data)))


def test_a_line_goes_through_its_points_and_has_gaps_where_there_are_none() -> None:
    points = Points(
        "sen", 0, (1, 5, 10, 11), (100, 0, math.nan, 50), (90, math.nan, 1, 1), (100, 1, math.nan, 2)
    )
    chart = line_chart([points], x_label="", y_label="", summary="", y_limits=(0, 100))
    (line,) = chart.lines
    xs = [tick.at for tick in chart.x_ticks]
    top, bottom = chart.y_ticks[-1].at, chart.y_ticks[0].at
    assert [tick.text for tick in chart.x_ticks] == ["1", "5", "10", "11"]
    assert line.path == (
        f"M{xs[0]:g} {top:g}L{round(xs[1], 1):g} {bottom:g}M{round(xs[3], 1):g} {(top + bottom) / 2:g}"
    )
    assert len(line.marks) == 3
    assert line.whiskers.count("M") == 2


@pytest.mark.parametrize(
    ("losses", "ticks"),
    [
        ((1.0, 0.01), ["0.01", "0.1", "1"]),
        ((0.9, 0.2), ["0.2", "0.5"]),
        ((0.5, 0.5), ["0.5"]),
        ((9.0, 0.0), ["9"]),
    ],
)
def test_logarithmic_axes_have_round_numbers(losses: tuple[float, ...], ticks: list[str]) -> None:
    points = Points("", 0, tuple(float(k) for k in range(len(losses))), losses)
    chart = line_chart([points], x_label="", y_label="", summary="", logarithmic=True, marked=False)
    assert [tick.text for tick in chart.y_ticks] == ticks
    assert "nan" not in chart.lines[0].path


def test_a_dot_stands_at_its_value_and_a_ring_and_a_diamond_at_theirs() -> None:
    rows = [Row("sen", value=50, low=25, high=75, other=0, published=100), Row("none")]
    chart = dot_chart(rows, x_label="", summary="", limits=(0, 100))
    zero, half, full = (tick.at for tick in chart.ticks)
    placed, empty = chart.rows
    ring, dot = placed.marks
    assert ring.hollow
    assert ring.path.startswith(f"M{zero:g} ")
    assert dot.path.startswith(f"M{half:g} ")
    assert placed.published.startswith(f"M{full:g} ")
    assert not empty.marks
    assert not empty.published


def test_every_colour_has_a_mark_of_its_own() -> None:
    assert len({mark_path(colour, 0, 0) for colour in range(len(MARKS))}) == len(MARKS)


def test_a_sixth_model_has_the_colour_of_the_first() -> None:
    first, sixth = (
        line_chart([Points("", colour, (1.0, 2.0), (1.0, 2.0))], x_label="", y_label="", summary="").lines[0]
        for colour in (0, len(MARKS))
    )
    assert sixth == first
    rows = [Row("", value=1, other=2, colour=colour) for colour in (1, 1 + len(MARKS))]
    one, other = dot_chart(rows, x_label="", summary="", limits=(0, 3)).rows
    assert [mark.colour for mark in one.marks] == [mark.colour for mark in other.marks] == [1, 1]
    assert one.colour == other.colour == 1


def test_long_names_are_told_apart_by_their_ends() -> None:
    rows = [Row(f"package.module:{name}") for name in ("Alpha (1)", "Alpha (2)", "Beta (1)")]
    labels = [row.label for row in dot_chart(rows, x_label="", summary="", limits=(0, 1)).rows]
    assert labels == ["…le:Alpha (1)", "…le:Alpha (2)", "…ule:Beta (1)"]


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
    assert told["MRR %"] == METRIC["mrr"].title
    assert headings & set(told)
    assert {heading for heading in headings if "@" in heading or "(" in heading} <= set(told)


def test_rows_that_differ_in_settings_only_are_told_apart(tmp_path: Path) -> None:
    limited = {"train_split": "train-limited", "run_id": "limited"}
    rows = [make_row(), make_row(config_digest="sha256:other"), make_row(**limited)]
    append_rows(tmp_path / "runs.csv", rows)
    tables = read_tables(tmp_path)
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


def test_the_command_writes_a_page_and_overwrites_only_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "results"
    append_rows(results / "runs.csv", [make_row()])
    drawn = draw_world(get_task("2d-shapes"))
    monkeypatch.setattr("sen_bench.cli.report_commands.draw_world", lambda _: drawn)
    output = tmp_path / "new" / "page.html"
    command = ["report", "--results", str(results), "--output", str(output), "--quiet"]
    for _ in range(2):
        done = CliRunner().invoke(main, command)
        assert (done.exit_code, done.stdout, done.stderr) == (0, f"{output}\n", "")
    output.write_text("a diary")
    refused = CliRunner().invoke(main, command)
    assert refused.exit_code == 2
    assert "is not a page of `sen-bench report`; choose another --output" in refused.stderr
    assert output.read_text() == "a diary"
    nothing = CliRunner().invoke(main, ["report", "--results", str(tmp_path)])
    assert nothing.exit_code == 2
    assert "no results at" in nothing.stderr
    assert not (tmp_path / "index.html").exists()


def test_a_world_that_cannot_be_drawn_costs_its_picture_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append_rows(tmp_path / "runs.csv", [make_row()])
    drawn = draw_world(get_task("2d-shapes"))

    def draw(task: Task) -> WorldPictures:
        if task.name == "reacher":
            raise ImportError("no such wheel")
        return drawn

    monkeypatch.setattr("sen_bench.cli.report_commands.draw_world", draw)
    done = CliRunner().invoke(main, ["report", "--results", str(tmp_path), "--quiet"])
    assert done.exit_code == 0
    assert (
        done.stderr.partition(" (")[0]
        == "no picture of reacher: drawing reacher failed: ImportError: no such wheel"
    )
    assert len(parse((tmp_path / "index.html").read_text()).all("figure", **{"class": "world"})) == 5


def test_a_page_that_cannot_be_written_is_said_in_one_line(built: Page, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResultsError, match="cannot write"):
        write_page(built, tmp_path / "file" / "page.html")

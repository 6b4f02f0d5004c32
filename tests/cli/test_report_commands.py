"""The command that makes the page of results."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from sen_bench.cli.main import main
from sen_bench.report import draw_world
from sen_bench.report.worlds import WorldPictures
from sen_bench.results.rows import append_rows
from sen_bench.tasks.registry import get_task
from sen_bench.tasks.task import Task
from tests.support.html import parse
from tests.support.rows import make_row


def test_the_command_writes_a_page_and_overwrites_only_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "results"
    append_rows(results / "runs.csv", [make_row()])
    drawn = draw_world(get_task("2d-shapes"))
    monkeypatch.setattr("sen_bench.report.draw_world", lambda _: drawn)
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


def test_charts_are_written_on_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append_rows(tmp_path / "runs.csv", [make_row(task="2d-shapes", preset="cpu")])
    monkeypatch.setattr("sen_bench.report.usable_tasks", list)
    charts = tmp_path / "charts"
    command = ["report", "--results", str(tmp_path), "--quiet"]
    done = CliRunner().invoke(main, [*command, "--charts", str(charts), "--format", "pdf"])
    page, *drawn = done.stdout.splitlines()
    assert (done.exit_code, page) == (0, str(tmp_path / "index.html"))
    assert sorted(drawn) == sorted(str(path) for path in charts.iterdir())
    assert {Path(path).suffix for path in drawn} == {".pdf"}
    refused = CliRunner().invoke(main, [*command, "--format", "pdf"])
    assert refused.exit_code == 2
    assert "say where they go with --charts FOLDER" in refused.stderr


@pytest.mark.parametrize("table", ["studies/data/toy.csv", "studies/orbit/toy.csv", "planning.csv"])
def test_a_table_that_is_none_is_named_in_one_line(table: str, tmp_path: Path) -> None:
    append_rows(tmp_path / "runs.csv", [make_row()])
    path = tmp_path / table
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("task,score\n2d-shapes,1\n")
    done = CliRunner().invoke(main, ["report", "--results", str(tmp_path), "--quiet"])
    assert (done.exit_code, done.stdout) == (2, "")
    assert re.fullmatch(rf"error: {re.escape(str(path))} is not a table of .*; move it aside\n", done.stderr)


def test_a_world_that_cannot_be_drawn_costs_its_picture_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append_rows(tmp_path / "runs.csv", [make_row()])
    drawn = draw_world(get_task("2d-shapes"))

    def draw(task: Task) -> WorldPictures:
        if task.name == "reacher":
            raise ImportError("no such wheel")
        return replace(drawn, task=task.name)

    monkeypatch.setattr("sen_bench.report.draw_world", draw)
    done = CliRunner().invoke(main, ["report", "--results", str(tmp_path), "--quiet"])
    assert done.exit_code == 0
    assert (
        done.stderr.partition(" (")[0]
        == "no picture of reacher: drawing reacher failed: ImportError: no such wheel"
    )
    assert len(parse((tmp_path / "index.html").read_text()).all("figure", **{"class": "world"})) == 5

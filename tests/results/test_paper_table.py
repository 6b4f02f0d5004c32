"""The leaderboard as the table of a paper: what is compared, marked and rounded, in Markdown and LaTeX."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from sen_bench.errors import UnknownNameError
from sen_bench.results.leaderboard import Record
from sen_bench.results.leaderboard_view import LeaderboardView, find_metric, read_leaderboard
from sen_bench.results.paper_formats import escape_latex, escape_markdown, to_latex, to_markdown
from sen_bench.results.paper_table import PaperTable, make_paper_table
from tests.paths import ROOT
from tests.support.rows import leaderboard_rows, make_rivals, make_seed, reference_model

HITS = (find_metric("H@1"),)
NASTY = r"""[a]*b_c&d%e$f#g{h}i~j^k\l|m<n>o"p'q''r--s`t!`u"""


def _cells(rows: list[Record], metric: str, **how: Any) -> dict[str, tuple[str, str, bool]]:
    """The cell of each model."""
    table = make_paper_table(rows, (find_metric(metric),), **how)
    return {line.model: (cell.value, cell.spread, cell.best) for line in table.lines for cell in line.cells}


def test_the_best_of_a_comparison_is_marked_whichever_way_is_better() -> None:
    rows = leaderboard_rows(make_rivals())
    assert _cells(rows, "hits_at_1") == {
        "full": ("84.7", "13", False),
        "none": ("43.3", "21", False),
        "sen": ("92.0", "2.0", True),
    }
    best = {model: best for model, (*_, best) in _cells(rows, "die_model").items()}
    assert best == {"full": False, "none": False, "sen": True}


def test_models_that_look_alike_share_the_first_place_unless_all_do() -> None:
    scores = {"a": 0.5001, "b": 0.5002, "c": 0.2}
    rows = [make_seed(0, model=model, hits_at_1=score) for model, score in scores.items()]
    best = {model: best for model, (*_, best) in _cells(leaderboard_rows(rows), "hits_at_1").items()}
    assert best == {"a": True, "b": True, "c": False}
    assert not any(best for *_, best in _cells(leaderboard_rows(rows[:2]), "hits_at_1").values())


def test_other_data_presets_and_horizons_are_other_comparisons() -> None:
    rows = [make_seed(0, model="none", hits_at_1=0.9), make_seed(1, hits_at_1=0.1)]
    for change in ({"horizon": 1}, {"preset": "paper"}, {"eval_dataset_digest": "sha256:other"}):
        other = rows[1].model_copy(update={"hits_at_1": 0.95} | change)
        table = make_paper_table(leaderboard_rows([*rows, other]), HITS)
        assert [cell.value for line in table.lines for cell in line.cells if cell.best] == ["90.0"]


@pytest.mark.parametrize(
    ("mean", "std", "shown"),
    [
        (1.234, 0.0567, ("1.23", "0.06")),
        (0.0123, 0.002, ("0.0123", "0.0020")),
        (0.0001234, 0.1, ("0.00012", "0.10000")),
        (12.3, 4.0, ("12.3", "4.0")),
        (1234.0, 5.0, ("1234", "5")),
        (0.0, 0.0, ("0.00", "0.00")),
        (1e-7, 1e-8, ("<0.00001", "")),
        (0.5, math.nan, ("0.500", "")),
        (math.nan, math.nan, ("", "")),
    ],
)
def test_errors_have_three_digits_and_deviations_as_many_decimals(
    mean: float, std: float, shown: tuple[str, str]
) -> None:
    (row,) = leaderboard_rows([make_seed(0)])
    row |= {"die_model_mean": mean, "die_model_std": std}
    ((value, spread, _),) = _cells([row], "die_model").values()
    assert (value, spread) == shown


def test_intervals_and_collapsed_runs_are_shown() -> None:
    rows = leaderboard_rows([row.model_copy(update={"collapsed": row.seed == 1}) for row in make_rivals()])
    assert _cells(rows, "hits_at_1", intervals=True)["sen"] == ("92.0", "90.0, 94.0", True)
    assert {line.runs for line in make_paper_table(rows).lines} == {"3 (1 collapsed)"}
    assert "95 % interval" in make_paper_table(rows, intervals=True).caption


def test_rows_that_differ_in_data_alone_are_told_apart() -> None:
    rows = leaderboard_rows([make_seed(0), make_seed(1, config_digest="sha256:dddddddd")])
    names = [line.model for line in make_paper_table(rows).lines]
    assert names == ["sen (aaaaaa, bbbbbb, cccccc)", "sen (aaaaaa, bbbbbb, dddddd)"]


def test_metrics_are_found_by_column_and_by_heading() -> None:
    assert find_metric("H@1") is find_metric("hits_at_1")
    with pytest.raises(UnknownNameError, match="did you mean 'mrr'"):
        find_metric("mr")


def _record_of_the_repository() -> PaperTable:
    view = LeaderboardView(with_published=True)
    return make_paper_table(read_leaderboard(ROOT / "results" / "runs.csv", reference_model, view))


def _nasty_table(**how: Any) -> PaperTable:
    (sen, none) = leaderboard_rows([make_seed(0), make_seed(1, model="none")])
    return make_paper_table([sen | {"model": NASTY, "task": NASTY}, none], **how)


def _markdown_cells(text: str) -> list[list[str]]:
    """The text of the cells of the one table, row by row, as a reader of Markdown has them."""
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    assert sum(token.type == "table_open" for token in tokens) == 1
    rows: list[list[str]] = []
    for token, before in zip(tokens[1:], tokens, strict=False):
        if token.type == "tr_open":
            rows.append([])
        if token.type == "inline" and before.type in {"th_open", "td_open"}:
            rows[-1].append("".join(child.content for child in token.children or ()))
    return rows


@pytest.mark.parametrize("make", [_record_of_the_repository, _nasty_table])
def test_markdown_is_one_table_with_a_cell_for_every_score(make: Any) -> None:
    table: PaperTable = make()
    heading, *rows = _markdown_cells(to_markdown(table))
    assert [name.split()[0] for name in heading[5:]] == [m.label.split()[0] for m in table.metrics]
    assert len(rows) == len(table.lines)
    for row, line in zip(rows, table.lines, strict=True):
        assert len(row) == len(heading)
        assert row[:2] == [line.task, line.split]
        assert row[3].removesuffix(f", {line.preset}") == line.model
        assert [cell.partition(" ± ")[0] for cell in row[5:]] == [cell.value or "–" for cell in line.cells]


def test_markdown_marks_the_best() -> None:
    assert "| **92.0** ± 2.0 |" in to_markdown(make_paper_table(leaderboard_rows(make_rivals()), HITS))


_UNESCAPED = re.compile(r"(?<!\\)[&%$#_~^]")
_TEXT = {
    r"\textbackslash{}": "\\",
    r"\textasciitilde{}": "~",
    r"\textasciicircum{}": "^",
    r"\textless{}": "<",
    r"\textgreater{}": ">",
    r"\textbar{}": "|",
    r"\textasciigrave{}": "`",
    "{}": "",
}


def _read_latex(text: str) -> str:
    """The text that LaTeX shows; only what `escape_latex` writes is understood."""
    pattern = "|".join(re.escape(mark) for mark in _TEXT) + r"|\\([&%$#_{}])"
    return re.sub(pattern, lambda found: found[1] or _TEXT.get(found[0], ""), text)


_ASCII = st.text(st.characters(min_codepoint=32, max_codepoint=126))


@given(_ASCII)
def test_latex_shows_every_text_as_it_is(text: str) -> None:
    escaped = escape_latex(text)
    assert _read_latex(escaped) == text
    assert not _UNESCAPED.search(re.sub(r"\\[&%$#_{}]", "", escaped))
    assert "--" not in escaped
    assert "''" not in escaped
    assert not escaped.startswith(("[", "*"))


def test_latex_names_what_it_has_no_glyph_for() -> None:
    assert escape_latex("é模") == "é[U+6A21]"


@given(_ASCII)
def test_markdown_shows_every_text_as_it_is(text: str) -> None:
    text = text.strip()
    (_, (cell,)) = _markdown_cells(f"| h |\n| - |\n| {escape_markdown(text)} |\n")
    assert cell == text


@pytest.mark.parametrize("make", [_record_of_the_repository, _nasty_table])
def test_latex_has_a_row_for_every_model_and_as_many_cells_as_columns(make: Any) -> None:
    table: PaperTable = make()
    text = to_latex(table)
    (columns,) = re.findall(r"\\begin\{tabular\}\{(\w+)\}", text)
    body = text[text.index(r"\midrule") : text.index(r"\bottomrule")]
    rows = [line.strip() for line in body.splitlines() if line.strip() and r"\midrule" not in line]
    titles = [row for row in rows if row.startswith(r"\multicolumn")]
    rows = [row for row in rows if row not in titles]
    assert len(titles) == len({(line.task, line.split, line.horizon) for line in table.lines})
    assert len(rows) == len(table.lines)
    for row, line in zip(rows, table.lines, strict=True):
        assert row.endswith(r" \\")
        cells = re.split(r"(?<!\\)&", row.removesuffix(r" \\"))
        assert len(cells) == len(columns) == 2 + len(table.metrics)
        assert _read_latex(cells[0].strip()).removesuffix(f", {line.preset}") == line.model
        assert all((cell.value or "--") in shown for cell, shown in zip(line.cells, cells[2:], strict=True))
    assert re.findall(r"\\(begin|end)\{(\w+)\}", text) == [
        ("begin", "table"),
        ("begin", "tabular"),
        ("end", "tabular"),
        ("end", "table"),
    ]
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")


def test_latex_marks_the_best() -> None:
    text = to_latex(make_paper_table(leaderboard_rows(make_rivals()), HITS))
    assert r"sen & 3 & $\mathbf{92.0} \pm 2.0$ \\" in text
    assert r"H@1 (\%) $\uparrow$ \\" in text


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no TeX here")
def test_latex_compiles(tmp_path: Path) -> None:
    tables = [_record_of_the_repository(), _nasty_table(), _nasty_table(intervals=True)]
    parts = [
        r"\documentclass{article}",
        r"\usepackage{booktabs}",
        r"\begin{document}",
        *map(to_latex, tables),
        r"\end{document}",
    ]
    (tmp_path / "paper.tex").write_text("\n".join(parts), encoding="utf-8")
    done = subprocess.run(
        ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "paper"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]

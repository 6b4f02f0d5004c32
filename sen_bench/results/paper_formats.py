"""A table for a paper in Markdown and in LaTeX."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from typing import Final

from sen_bench._version import __version__
from sen_bench.results.paper_table import Cell, ModelLine, PaperTable
from sen_bench.results.scores import Metric
from sen_bench.system import number_of

_LATEX: Final = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    "±": r"$\pm$",
    "…": r"\ldots{}",
    "–": "--",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


def escape_latex(text: str) -> str:
    """Text that LaTeX shows as it is.

    Characters that pdfLaTeX has no glyph for are named by their number, [U+6A21], rather than lost.
    """
    escaped = "".join(_LATEX.get(character, _known(character)) for character in text)
    # Of two in a row LaTeX would make another sign: an en dash of two hyphens.
    escaped = re.sub(r"([-',])(?=\1)", r"\1{}", escaped)
    # At the beginning of a row they would belong to the end of the row before.
    return f"{{}}{escaped}" if escaped.startswith(("[", "*")) else escaped


def _known(character: str) -> str:
    """A character that every LaTeX has: of ASCII, or a Latin letter of Western Europe."""
    western = "À" <= character <= "ÿ" and character.isalpha()
    return character if (" " <= character <= "~") or western else f"[U+{ord(character):04X}]"


def escape_markdown(text: str) -> str:
    """Text that Markdown shows as it is, also in a cell of a table."""
    return re.sub(r"([\\`*_{}\[\]<>#|~&$!])", r"\\\1", text)


def to_markdown(table: PaperTable) -> str:
    """A table as Markdown (GitHub's tables): a row for each model of each comparison."""
    if not table.lines:
        return "no results yet"
    headings = ["task", "trained on", "steps", "model", "n", *map(_heading, table.metrics)]
    left = 4
    rows = [
        [line.task, line.split, str(line.horizon), _model(table, line), line.runs or "–"]
        for line in table.lines
    ]
    cells = [
        [*map(escape_markdown, row), *(_markdown(cell, intervals=table.intervals) for cell in line.cells)]
        for row, line in zip(rows, table.lines, strict=True)
    ]
    rule = [":---"] * left + ["---:"] * (len(headings) - left)
    lines = [_row(list(map(escape_markdown, headings))), _row(rule), *map(_row, cells)]
    lines += ["", escape_markdown(table.caption)]
    if table.notes:
        lines += ["", *(f"- {escape_markdown(note)}" for note in table.notes)]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown(cell: Cell, *, intervals: bool) -> str:
    if not cell.value:
        return "–"
    value = escape_markdown(cell.value)
    value = f"**{value}**" if cell.best else value
    if not cell.spread:
        return value
    return f"{value} \\[{cell.spread}\\]" if intervals else f"{value} ± {cell.spread}"


def to_latex(table: PaperTable) -> str:
    r"""A table as LaTeX, a `table` with the rules of booktabs, that compiles as it is once ``\input``."""
    if not table.lines:
        return "% no results yet"
    columns = 2 + len(table.metrics)
    headings = ["Model", "$n$", *(_latex_heading(metric) for metric in table.metrics)]
    lines = [
        f"% Made by sen-bench {__version__}. Needs \\usepackage{{booktabs}} in the preamble.",
        r"\begin{table}",
        r"  \centering",
        f"  \\caption{{{escape_latex(table.caption)}}}",
        r"  \label{tab:sen-bench}",
        f"  \\begin{{tabular}}{{l{'r' * (columns - 1)}}}",
        r"    \toprule",
        f"    {_latex_row(headings)}",
    ]
    for (task, split, horizon), group in groupby(
        table.lines, key=lambda line: (line.task, line.split, line.horizon)
    ):
        steps = number_of(horizon, "step")
        title = escape_latex(f"{task}, trained on {split}, {steps} ahead")
        lines += [r"    \midrule", f"    \\multicolumn{{{columns}}}{{l}}{{\\textit{{{title}}}}} \\\\"]
        for line in group:
            scores = (_latex(cell, intervals=table.intervals) for cell in line.cells)
            name = escape_latex(_model(table, line))
            lines.append(f"    {_latex_row([name, escape_latex(line.runs) or '--', *scores])}")
    lines += [r"    \bottomrule", r"  \end{tabular}"]
    if table.notes:
        lines += [
            r"  \par\smallskip\footnotesize",
            *(f"  {escape_latex(note)}.\\par" for note in table.notes),
        ]
    return "\n".join([*lines, r"\end{table}"])


def _latex_row(cells: Sequence[str]) -> str:
    return f"{' & '.join(cells)} \\\\"


def _latex(cell: Cell, *, intervals: bool) -> str:
    if not cell.value:
        return "--"
    value = f"\\mathbf{{{cell.value}}}" if cell.best else cell.value
    if not cell.spread:
        return f"${value}$"
    return f"${value}\\;[{cell.spread}]$" if intervals else f"${value} \\pm {cell.spread}$"


def _latex_heading(metric: Metric) -> str:
    unit = r" (\%)" if metric.is_share else ""
    arrow = {True: r" $\uparrow$", False: r" $\downarrow$", None: ""}[metric.higher_is_better]
    return f"{escape_latex(metric.label)}{unit}{arrow}"


def _heading(metric: Metric) -> str:
    arrow = {True: " ↑", False: " ↓", None: ""}[metric.higher_is_better]
    return f"{metric.title}{arrow}"


def _model(table: PaperTable, line: ModelLine) -> str:
    """What a row is called: the model, and whose it is where that is not the same for all."""
    return line.model if line.runs and not table.presets else f"{line.model}, {line.preset}"

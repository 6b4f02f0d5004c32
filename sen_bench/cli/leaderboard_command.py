"""The command that prints the leaderboard, in the terminal or as the table of a paper."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import click

import sen_bench.results
from sen_bench.cli.leaderboard_table import format_table
from sen_bench.cli.options import Names, results_option
from sen_bench.errors import ConfigError
from sen_bench.results import TEXT_FORMATS, TextFormat
from sen_bench.system import check_output, write_atomically
from sen_bench.tasks import get_task, ranked_locally, reference_model

_TABLE: Final = "table"
_SUFFIXES: Final[dict[str, TextFormat]] = {".tex": "latex", ".md": "markdown", ".csv": "csv", ".json": "json"}


@click.command("leaderboard")
@results_option
@click.option("--task", "tasks", multiple=True, metavar="TASK", help="Only this task; repeat for several.")
@click.option(
    "--horizon",
    "horizons",
    type=click.IntRange(min=1),
    multiple=True,
    metavar="STEPS",
    help="Only this many steps ahead; repeat for several.",
)
@click.option(
    "--metric",
    "metrics",
    type=Names(),
    multiple=True,
    metavar="NAME,...",
    help="Only these scores, as columns or headings call them: hits_at_1 or H@1.",
)
@click.option(
    "--with-published", is_flag=True, help="Also the numbers of the paper for the same tasks and horizons."
)
@click.option("--iqm", is_flag=True, help="Interquartile means and their 95 % intervals, not mean ± std.")
@click.option(
    "--format",
    "kind",
    type=click.Choice([_TABLE, *TEXT_FORMATS]),
    help="latex needs booktabs; csv and json have all digits."
    "  [default: by the name of --output, else table]",
)
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file instead of stdout."
)
def leaderboard_command(
    results: Path,
    tasks: tuple[str, ...],
    horizons: tuple[int, ...],
    metrics: tuple[tuple[str, ...], ...],
    kind: Literal["table", TextFormat] | None,
    output: Path | None,
    *,
    with_published: bool,
    iqm: bool,
) -> None:
    """Print the leaderboard: means over seeds of everything in runs.csv.

    Rows are sorted by model; except in csv and json, those of Rush Hour and Reacher by local H@1, the best
    first, once all rows of the task have it. In markdown and latex the best of each comparison is bold, and
    n is the number of runs. Published numbers follow the rows that they belong to.

    \b
    Examples:
      sen-bench leaderboard --task 3d-blocks
      sen-bench leaderboard --iqm
      sen-bench leaderboard --task 3d-blocks --horizon 10 --metric H@1,MRR --format markdown
      sen-bench leaderboard --horizon 10 --with-published --output paper/results.tex
      sen-bench leaderboard --format json | jq '.[] | {task, model, hits_at_1_mean}'
    """
    if iqm and with_published:
        raise ConfigError("published numbers are means; give either --iqm or --with-published")
    if output is not None:
        check_output(output)
    chosen = _kind_of(output) if kind is None else None if kind == _TABLE else kind
    view = sen_bench.results.LeaderboardView(
        tasks={get_task(task).name for task in tasks} or None,
        horizons=horizons,
        metrics=tuple(
            dict.fromkeys(sen_bench.results.find_metric(name) for names in metrics for name in names)
        ),
        with_published=with_published,
    )
    rows = sen_bench.results.read_leaderboard(
        sen_bench.results.ResultsFolder(results).runs_csv,
        reference_model,
        view,
        # Data is in the order of leaderboard.csv.
        ranked_locally=(lambda _task: False) if chosen in {"csv", "json"} else ranked_locally,
    )
    if chosen is None:
        exact = sen_bench.results.read_exact_no_change(
            sen_bench.results.ResultsFolder(results).references_csv
        )
        text = format_table(rows, view.metrics, iqm=iqm, exact=exact)
    else:
        text = sen_bench.results.render_leaderboard(rows, chosen, view, intervals=iqm)
    if output is None:
        click.echo(text)
        return
    _write(output, f"{text}\n")
    click.echo(str(output))


def _kind_of(output: Path | None) -> TextFormat | None:
    """The format that the name of a file asks for; None: the terminal's table.

    Raises:
        ConfigError: If it asks for none that there is.
    """
    if output is None or output.suffix in {"", ".txt"}:
        return None
    if output.suffix not in _SUFFIXES:
        raise ConfigError(
            f"{output} does not say which format: end it with {', '.join(_SUFFIXES)}, or give --format"
        )
    return _SUFFIXES[output.suffix]


def _write(path: Path, text: str) -> None:
    """Replaces a file as a whole.

    Raises:
        ConfigError: If that is not possible.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda draft: draft.write_text(text, encoding="utf-8", newline="\n"))
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror or error}") from error

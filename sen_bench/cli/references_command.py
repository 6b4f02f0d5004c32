"""The command that says what scores are worth before any model is trained."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

import sen_bench.evaluation
import sen_bench.results
import sen_bench.store
from sen_bench.cli.options import StorePlace, quiet_option, results_option
from sen_bench.system import Terminal


@click.command("references")
@click.argument("stores", metavar="STORE...", nargs=-1, required=True, type=StorePlace())
@results_option
@quiet_option
def references_command(stores: tuple[Path | str, ...], results: Path, *, quiet: bool) -> None:
    """Score chance, no change and perfect prediction on exact latents of evaluation datasets.

    The latents are made of the stored states, so no model is needed. A model whose score is that of no change
    has not shown that it predicts anything. Writes results/references.csv, in place of older rows of the same
    task and horizon.

    \b
    Examples:
      sen-bench references data/rush-hour/eval.zarr
      sen-bench references data/*/eval.zarr --results mine
    """
    terminal = Terminal(quiet=quiet)
    table = sen_bench.results.ResultsFolder(results).references_csv
    for store in stores:
        dataset = sen_bench.store.open_dataset(store, progress=terminal)
        rows = [
            sen_bench.results.ReferenceRow(
                task=dataset.task,
                **asdict(scores),
                eval_episodes=dataset.episodes,
                eval_dataset_digest=dataset.content_digest,
            )
            for scores in sen_bench.evaluation.reference_scores(dataset)
        ]
        sen_bench.results.append_references(table, rows)
        click.echo(f"{table}: {len(rows)} references of {dataset.task}")

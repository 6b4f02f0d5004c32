"""Weights that were trained elsewhere, scored as those of runs are."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal, TypeAlias, get_args

from sen_bench.baselines import WorldModel, from_public_code
from sen_bench.config import digest_of, setting_path
from sen_bench.errors import ConfigError
from sen_bench.results import UNKNOWN_DATA, RunRow, append_rows, read_run_rows
from sen_bench.runs.run import Run
from sen_bench.runs.scoring import score_rows
from sen_bench.system import Progress, settings_restored
from sen_bench.tasks import reference_model, resolve_model
from sen_bench.training import StateDict, build_seeded, weights_digest

WeightsLayout: TypeAlias = Literal["own", "public"]
"""Whose names the weights have: those of the model itself, or those of the paper's public code."""

WEIGHTS_LAYOUTS: Final[tuple[WeightsLayout, ...]] = get_args(WeightsLayout)

_SCORED: Final = ("precision", "hinge")
"""Of how to train, what scores depend on."""


def training_only(settings: Iterable[str]) -> list[str]:
    """The settings that say nothing about weights that are trained already.

    Args:
        settings: Their dotted names.

    Raises:
        ConfigError: One is not the name of a setting.
    """
    return [name for name in settings if not _bears_on_scores(*setting_path(name)[:2])]


def _bears_on_scores(section: str, name: str) -> bool:
    """Whether scores of given weights depend on a setting: options of the model, the eval data, and how."""
    if section == "training":
        return name in _SCORED
    return section != "data" or name == "eval"


@settings_restored()
def evaluate_external(
    run: Run, file: Path, progress: Progress, *, layout: WeightsLayout = "own"
) -> list[RunRow]:
    """Scores weights in a file in place of those that a run would have trained.

    What the model's code changes about the process lasts no longer than this.

    Args:
        run: Which model to build, with which options, and on what and how to score it; its training data need
            not be there. Its seed is a label, which tells several files of one method apart.
        file: The weights; see `StateDict.read`.
        progress: Shows how it goes.
        layout: Whose names the weights have.

    Returns:
        A row for each horizon, marked by the digest of the weights in the column `external`.

    Raises:
        CheckpointError: If the file cannot be read, or does not fit the model.
        ConfigError: If the public code has no such model, or the tables have these weights as another seed.
        DatasetError: If the eval data is missing or broken.
        ResultsError: If the table of runs cannot be read.
    """
    state = StateDict.read(file)
    model = _external_model(run, state, layout)
    digest = weights_digest(model)
    _check_seed(run, f"sha256:{digest}")
    settings = run.config.model_dump(mode="json")
    settings["training"] = {name: settings["training"][name] for name in _SCORED}
    return score_rows(
        run,
        model,
        progress,
        run_id=f"{run.name.rpartition('/')[0]}/external-{digest[:8]}",
        restarts=0,
        epochs=0,
        transitions_seen=0,
        train_seconds=0.0,
        compiled=False,
        train_dataset_digest=UNKNOWN_DATA,
        train_files_digest=None,
        config_digest=digest_of({**settings, "layout": layout}),
        external=f"sha256:{digest}",
    )


def _check_seed(run: Run, external: str) -> None:
    """Refuses weights that the tables have as another seed: they would count as two runs in means.

    Raises:
        ConfigError: If they do.
        ResultsError: If the table of runs cannot be read.
    """
    table = run.workspace.results.runs_csv
    method = (run.config.task, run.config.train_split, run.config.model)
    for row in read_run_rows(table) if table.exists() else ():
        same = row.external == external and (row.task, row.train_split, row.model) == method
        if same and row.seed != run.seed:
            raise ConfigError(
                f"{table} has these weights as seed {row.seed}; give --seeds {row.seed}, as weights are one"
                " seed, or take those rows out"
            )


def record_external(run: Run, rows: list[RunRow]) -> None:
    """Puts the rows of weights that were trained elsewhere into the tables; they have no learning curve.

    Raises:
        ResultsError: If the tables cannot be read or written.
    """
    results = run.workspace.results
    append_rows(results.runs_csv, rows)
    results.write_leaderboard(reference_model)


def _external_model(run: Run, state: StateDict, layout: WeightsLayout) -> WorldModel:
    """The model of a run with weights from a file, in evaluation mode on its device.

    Raises:
        CheckpointError: If they do not fit it.
        ConfigError: If the public code has no such model.
    """
    resolved = resolve_model(run.task, run.config.model, run.config.model_options)
    model = build_seeded(resolved.build, run.device, seed=run.seed, attempt=0)
    remedy = "the model has to be built with the options it was trained with (--preset, --set models.…)"
    if layout == "public":
        state = state.renamed(from_public_code(state.entries, model))
    elif not state.entries.keys() & model.state_dict().keys():
        remedy = (
            "weights of the paper's public code are read by --layout public (3D Blocks); of others, take off"
            " what the names begin with, such as 'module.'"
        )
    state.put_into(model, f"model {resolved.name} of {run.task.name}", remedy=remedy)
    return model.eval()

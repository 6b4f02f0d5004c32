"""Experiments from Python: a run, an evaluation or the leaderboard, each in one call with plain values."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

import pandas as pd
import torch

from sen_bench.baselines import WorldModel
from sen_bench.config import (
    DEFAULT_HORIZONS,
    Preset,
    check_seeds,
    load_preset,
    make_variant,
    parse_memory,
)
from sen_bench.data import Episodes
from sen_bench.errors import ConfigError, ExtensionError, SenBenchWarning
from sen_bench.evaluation import HorizonScores, default_memory
from sen_bench.evaluation import evaluate as score_model
from sen_bench.results import (
    LeaderboardView,
    ResultsFolder,
    find_metric,
    leaderboard_frame,
    read_leaderboard,
)
from sen_bench.runs.run import Run
from sen_bench.runs.scoring import score_columns
from sen_bench.runs.steps import complete_run, place_data, recorded_rows
from sen_bench.runs.trained import trained_model
from sen_bench.runs.workspace import Workspace
from sen_bench.store import Dataset, open_dataset
from sen_bench.system import (
    Progress,
    as_progress,
    import_object,
    is_object_name,
    not_a_folder,
    number_of,
    plain_values,
    prepare_device,
    resolve_device,
    settings_restored,
)
from sen_bench.tasks import (
    Task,
    check_preset,
    check_setting_names,
    check_settings,
    choose_models,
    get_task,
    reference_model,
    resolve_model,
    run_config,
)
from sen_bench.trackers import check_trackers
from sen_bench.training import CHECKPOINT_FILE, LOSS_TERMS, METRICS_FILE, Checkpoint, read_metrics

_SCORES: Final = [
    {"episodes": "eval_episodes"}.get(field.name, field.name) for field in fields(HorizonScores)
]
"""The columns of scores, under the names they have in the table of runs."""


@dataclass(frozen=True)
class RunResult:
    """A run that is done.

    Attributes:
        name: Its name in the tables of results.
        folder: The folder of its checkpoint, settings and logs.
        model: The trained model, in evaluation mode on the device of the run.
        scores: Its scores, a row for each horizon; the columns are those of `evaluate`.
    """

    name: str
    folder: Path
    model: WorldModel
    scores: pd.DataFrame

    def __repr__(self) -> str:
        """Short: a notebook would otherwise show the whole network."""
        rows, columns = self.scores.shape
        return (
            f"RunResult({self.name!r}, folder={str(self.folder)!r}, scores: {number_of(rows, 'row')} ×"
            f" {number_of(columns, 'column')})"
        )

    @property
    def curve(self) -> pd.DataFrame:
        """Its learning curve, a row for each line of the log; the columns are those of ``metrics.jsonl``."""
        checkpoint = Checkpoint.load(self.folder / CHECKPOINT_FILE, torch.device("cpu"))
        lines, remark = read_metrics(self.folder / METRICS_FILE, LOSS_TERMS, until=checkpoint)
        if remark:
            warnings.warn(remark, SenBenchWarning, stacklevel=2)
        return pd.DataFrame(lines)


@plain_values
def run(
    task: Task | str,
    model: str | Callable[..., WorldModel],
    *,
    preset: Preset | Path | str = "cpu",
    seed: int = 0,
    train_split: str = "train",
    settings: Mapping[str, object] | None = None,
    device: str = "auto",
    data: Path | str = "data",
    runs: Path | str = "runs",
    results: Path | str = "results",
    workers: int = 1,
    compiled: bool | None = None,
    cuda_graph: bool | None = None,
    data_memory: int | str | None = None,
    eval_memory: int | str | None = None,
    force: bool = False,
    log_to: Sequence[str] = (),
    progress: Progress | bool = True,
    **training: object,
) -> RunResult:
    """Trains and scores a model as ``sen-bench run`` does, and returns the model and its scores.

    Datasets that are missing are generated first. An interrupted run is resumed; one that is done is not done
    again. Its rows are put into the tables of results.

    Args:
        task: A task or its name: "3d-blocks".
        model: The name of one of its models, or a model of your own: its class, or "module:Class".
            The module is a file that other processes can import too, so not a notebook or the script itself.
        preset: The sizes and settings: "smoke", "cpu", "paper", or a TOML file of your own.
        seed: The seed of the run.
        train_split: The split to train on.
        settings: Settings in addition to the preset, by their dotted names as after ``--set``:
            ``{"models.sen.hidden": 64}``. They make a variant of the preset, with a folder and rows of its
            own.
        device: "auto", "cpu", "cuda" or "cuda:1".
        data: The folder of the datasets.
        runs: The folder of checkpoints and logs.
        results: The folder of the tables of results.
        workers: Processes that generate data. With more than one, the calling script must be importable, with
            its work below ``if __name__ == "__main__":``.
        compiled: Whether to compile the training step; None: as suits the device and how long the run is.
        cuda_graph: Whether the training step is one CUDA graph; None: likewise.
        data_memory: Memory on the device for training data, in bytes or as "8GiB"; larger data is streamed.
        eval_memory: Memory on the device for evaluation.
        force: Whether to move an existing run aside and start afresh.
        log_to: Trackers that losses go to as well: "tensorboard", "wandb", "trackio", "mlflow", or one of a
            plugin.
        progress: True shows on stderr how it goes, False shows nothing.
        **training: Training settings in addition to the preset: ``epochs=2, learning_rate=1e-3``. Like
            `settings`.

    Raises:
        SenBenchError: Whatever the command line refuses, with the same message.

    Examples:
        >>> result = run("3d-blocks", "sen", preset="smoke", epochs=2)  # doctest: +SKIP
        >>> result.scores[["horizon", "hits_at_1", "mrr"]]  # doctest: +SKIP
    """
    if workers < 1:
        raise ConfigError(f"workers must be at least 1, not {workers}")
    trackers = check_trackers(log_to)
    chosen = task if isinstance(task, Task) else get_task(task)
    name = model if isinstance(model, str) else _object_name(model)
    choose_models(chosen, [name])
    (checked,) = check_seeds([seed])
    loaded = preset if isinstance(preset, Preset) else load_preset(str(preset))
    changes = _beside(settings or {}, training)
    check_setting_names(chosen, changes)
    check_settings(changes, [name], [train_split])
    variant = make_variant(loaded, chosen.name, changes)
    of_task = variant.for_task(chosen.name)
    check_preset(chosen, of_task)
    resolved = resolve_model(chosen, name, of_task.models.get(name, {}))
    for what, folder in (("data", data), ("runs", runs), ("results", results)):
        _check_folder(what, Path(folder))
    where = resolve_device(device)
    prepare_device(where)
    planned = Run(
        chosen,
        variant,
        run_config(resolved, train_split, of_task),
        checked,
        Workspace(Path(data), Path(runs), ResultsFolder(Path(results))),
        where,
        compiled=compiled,
        graph=cuda_graph,
        eval_memory=parse_memory(eval_memory),
    )
    placed = place_data(planned, parse_memory(data_memory), anew=force)
    complete_run(placed, as_progress(progress), workers=workers, log_to=trackers, force=force)
    rows = recorded_rows(placed).sort_values("horizon")
    with settings_restored():
        trained, _ = trained_model(placed)
    return RunResult(
        name=placed.name,
        folder=placed.folder,
        model=trained,
        scores=rows[_SCORES].reset_index(drop=True),
    )


@plain_values
def evaluate(
    model: WorldModel,
    data: Dataset | Path | str,
    horizons: Sequence[int] = DEFAULT_HORIZONS,
    *,
    seed: int = 0,
    margin: float = 1.0,
    memory: int | str | None = None,
    progress: Progress | bool = True,
) -> pd.DataFrame:
    """Scores any world model on a dataset, as runs are scored.

    Args:
        model: On the device where it is to be scored; left in the mode it came in.
        data: A dataset with twins, such as ``load("3d-blocks", "eval")``; or its folder or URL.
        horizons: Numbers of steps to predict ahead.
        seed: Draws the random pairs of the distance invariance errors.
        margin: The margin of the hinge in training, by which a collapse is judged.
        memory: Memory on the device, in bytes or as "8GiB"; no score depends on it. None: what suits it.
        progress: True shows on stderr how it goes, False shows nothing.

    Returns:
        A row for each horizon, in their order, with the columns of ``runs.csv`` that hold scores: "horizon",
        "eval_episodes", "hits_at_1" and so on.

    Raises:
        ConfigError: An argument is of another type, a horizon is given twice, or the episodes are shorter
            than a horizon or too few to rank.
        DatasetError: The dataset is missing or broken, or has no twins.
        ExtensionError: The model cannot take the observations or actions of the dataset.
        NonFiniteError: The model made a latent or an embedding that is NaN or infinite.
    """
    if len(set(horizons)) < len(horizons):
        raise ConfigError(f"horizons {', '.join(map(str, horizons))}: give each once")
    dataset = data if isinstance(data, Dataset) else open_dataset(data)
    tensor = next(model.parameters(), None)
    device = torch.device("cpu") if tensor is None else tensor.device
    given = parse_memory(memory)
    half = (default_memory(device) if given is None else given) // 2
    # Those that the episodes do not have are refused when they are scored.
    times = [time for time in (0, *horizons) if 0 <= time <= dataset.horizon]
    with settings_restored():
        scores = score_model(
            model,
            Episodes(dataset, device, times=times, memory=half),
            horizons=horizons,
            ranking_memory=half,
            seed=seed,
            margin=margin,
            progress=as_progress(progress),
            title=f"evaluate {type(model).__name__}",
        )
    return pd.DataFrame([score_columns(score) for score in scores], columns=_SCORES)


@plain_values
def leaderboard(
    results: Path | str = "results",
    *,
    task: str | Sequence[str] = (),
    horizon: int | Sequence[int] = (),
    metric: str | Sequence[str] = (),
    with_published: bool = False,
) -> pd.DataFrame:
    """The leaderboard of a folder of results: statistics over seeds of everything in its table of runs.

    `format_leaderboard` makes the table of a paper of it.

    Args:
        results: The folder, with a ``runs.csv``.
        task: Only these tasks: a name, or several.
        horizon: Only these numbers of steps ahead.
        metric: Only these scores, as columns or headings call them: "hits_at_1" or "H@1".
        with_published: Whether to have the paper's numbers for the same tasks, splits and horizons too, in
            rows with the preset "published" and two columns more, "source" and "note". They have means and
            standard deviations only.

    Returns:
        A row for each task, model, preset and horizon, with the columns of ``leaderboard.csv``.

    Raises:
        ResultsError: If there is no such table, or it cannot be read.
        UnknownNameError: If there is no such task or metric.
        ConfigError: If no run was scored at one of the horizons.
    """
    tasks, metrics = ([value] if isinstance(value, str) else list(value) for value in (task, metric))
    view = LeaderboardView(
        tasks={get_task(name).name for name in tasks} or None,
        horizons=[horizon] if isinstance(horizon, int) else list(horizon),
        metrics=tuple(map(find_metric, metrics)),
        with_published=with_published,
    )
    rows = read_leaderboard(ResultsFolder(Path(results)).runs_csv, reference_model, view)
    return leaderboard_frame(rows, view)


def _check_folder(what: str, folder: Path) -> None:
    """Refuses a place for a folder where none can be, before anything is generated or trained.

    Raises:
        ConfigError: If it, or what it lies in, is something else than a folder.
    """
    if (place := not_a_folder(folder)) is not None:
        raise ConfigError(f"{what}={str(folder)!r}: {place} is not a folder; name another one")


def _object_name(model: Callable[..., WorldModel]) -> str:
    """The name by which every process can import a model.

    Raises:
        ExtensionError: If there is none.
    """
    name = f"{getattr(model, '__module__', '')}:{getattr(model, '__qualname__', '')}"
    if not is_object_name(name) or import_object(name, "model") is not model:
        raise ExtensionError(
            f"model {model!r} cannot be imported by a name; define it at the top level of a module"
        )
    return name


def _beside(settings: Mapping[str, object], training: Mapping[str, Any]) -> dict[str, object]:
    """All settings beside the preset, by their dotted names.

    Raises:
        ConfigError: If one is given twice.
    """
    named = {f"training.{name}": value for name, value in training.items()}
    for name in named.keys() & settings.keys():
        raise ConfigError(f"{name} is given twice; give it once")
    return {**settings, **named}

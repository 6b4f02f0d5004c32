"""What is done with a run: its data placed, its model trained and scored, its rows put into the tables."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import pandas as pd
import torch

from sen_bench.data import StreamedTransitions, TrainingData, Transitions
from sen_bench.errors import CheckpointError, ConfigError, DatasetError
from sen_bench.results import RunRow, append_rows, read_runs, record_curve
from sen_bench.runs.log import RunLog
from sen_bench.runs.placement import Footprint, Placement
from sen_bench.runs.run import Run
from sen_bench.runs.scoring import score_rows
from sen_bench.runs.settings import Settings, begun_training
from sen_bench.runs.trained import trained_model
from sen_bench.store import Dataset
from sen_bench.system import Progress, check_precision, number_of, precision_notice, settings_restored
from sen_bench.tasks import reference_model
from sen_bench.trackers import TrackedRun, Tracking
from sen_bench.training import (
    LOSS_TERMS,
    METRICS_FILE,
    OTHER_RUN,
    Checkpoint,
    Profile,
    StepProfiler,
    TrainingResult,
    asks_of_model,
    build_seeded,
    check_suitability,
    read_metrics,
    train,
)


def place_data(run: Run, memory: int | None, *, anew: bool = False) -> Run:
    """The same run, with a decision on where its training data is held.

    Args:
        run: The run.
        memory: Bytes that the data may take on the device. None: as when the run was started, if it was;
            otherwise as its preset says, if it does; otherwise `Placement.automatic`.
        anew: Whether it is about to be started afresh, however it was started before.

    Raises:
        ConfigError: If the memory is too little even to stream the data through.
    """
    placement = None
    unreadable = ""
    if memory is None and run.begun and not anew:
        try:
            buffer = begun_training(run.folder).shuffle_buffer
            placement = Placement.given(buffer, "the run that is continued")
        except (CheckpointError, ConfigError) as error:
            # Training rewrites the file. If the run was started differently, its checkpoint is refused then.
            unreadable = f" ({error})"
    if placement is None and memory is None and run.config.training.shuffle_buffer is not None:
        placement = Placement.given(run.config.training.shuffle_buffer, f"preset {run.preset.name}")
    if placement is None:
        footprint = Footprint.of(run.task.world(), run.train_recipe)
        placement = (
            Placement.automatic(footprint, run.device)
            if memory is None
            else Placement.within(footprint, memory)
        )
    placement = replace(placement, reason=placement.reason + unreadable)
    training = run.config.training.model_copy(update={"shuffle_buffer": placement.shuffle_buffer})
    return replace(run, config=run.config.model_copy(update={"training": training}), placement=placement)


def check_run(run: Run) -> None:
    """Refuses a run that cannot be done, before anything is done for it.

    Raises:
        ConfigError: If there is too little data to train on, or to score on, its episodes are too short for
            what is asked of their negatives, its model cannot be trained with the settings, or a CUDA graph
            is asked for without a GPU.
        DatasetError: If something else lies where its data belongs.
        DeviceError: If its device cannot compute in its precision.
    """
    _check_device(run)
    whole, scored = (run.data.recipe(split) for split in run.splits)
    trained = run.train_recipe
    asked = f"{run.task.name}: preset {run.preset.name!r} asks for"
    if trained.episodes > whole.episodes:
        raise ConfigError(
            f"{asked} the first {number_of(trained.episodes, 'episode')} of {run.config.train_split}, which"
            " has"
            f" {whole.episodes}; lower training.first_episodes"
        )
    if trained.episodes * trained.horizon < 2:
        raise ConfigError(
            f"{asked} one transition in data.{run.config.train_split}; training needs at least 2, as a"
            " negative is another sample of the batch"
        )
    if run.config.training.has_same_episode_negatives and trained.horizon < 2:
        raise ConfigError(
            f"{asked} negatives of the same episode, but episodes of {run.config.train_split} have one step"
            " and no frames but the two of their transition; set training.negatives.same_episode to 0"
        )
    if scored.episodes < 2:
        raise ConfigError(f"{asked} one episode in data.eval; ranking its predictions needs at least 2")
    for split in run.splits:
        run.data.check(split)
    if asks_of_model(run.config.training):
        _check_model(run)


def _check_model(run: Run) -> None:
    """Refuses settings of training that the model of a run cannot be trained with.

    Raises:
        ConfigError: It cannot, or cannot be built.
        ExtensionError: It is a model of one's own that cannot be imported or built.
    """
    model = run.config.model
    with settings_restored():
        network = build_seeded(
            lambda: run.task.build_model(model, run.config.model_options),
            torch.device("cpu"),
            seed=run.seed,
            attempt=0,
        )
    try:
        check_suitability(network, run.config.training)
    except ConfigError as error:
        raise ConfigError(f"{run.task.name}, model {model}: {error}") from error


def _check_device(run: Run) -> None:
    """Refuses what the device of a run cannot do.

    Raises:
        ConfigError: A CUDA graph is asked for without a GPU.
        DeviceError: It cannot compute in the precision of the run.
    """
    check_precision(run.device, run.config.training.precision)
    if run.graph and run.device.type != "cuda":
        raise ConfigError(f"--cuda-graph is for GPUs, and the device is {run.device.type}; leave it out")


def train_run(
    run: Run,
    progress: Progress,
    *,
    log_to: tuple[str, ...] = (),
    force: bool = False,
    profiled: Callable[[Profile], None] | None = None,
) -> TrainingResult:
    """Trains the model of a run, or resumes its training.

    What the model's code changes about the process, such as its default dtype, lasts no longer than this.

    Args:
        run: The run, whose training data is there.
        progress: Shows how it goes; messages are kept in the run's log too.
        log_to: The trackers that losses go to as well, by their names.
        force: Whether to move an existing run aside and start afresh.
        profiled: Called with a profile of a few steps, whose trace is in the folder of the run.

    Raises:
        CheckpointError: If there is another run in its folder, another process trains it, or the folder
            cannot be written.
        ConfigError: If a CUDA graph is asked for without a GPU.
        DatasetError: If the data is missing or broken.
        DeviceError: If its device cannot compute in its precision.
    """
    _check_device(run)
    dataset = run.open_train_data()
    if force:
        run.place.begin_anew(progress)
    run.place.make()
    with RunLog(run.log, progress) as log, settings_restored():
        return _train(run, dataset, log, log_to=log_to, profiled=profiled)


def _train(
    run: Run,
    dataset: Dataset,
    progress: Progress,
    *,
    log_to: tuple[str, ...],
    profiled: Callable[[Profile], None] | None,
) -> TrainingResult:
    """Trains the model on a dataset, in the folder that is there."""
    identity = run.identity(dataset.content_digest)
    profiler = None if profiled is None else StepProfiler(run.folder, run.device, profiled)
    with (
        run.place.alone(),
        _training_data(run, dataset) as transitions,
        progress.training(run.name),
    ):
        if run.begun:  # refused before the settings of the existing run are overwritten
            there = Checkpoint.load(run.checkpoint, torch.device("cpu"))
            there.check_identity(identity, run.checkpoint, remedy=OTHER_RUN)
        settings = Settings(run.preset, run.config, run.seed)
        settings.write(run.folder)
        followed = TrackedRun(run.name, run.folder, run.workspace.runs, settings.contents())
        tracking = Tracking(log_to, followed) if log_to else None
        placement = "" if run.placement is None else run.placement.reason
        for notice in (placement, precision_notice(run.device, run.config.training.precision)):
            if notice:
                progress.message(notice)
        result = train(
            lambda: run.task.build_model(run.config.model, run.config.model_options),
            transitions,
            run.config.training,
            seed=run.seed,
            folder=run.folder,
            identity=identity,
            progress=progress,
            tracking=tracking,
            compiled=run.compiled,
            graph=run.graph,
            stages=profiler,
        )
    if profiler is not None and not profiler.finished:
        progress.message(f"no profile of {run.name}: {profiler.shortfall}")
    return result


def _training_data(run: Run, dataset: Dataset) -> AbstractContextManager[TrainingData]:
    """The transitions to train on, held as the settings say."""
    buffer = run.config.training.shuffle_buffer
    if buffer is None:
        return nullcontext(Transitions.from_dataset(dataset, run.device))
    return StreamedTransitions(dataset, run.device, buffer=buffer)


@settings_restored()
def evaluate_run(run: Run, progress: Progress) -> list[RunRow]:
    """Scores the trained model of a run.

    What the model's code changes about the process lasts no longer than this.

    Returns:
        A row for each horizon.

    Raises:
        CheckpointError: If training has not ended, or was of another run.
        DatasetError: If the data is missing or broken.
        DeviceError: If its device cannot compute in its precision.
    """
    train_dataset = run.open_train_data()
    model, checkpoint = trained_model(run)
    # The curve will be recorded beside the scores.
    _, remark = read_metrics(run.folder / METRICS_FILE, LOSS_TERMS, until=checkpoint)
    if remark:
        progress.message(remark)
    return score_rows(
        run,
        model,
        progress,
        run_id=run.name,
        restarts=checkpoint.attempt,
        epochs=checkpoint.epoch,
        transitions_seen=checkpoint.samples_seen,
        train_seconds=round(checkpoint.seconds, 1),
        compiled=checkpoint.compiled,
        train_dataset_digest=train_dataset.content_digest,
        train_files_digest=train_dataset.files_digest,
        config_digest=run.config.digest,
    )


def recorded_rows(run: Run) -> pd.DataFrame:
    """What the table of runs says about a run: the rows of the same settings and the same data.

    Returns:
        Rows of `read_runs`, one per horizon. None if there is no table or the data is missing, or if the run
        has been started afresh and not recorded since: the rows are then those of the previous training.

    Raises:
        ResultsError: If the table cannot be read.
    """
    runs_csv = run.workspace.results.runs_csv
    if run.place.begun_anew or not runs_csv.exists():
        return pd.DataFrame(columns=list(RunRow.model_fields))
    runs = read_runs(runs_csv)
    try:
        digests = [dataset.content_digest for dataset in (run.open_train_data(), run.data.open("eval"))]
    except DatasetError:
        return runs.iloc[:0]
    return runs[
        (runs["run_id"] == run.name)
        & (runs["config_digest"] == f"sha256:{run.config.digest}")
        & (runs["train_dataset_digest"] == f"sha256:{digests[0]}")
        & (runs["eval_dataset_digest"] == f"sha256:{digests[1]}")
    ]


def is_scored(run: Run) -> bool:
    """Whether the table of runs holds a run at every horizon; see :func:`recorded_rows`."""
    return set(run.config.evaluation.horizons) <= set(recorded_rows(run)["horizon"])


def complete_run(
    run: Run, progress: Progress, *, workers: int, log_to: tuple[str, ...] = (), force: bool = False
) -> bool:
    """Does what is still to be done for a run: data, training, scores, its rows in the tables.

    Args:
        run: The run.
        progress: Shows how it goes.
        workers: Processes that generate data.
        log_to: The trackers that losses go to as well, by their names.
        force: Whether to train again what is already trained; the old run is moved aside.

    Returns:
        Whether there was anything to do.

    Raises:
        ConfigError: If it cannot be done with so little data.
        DatasetError: If something else lies where its data belongs.
    """
    check_run(run)
    for split in run.splits:
        run.data.ensure(split, workers=workers, progress=progress)
    if force:
        run.place.begin_anew(progress)
    rows = missing_rows(run, progress, log_to=log_to, again=force)
    if rows:
        record_run(run, rows)
    return bool(rows)


def missing_rows(
    run: Run, progress: Progress, *, log_to: tuple[str, ...] = (), again: bool = False
) -> list[RunRow]:
    """Trains and scores the model of a run on data that is there; leaves the tables to the caller.

    Args:
        run: The run.
        progress: Shows how it goes; messages are kept in the run's log too.
        log_to: The trackers that losses go to as well, by their names.
        again: Whether to do so even if the table of runs has its rows.

    Returns:
        A row for each horizon; none if the table of runs has them.
    """
    if not again and is_scored(run):
        return []
    train_run(run, progress, log_to=log_to)
    with RunLog(run.log, progress) as log:
        return evaluate_run(run, log)


def record_run(run: Run, rows: list[RunRow]) -> None:
    """Puts rows and the learning curve of a run into the tables, and brings the leaderboard up to date.

    Raises:
        ResultsError: If the tables cannot be read or written.
    """
    # The curve first: a run that stands in the table of runs is done, and never recorded again.
    lines, _ = read_metrics(run.folder / METRICS_FILE, LOSS_TERMS)
    results = run.workspace.results
    record_curve(results.curves_csv, rows[0], lines)
    append_rows(results.runs_csv, rows)
    run.place.recorded()
    results.write_leaderboard(reference_model)

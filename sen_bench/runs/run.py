"""A run: one model of one task, trained and scored with one seed."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch

from sen_bench import __version__
from sen_bench.baselines import WorldModel, parameter_count
from sen_bench.config import Preset, RunConfig
from sen_bench.data import Episodes, StreamedTransitions, TrainingData, Transitions
from sen_bench.errors import CheckpointError, DatasetError
from sen_bench.evaluation import HorizonScores, default_memory, evaluate
from sen_bench.results import RunRow, append_rows, read_runs, record_curve
from sen_bench.runs.datasets import RunData
from sen_bench.runs.folder import RunFolder
from sen_bench.runs.log import RunLog
from sen_bench.runs.placement import Footprint, Placement
from sen_bench.runs.settings import Settings
from sen_bench.runs.workspace import Workspace
from sen_bench.store import Dataset
from sen_bench.system import Console, device_name, precision_notice, source_digest
from sen_bench.tasks import Task, get_task, reference_model
from sen_bench.training import (
    LOSS_TERMS,
    OTHER_RUN,
    Checkpoint,
    Profile,
    StepProfiler,
    TrainingResult,
    read_metrics,
    train,
)


def _columns(score: HorizonScores) -> dict[str, Any]:
    """The scores under the names they have in the table."""
    columns = asdict(score)
    columns["eval_episodes"] = columns.pop("episodes")
    return columns


@dataclass(frozen=True)
class Run:
    """One model, one seed.

    Attributes:
        task: The task.
        preset: The preset, with what it says about data sizes.
        config: The resolved settings.
        seed: The seed.
        workspace: Where data, runs and results are.
        device: Where it runs.
        compiled: Whether the training step is compiled.
        eval_memory: Bytes that evaluation may use on the device; None: `evaluation.default_memory`.
        placement: Where the training data is held, as `placed` decides it; None: that is not decided yet.
    """

    task: Task
    preset: Preset
    config: RunConfig
    seed: int
    workspace: Workspace
    device: torch.device
    compiled: bool = False
    eval_memory: int | None = None
    placement: Placement | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        # A task goes to other processes by its name: its models may be what cannot be sent.
        others = tuple(getattr(self, field.name) for field in fields(self) if field.name != "task")
        return _named, (self.task.name, *others)

    @property
    def name(self) -> str:
        """What the run is called, also as a path below the folder of runs."""
        config = self.config
        # Colons stand between paths in places, and no folder of Windows has one in its name.
        model = config.model.replace(":", "-")
        return f"{config.task}/{config.train_split}/{model}/{self.preset.name}/seed-{self.seed}"

    @property
    def splits(self) -> tuple[str, str]:
        """The splits it needs: the one it trains on, and the one it is scored on."""
        return self.config.train_split, "eval"

    @property
    def data(self) -> RunData:
        """Its datasets."""
        return RunData(self.task, self.preset, self.workspace.data)

    @property
    def folder(self) -> Path:
        """Where its checkpoint and logs are."""
        return self.workspace.runs / self.name

    @property
    def place(self) -> RunFolder:
        """The same folder, with what keeps other processes out of it."""
        return RunFolder(self.folder, self.name)

    @property
    def log(self) -> Path:
        """What was said about it."""
        return self.folder / "run.log"

    @property
    def begun(self) -> bool:
        """Whether an epoch of it is trained."""
        return (self.folder / "checkpoint.pt").exists()

    @classmethod
    def from_folder(cls, folder: Path, *, data: Path, device: torch.device) -> Run:
        """The run whose training wrote a folder, from the settings it left there.

        Args:
            folder: The folder, ``<runs>/<task>/<split>/<model>/<preset>/seed-<n>``.
            data: The folder of the datasets.
            device: Where it is to run.

        Raises:
            CheckpointError: If it is no folder of a run.
            ConfigError: If its settings cannot be read.
        """
        settings = Settings.read(folder)
        task = get_task(settings.config.task)
        run = cls(task, settings.preset, settings.config, settings.seed, Workspace(data), device)
        place, below = folder.absolute(), run.folder.parts
        if place.parts[-len(below) :] != below:
            raise CheckpointError(f"{folder} is not where its run belongs: in a folder {run.name}")
        return replace(run, workspace=Workspace(data, place.parents[len(below) - 1]))

    def placed(self, memory: int | None, *, anew: bool = False) -> Run:
        """The same run, with it decided where its training data is held.

        Args:
            memory: Bytes that the data may take on the device. None: as the run was begun, if it was; else as
                its preset says, if it does; else as `Placement.automatic` has it.
            anew: Whether it is about to be begun anew, however it was begun before.

        Raises:
            ConfigError: If the memory is too little even to stream the data through.
        """
        begun = Placement.begun(self.folder / "config.json") if self.begun and not anew else None
        if memory is None and begun is not None:
            placement = begun
        elif memory is None and self.config.training.shuffle_buffer is not None:
            placement = Placement.given(self.config.training.shuffle_buffer, f"preset {self.preset.name}")
        else:
            footprint = Footprint.of(self.task.world(), self.data.recipe(self.config.train_split))
            placement = (
                Placement.automatic(footprint, self.device)
                if memory is None
                else Placement.within(footprint, memory)
            )
        training = self.config.training.model_copy(update={"shuffle_buffer": placement.shuffle_buffer})
        config = self.config.model_copy(update={"training": training})
        return replace(self, config=config, placement=placement)

    def identity(self, train_digest: str) -> dict[str, str]:
        """What a checkpoint of this run must say of itself."""
        return {
            "task": self.config.task,
            "model": self.config.model,
            "train_split": self.config.train_split,
            "seed": str(self.seed),
            "settings": self.config.weights_digest,
            "dataset": train_digest,
        }

    def train(
        self,
        console: Console,
        *,
        tensorboard: bool = False,
        force: bool = False,
        profiled: Callable[[Profile], None] | None = None,
    ) -> TrainingResult:
        """Trains the model, or goes on training it.

        Args:
            console: Is told how it goes; what a person should read is kept in the run's log too.
            tensorboard: Whether to write TensorBoard events too.
            force: Whether to move an existing run aside and begin anew.
            profiled: Is given a profile of a few steps, whose trace is in the folder of the run.
        """
        dataset = self.data.open(self.config.train_split)
        if force:
            self.place.begin_anew(console.message)
        self.place.make()
        with RunLog(self.log, console) as log:
            return self._train(dataset, log, tensorboard=tensorboard, profiled=profiled)

    def _train(
        self,
        dataset: Dataset,
        console: Console,
        *,
        tensorboard: bool,
        profiled: Callable[[Profile], None] | None,
    ) -> TrainingResult:
        """Trains the model on a dataset, in the folder that is there."""
        identity = self.identity(dataset.content_digest)
        path = self.folder / "checkpoint.pt"
        profiler = None if profiled is None else StepProfiler(self.folder, self.device, profiled)
        with (
            self.place.alone(),
            self._training_data(dataset) as transitions,
            console.training(self.name),
        ):
            if path.exists():  # refused before the settings of the run that is there are overwritten
                Checkpoint.load(path, torch.device("cpu")).check_identity(identity, path, remedy=OTHER_RUN)
            Settings(self.preset, self.config, self.seed).write(self.folder)
            placement = "" if self.placement is None else self.placement.reason
            for notice in (placement, precision_notice(self.device, self.config.training.precision)):
                if notice:
                    console.message(notice)
            result = train(
                lambda: self.task.build_model(self.config.model, self.config.model_options),
                transitions,
                self.config.training,
                seed=self.seed,
                folder=self.folder,
                identity=identity,
                reporter=console,
                tensorboard=tensorboard,
                compiled=self.compiled,
                stages=profiler,
            )
        if profiler is not None and not profiler.finished:
            console.message(f"no profile of {self.name}: {profiler.shortfall}")
        return result

    def _training_data(self, dataset: Dataset) -> AbstractContextManager[TrainingData]:
        """The transitions to train on, held as the settings say."""
        buffer = self.config.training.shuffle_buffer
        if buffer is None:
            return nullcontext(Transitions.from_dataset(dataset, self.device))
        return StreamedTransitions(dataset, self.device, buffer=buffer)

    def trained_model(self) -> tuple[WorldModel, Checkpoint]:
        """The model after its training, in evaluation mode on the device, and the checkpoint it comes from.

        Raises:
            CheckpointError: If training has not ended, or was of another run or on other data.
            DatasetError: If the data is missing or broken.
        """
        digest = self.data.open(self.config.train_split).content_digest
        path = self.folder / "checkpoint.pt"
        checkpoint = Checkpoint.load(path, self.device)
        checkpoint.check_identity(self.identity(digest), path, remedy=OTHER_RUN)
        epochs = self.config.training.epochs
        if checkpoint.epoch != epochs and not checkpoint.stopped:
            raise CheckpointError(
                f"{self.name} is trained for {checkpoint.epoch} epochs, the settings say {epochs}; "
                + (
                    "train it to the end first"
                    if checkpoint.epoch < epochs
                    else "ask for as many or begin anew"
                )
            )
        return self._model_of(checkpoint), checkpoint

    def model_so_far(self) -> tuple[WorldModel, Checkpoint]:
        """The model as far as it is trained, as of :meth:`trained_model`; no dataset is needed.

        Raises:
            CheckpointError: If training has not begun, or was of another run.
        """
        path = self.folder / "checkpoint.pt"
        checkpoint = Checkpoint.load(path, self.device)
        whatever_data = checkpoint.identity.get("dataset", "")
        checkpoint.check_identity(self.identity(whatever_data), path, remedy=OTHER_RUN)
        return self._model_of(checkpoint), checkpoint

    def _model_of(self, checkpoint: Checkpoint) -> WorldModel:
        """The model of a checkpoint, in evaluation mode on the device.

        Raises:
            CheckpointError: If the model's code is no longer what was trained.
        """
        name = self.config.model
        if source_digest(self.task.builder(name)) != self.config.model_code:
            raise CheckpointError(
                f"the code of model {name} has changed since {self.name} was trained; restore it"
            )
        model = self.task.build_model(name, self.config.model_options).to(self.device)
        checkpoint.put_into(model, self.folder / "checkpoint.pt")
        return model.eval()

    def evaluate(self, console: Console) -> list[RunRow]:
        """Scores the trained model.

        Returns:
            A row for each horizon.

        Raises:
            CheckpointError: If training has not ended, or was of another run.
        """
        train_dataset = self.data.open(self.config.train_split)
        model, checkpoint = self.trained_model()
        dataset = self.data.open("eval")
        began = time.perf_counter()
        narrow = self.config.training.precision == "bfloat16"
        horizons = self.config.evaluation.horizons
        half = (default_memory(self.device) if self.eval_memory is None else self.eval_memory) // 2
        with console.task(f"evaluate {self.config.model}", "episodes") as advance:
            scores = evaluate(
                model,
                Episodes(dataset, self.device, times=(0, *horizons), memory=half),
                horizons=horizons,
                ranking_memory=half,
                seed=self.config.evaluation.seed,
                autocast=torch.bfloat16 if narrow else None,
                margin=self.config.training.hinge,
                progress=advance,
            )
        seconds = time.perf_counter() - began
        return [
            RunRow(
                run_id=self.name,
                task=self.config.task,
                train_split=self.config.train_split,
                model=self.config.model,
                preset=self.preset.name,
                seed=self.seed,
                **_columns(score),
                restarts=checkpoint.attempt,
                parameters=parameter_count(model),
                epochs=checkpoint.epoch,
                transitions_seen=checkpoint.transitions_seen,
                train_seconds=round(checkpoint.seconds, 1),
                eval_seconds=round(seconds, 1),
                device=device_name(self.device),
                precision=self.config.training.precision,
                compiled=checkpoint.compiled,
                train_dataset_digest=train_dataset.content_digest,
                eval_dataset_digest=dataset.content_digest,
                train_files_digest=train_dataset.files_digest,
                eval_files_digest=dataset.files_digest,
                config_digest=self.config.digest,
                version=__version__,
                torch_version=torch.__version__,
            )
            for score in scores
        ]

    def scored(self) -> bool:
        """Whether the table of runs holds this run: same settings, same data, every horizon.

        Not if it was begun anew since: what the table has is then of the training before.
        """
        runs_csv = self.workspace.results.runs_csv
        if self.place.begun_anew or not runs_csv.exists():
            return False
        runs = read_runs(runs_csv)
        try:
            digests = [self.data.open(split).content_digest for split in self.splits]
        except DatasetError:
            return False
        mine = runs[
            (runs["run_id"] == self.name)
            & (runs["config_digest"] == f"sha256:{self.config.digest}")
            & (runs["train_dataset_digest"] == f"sha256:{digests[0]}")
            & (runs["eval_dataset_digest"] == f"sha256:{digests[1]}")
        ]
        return set(self.config.evaluation.horizons) <= set(mine["horizon"])

    def complete(
        self, console: Console, *, workers: int, tensorboard: bool = False, force: bool = False
    ) -> bool:
        """Does whatever of this run is not done: data, training, scores, its rows in the tables.

        Args:
            console: Is told how it goes.
            workers: Processes that generate data.
            tensorboard: Whether to write TensorBoard events too.
            force: Whether to train anew what is trained already; the old run is moved aside.

        Returns:
            Whether there was anything to do.
        """
        for split in self.splits:
            self.data.ensure(split, workers=workers, console=console)
        if force:
            self.place.begin_anew(console.message)
        rows = self.missing_rows(console, tensorboard=tensorboard, again=force)
        if rows:
            self.record(rows)
        return bool(rows)

    def missing_rows(
        self, console: Console, *, tensorboard: bool = False, again: bool = False
    ) -> list[RunRow]:
        """Trains and scores the model on data that is there; leaves the tables to the caller.

        Args:
            console: Is told how it goes; what a person should read is kept in the run's log too.
            tensorboard: Whether to write TensorBoard events too.
            again: Whether to do so even if the table of runs has its rows.

        Returns:
            A row for each horizon; none if the table of runs has them.
        """
        if not again and self.scored():
            return []
        self.train(console, tensorboard=tensorboard)
        with RunLog(self.log, console) as log:
            return self.evaluate(log)

    def record(self, rows: list[RunRow]) -> None:
        """Puts rows and the learning curve into the result tables, and brings the leaderboard up to date."""
        # The curve first: a run that stands in the table of runs is done, and never recorded again.
        lines = read_metrics(self.folder / "metrics.jsonl", LOSS_TERMS)
        results = self.workspace.results
        record_curve(results.curves_csv, rows[0], lines)
        append_rows(results.runs_csv, rows)
        self.place.recorded()
        results.write_leaderboard(reference_model)


def _named(task: str, *others: Any) -> Run:  # noqa: ANN401 — the fields of a run that follow its task
    """A run as another process sent it."""
    return Run(get_task(task), *others)

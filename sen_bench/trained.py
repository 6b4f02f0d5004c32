"""A trained model from the folder that its training left behind."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import ValidationError

from sen_bench.baselines.model import WorldModel
from sen_bench.config import RunConfig, first_problem
from sen_bench.errors import CheckpointError
from sen_bench.extensions import source_digest
from sen_bench.tasks import Task, get_task
from sen_bench.training import Checkpoint


@dataclass(frozen=True)
class TrainedModel:
    """A model and what it was trained as.

    Attributes:
        task: The task.
        config: The settings.
        epochs: How many epochs it was trained.
        model: The model, on the CPU and in evaluation mode.
    """

    task: Task
    config: RunConfig
    epochs: int
    model: WorldModel


def load_trained(folder: Path) -> TrainedModel:
    """Loads the model of a run as far as it is trained; datasets are not needed.

    Args:
        folder: The run's folder, with ``config.json`` and ``checkpoint.pt``.

    Raises:
        CheckpointError: If it is no folder of a run, or the code of the model has changed since.
        SenBenchError: If the task or model is not there any more.
    """
    path = folder / "config.json"
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
        config = RunConfig.model_validate({key: settings.get(key) for key in RunConfig.model_fields})
    except (FileNotFoundError, NotADirectoryError):
        raise CheckpointError(f"{folder} is no folder of a run: it has no config.json") from None
    except ValidationError as error:
        raise CheckpointError(f"{path} is not the settings of a run: {first_problem(error)}") from error
    except (OSError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{path} cannot be read ({error})") from error
    task = get_task(config.task)
    if source_digest(task.builder(config.model)) != config.model_code:
        raise CheckpointError(f"the code of model {config.model} has changed since {folder} was trained")
    checkpoint = Checkpoint.load(folder / "checkpoint.pt", torch.device("cpu"))
    if checkpoint.identity.get("settings") != config.weights_digest:
        raise CheckpointError(f"{folder / 'checkpoint.pt'} was trained with other settings than {path} says")
    model = task.build_model(config.model, config.model_options)
    model.load_state_dict(checkpoint.model)
    return TrainedModel(task, config, checkpoint.epoch, model.eval())

"""The models that runs have trained."""

from __future__ import annotations

from sen_bench.baselines import WorldModel
from sen_bench.errors import CheckpointError
from sen_bench.runs.run import Run
from sen_bench.system import number_of
from sen_bench.tasks import resolve_model
from sen_bench.training import OTHER_RUN, Checkpoint, build_seeded


def trained_model(run: Run) -> tuple[WorldModel, Checkpoint]:
    """The model after its training, in evaluation mode on the device, and the checkpoint it comes from.

    Raises:
        CheckpointError: If training has not ended, or was of another run or on other data.
        DatasetError: If the data is missing or broken.
    """
    digest = run.open_train_data().content_digest
    checkpoint = Checkpoint.load(run.checkpoint, run.device)
    checkpoint.check_identity(run.identity(digest), run.checkpoint, remedy=OTHER_RUN)
    epochs = run.config.training.epochs
    if checkpoint.epoch != epochs and not checkpoint.stopped:
        remedy = (
            "train it to the end first" if checkpoint.epoch < epochs else "ask for as many, or start over"
        )
        raise CheckpointError(
            f"{run.name} is trained for {number_of(checkpoint.epoch, 'epoch')}, the settings say {epochs};"
            f" {remedy}"
        )
    return _model_of(run, checkpoint), checkpoint


def model_so_far(run: Run) -> tuple[WorldModel, Checkpoint]:
    """The model as far as it is trained, as in :func:`trained_model`; no dataset is needed.

    Raises:
        CheckpointError: If training has not begun, or was of another run.
    """
    checkpoint = Checkpoint.load(run.checkpoint, run.device)
    whatever_data = checkpoint.identity.get("dataset", "")
    checkpoint.check_identity(run.identity(whatever_data), run.checkpoint, remedy=OTHER_RUN)
    return _model_of(run, checkpoint), checkpoint


def _model_of(run: Run, checkpoint: Checkpoint) -> WorldModel:
    """The model of a checkpoint, in evaluation mode on the device.

    Raises:
        CheckpointError: If the model's code is no longer what was trained.
    """
    resolved = resolve_model(run.task, run.config.model, run.config.model_options)
    if resolved.code != run.config.model_code:
        raise CheckpointError(
            f"the code of model {resolved.name} has changed since {run.name} was trained; restore it"
        )
    # Seeded as when it was trained: what a model draws as it is built need not be in its checkpoint.
    model = build_seeded(resolved.build, run.device, seed=run.seed, attempt=checkpoint.attempt)
    checkpoint.put_into(model, run.checkpoint)
    return model.eval()

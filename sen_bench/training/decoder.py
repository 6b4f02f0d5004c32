"""Training a decoder on the latents of a trained model, which stays as it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor
from torch.nn import functional

from sen_bench.baselines import Decoder
from sen_bench.config import TrainingConfig
from sen_bench.data import Transitions
from sen_bench.errors import ConfigError
from sen_bench.system import QUIET, Progress, number_of
from sen_bench.training.epochs import EpochTraining

#: Samples in a batch, and the learning rate of Adam [ours].
BATCH_SIZE, LEARNING_RATE = 64, 1e-3


@dataclass(frozen=True)
class DecoderResult:
    """A trained decoder and what it took.

    Attributes:
        decoder: The decoder after the last epoch, in evaluation mode.
        epochs: Epochs finished.
        seconds: Wall time of training in all processes.
    """

    decoder: Decoder
    epochs: int
    seconds: float


def train_decoder(
    latents: Tensor,
    transitions: Transitions,
    *,
    epochs: int,
    seed: int,
    folder: Path,
    identity: dict[str, str],
    progress: Progress = QUIET,
) -> DecoderResult:
    """Trains a decoder, or resumes where an earlier call with the same arguments stopped.

    The loss is the binary cross-entropy between decoded and true pixels, in [0, 1], averaged over all of them
    [ours]: it is smallest where they are equal, and small objects on a uniform background are not drowned
    out. The log also has the mean squared error.

    Args:
        latents: float32 ``[N, *latent_shape]`` of the first observations of the transitions; constants.
        transitions: N transitions, on the same device.
        epochs: Passes over them.
        seed: Decides the initial weights and the order of the samples.
        folder: Where ``checkpoint.pt`` and ``metrics.jsonl`` of the decoder are kept.
        identity: Whose latents they are; the checkpoint of a decoder of other latents is refused.
        progress: Shows how it goes.

    Raises:
        CheckpointError: If a checkpoint cannot be read or written, or is of another run.
        ConfigError: If there are fewer than two transitions, no epoch is asked for, or more are finished.
        NonFiniteError: If the loss is no longer a number.
    """
    if len(transitions) < 2:
        raise ConfigError("a decoder needs at least two transitions to learn from")
    if epochs < 1:
        raise ConfigError(f"a decoder is trained for at least one epoch, not {epochs}")
    run = _DecoderRun(
        latents,
        transitions,
        epochs=epochs,
        seed=seed,
        folder=folder,
        identity=identity,
        progress=progress,
    )
    run.run()
    if run.epoch > epochs:
        raise ConfigError(
            f"the decoder in {folder} is trained for {number_of(run.epoch, 'epoch')}, not {epochs};"
            " ask for as many, or --force to start over"
        )
    return DecoderResult(run.network.eval(), run.epoch, run.seconds)


class _DecoderRun(EpochTraining[Decoder]):
    """The training of a decoder."""

    terms = ("loss", "squared_error")
    unit = "frames"
    remedy = "--force moves it aside and trains a new one"
    divergence_remedy = "the latents are too large to learn from"

    def __init__(
        self,
        latents: Tensor,
        transitions: Transitions,
        *,
        epochs: int,
        seed: int,
        folder: Path,
        identity: dict[str, str],
        progress: Progress,
    ) -> None:
        self._latents = latents
        self._transitions = transitions
        height, width, channels = transitions.observation_shape
        super().__init__(
            lambda: Decoder(tuple(latents.shape[1:]), (height, width, channels)),
            len(transitions),
            TrainingConfig(epochs=epochs, batch_size=BATCH_SIZE, learning_rate=LEARNING_RATE),
            seed=seed,
            device=transitions.device,
            folder=folder,
            identity=identity,
            progress=progress,
        )

    def measure(self, index: Tensor, permutation: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ARG002 — no negatives
        true = self._transitions.observations(index)
        logits = self.network.logits(self._latents[index])
        loss = functional.binary_cross_entropy_with_logits(logits, true)
        return loss, functional.mse_loss(logits.detach().sigmoid(), true)

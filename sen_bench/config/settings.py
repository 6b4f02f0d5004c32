"""Presets and resolved settings: TOML in, validated models out, one digest per configuration."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from sen_bench.config.known import SEED_LIMIT

Precision = Literal["float32", "tf32", "bfloat16"]
OnCollapse = Literal["continue", "stop", "restart"]
Schedule = Literal["constant", "cosine"]
LossForm = Literal["public", "text"]

ModelOption = bool | int | float | str | list[bool | int | float | str]

# What is larger must be a slip, and would only fail hours later or in a library that counts in 32 bits.
_LARGEST: Final = 2**31 - 1

Count = Annotated[int, Field(gt=0, le=_LARGEST, strict=True)]

BatchSize = Annotated[int, Field(ge=2, le=_LARGEST, strict=True)]

# Not strict, because keys of TOML are text.
LaterEpoch = Annotated[int, Field(ge=2, le=_LARGEST)]

Margin = Annotated[float, Field(gt=0, allow_inf_nan=False)]

# A larger factor must be a slip.
RateFactor = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]

DEFAULT_HORIZONS = (1, 5, 10)
"""Steps ahead at which grid worlds are scored; the paper's tables show 10."""

#: Options of a model, such as ``{"hidden": 64}``; which ones exist is the model's business.
ModelOptions = dict[str, ModelOption]


def _distinct(numbers: tuple[int, ...]) -> tuple[int, ...]:
    """Refuses a number that is there twice: each makes a row in the tables of results."""
    if len(set(numbers)) < len(numbers):
        raise ValueError("each may stand there once")
    return numbers


def _listed(numbers: object) -> object:
    """Refuses a single number where a list is wanted, with how to write one."""
    if not isinstance(numbers, list | tuple):
        raise ValueError("write a list such as [1, 5]")  # noqa: TRY004 — which pydantic would not catch
    return numbers


class _Strict(BaseModel):
    """Settings are immutable, and an unknown key is an error rather than ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NegativeSampling(_Strict):
    """What the negative term of the loss compares with. The defaults are the paper's.

    Attributes:
        same_episode: The share of the negatives in a batch that are other frames of the sample's own episode,
            drawn from all but the two frames of its transition [ours, after Biza, van der Pol and Kipf 2021].
            The others are other samples of the batch.
        margin_other: The margin of those others; that of negatives of the same episode is the ``hinge`` of
            the training. None: the same.
        per_object: Whether the latent of each object, not the mean over objects, is to have the margin from
            those others; what falls short of it is averaged over objects [ours]. For models whose latents
            are those of objects.
    """

    same_episode: Annotated[float, Field(ge=0, le=1)] = 0.0
    margin_other: Margin | None = None
    # Left out of names and digests where it is not asked for, as they are older; `variants` knows.
    per_object: bool = Field(default=False, exclude_if=lambda asked: not asked)

    @model_validator(mode="after")
    def _margin_is_used(self) -> Self:
        if self.margin_other is not None and not 0 < self.same_episode < 1:
            raise ValueError(
                "margin_other needs a same_episode between 0 and 1; where all negatives are of one kind,"
                " hinge is their margin"
            )
        if self.per_object and self.same_episode == 1:
            raise ValueError("per_object is for other samples, and with same_episode = 1 there are none")
        return self

    def count_in(self, batch: int) -> int:
        """How many negatives of a batch of this size are of the same episode."""
        return round(self.same_episode * batch)


class RateFactors(_Strict):
    """What the learning rate is multiplied by in the parts of a model [ours]; T always has the rate itself.

    Attributes:
        embedding: In the embedding network S, the part of the model that is called ``embedding``.
        encoder: In the encoder E, the part that is called ``encoder``.
        codes: In what the objects of S share behind their masks, the part of ``embedding`` that is called
            ``codes``. None: as in the rest of S.
    """

    embedding: RateFactor = 1.0
    encoder: RateFactor = 1.0
    codes: RateFactor | None = None

    def of(self, part: str) -> float:
        """The factor of a part by its name here."""
        factor: float | None = getattr(self, part)
        return self.embedding if factor is None else factor


_SettingT = TypeVar("_SettingT")


def _in_epoch(epoch: int, first: _SettingT, later: Mapping[int, _SettingT]) -> _SettingT:
    """A setting in an epoch, counted from 1, of its first value and those that begin with later epochs."""
    begun = [number for number in later if number <= epoch]
    return later[max(begun)] if begun else first


class TrainingConfig(_Strict):
    """How a model is trained. The defaults are the paper's.

    Attributes:
        epochs: Passes over the training transitions.
        batch_size: Transitions in a batch.
        batch_size_from_epoch: Transitions in a batch from an epoch on, by the number of that epoch [ours].
        learning_rate: The learning rate of Adam at the start.
        schedule: What becomes of the learning rate: ``constant``, as in the paper, or ``cosine``, half a wave
            down to 0 at the end of the last epoch [ours].
        learning_rate_of: What the learning rate is multiplied by in parts of the model [ours].
        learning_rate_of_from_epoch: The same from an epoch on, by the number of that epoch [ours].
        hinge: Margin of the negative term of the loss.
        loss: What the negative term compares negatives with: ``public``, the latent z of the observation, as
            in the public code; ``text``, the prediction z + T(z, a), as in the paper's text.
        negatives: What is compared.
        negatives_from_epoch: The same from an epoch on, by the number of that epoch [ours].
        bystander_weight: What the energy by which objects that do not act change in a transition is
            multiplied by and added to the loss [ours]. 0: not at all. For actions that move one object.
        first_episodes: How many episodes of the split are trained on, counted from its first one [ours].
            None: all.
        shuffle_buffer: Transitions that are in memory and shuffled at a time, in whole blocks of the stored
            dataset and at least one of them, where the data is streamed [ours]. None: all of it is in memory
            and shuffled as a whole, as in the paper.
        precision: ``float32``; ``tf32``, for products of TensorFloat32 on a GPU; or ``bfloat16`` for autocast
            in the networks. Weights and losses are float32 in all of them.
        on_collapse: What to do when all latents have become equal.
    """

    epochs: Count = 100
    batch_size: BatchSize = 1024
    batch_size_from_epoch: dict[LaterEpoch, BatchSize] = Field(default_factory=dict)
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = 5e-4
    schedule: Schedule = "constant"
    learning_rate_of: RateFactors = RateFactors()
    learning_rate_of_from_epoch: dict[LaterEpoch, RateFactors] = Field(default_factory=dict)
    hinge: Margin = 1.0
    loss: LossForm = "public"
    negatives: NegativeSampling = NegativeSampling()
    negatives_from_epoch: dict[LaterEpoch, NegativeSampling] = Field(default_factory=dict)
    bystander_weight: Annotated[float, Field(ge=0, le=1e6)] = 0.0
    first_episodes: Count | None = None
    shuffle_buffer: Count | None = None
    precision: Precision = "float32"
    on_collapse: OnCollapse = "continue"

    def batch_size_in(self, epoch: int) -> int:
        """Samples in a batch of an epoch, counted from 1."""
        return _in_epoch(epoch, self.batch_size, self.batch_size_from_epoch)

    def rate_factors_in(self, epoch: int) -> RateFactors:
        """The factors of the learning rate in an epoch, counted from 1."""
        return _in_epoch(epoch, self.learning_rate_of, self.learning_rate_of_from_epoch)

    def negatives_in(self, epoch: int) -> NegativeSampling:
        """The negatives of an epoch, counted from 1."""
        return _in_epoch(epoch, self.negatives, self.negatives_from_epoch)

    def resting_loss_in(self, epoch: int) -> float:
        """The loss of equal latents in an epoch, counted from 1: the mean margin of its negatives."""
        negatives = self.negatives_in(epoch)
        if negatives.margin_other is None:
            return self.hinge
        return negatives.same_episode * self.hinge + (1 - negatives.same_episode) * negatives.margin_other

    @property
    def parts_with_rates(self) -> tuple[str, ...]:
        """The parts of the model that have a learning rate of their own in some epoch."""
        factors = self._rate_factors
        parts = [part for part in RateFactors.model_fields if any(f.of(part) != 1 for f in factors)]
        if all(f.codes is None for f in factors):
            parts = [part for part in parts if part != "codes"]
        return tuple(parts)

    @property
    def _rate_factors(self) -> tuple[RateFactors, ...]:
        """Those of all epochs."""
        return (self.learning_rate_of, *self.learning_rate_of_from_epoch.values())

    @property
    def has_same_episode_negatives(self) -> bool:
        """Whether there are negatives of the same episode in some epoch."""
        return any(n.same_episode > 0 for n in self._negatives)

    @property
    def has_margins_per_object(self) -> bool:
        """Whether some epoch asks the latent of each object for a margin."""
        return any(n.per_object for n in self._negatives)

    @property
    def _negatives(self) -> tuple[NegativeSampling, ...]:
        """Those of all epochs."""
        return (self.negatives, *self.negatives_from_epoch.values())


_YOUNGER: Final = (
    "batch_size_from_epoch",
    "bystander_weight",
    "first_episodes",
    "learning_rate_of",
    "learning_rate_of_from_epoch",
    "loss",
    "negatives",
    "negatives_from_epoch",
    "schedule",
    "shuffle_buffer",
)
"""Settings of training that the first result rows did not have."""


class EvaluationConfig(_Strict):
    """How a model is scored.

    Attributes:
        horizons: Numbers of steps ahead that are predicted and ranked, each once.
        seed: Draws the random pairs of the distance invariance errors.
    """

    horizons: Annotated[
        tuple[Count, ...], Field(min_length=1), AfterValidator(_distinct), BeforeValidator(_listed)
    ] = DEFAULT_HORIZONS
    seed: Annotated[int, Field(ge=0, lt=SEED_LIMIT, strict=True)] = 0


class RunConfig(_Strict):
    """Everything that decides the numbers of a run, except its seed, its datasets and its device.

    Attributes:
        task: The task.
        train_split: The split that is trained on.
        model: The model.
        model_options: Its options.
        model_code: Digest of the file that defines the model, where that is not part of sen-bench.
        training: How it is trained.
        evaluation: How it is scored.
    """

    task: str
    train_split: str
    model: str
    model_options: ModelOptions
    model_code: str | None = None
    training: TrainingConfig
    evaluation: EvaluationConfig

    @property
    def digest(self) -> str:
        """The digest of all settings; the same for every seed."""
        return digest_of(self._settings())

    @property
    def weights_digest(self) -> str:
        """The digest of what decides the weights after an epoch: all but the evaluation and how many epochs.

        A run can therefore be trained further with settings that ask for more epochs, unless its learning
        rate follows a schedule, which the number of epochs stretches.
        """
        settings = self._settings()
        del settings["evaluation"]
        if self.training.schedule == "constant":
            del settings["training"]["epochs"]
        return digest_of(settings)

    def _settings(self) -> dict[str, Any]:
        """All settings as JSON; those younger than the first result rows only if they differ from then."""
        settings = self.model_dump(mode="json")
        training = settings["training"]
        for factors in (training["learning_rate_of"], *training["learning_rate_of_from_epoch"].values()):
            if factors["codes"] is None:
                del factors["codes"]
        defaults = TrainingConfig()
        for name in _YOUNGER:
            if getattr(self.training, name) == getattr(defaults, name):
                del training[name]
        if self.model_code is None:
            del settings["model_code"]
        return settings


def digest_of(settings: Any) -> str:  # noqa: ANN401 — whatever JSON can hold
    """The first 16 hexadecimal digits of the SHA-256 of settings, whatever the order of their keys."""
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]

"""Whether a model can be trained as the settings say: some of them ask for what not every model has."""

from __future__ import annotations

from typing import Final

from sen_bench.baselines import GenerativeModel, WorldModel
from sen_bench.config import TrainingConfig
from sen_bench.errors import ConfigError
from sen_bench.training.rates import parameter_groups

_OF_CONTRAST: Final = ("loss", "hinge", "negatives", "negatives_from_epoch", "bystander_weight")
"""The settings of the contrastive loss."""


def asks_of_model(config: TrainingConfig) -> bool:
    """Whether some setting is not for every model, so that `check_suitability` may refuse one."""
    return bool(config.parts_with_rates) or _changed(config) is not None


def check_suitability(network: WorldModel, config: TrainingConfig) -> None:
    """Refuses settings that a model cannot be trained with.

    Raises:
        ConfigError: A part is to have a learning rate of its own that the model lacks; objects are to have
            margins or to stay, and its latents are not those of objects; or the form, the margin, the
            negatives or the weights of the contrastive loss are set, and the model has a loss of its own.
    """
    parameter_groups(network, config.parts_with_rates)
    name = type(network).__name__
    if isinstance(network, GenerativeModel):
        if (changed := _changed(config)) is not None:
            raise ConfigError(
                f"training.{changed} changes nothing: {name} is trained by a loss of its own, which has none"
                " of this; leave it out"
            )
    elif config.has_margins_per_object and not network.factored_latents:
        raise ConfigError(
            f"training.negatives: the latents of {name} are not those of objects, as in grid worlds; leave"
            " per_object out"
        )
    elif config.bystander_weight and not network.acting_objects:
        raise ConfigError(
            f"training.bystander_weight: the latents of {name} are not those of objects of which an action"
            " moves one, as in grid worlds; leave it out"
        )


def _changed(config: TrainingConfig) -> str | None:
    """The first setting of the contrastive loss that is not as by default."""
    defaults = TrainingConfig()
    return next((name for name in _OF_CONTRAST if getattr(config, name) != getattr(defaults, name)), None)

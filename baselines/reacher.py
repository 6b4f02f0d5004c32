"""World models of Reacher, whose latents are D4-regular fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

import torch
from torch import Tensor, nn

from sen_bench.baselines.kinds import KINDS
from sen_bench.baselines.model import SIGMA, WorldModel
from sen_bench.baselines.reacher_networks import (
    EMBEDDING_SHAPES,
    ENCODER_POOLS,
    ENCODER_SHAPES,
    LATENTS,
    MAP_SIDE,
    MAPS,
    OrdinaryTransition,
    SteerableTransition,
    channels_to_fields,
    fields_to_channels,
    ordinary_stack,
    steerable_stack,
)
from sen_bench.errors import ConfigError, UnknownNameError
from sen_bench.symmetry import Group

if TYPE_CHECKING:
    from sen_bench.symmetry import Symmetry

IMAGE_SIDE = 128
"""Pixels along a side of an observation (paper)."""


class ReacherModel(WorldModel):
    """A world model whose embedding is maps, and whose latent is four numbers or D4-regular fields.

    Embeddings are `[B, 8, 33, 33]`: maps that the group turns and reflects, as it does the table seen from
    above with x to the right and y upwards. Those of `full` are D4-regular fields of such maps,
    `[B, 8, 8, 33, 33]`, where axis 2 is the group element. Latents are D4-regular fields without a place,
    `[B, 4, 8]`, or for `none` plain numbers, `[B, 4]`. Actions are float32 `[B, 2]`: two torques.

    Args:
        kind: "sen", "full" or "none".
        image_channels: Channels of all the frames that are seen at once.
        embedding_channels: Width of the hidden layers of S, in channels or, for `full`, in D4-regular fields.
        hidden: Width of the hidden layers of E and T, in D4-regular fields or, for `none`, in channels.
    """

    def __init__(self, kind: str, *, image_channels: int, embedding_channels: int, hidden: int) -> None:
        equivariant, regular = kind != "none", kind == "full"
        maps = (MAPS, MAP_SIDE, MAP_SIDE)
        group = Group.dihedral(4)
        super().__init__(
            embedding_shape=(MAPS, group.order, *maps[1:]) if regular else maps,
            latent_shape=(LATENTS, group.order) if equivariant else (LATENTS,),
            equivariant=equivariant,
        )
        self._regular = regular
        seen, read = (image_channels, embedding_channels, MAPS), (MAPS, hidden, LATENTS)
        self.embedding = (
            steerable_stack(seen, EMBEDDING_SHAPES, in_regular=False)
            if regular
            else ordinary_stack(seen, EMBEDDING_SHAPES)
        )
        self.encoder = (
            steerable_stack(read, ENCODER_SHAPES, in_regular=regular, pools=ENCODER_POOLS)
            if equivariant
            else ordinary_stack(read, ENCODER_SHAPES, pools=ENCODER_POOLS)
        )
        self.network: nn.Module = SteerableTransition(hidden) if equivariant else OrdinaryTransition(hidden)
        # Element g brings what is at h to g·h; so at j arrives what was at g⁻¹·j.
        self._add_table("_fibre_source", torch.from_numpy(group.cayley[group.inverse]))
        pixels = torch.arange(MAP_SIDE**2).view(MAP_SIDE, MAP_SIDE)
        # Element 4 + k reflects (x, y) to (x, -y), which is the rows, and then turns by k quarters.
        moved = [torch.rot90(image, turns) for image in (pixels, pixels.flip(0)) for turns in range(4)]
        self._add_table("_pixel_source", torch.stack(moved).flatten(1))

    def _add_table(self, name: str, table: Tensor) -> None:
        """Keeps a table of the group's action on the model's device, but out of its checkpoints."""
        self.register_buffer(name, table, persistent=False)

    def embed(self, observation: Tensor) -> Tensor:
        """Images `[B, C, 128, 128]` to maps or fields of maps; see `WorldModel.embed`."""
        channels = cast("Tensor", self.embedding(observation))
        return channels_to_fields(channels, MAPS) if self._regular else channels

    def encode(self, embedding: Tensor) -> Tensor:
        """Maps or fields of maps to latents; see `WorldModel.encode`."""
        channels = fields_to_channels(embedding) if self._regular else embedding
        latent = cast("Tensor", self.encoder(channels)).flatten(1)
        return channels_to_fields(latent, LATENTS) if self.equivariant else latent

    def transition(self, latent: Tensor, action: Tensor) -> Tensor:
        """Latents and torques `[B, 2]` to next latents; see `WorldModel.transition`."""
        return latent + cast("Tensor", self.network(latent, action.to(latent.dtype)))

    def distance(self, latent: Tensor, other: Tensor) -> Tensor:
        """0.5/σ² times the squared distance, `[B]`."""
        return 0.5 / SIGMA**2 * (latent - other).square().flatten(1).sum(dim=1)

    def transform_embedding(self, elements: Tensor, embedding: Tensor) -> Tensor:
        """Turns and reflects maps, and permutes fields of them; see `WorldModel.transform_embedding`."""
        moved = self._move(elements, embedding.flatten(-2), "_pixel_source", axis=-1).view(embedding.shape)
        return self._move(elements, moved, "_fibre_source", axis=2) if self._regular else moved

    def transform_latent(self, elements: Tensor, latent: Tensor) -> Tensor:
        """Permutes D4-regular latents; see `WorldModel.transform_latent`."""
        if not self.equivariant:
            return super().transform_latent(elements, latent)
        return self._move(elements, latent, "_fibre_source", axis=2)

    @property
    def image_equivariance(self) -> Literal["approximate"] | None:
        """Approximate for `full`: the kernels' windows lie a pixel off the middle of an even-sided image."""
        return "approximate" if self._regular else None

    def transform_observation(self, elements: Tensor, observation: Tensor) -> Tensor:
        """Reflects and turns images, for `full`; see `WorldModel.transform_observation`."""
        if not self._regular:
            return super().transform_observation(elements, observation)
        pairs = zip(observation, elements.tolist(), strict=True)
        # Element 4 + k reflects the rows and then turns by k quarters, as for embeddings.
        return torch.stack([torch.rot90(x.flip(-2) if g >= 4 else x, g % 4, (-2, -1)) for x, g in pairs])

    def _move(self, elements: Tensor, x: Tensor, table: str, *, axis: int) -> Tensor:
        """Permutes one axis of `[B, ...]`, each sample by its own element."""
        source = self.get_buffer(table)[elements.to(x.device)]
        shape = [1] * x.ndim
        shape[0], shape[axis] = source.shape
        return x.gather(axis, source.view(shape).expand_as(x))


def build_reacher_model(
    kind: str,
    *,
    symmetry: Symmetry,
    observation_shape: tuple[int, int, int],
    embedding_channels: int | None = None,
    hidden: int | None = None,
) -> ReacherModel:
    """Makes a model of Reacher with randomly initialised weights.

    At the paper's sizes, `sen` has 4,011,889 parameters, `none` 5,609,488 and `full` 4,088,293. Convolutions
    are initialised as `convolutions` and `steerable` say, linear layers as `nn.Linear` does.

    Args:
        kind: "sen", "full" or "none".
        symmetry: The symmetry of the world, D4.
        observation_shape: Height and width, 128, and the channels of all the frames that are seen at once.
        embedding_channels: Width of the hidden layers of S: channels for `sen` and `none` (paper: 32),
            D4-regular fields of 8 channels each for `full` (paper: 6).
        hidden: Width of the hidden layers of E and T: D4-regular fields for `sen` and `full` (paper: 181),
            channels for `none` (paper: 512).

    Returns:
        The model, in training mode.

    Raises:
        UnknownNameError: There is no such kind.
        ConfigError: The images have another size, the group is another, or a width is not positive.
    """
    if kind not in KINDS:
        raise UnknownNameError("kind of Reacher model", kind, KINDS)
    height, width, image_channels = observation_shape
    if (height, width) != (IMAGE_SIDE, IMAGE_SIDE):
        raise ConfigError(
            f"Reacher models need images of {IMAGE_SIDE}x{IMAGE_SIDE} pixels, not {height}x{width}"
        )
    if symmetry.group != Group.dihedral(4):
        raise ConfigError(f"Reacher models need a world with the symmetry D4, not {symmetry.group.name}")
    embedding_channels = (6 if kind == "full" else 32) if embedding_channels is None else embedding_channels
    hidden = (512 if kind == "none" else 181) if hidden is None else hidden
    for name, size in (("embedding_channels", embedding_channels), ("hidden", hidden)):
        if size < 1:
            raise ConfigError(f"{name} must be at least 1, not {size}")
    return ReacherModel(
        kind, image_channels=image_channels, embedding_channels=embedding_channels, hidden=hidden
    )

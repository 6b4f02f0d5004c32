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
from sen_bench.baselines.reacher_perceptrons import (
    COARSE_SIDE,
    COLOURS,
    FrameEmbedding,
    OrbitPerceptron,
    OrdinaryPerceptron,
    moved,
    start_without_change,
)
from sen_bench.errors import ConfigError, UnknownNameError
from sen_bench.symmetry import Group

if TYPE_CHECKING:
    from sen_bench.symmetry import Symmetry

IMAGE_SIDE = 128
"""Pixels along a side of an observation (paper)."""

NETWORKS = ("convolutions", "perceptrons")
"""The networks S and E there are: the paper's, and those of `reacher_perceptrons` [ours]."""


class ReacherModel(WorldModel):
    """A world model whose embedding is maps, and whose latent is plain numbers or D4-regular fields.

    Embeddings are `[B, 8, n, n]`: maps that the group turns and reflects, as it does the table seen from
    above with x to the right and y upwards; n is 33, and with perceptrons 9. Those of `full` are D4-regular
    fields of such maps, `[B, 8, 8, n, n]`, where axis 2 is the group element. Latents are D4-regular fields
    without a place, `[B, 4, 8]`, or for `none` plain numbers, `[B, L]`. Actions are float32 `[B, 2]`: two
    torques.

    Args:
        kind: "sen", "full" or "none".
        image_channels: Channels of all the frames that are seen at once.
        networks: One of `NETWORKS`.
        embedding_channels: Width of the hidden layers of S, in channels or, for `full`, in D4-regular fields;
            with perceptrons the numbers that a frame is projected to.
        hidden: Width of the hidden layers of E and T, in D4-regular fields or, for `none`, in channels.
        plain_latents: Numbers in a latent of `none`, L.
    """

    def __init__(
        self,
        kind: str,
        *,
        image_channels: int,
        networks: str,
        embedding_channels: int,
        hidden: int,
        plain_latents: int,
    ) -> None:
        equivariant, regular = kind != "none", kind == "full"
        self._perceptrons = networks == "perceptrons"
        side = COARSE_SIDE if self._perceptrons else MAP_SIDE
        maps = (MAPS, side, side)
        group = Group.dihedral(4)
        super().__init__(
            embedding_shape=(MAPS, group.order, *maps[1:]) if regular else maps,
            latent_shape=(LATENTS, group.order) if equivariant else (plain_latents,),
            equivariant=equivariant,
        )
        self._regular = regular
        self.embedding: nn.Module
        self.encoder: nn.Module
        if self._perceptrons:
            self.embedding = FrameEmbedding(
                image_channels=image_channels,
                image_side=IMAGE_SIDE,
                numbers=embedding_channels,
                regular=regular,
            )
            self.encoder = (
                OrbitPerceptron(hidden, regular=regular)
                if equivariant
                else OrdinaryPerceptron(hidden, latents=plain_latents)
            )
        else:
            seen = (image_channels, embedding_channels, MAPS)
            self.embedding = (
                steerable_stack(seen, EMBEDDING_SHAPES, in_regular=False)
                if regular
                else ordinary_stack(seen, EMBEDDING_SHAPES)
            )
            self.encoder = (
                steerable_stack(
                    (MAPS, hidden, LATENTS), ENCODER_SHAPES, in_regular=regular, pools=ENCODER_POOLS
                )
                if equivariant
                else ordinary_stack((MAPS, hidden, plain_latents), ENCODER_SHAPES, pools=ENCODER_POOLS)
            )
        network = (
            SteerableTransition(hidden) if equivariant else OrdinaryTransition(hidden, latents=plain_latents)
        )
        if self._perceptrons:
            start_without_change(network)
        self.network: nn.Module = network
        # Element g brings what is at h to g·h; so at j arrives what was at g⁻¹·j.
        self._add_table("_fibre_source", torch.from_numpy(group.cayley[group.inverse]))
        pixels = torch.arange(side**2).view(side, side)
        sources = [moved(pixels, element) for element in range(group.order)]
        self._add_table("_pixel_source", torch.stack(sources).flatten(1))

    def _add_table(self, name: str, table: Tensor) -> None:
        """Keeps a table of the group's action on the model's device, but out of its checkpoints."""
        self.register_buffer(name, table, persistent=False)

    def embed(self, observation: Tensor) -> Tensor:
        """Images `[B, C, 128, 128]` to maps or fields of maps; see `WorldModel.embed`."""
        maps = cast("Tensor", self.embedding(observation))
        return channels_to_fields(maps, MAPS) if self._regular and not self._perceptrons else maps

    def encode(self, embedding: Tensor) -> Tensor:
        """Maps or fields of maps to latents; see `WorldModel.encode`."""
        if self._perceptrons:
            return cast("Tensor", self.encoder(embedding))
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
        maps = self._move(elements, embedding.flatten(-2), "_pixel_source", axis=-1).view(embedding.shape)
        return self._move(elements, maps, "_fibre_source", axis=2) if self._regular else maps

    def transform_latent(self, elements: Tensor, latent: Tensor) -> Tensor:
        """Permutes D4-regular latents; see `WorldModel.transform_latent`."""
        if not self.equivariant:
            return super().transform_latent(elements, latent)
        return self._move(elements, latent, "_fibre_source", axis=2)

    @property
    def image_equivariance(self) -> Literal["exact", "approximate"] | None:
        """For `full` approximate with convolutions, and exact with perceptrons, which are shown moved images.

        The windows of the convolutions' kernels lie a pixel off the middle of an even-sided image.
        """
        if not self._regular:
            return None
        return "exact" if self._perceptrons else "approximate"

    def transform_observation(self, elements: Tensor, observation: Tensor) -> Tensor:
        """Reflects and turns images, for `full`; see `WorldModel.transform_observation`."""
        if not self._regular:
            return super().transform_observation(elements, observation)
        pairs = zip(observation, elements.tolist(), strict=True)
        return torch.stack([moved(image, element) for image, element in pairs])

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
    networks: str = "convolutions",
    embedding_channels: int | None = None,
    hidden: int | None = None,
    plain_latents: int | None = None,
) -> ReacherModel:
    """Makes a model of Reacher with randomly initialised weights.

    At the paper's sizes, `sen` has 4,011,889 parameters, `none` 5,609,488 and `full` 4,088,293. Convolutions
    are initialised as `convolutions` and `steerable` say, linear layers as `nn.Linear` does.

    Args:
        kind: "sen", "full" or "none".
        symmetry: The symmetry of the world, D4.
        observation_shape: Height and width, 128, and the channels of all the frames that are seen at once.
        networks: The networks S and E: "convolutions" (paper); or "perceptrons" [ours], which learn motion
            in few steps: S projects each frame by itself, E sees the maps at once, and T predicts no change
            at first. In all three kinds of models they are as symmetric as the paper's, and in `full` S is
            so for images of 128 pixels too.
        embedding_channels: Width of the hidden layers of S. Of convolutions: channels for `sen` and `none`
            (paper: 32), D4-regular fields of 8 channels each for `full` (paper: 6). Of perceptrons: the
            numbers that a frame is projected to (192).
        hidden: Width of the hidden layers of E and T: D4-regular fields for `sen` and `full` (paper: 181,
            perceptrons: 64), channels for `none` (paper: 512, perceptrons: 256).
        plain_latents: Numbers in a latent of `none` (paper: 4). Those of `sen` and `full` are four D4-regular
            fields, 32 numbers.

    Returns:
        The model, in training mode.

    Raises:
        UnknownNameError: There is no such kind, or there are no such networks.
        ConfigError: The images have another size or channels that do not fit, the group is another, a width
            is not positive, or `plain_latents` is given for a model whose latents are fields.
    """
    if kind not in KINDS:
        raise UnknownNameError("kind of Reacher model", kind, KINDS)
    if networks not in NETWORKS:
        raise UnknownNameError("kind of networks of Reacher", networks, NETWORKS)
    height, width, image_channels = observation_shape
    if (height, width) != (IMAGE_SIDE, IMAGE_SIDE):
        raise ConfigError(
            f"Reacher models need images of {IMAGE_SIDE}x{IMAGE_SIDE} pixels, not {height}x{width}"
        )
    if symmetry.group != Group.dihedral(4):
        raise ConfigError(f"Reacher models need a world with the symmetry D4, not {symmetry.group.name}")
    fits = image_channels % COLOURS == 0 and MAPS % (image_channels // COLOURS) == 0
    if networks == "perceptrons" and not fits:
        raise ConfigError(
            f"perceptrons of Reacher share {MAPS} maps between frames of {COLOURS} channels each; that"
            f" cannot be done with {image_channels} channels"
        )
    return ReacherModel(
        kind,
        image_channels=image_channels,
        networks=networks,
        **_sizes(
            kind, networks, embedding_channels=embedding_channels, hidden=hidden, plain_latents=plain_latents
        ),
    )


def _sizes(kind: str, networks: str, **given: int | None) -> dict[str, int]:
    """The sizes of a model: those that are given, and for the others the paper's or those of perceptrons.

    Raises:
        ConfigError: A size is not positive, or this kind of model does not have it.
    """
    if kind != "none" and given["plain_latents"] is not None:
        raise ConfigError(f"model {kind} of Reacher has no option plain_latents; its latents are D4-regular")
    if networks == "perceptrons":
        usual = {"embedding_channels": 192, "hidden": 256 if kind == "none" else 64}
    else:
        usual = {"embedding_channels": 6 if kind == "full" else 32, "hidden": 512 if kind == "none" else 181}
    sizes = {name: usual.get(name, LATENTS) if size is None else size for name, size in given.items()}
    for name, size in sizes.items():
        if size < 1:
            raise ConfigError(f"{name} must be at least 1, not {size}")
    return sizes

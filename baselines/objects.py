"""World models of grid worlds, whose latents are factored into objects (3D Blocks)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

import torch
from torch import Tensor, nn

from sen_bench.baselines.convolutions import ConvolutionalEmbedding
from sen_bench.baselines.interaction import C4_EQUIVARIANT, ORDINARY, InteractionNetwork, LinearFamily
from sen_bench.baselines.layers import orbit_count, orbit_stack
from sen_bench.baselines.model import SIGMA, WorldModel, apply_in_full_precision
from sen_bench.errors import ConfigError, UnknownNameError

if TYPE_CHECKING:
    import numpy as np

    from sen_bench.symmetry import Symmetry

KINDS = ("sen", "full", "none")
"""Symmetric embedding network, fully equivariant and non-equivariant (science: Ours, Full, None)."""

LATENT_CHANNELS = 2
"""Channels of an object's latent: C4-regular ones for `sen` and `full`, plain numbers for `none` (paper)."""


class ObjectEncoder(nn.Module):
    """The encoder E: linear-ReLU-linear-LayerNorm-ReLU-linear, for each object by itself (paper, section 3).

    Args:
        family: The kind of linear layers: `ORDINARY` or `C4_EQUIVARIANT`.
        in_channels: Channels of an object's features.
        hidden: Width of the hidden layers.
    """

    def __init__(self, family: LinearFamily, *, in_channels: int, hidden: int) -> None:
        super().__init__()
        self.first = family.layer(in_channels, hidden)
        self.second = family.layer(hidden, hidden)
        self.norm = nn.LayerNorm(hidden)
        self.last = family.layer(hidden, LATENT_CHANNELS)

    def forward(self, features: Tensor) -> Tensor:
        """Maps `[B, O, ..., in_channels]` to latents `[B, O, ..., 2]`, at least float32."""
        hidden = self.norm(self.second(self.first(features).relu_()))
        return apply_in_full_precision(self.last, hidden.relu_())


class ObjectModel(WorldModel):
    """A world model with one map per object in v and one latent per object in z.

    Embeddings are maps `[B, O, H, W]` in (0, 1), on which the group turns the map and permutes the objects.
    Latents are `[B, O, 4, 2]` for equivariant models, on which it rolls axis 2 and permutes the objects, and
    `[B, O, 2]` for others. Actions are int64 `[B]`, numbered 4·object + direction.

    Args:
        embedding: S, images `[B, C, H, W]` to maps `[B, O, H, W]`.
        symmetry: The symmetry of the world, C4 × S_O.
        side: Height and width of the maps.
        equivariant: Whether E and T are C4-equivariant.
        hidden: Width of the hidden layers of E and T.
    """

    def __init__(
        self, embedding: nn.Module, *, symmetry: Symmetry, side: int, equivariant: bool, hidden: int
    ) -> None:
        num_objects = symmetry.representations["object"].dim
        super().__init__(
            embedding_shape=(num_objects, side, side),
            latent_shape=(num_objects, 4, LATENT_CHANNELS) if equivariant else (num_objects, LATENT_CHANNELS),
            equivariant=equivariant,
        )
        family = C4_EQUIVARIANT if equivariant else ORDINARY
        self.embedding = embedding
        self.encoder = ObjectEncoder(
            family, in_channels=orbit_count(side) if equivariant else side * side, hidden=hidden
        )
        self.network = InteractionNetwork(
            family,
            latent_channels=LATENT_CHANNELS,
            action_channels=1 if equivariant else 4,
            hidden=hidden,
        )
        directions = _permutation(symmetry, "direction")
        objects = _permutation(symmetry, "object")
        # A turn by k quarters moves direction 0 to direction -k.
        self._add_table("_turns", (-directions[:, 0]) % 4)
        self._add_table("_object_source", objects.argsort(dim=1))
        cells = torch.arange(side * side).view(side, side)
        turned = [torch.rot90(cells, turns).flatten() for turns in range(4)]
        self._add_table("_cell_source", torch.stack(turned))
        fibre = torch.arange(4)
        self._add_table("_fibre_source", (fibre[None, :] + fibre[:, None]) % 4)

    def _add_table(self, name: str, table: Tensor) -> None:
        """Keeps a table of the group's action on the model's device, but out of its checkpoints."""
        self.register_buffer(name, table, persistent=False)

    def embed(self, observation: Tensor) -> Tensor:
        """Images `[B, C, H, W]` to maps `[B, O, H, W]`; see `WorldModel.embed`."""
        return cast("Tensor", self.embedding(observation))

    def encode(self, embedding: Tensor) -> Tensor:
        """Maps `[B, O, H, W]` to latents; see `WorldModel.encode`."""
        features = orbit_stack(embedding) if self.equivariant else embedding.flatten(2)
        return cast("Tensor", self.encoder(features))

    def transition(self, latent: Tensor, action: Tensor) -> Tensor:
        """Latents and actions int64 `[B]` to next latents; see `WorldModel.transition`."""
        num_objects = self.latent_shape[0]
        one_hot = nn.functional.one_hot(action, 4 * num_objects).to(latent.dtype)
        shape = (-1, num_objects, 4, 1) if self.equivariant else (-1, num_objects, 4)
        return latent + cast("Tensor", self.network(latent, one_hot.view(shape)))

    def distance(self, latent: Tensor, other: Tensor) -> Tensor:
        """0.5/σ² times the squared distance, summed over features and averaged over objects, `[B]`."""
        squares = (latent - other).square().flatten(2).sum(dim=2)
        return 0.5 / SIGMA**2 * squares.mean(dim=1)

    def transform_embedding(self, elements: Tensor, embedding: Tensor) -> Tensor:
        """Turns and permutes maps; see `WorldModel.transform_embedding`."""
        return self._transform(elements, embedding.flatten(2), "_cell_source").view(embedding.shape)

    def transform_latent(self, elements: Tensor, latent: Tensor) -> Tensor:
        """Rolls and permutes C4-regular latents; see `WorldModel.transform_latent`."""
        if not self.equivariant:
            return super().transform_latent(elements, latent)
        return self._transform(elements, latent, "_fibre_source")

    def _transform(self, elements: Tensor, x: Tensor, table: str) -> Tensor:
        """Moves `[B, O, n, ...]` along the objects, and along axis 2 by the table of the turns."""
        elements = elements.to(x.device)
        sample = torch.arange(len(x), device=x.device)[:, None, None]
        objects = self.get_buffer("_object_source")[elements][:, :, None]
        places = self.get_buffer(table)[self.get_buffer("_turns")[elements]][:, None, :]
        return x[sample, objects, places]


class FullObjectModel(ObjectModel):
    """An object model whose S commutes with quarter turns of the image: `full`."""

    @property
    def image_equivariance(self) -> Literal["exact"]:
        """Exact: no convolution has a stride; see `WorldModel.image_equivariance`."""
        return "exact"

    def transform_observation(self, elements: Tensor, observation: Tensor) -> Tensor:
        """Turns images by quarters; see `WorldModel.transform_observation`."""
        turns = self.get_buffer("_turns")[elements.to(observation.device)].tolist()
        pairs = zip(observation, turns, strict=True)
        return torch.stack([torch.rot90(image, quarters, (-2, -1)) for image, quarters in pairs])


def _permutation(symmetry: Symmetry, name: str) -> Tensor:
    """The permutations of one representation as int64 `[element, index]`.

    Raises:
        ConfigError: The symmetry has no such representation, or not by permutations.
    """
    representation = symmetry.representations.get(name)
    if representation is None or representation.permutation is None:
        raise ConfigError(
            f"object models need a symmetry with a permutation representation {name!r}; "
            f"this one has {', '.join(sorted(symmetry.representations)) or 'none'}"
        )
    table: np.ndarray = representation.permutation
    return torch.from_numpy(table.copy())


def build_object_model(
    kind: str,
    *,
    symmetry: Symmetry,
    observation_shape: tuple[int, int, int],
    embedding_channels: int | None = None,
    hidden: int | None = None,
) -> ObjectModel:
    """Makes a model of a grid world with randomly initialised weights.

    At the paper's sizes, for 3D Blocks, `sen` has 1,986,345 parameters, `none` 2,625,577 and `full`
    1,978,521. Convolutions are initialised as `convolutions` and `steerable` say, linear layers as
    `nn.Linear` does.

    Args:
        kind: "sen", "full" or "none".
        symmetry: The symmetry of the world, with representations "direction" and "object".
        observation_shape: Height, width and channels of an observation.
        embedding_channels: Width of the hidden layers of S: channels for `sen` and `none` (paper: 32),
            C4-regular fields of 4 channels each for `full` (paper: 16).
        hidden: Width of the hidden layers of E and T: C4-regular channels for `sen` and `full` (paper: 256),
            ordinary ones for `none` (paper: 512).

    Returns:
        The model, in training mode.

    Raises:
        UnknownNameError: There is no such kind.
        ConfigError: The images are not square, or a width is not positive.
    """
    if kind not in KINDS:
        raise UnknownNameError("kind of object model", kind, KINDS)
    height, width, image_channels = observation_shape
    if height != width:
        raise ConfigError(f"object models need square images, not {height}x{width}")
    equivariant = kind != "none"
    embedding_channels = (16 if kind == "full" else 32) if embedding_channels is None else embedding_channels
    hidden = (256 if equivariant else 512) if hidden is None else hidden
    for name, size in (("embedding_channels", embedding_channels), ("hidden", hidden)):
        if size < 1:
            raise ConfigError(f"{name} must be at least 1, not {size}")
    num_objects = _permutation(symmetry, "object").shape[1]
    embedding: nn.Module
    if kind == "full":
        # Imported here because e2cnn takes seconds to import, and only `full` needs it.
        from sen_bench.baselines.steerable import SteerableEmbedding  # noqa: PLC0415

        embedding = SteerableEmbedding(
            image_channels=image_channels, num_objects=num_objects, fields=embedding_channels
        )
    else:
        embedding = ConvolutionalEmbedding(
            image_channels=image_channels, num_objects=num_objects, channels=embedding_channels
        )
    family = FullObjectModel if kind == "full" else ObjectModel
    return family(embedding, symmetry=symmetry, side=height, equivariant=equivariant, hidden=hidden)

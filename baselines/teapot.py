"""World models of 3D Teapot, whose latents are rotations of space."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, ClassVar, cast

import torch
from torch import Tensor, nn

from sen_bench.baselines.model import SIGMA, WorldModel, apply_in_full_precision
from sen_bench.baselines.normalisation import BatchNorm, Layers
from sen_bench.baselines.rotations import gram_schmidt
from sen_bench.errors import ConfigError, UnknownNameError
from sen_bench.symmetry import SO3

if TYPE_CHECKING:
    from sen_bench.symmetry import AnySymmetry

KINDS = ("matmul", "tfn", "none")
"""The matrix product and the tensor field network, both equivariant, and the MLP, which is not (paper)."""


class RotationEmbedding(nn.Module):
    """The embedding network S: four convolutions and three linear layers to a rotation (paper, section 3).

    The paper gives no sizes; these are ours. Convolutions of stride 2, the first 5×5 and the others 3×3, of
    n, 2n, 4n and 4n channels, and linear layers of 16n, 8n and 6 channels, with BatchNorm and ReLU after each
    but the last. The 6 numbers are two vectors, which `gram_schmidt` makes orthonormal. Convolutions start
    Xavier-uniform with biases 0, like all of the paper's, linear layers as in `nn.Linear`.

    Without BatchNorm in the linear layers, two of three runs of `matmul` (large actions, Adam 1e-3, batches
    of 64 and 128) got stuck where the first column of the rotation was right and the others were not, and
    were stopped there after more than 100,000 transitions: the second vector had become long and nearly
    constant, and the longer a vector is, the less a step turns it. With BatchNorm, training passed that point
    within 20,000.

    Args:
        image_channels: Channels of the observations.
        side: Height and width of the observations.
        channels: The width n.
    """

    def __init__(self, *, image_channels: int, side: int, channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        widths = [image_channels, channels, 2 * channels, 4 * channels, 4 * channels]
        for narrow, wide in itertools.pairwise(widths):
            size = 3 if layers else 5
            layer = nn.Conv2d(narrow, wide, size, stride=2, padding=size // 2)
            # Images of one channel have no memory format of their own, so the weights must say it.
            layer.weight = nn.Parameter(layer.weight.detach().contiguous(memory_format=torch.channels_last))
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(cast("Tensor", layer.bias))
            layers += [layer, BatchNorm(wide), nn.ReLU(inplace=True)]
        self.convolutions = Layers(*layers)
        last_side = -(-side // 2 ** len(widths[1:]))
        self.hidden = nn.Sequential(
            nn.Linear(4 * channels * last_side**2, 16 * channels),
            nn.BatchNorm1d(16 * channels),
            nn.ReLU(inplace=True),
            nn.Linear(16 * channels, 8 * channels),
            nn.BatchNorm1d(8 * channels),
            nn.ReLU(inplace=True),
        )
        self.last = nn.Linear(8 * channels, 6)

    def features(self, observation: Tensor) -> Tensor:
        """Maps images `[B, C, H, W]` to what the last layer is given, `[B, 8n]`."""
        maps = self.convolutions(observation.contiguous(memory_format=torch.channels_last))
        return cast("Tensor", self.hidden(maps.flatten(1)))

    def rotations(self, features: Tensor) -> Tensor:
        """Maps features `[B, 8n]` to rotations `[B, 3, 3]`."""
        return gram_schmidt(apply_in_full_precision(self.last, features).view(-1, 2, 3))

    def forward(self, observation: Tensor) -> Tensor:
        """Maps images `[B, C, H, W]` to rotations `[B, 3, 3]`."""
        return self.rotations(self.features(observation))


class MatrixProduct(nn.Module):
    """The transition T of `matmul`: z' = a z, which is what the world does; it learns nothing."""

    def forward(self, latent: Tensor, action: Tensor) -> Tensor:
        """The products of matrices `[B, 3, 3]`, in the precision of the latents even under autocast."""
        with torch.autocast(latent.device.type, enabled=False):
            return action @ latent


class OrdinaryTransition(nn.Module):
    """The transition T of `none`: linear-ReLU-linear-LayerNorm-ReLU-linear on (z, a) to a rotation.

    The layers are those of the paper's other ordinary networks [ours].

    Args:
        hidden: Width of the hidden layers.
    """

    def __init__(self, *, hidden: int) -> None:
        super().__init__()
        self.first = nn.Linear(18, hidden)
        self.second = nn.Linear(hidden, hidden)
        self.norm = nn.LayerNorm(hidden)
        self.last = nn.Linear(hidden, 6)

    def forward(self, latent: Tensor, action: Tensor) -> Tensor:
        """Maps rotations z and a, `[B, 3, 3]` each, to rotations z'."""
        features = torch.cat([latent.flatten(1), action.flatten(1)], dim=1)
        hidden = self.norm(self.second(self.first(features).relu_())).relu_()
        return gram_schmidt(apply_in_full_precision(self.last, hidden).view(-1, 2, 3))


class RotationModel(WorldModel):
    """A world model whose embedding is a rotation and, without an encoder, its latent (paper, section 3).

    Embeddings and latents are rotations z, `[B, 3, 3]`, which an element g takes to g z; actions are
    rotations `[B, 3, 3]` of any floating-point type, which it takes to g a gᵀ. T gives the next latent, not a
    difference.

    Args:
        embedding: S, images `[B, C, H, W]` to rotations.
        network: T, rotations z and a to rotations z'.
        equivariant: Whether T is equivariant.
    """

    ee_normalised: ClassVar[bool] = False

    def __init__(self, embedding: nn.Module, network: nn.Module, *, equivariant: bool) -> None:
        super().__init__(embedding_shape=(3, 3), latent_shape=(3, 3), equivariant=equivariant)
        self.embedding = embedding
        self.network = network

    def embed(self, observation: Tensor) -> Tensor:
        """Images `[B, C, H, W]` to rotations `[B, 3, 3]`; see `WorldModel.embed`."""
        return cast("Tensor", self.embedding(observation))

    def encode(self, embedding: Tensor) -> Tensor:
        """The embeddings themselves; see `WorldModel.encode`."""
        return embedding

    def transition(self, latent: Tensor, action: Tensor) -> Tensor:
        """Latents and actions `[B, 3, 3]` to next latents; see `WorldModel.transition`."""
        return cast("Tensor", self.network(latent, action.to(latent.dtype)))

    def distance(self, latent: Tensor, other: Tensor) -> Tensor:
        """0.5/σ² times the squared distance, summed over the nine entries, `[B]`; at most 16."""
        return 0.5 / SIGMA**2 * (latent - other).square().sum(dim=(1, 2))

    def transform_embedding(self, elements: Tensor, embedding: Tensor) -> Tensor:
        """The rotations g z; see `WorldModel.transform_embedding`."""
        with torch.autocast(embedding.device.type, enabled=False):
            return elements.to(embedding) @ embedding

    def transform_latent(self, elements: Tensor, latent: Tensor) -> Tensor:
        """The rotations g z, even if T is not equivariant; see `WorldModel.transform_latent`."""
        return self.transform_embedding(elements, latent)


def check_teapot_sizes(symmetry: AnySymmetry, observation_shape: tuple[int, int, int], **widths: int) -> None:
    """Refuses what no model of 3D Teapot can be built for.

    Args:
        symmetry: The symmetry of the world.
        observation_shape: Height, width and channels of an observation.
        widths: Widths of the model by the names of its options.

    Raises:
        ConfigError: The symmetry is not SO(3), the images are not square, or a width is not positive.
    """
    if not isinstance(symmetry.group, SO3):
        raise ConfigError(f"teapot models need a world with the symmetry SO(3), not {symmetry.group.name}")
    height, width, _ = observation_shape
    if height != width:
        raise ConfigError(f"teapot models need square images, not {height}x{width}")
    for name, size in widths.items():
        if size < 1:
            raise ConfigError(f"{name} must be at least 1, not {size}")


def build_teapot_model(
    kind: str,
    *,
    symmetry: AnySymmetry,
    observation_shape: tuple[int, int, int],
    embedding_channels: int = 16,
    hidden: int | None = None,
) -> RotationModel:
    """Makes a model of 3D Teapot with randomly initialised weights.

    The paper gives no sizes, so they are ours: S as `RotationEmbedding` says, and T such that the three are
    within 10 % of each other. `matmul` has 357,670 parameters, `tfn` 371,702 and `none` 377,644.

    Args:
        kind: "matmul", "tfn" or "none".
        symmetry: The symmetry of the world, SO(3).
        observation_shape: Height, width and channels of an observation.
        embedding_channels: Channels of the first convolution of S; the other widths are multiples of it.
        hidden: Width of T: channels of each degree 0, 1 and 2 for `tfn` (16), hidden layers for `none` (128).
            The matrix product of `matmul` has none.

    Returns:
        The model, in training mode.

    Raises:
        UnknownNameError: There is no such kind.
        ConfigError: The symmetry is not SO(3), the images are not square, a width is not positive, or
            `matmul` is given a `hidden`.
    """
    if kind not in KINDS:
        raise UnknownNameError("kind of teapot model", kind, KINDS)
    if kind == "matmul" and hidden is not None:
        raise ConfigError("model matmul has no option hidden: its transition is the matrix product a z")
    hidden = (16 if kind == "tfn" else 128) if hidden is None else hidden
    check_teapot_sizes(symmetry, observation_shape, embedding_channels=embedding_channels, hidden=hidden)
    side, _, image_channels = observation_shape
    embedding = RotationEmbedding(image_channels=image_channels, side=side, channels=embedding_channels)
    network: nn.Module
    if kind == "matmul":
        network = MatrixProduct()
    elif kind == "none":
        network = OrdinaryTransition(hidden=hidden)
    else:
        # Imported here because importing e3nn takes seconds, and only `tfn` needs it.
        from sen_bench.baselines.tensor_field import TensorFieldNetwork  # noqa: PLC0415

        network = TensorFieldNetwork(hidden=hidden)
    return RotationModel(embedding, network, equivariant=kind != "none")

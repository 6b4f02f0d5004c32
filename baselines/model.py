"""What every world model offers to training and evaluation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Literal, cast

import torch
from torch import Tensor, nn

SIGMA = 0.5
"""Length scale of the latent energy (paper, section 3; C-SWM)."""


class WorldModel(nn.Module, ABC):
    """Pixels to embedding to latent, and the latent one action later (paper, section 3).

    A model is three maps: the embedding network S (`embed`), the encoder E (`encode`) and the transition T
    (`transition`). For the models with a symmetric embedding, E and T are equivariant by construction and
    `transform_embedding` and `transform_latent` say what the group does to their inputs and outputs. A fully
    equivariant model takes the group to act on images as well, as `transform_observation` says.

    Embeddings and latents are float32 even under `torch.autocast`, so that losses, distances and rankings are
    computed in float32; a float64 model keeps float64.

    Args:
        embedding_shape: Shape of one embedding, without the batch axis.
        latent_shape: Shape of one latent, without the batch axis.
        equivariant: Whether E and T are equivariant by construction.
    """

    ee_normalised: ClassVar[bool] = True
    """Whether EE(S) is divided by the mean norm of the embeddings, as in the public code; not where they are
    rotations, whose norm is always the same (paper, 3D Teapot)."""

    def __init__(
        self, *, embedding_shape: tuple[int, ...], latent_shape: tuple[int, ...], equivariant: bool
    ) -> None:
        super().__init__()
        self._embedding_shape = embedding_shape
        self._latent_shape = latent_shape
        self._equivariant = equivariant

    @property
    def embedding_shape(self) -> tuple[int, ...]:
        """Shape of one embedding v, without the batch axis."""
        return self._embedding_shape

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """Shape of one latent z, without the batch axis."""
        return self._latent_shape

    @property
    def equivariant(self) -> bool:
        """Whether E and T are equivariant by construction, and `transform_latent` is defined."""
        return self._equivariant

    @property
    def image_equivariance(self) -> Literal["exact", "approximate"] | None:
        """How well S commutes by construction with the group, acting on images by `transform_observation`.

        "approximate" where strides or sizes keep the grid of pixels from being carried to itself; None where
        the model does not take the group to act on images, and `transform_observation` is not defined.
        """
        return None

    @abstractmethod
    def embed(self, observation: Tensor) -> Tensor:
        """The embedding network S.

        Args:
            observation: Images, float `[B, C, H, W]` in [0, 1]; any memory format.

        Returns:
            Embeddings v, `[B, *embedding_shape]`.
        """

    @abstractmethod
    def encode(self, embedding: Tensor) -> Tensor:
        """The encoder E.

        Args:
            embedding: Embeddings v, `[B, *embedding_shape]`.

        Returns:
            Latents z, `[B, *latent_shape]`.
        """

    @abstractmethod
    def transition(self, latent: Tensor, action: Tensor) -> Tensor:
        """The transition T: the next latent, not the difference.

        Args:
            latent: Latents z, `[B, *latent_shape]`.
            action: One action per sample, as the task stores them.

        Returns:
            Predicted next latents z', `[B, *latent_shape]`.
        """

    def transitions(self, latent: Tensor, actions: Tensor) -> Tensor:
        """The transition T for several actions each, as a search tries them.

        A subclass may compute at once what they have in common; the results are those of `transition`, up to
        rounding.

        Args:
            latent: Latents z, `[B, *latent_shape]`.
            actions: A actions per sample, `[B, A, ...]`.

        Returns:
            Predicted next latents z', `[B, A, *latent_shape]`.
        """
        count = actions.shape[1]
        following = self.transition(latent.repeat_interleave(count, dim=0), actions.flatten(0, 1))
        return following.view(len(latent), count, *latent.shape[1:])

    @abstractmethod
    def distance(self, latent: Tensor, other: Tensor) -> Tensor:
        """The energy of two latents: the squared distance times 0.5/σ².

        Args:
            latent: Latents, `[B, *latent_shape]`.
            other: Latents to compare with, of the same shape.

        Returns:
            One non-negative number per sample, `[B]`.
        """

    @property
    def factored_latents(self) -> bool:
        """Whether latents are those of objects, along their first axis, as `object_distances` asks."""
        return False

    def object_distances(self, latent: Tensor, other: Tensor) -> Tensor:
        """The energies of objects, whose mean is `distance`; for models that have `factored_latents`.

        Args:
            latent: Latents z, `[B, O, ...]`.
            other: Latents to compare with, of the same shape.

        Returns:
            One non-negative number for each object of each sample, `[B, O]`.

        Raises:
            NotImplementedError: The latents are not those of objects.
        """
        raise NotImplementedError(f"the latents of {type(self).__name__} are not those of objects")

    @property
    def acting_objects(self) -> bool:
        """Whether latents are those of objects of which an action moves one, as `bystander_distance` asks."""
        return False

    def bystander_distance(self, latent: Tensor, other: Tensor, action: Tensor) -> Tensor:
        """The part of `distance` of the objects that do not act; for models that have `acting_objects`.

        Args:
            latent: Latents z, `[B, *latent_shape]`.
            other: Latents to compare with, of the same shape.
            action: One action per sample, which says which object acts.

        Returns:
            One non-negative number per sample, `[B]`.

        Raises:
            NotImplementedError: The latents are not those of objects.
        """
        raise NotImplementedError(f"the latents of {type(self).__name__} are not those of objects that act")

    @abstractmethod
    def transform_embedding(self, elements: Tensor, embedding: Tensor) -> Tensor:
        """The group's action on embeddings, ρ_V(g) v.

        Args:
            elements: Group elements, int64 `[B]`, or float64 `[B, 3, 3]` where the group is SO(3).
            embedding: Embeddings v, `[B, *embedding_shape]`.

        Returns:
            Transformed embeddings, of the same shape; NaN throughout if it is not known how the group acts on
            them, so that EE(S) is undefined.
        """

    def transform_latent(self, elements: Tensor, latent: Tensor) -> Tensor:
        """The group's action on latents, ρ_Z(g) z, where the model has one (`equivariant`).

        Args:
            elements: Group elements, as for `transform_embedding`.
            latent: Latents z, `[B, *latent_shape]`.

        Returns:
            Transformed latents, of the same shape.

        Raises:
            NotImplementedError: The group does not act on the latents of this model.
        """
        raise NotImplementedError(f"the group does not act on the latents of {type(self).__name__}")

    def transform_observation(self, elements: Tensor, observation: Tensor) -> Tensor:
        """What the model takes for the group's action on images, where it does (`image_equivariance`).

        Args:
            elements: The identity or twin elements of the world's symmetry, as for `transform_embedding`;
                what other elements, such as those that rename objects, do to pixels is not known.
            observation: Images, `[B, C, H, W]`.

        Returns:
            Transformed images, of the same shape.

        Raises:
            NotImplementedError: The model does not take the group to act on images.
        """
        raise NotImplementedError(f"{type(self).__name__} does not take the group to act on images")

    def forward(self, observation: Tensor, action: Tensor) -> Tensor:
        """The predicted next latent T(E(S(observation)), action), `[B, *latent_shape]`."""
        return self.transition(self.encode(self.embed(observation)), action)


def parameter_count(model: nn.Module) -> int:
    """How many trainable numbers a model has."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def full_precision(x: Tensor) -> Tensor:
    """`x` in float32 if it is narrower than that, otherwise `x` itself."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def apply_in_full_precision(layer: nn.Module, x: Tensor) -> Tensor:
    """`layer(x)` in float32 or float64, even within `torch.autocast`.

    For the narrow last layers: they cost next to nothing, and their results enter losses and rankings.
    """
    with torch.autocast(x.device.type, enabled=False):
        return cast("Tensor", layer(full_precision(x)))


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """Makes new tensors of this type within the block, for libraries that offer no other way to say it."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)

"""A world model whose answers are held against what `WorldModel` promises, each time it is asked."""

from __future__ import annotations

import torch
from torch import Tensor

from sen_bench.baselines.model import WorldModel
from sen_bench.errors import ExtensionError

_DTYPES = (torch.float32, torch.float64)


class CheckedModel:
    """Asks a model, and refuses answers of another shape or type than they should have.

    Broadcasting makes plausible losses and scores of most wrong shapes, and float16 latents lose digits that
    rankings need. Only shapes and types are looked at, which costs microseconds and waits for no device.

    Args:
        model: The model.
    """

    def __init__(self, model: WorldModel) -> None:
        self._model = model

    def embed(self, observation: Tensor) -> Tensor:
        """`WorldModel.embed`.

        Raises:
            ExtensionError: The embeddings are not float32 or float64 `[B, *embedding_shape]`.
        """
        embedding = self._model.embed(observation)
        return self._checked("embed", embedding, (len(observation), *self._model.embedding_shape))

    def encode(self, embedding: Tensor) -> Tensor:
        """`WorldModel.encode`.

        Raises:
            ExtensionError: The latents are not float32 or float64 `[B, *latent_shape]`.
        """
        latent = self._model.encode(embedding)
        return self._checked("encode", latent, (len(embedding), *self._model.latent_shape))

    def transition(self, latent: Tensor, action: Tensor) -> Tensor:
        """`WorldModel.transition`.

        Raises:
            ExtensionError: The next latents are not float32 or float64 of the shape of the latents.
        """
        return self._checked("transition", self._model.transition(latent, action), tuple(latent.shape))

    def transitions(self, latent: Tensor, actions: Tensor) -> Tensor:
        """`WorldModel.transitions`.

        Raises:
            ExtensionError: The next latents are not float32 or float64 `[B, A, *latent_shape]`.
        """
        shape = (len(latent), actions.shape[1], *latent.shape[1:])
        return self._checked("transitions", self._model.transitions(latent, actions), shape)

    def distance(self, latent: Tensor, other: Tensor) -> Tensor:
        """`WorldModel.distance`.

        Raises:
            ExtensionError: The energies are not float32 or float64 `[B]`.
        """
        return self._checked("distance", self._model.distance(latent, other), (len(latent),))

    def object_distances(self, latent: Tensor, other: Tensor) -> Tensor:
        """`WorldModel.object_distances`.

        Raises:
            ExtensionError: The energies are not float32 or float64 `[B, O]`.
        """
        energies = self._model.object_distances(latent, other)
        return self._checked("object_distances", energies, (len(latent), self._model.latent_shape[0]))

    def bystander_distance(self, latent: Tensor, other: Tensor, action: Tensor) -> Tensor:
        """`WorldModel.bystander_distance`.

        Raises:
            ExtensionError: The energies are not float32 or float64 `[B]`.
        """
        energy = self._model.bystander_distance(latent, other, action)
        return self._checked("bystander_distance", energy, (len(latent),))

    def transform_embedding(self, elements: Tensor, embedding: Tensor) -> Tensor:
        """`WorldModel.transform_embedding`.

        Raises:
            ExtensionError: The result is not float32 or float64 of the shape of the embeddings.
        """
        moved = self._transformed("transform_embedding", elements, embedding)
        return self._checked("transform_embedding", moved, tuple(embedding.shape))

    def transform_latent(self, elements: Tensor, latent: Tensor) -> Tensor:
        """`WorldModel.transform_latent`.

        Raises:
            ExtensionError: The result is not float32 or float64 of the shape of the latents.
        """
        moved = self._transformed("transform_latent", elements, latent)
        return self._checked("transform_latent", moved, tuple(latent.shape))

    def transform_observation(self, elements: Tensor, observation: Tensor) -> Tensor:
        """`WorldModel.transform_observation`.

        Raises:
            ExtensionError: The result is not float32 or float64 of the shape of the images.
        """
        moved = self._transformed("transform_observation", elements, observation)
        return self._checked("transform_observation", moved, tuple(observation.shape))

    def _transformed(self, method: str, elements: Tensor, tensor: Tensor) -> Tensor:
        """The group's action on a tensor, as the model has it.

        Raises:
            ExtensionError: The model has none.
        """
        try:
            moved: Tensor = getattr(self._model, method)(elements, tensor)
        except NotImplementedError as error:
            way_out = (
                "return torch.full_like(embedding, math.nan) if it is not known how the group acts"
                if method == "transform_embedding"
                else "the model claims that the group acts there"
            )
            raise ExtensionError(
                f"{type(self._model).__name__}.{method} is not implemented; {way_out}"
            ) from error
        return moved

    def _checked(self, method: str, output: object, shape: tuple[int, ...]) -> Tensor:
        if isinstance(output, Tensor) and output.shape == shape and output.dtype in _DTYPES:
            return output
        found = _described(output)
        raise ExtensionError(
            f"{type(self._model).__name__}.{method} returns {found}; for this batch of {shape[0]} it must be"
            f" float32 {list(shape)}"
        )


def _described(output: object) -> str:
    """Type and shape: "float16 [16, 8]"."""
    if isinstance(output, Tensor):
        return f"{str(output.dtype).removeprefix('torch.')} {list(output.shape)}"
    return f"a {type(output).__name__}, no tensor"

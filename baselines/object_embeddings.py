"""The embedding networks S of grid worlds."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from sen_bench.baselines.convolutions import ConvolutionalEmbedding, PatchEmbedding
from sen_bench.baselines.kinds import ObjectSpaces

if TYPE_CHECKING:
    from sen_bench.baselines.steerable import SteerableConvolution

FIRST_MASKS = 0.05
"""What the last weights of masks are multiplied by at first, so that they begin nearly alike."""

FIRST_CODES = 20.0
"""What the last weights of codes are multiplied by at first, so that codes begin near -1 and 1."""

_PIXELS = (-2, -1)


class MaskedEmbedding(nn.Module):
    """Several C4 fibres of maps for each object: its mask, times codes that all objects share [ours].

    A mask says where an object is, codes say how what is there looks. With many codes near -1 and 1, those of
    the four headings of a car are nearly orthogonal, so that equivariant layers can tell headings apart in
    whichever order S has them (docs/notes/rush-hour.md).

    Args:
        masks: Images `[B, C, H, W]` to maps `[B, O, n, n]` in (0, 1). Its last weights are made small.
        codes: Images to maps `[B, 4·F, n, n]` in (0, 1), those of a field next to each other. They are moved
            to (-1, 1). Its last weights are made large, and from its first filters the mean over pixels is
            taken, so that they see shapes rather than colours.
        num_fields: F, the regular fields of an object.
    """

    def __init__(self, masks: nn.Module, codes: nn.Module, *, num_fields: int) -> None:
        super().__init__()
        self.masks = masks
        self.codes = codes
        self.num_fields = num_fields
        with torch.no_grad():
            for network, factor in ((masks, FIRST_MASKS), (codes, FIRST_CODES)):
                _weights(network)[-1].mul_(factor)
            _remove_means(codes)

    def forward(self, observation: Tensor) -> Tensor:
        """Maps images `[B, C, H, W]` to `[B, O, F, 4, n, n]` in (-1, 1)."""
        masks, codes = self.masks(observation), 2 * self.codes(observation) - 1
        return cast("Tensor", masks[:, :, None, None] * codes.unflatten(1, (1, self.num_fields, 4)))


def _weights(network: nn.Module) -> list[nn.Parameter]:
    """The weights of an embedding network, in the order of its layers."""
    return [weights for name, weights in network.named_parameters() if "weight" in name]


def _remove_means(network: nn.Module) -> None:
    """Takes their mean over pixels from the first filters of an embedding network."""
    first = next(
        layer for layer in network.modules() if next(layer.parameters(recurse=False), None) is not None
    )
    if isinstance(first, nn.Conv2d):
        first.weight.sub_(first.weight.mean(dim=_PIXELS, keepdim=True))
    else:
        cast("SteerableConvolution", first).remove_means()


def build_object_embedding(
    kind: str, spaces: ObjectSpaces, *, image_channels: int, num_objects: int, width: int
) -> nn.Module:
    """Makes the embedding network S of a model of a grid world, with randomly initialised weights.

    Args:
        kind: "sen", "full" or "none".
        spaces: The spaces of the model.
        image_channels: Channels of an observation.
        num_objects: O, the number of objects.
        width: Of its hidden layers: channels, in `full` regular fields.

    Returns:
        A network from images `[B, C, H, W]` to what `ObjectModel` says.
    """
    if spaces.masked_fields:
        one_field = replace(spaces, masked_fields=0)
        return MaskedEmbedding(
            build_object_embedding(
                kind,
                replace(one_field, regular_maps=False),
                image_channels=image_channels,
                num_objects=num_objects,
                width=width,
            ),
            build_object_embedding(
                kind,
                one_field,
                image_channels=image_channels,
                num_objects=spaces.masked_fields,
                width=width,
            ),
            num_fields=spaces.masked_fields,
        )
    if kind == "full":
        # Imported here because importing e2cnn takes seconds, and only `full` needs it.
        from sen_bench.baselines.steerable import (  # noqa: PLC0415
            SteerableEmbedding,
            SteerablePatchEmbedding,
        )

        if spaces.patch == 1:
            return SteerableEmbedding(
                image_channels=image_channels,
                num_objects=num_objects,
                fields=width,
                regular=spaces.regular_maps,
            )
        return SteerablePatchEmbedding(
            image_channels=image_channels,
            num_objects=num_objects,
            fields=width,
            patch=spaces.patch,
            regular=spaces.regular_maps,
        )
    num_maps = 4 * num_objects if spaces.regular_maps else num_objects
    if spaces.patch == 1:
        return ConvolutionalEmbedding(image_channels=image_channels, num_maps=num_maps, channels=width)
    return PatchEmbedding(
        image_channels=image_channels, num_maps=num_maps, channels=width, patch=spaces.patch
    )

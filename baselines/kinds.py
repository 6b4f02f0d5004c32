"""The kinds of models, and the spaces of those of grid worlds; listing tasks needs them, and no network."""

from dataclasses import dataclass

KINDS = ("sen", "full", "none")
"""Symmetric embedding network, fully equivariant and non-equivariant (science: Ours, Full, None)."""


@dataclass(frozen=True)
class ObjectSpaces:
    """The spaces that the models of one grid world map between, where they differ from another world's.

    Attributes:
        patch: Side of the square of pixels that becomes one pixel of a map in v. With 1, S keeps the size of
            the image and has four layers of 3×3 convolutions; otherwise it has one convolution per patch.
        regular_maps: Whether S gives each object a C4 fibre of four maps, not one map.
        regular_latents: C4-regular channels of an object's latent, in `sen` and `full`.
        plain_latents: Numbers in an object's latent, in `none`.
        standard_latents: Vectors of the plane in an object's latent, in `sen` and `full`.
        masked_fields: C4 fibres of maps that an object has by one mask, where all objects share what is
            masked; 0: one fibre or map of its own.
    """

    patch: int
    regular_maps: bool
    regular_latents: int
    plain_latents: int
    standard_latents: int = 0
    masked_fields: int = 0


BLOCKS_3D = ObjectSpaces(patch=1, regular_maps=False, regular_latents=2, plain_latents=2)
"""As in the paper and its code."""

SHAPES_2D = ObjectSpaces(patch=10, regular_maps=False, regular_latents=1, plain_latents=2)
"""As in the paper; two numbers for `none` as in C-SWM (Kipf et al. 2020)."""

RUSH_HOUR = ObjectSpaces(patch=10, regular_maps=True, regular_latents=2, plain_latents=4)
"""[ours]: a latent for the position as in 2D Shapes, and as much again for the heading."""

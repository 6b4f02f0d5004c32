"""The kinds of models, and the spaces of those of grid worlds; listing tasks needs them, and no network."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sen_bench.errors import ConfigError

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

    def with_latents(
        self, kind: str, *, standard: int | None, regular: int | None, plain: int | None
    ) -> ObjectSpaces:
        """The same with other latents, where a size is given.

        Args:
            kind: Of `KINDS`.
            standard: Instead of `standard_latents`.
            regular: Instead of `regular_latents`.
            plain: Instead of `plain_latents`.

        Raises:
            ConfigError: One is given that this kind of model does not have, is negative, or leaves nothing.
        """
        own = ("plain_latents",) if kind == "none" else ("standard_latents", "regular_latents")
        given = {"standard_latents": standard, "regular_latents": regular, "plain_latents": plain}
        for name, size in given.items():
            if size is None:
                continue
            if name not in own:
                raise ConfigError(
                    f"model {kind} has no option {name}; its latents are given by {' and '.join(own)}"
                )
            if size < 0:
                raise ConfigError(f"{name} must not be negative, as {size} is")
        chosen = replace(
            self,
            standard_latents=self.standard_latents if standard is None else standard,
            regular_latents=self.regular_latents if regular is None else regular,
            plain_latents=self.plain_latents if plain is None else plain,
        )
        if sum(getattr(chosen, name) for name in own) == 0:
            raise ConfigError(f"model {kind} would have empty latents; give {' or '.join(own)} at least 1")
        return chosen

    def with_fields(self, masked_fields: int) -> ObjectSpaces:
        """The same with maps of objects behind masks.

        Raises:
            ConfigError: The number is negative, or maps are not regular.
        """
        if masked_fields < 0:
            raise ConfigError(f"masked_fields must not be negative, as {masked_fields} is")
        if masked_fields and not self.regular_maps:
            raise ConfigError(
                "masked_fields are for worlds whose objects have headings: here an object has one map, not"
                " four"
            )
        return replace(self, masked_fields=masked_fields)


BLOCKS_3D = ObjectSpaces(patch=1, regular_maps=False, regular_latents=2, plain_latents=2)
"""As in the paper and its code."""

SHAPES_2D = ObjectSpaces(patch=10, regular_maps=False, regular_latents=1, plain_latents=2)
"""As in the paper; two numbers for `none` as in C-SWM (Kipf et al. 2020)."""

RUSH_HOUR = ObjectSpaces(patch=10, regular_maps=True, regular_latents=2, plain_latents=4)
"""[ours]: a latent for the position as in 2D Shapes, and as much again for the heading."""

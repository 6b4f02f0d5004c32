"""The equivariant convolutional embedding networks S of `full`, which takes the group to turn the image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor, nn

from sen_bench.baselines import e2cnn_compat
from sen_bench.baselines.model import default_dtype, full_precision

if TYPE_CHECKING:
    from collections.abc import Callable


class SteerableConvolution(nn.Module):
    """A convolution that commutes with quarter turns of the image.

    So it does for odd and even kernels alike, which are sampled symmetrically about their centre, if the
    strides divide the image, padded, into windows that a turn of the image exchanges: with stride 1, or with
    patches (stride = kernel size) that tile the image.

    Kernel basis, parameters and initialisation (generalised He; biases 0) are those of e2cnn's `R2Conv`; the
    convolution is an ordinary one with the kernel expanded from them. Unlike `R2Conv`:

    * It keeps no expanded kernel between calls. `R2Conv` makes its buffers anew at every change between
      `train()` and `eval()`, so that its checkpoints load only in the mode that they were saved in.
    * The basis is its own (e2cnn shares one between all layers of a process, and with it its type and
      device), is exact in float64, and stays out of checkpoints.
    * Channels are ordered by group element, then by field, `[B, 4·fields, H, W]`, so that a field's elements
      lie as further pixels of an image in channels-last format: see `FieldBatchNorm`.

    Args:
        in_fields: Fields in.
        out_fields: Fields out.
        in_regular: Whether the fields in are regular (4 channels each), else trivial (1 channel).
        out_regular: The same for the fields out.
        kernel_size: Side of the kernel; 3×3 with the default stride and padding keep height and width.
        stride: Pixels in per pixel out.
        padding: Zeros on every side.
    """

    basis: Tensor
    bias_basis: Tensor

    def __init__(
        self,
        in_fields: int,
        out_fields: int,
        *,
        in_regular: bool,
        out_regular: bool,
        kernel_size: int = 3,
        stride: int = 1,
        padding: int = 1,
    ) -> None:
        super().__init__()
        space = e2cnn_compat.gspaces.Rot2dOnR2(4)
        in_type, out_type = (
            e2cnn_compat.nn.FieldType(space, fields * [space.regular_repr if regular else space.trivial_repr])
            for fields, regular in ((in_fields, in_regular), (out_fields, out_regular))
        )
        with e2cnn_compat.silenced(), default_dtype(torch.float64):
            layer = e2cnn_compat.nn.R2Conv(in_type, out_type, kernel_size=kernel_size, recompute=True)
        (expansion,) = layer.basisexpansion.children()
        dtype = torch.get_default_dtype()
        self.in_fields, self.out_fields = in_fields, out_fields
        self.stride, self.padding = stride, padding
        self.weights = nn.Parameter(layer.weights.detach().to(dtype))
        self.bias = nn.Parameter(layer.bias.detach().to(dtype))
        bias_basis = layer.bias_expansion.view(out_fields, -1, len(layer.bias)).transpose(0, 1).flatten(0, 1)
        basis = expansion.sampled_basis.unflatten(-1, (kernel_size, kernel_size))
        self._exact = {"basis": basis, "bias_basis": bias_basis}
        for name, exact in self._exact.items():
            self.register_buffer(name, exact.to(dtype), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `[B, channels in, H, W]` to `[B, channels out, H, W]`."""
        # Not under autocast: a kernel rounded once, when it is complete, is nearer to equivariant.
        with torch.autocast(x.device.type, enabled=False):
            coefficients = self.weights.view(self.out_fields, self.in_fields, -1)
            kernel = torch.einsum("bpqhw,oib->poqihw", self.basis, coefficients)
            kernel = kernel.flatten(2, 3).flatten(0, 1).contiguous(memory_format=torch.channels_last)
            bias = self.bias_basis @ self.bias
        return nn.functional.conv2d(x, kernel, bias, stride=self.stride, padding=self.padding)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:  # noqa: FBT001, FBT002
        """Moves or casts the layer; the bases are rounded from the exact ones, not from rounded ones."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        for name, exact in self._exact.items():
            setattr(self, name, exact.to(getattr(self, name)))
        return self

    def extra_repr(self) -> str:
        """What the layer maps to what."""
        return f"{self.in_fields} fields, {self.out_fields} fields"


class FieldBatchNorm(nn.Module):
    """Batch normalisation of regular fields: one mean, variance, scale and shift per field.

    The same as e2cnn's `InnerBatchNorm`. A field's 4 channels count as further pixels, so it commutes with
    the group.

    Args:
        fields: Regular fields.
    """

    def __init__(self, fields: int) -> None:
        super().__init__()
        self.fields = fields
        self.norm = nn.BatchNorm2d(fields)

    def forward(self, x: Tensor) -> Tensor:
        """Normalises `[B, 4·fields, H, W]`."""
        height, width = x.shape[-2:]
        pixels = x.permute(0, 2, 3, 1).reshape(-1, height, 4 * width, self.fields).permute(0, 3, 1, 2)
        normed: Tensor = self.norm(pixels)
        return normed.permute(0, 2, 3, 1).reshape(-1, height, width, 4 * self.fields).permute(0, 3, 1, 2)


class _SteerableMaps(nn.Module):
    """What the steerable embeddings share: steerable layers, then a sigmoid, and fields as maps of objects.

    Args:
        layers: From trivial fields to one field per object.
        regular: Whether these fields are regular, else trivial.
    """

    def __init__(self, layers: list[nn.Module], *, regular: bool) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.regular = regular

    def forward(self, observation: Tensor) -> Tensor:
        """Maps images `[B, C, H, W]` to `[B, O, h, w]` in (0, 1), or to `[B, 4·O, h, w]` where regular.

        Turning the image turns the maps; where regular, it also rolls the 4 maps of each object, which are
        neighbours, by -1.
        """
        maps: Tensor = self.layers(observation.contiguous(memory_format=torch.channels_last))
        if self.regular:
            # e2cnn numbers a fibre by turns counter-clockwise, latents by directions, clockwise.
            first, *others = maps.chunk(4, dim=1)
            maps = torch.stack([first, *reversed(others)], dim=2).flatten(1, 2)
        return torch.sigmoid(full_precision(maps))


class SteerableEmbedding(_SteerableMaps):
    """Four steerable 3×3 convolutions, batch norm and ReLU between, sigmoid at the end (paper, section 3).

    Trivial fields in (the colours), regular ones between, and out trivial ones (a map per object) or regular
    ones (a C4 fibre of maps per object). It commutes with turning the image by quarter turns, exactly; that
    the group acts so on the pixels is the wrong assumption of `full`. Initialised as e2cnn does: generalised
    He, biases 0.

    Args:
        image_channels: Channels of the observations.
        num_objects: Fields to give.
        fields: Regular fields of the three hidden layers (paper: 16).
        regular: Whether the fields to give are regular.
    """

    def __init__(self, *, image_channels: int, num_objects: int, fields: int, regular: bool = False) -> None:
        layers: list[nn.Module] = []
        for index in range(3):
            in_fields = fields if index else image_channels
            layers += [
                SteerableConvolution(in_fields, fields, in_regular=index > 0, out_regular=True),
                FieldBatchNorm(fields),
                # Not in place: on the view that the norm returns, autograd would make that expensive.
                nn.ReLU(),
            ]
        last = SteerableConvolution(fields, num_objects, in_regular=True, out_regular=regular)
        super().__init__([*layers, last], regular=regular)


class SteerablePatchEmbedding(_SteerableMaps):
    """The steerable counterpart of `PatchEmbedding`: a convolution per patch, batch norm, ReLU, 1×1, sigmoid.

    Fields and initialisation are as in `SteerableEmbedding`. It commutes with turning the image by quarter
    turns, exactly, where patches tile the image.

    Args:
        image_channels: Channels of the observations.
        num_objects: Fields to give.
        fields: Regular fields of the hidden layer (16 [ours], as in 3D Blocks).
        patch: Side of a patch in pixels.
        regular: Whether the fields to give are regular.
    """

    def __init__(
        self, *, image_channels: int, num_objects: int, fields: int, patch: int, regular: bool = False
    ) -> None:
        first = SteerableConvolution(
            image_channels,
            fields,
            in_regular=False,
            out_regular=True,
            kernel_size=patch,
            stride=patch,
            padding=0,
        )
        last = SteerableConvolution(
            fields, num_objects, in_regular=True, out_regular=regular, kernel_size=1, padding=0
        )
        super().__init__([first, FieldBatchNorm(fields), nn.ReLU(), last], regular=regular)

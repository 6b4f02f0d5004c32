"""The equivariant convolutional embedding network S of `full`, which takes the group to turn the image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor, nn

from sen_bench.baselines import e2cnn_compat
from sen_bench.baselines.model import default_dtype, full_precision

if TYPE_CHECKING:
    from collections.abc import Callable


class SteerableConvolution(nn.Module):
    """A 3×3 convolution that commutes with quarter turns of the image, keeping height and width.

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
    """

    basis: Tensor
    bias_basis: Tensor

    def __init__(self, in_fields: int, out_fields: int, *, in_regular: bool, out_regular: bool) -> None:
        super().__init__()
        space = e2cnn_compat.gspaces.Rot2dOnR2(4)
        in_type, out_type = (
            e2cnn_compat.nn.FieldType(space, fields * [space.regular_repr if regular else space.trivial_repr])
            for fields, regular in ((in_fields, in_regular), (out_fields, out_regular))
        )
        with e2cnn_compat.silenced(), default_dtype(torch.float64):
            layer = e2cnn_compat.nn.R2Conv(in_type, out_type, kernel_size=3, padding=1, recompute=True)
        (expansion,) = layer.basisexpansion.children()
        dtype = torch.get_default_dtype()
        self.in_fields, self.out_fields = in_fields, out_fields
        self.weights = nn.Parameter(layer.weights.detach().to(dtype))
        self.bias = nn.Parameter(layer.bias.detach().to(dtype))
        bias_basis = layer.bias_expansion.view(out_fields, -1, len(layer.bias)).transpose(0, 1).flatten(0, 1)
        self._exact = {"basis": expansion.sampled_basis.unflatten(-1, (3, 3)), "bias_basis": bias_basis}
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
        return nn.functional.conv2d(x, kernel, bias, padding=1)

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


class SteerableEmbedding(nn.Module):
    """Four steerable 3×3 convolutions, batch norm and ReLU between, sigmoid at the end (paper, section 3).

    Trivial fields in (the colours) and out (one map per object), regular ones between. It commutes with
    turning the image by quarter turns, exactly; that the group acts so on the pixels is the wrong assumption
    of `full`. Initialised as e2cnn does: generalised He, biases 0.

    Args:
        image_channels: Channels of the observations.
        num_objects: Maps to give, one per object.
        fields: Regular fields of the three hidden layers (paper: 16).
    """

    def __init__(self, *, image_channels: int, num_objects: int, fields: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for index in range(3):
            in_fields = fields if index else image_channels
            layers += [
                SteerableConvolution(in_fields, fields, in_regular=index > 0, out_regular=True),
                FieldBatchNorm(fields),
                # Not in place: on the view that the norm returns, autograd would make that expensive.
                nn.ReLU(),
            ]
        self.layers = nn.Sequential(
            *layers, SteerableConvolution(fields, num_objects, in_regular=True, out_regular=False)
        )

    def forward(self, observation: Tensor) -> Tensor:
        """Maps images `[B, C, H, W]` to `[B, O, H, W]` in (0, 1)."""
        maps = self.layers(observation.contiguous(memory_format=torch.channels_last))
        return torch.sigmoid(full_precision(maps))

"""Convolutions that commute with turns and reflections of the image; the networks S of `full` for objects."""

from __future__ import annotations

import enum
import functools
import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor, nn

from sen_bench.baselines import e2cnn_compat
from sen_bench.baselines.expanded_kernels import expanded_once
from sen_bench.baselines.model import default_dtype, full_precision
from sen_bench.baselines.normalisation import FieldBatchNorm, Layers
from sen_bench.baselines.products import convolve
from sen_bench.errors import ConfigError
from sen_bench.symmetry import Group

if TYPE_CHECKING:
    from collections.abc import Callable


C4, D4 = Group.cyclic(4), Group.dihedral(4)


class _Kind(enum.Enum):
    """The kinds of fields, each a permutation representation of the group."""

    TRIVIAL = "one channel that the group leaves alone"
    REGULAR = "one channel an element"
    SIGNS = "a pair (a, -a) that reflections exchange: the quotient by the turns"


@dataclass(frozen=True)
class _Block:
    """The kernels from one field of a kind to one field of another, made by e2cnn.

    Attributes:
        basis: The kernels that commute with the group, float64 `[basis, channels out, channels in, k, k]`.
        irreps: For each element of the basis, the irrep in (by name) and out (by its place in the field).
        bias: What a field's one bias adds to its channels, float64 `[channels out]`.
    """

    basis: Tensor
    irreps: tuple[tuple[str, int], ...]
    bias: Tensor


@functools.cache
def _block(group: Group, source: _Kind, target: _Kind, kernel_size: int, dilation: int) -> _Block:
    """The kernels between two kinds of fields.

    Elements have the same numbers in e2cnn as here: it too numbers the turns first and then the turns of a
    reflection, whose axis is chosen here so that it takes (x, y) to (x, -y), as in `Group.dihedral`.

    Raises:
        ConfigError: The group is not C_n or D_n, or has no reflections that could exchange signs.
    """
    construction = group.construction or {}
    family, n = construction.get("family"), construction.get("n")
    if family not in {"cyclic", "dihedral"}:
        raise ConfigError(f"steerable convolutions need a group C_n or D_n, not {group.name}")
    if source is _Kind.SIGNS and family == "cyclic":
        raise ConfigError(f"pairs (a, -a) need a group with reflections, not {group.name}")
    space = (
        e2cnn_compat.gspaces.Rot2dOnR2(n)
        if family == "cyclic"
        else e2cnn_compat.gspaces.FlipRot2dOnR2(n, axis=0.0)
    )
    representations = {
        _Kind.TRIVIAL: lambda: space.trivial_repr,
        _Kind.REGULAR: lambda: space.regular_repr,
        _Kind.SIGNS: lambda: space.quotient_repr((None, n)),
    }
    in_type, out_type = (
        e2cnn_compat.nn.FieldType(space, [representations[kind]()]) for kind in (source, target)
    )
    with e2cnn_compat.silenced(), default_dtype(torch.float64):
        layer = e2cnn_compat.nn.R2Conv(
            in_type, out_type, kernel_size, dilation=dilation, recompute=True, initialize=False
        )
    (expansion,) = layer.basisexpansion.children()
    return _Block(
        basis=expansion.sampled_basis.unflatten(-1, (kernel_size, kernel_size)),
        irreps=tuple((each["in_irrep"], each["out_irrep_idx"]) for each in expansion.get_basis_info()),
        bias=layer.bias_expansion[:, 0],
    )


def _he_deviations(blocks: list[tuple[int, _Block]], out_fields: int) -> Tensor:
    """The standard deviations of e2cnn's generalised He initialisation, one per weight, float64.

    An irrep out gets the variance 1, in equal parts from each kind of irrep in, and within a kind from each
    element of the basis (Weiler and Cesa 2019, as e2cnn 0.2.3 has it).

    Args:
        blocks: The kernels from each kind of input field, and how many fields of that kind there are.
        out_fields: The number of output fields.
    """
    elements: Counter[tuple[str, int]] = Counter()
    for fields, block in blocks:
        for pair in block.irreps:
            elements[pair] += fields
    kinds = Counter(out for _, out in elements)
    parts = []
    for fields, block in blocks:
        deviations = [1 / math.sqrt(kinds[out] * elements[kind, out]) for kind, out in block.irreps]
        parts.append(torch.tensor(deviations, dtype=torch.float64).repeat(out_fields * fields))
    return torch.cat(parts)


class SteerableConvolution(nn.Module):
    """A convolution that commutes with a group that turns, or turns and reflects, the image.

    For quarter turns and reflections that holds exactly, for odd and even kernels alike, wherever the windows
    of the kernel lie symmetrically in the image: always with stride 1; with a larger one, if it divides
    side + 2·padding - kernel. With patches that tile the image it does; a 3×3 kernel and stride 2 need an odd
    side.

    Kernel basis, parameters and initialisation (generalised He; biases 0) are those of e2cnn's `R2Conv`; the
    convolution is an ordinary one with the kernel expanded from them. Unlike `R2Conv`:

    * It keeps no expanded kernel between calls, but for those within `kernels_expanded_once`. `R2Conv`
      rebuilds its buffers at every change between `train()` and `eval()`, so that its checkpoints load only
      in the mode in which they were saved.
    * The basis is its own (e2cnn shares one between all layers of a process, and with it its type and
      device), is exact in float64, and stays out of checkpoints.
    * Channels are ordered by group element, then by field, `[B, |G|·fields, H, W]`, so that a field's
      elements lie as further pixels of an image in channels-last format: see `FieldBatchNorm`.
    * It is built from one field's kernels in a moment; `R2Conv` takes half a minute for 181 fields of D4.

    Args:
        in_fields: Input fields.
        out_fields: Output fields.
        in_regular: Whether the input fields are regular (|G| channels each); otherwise they are trivial (1
            channel).
        out_regular: The same for the output fields.
        in_signs: Further input fields, whose channels come before the others: pairs (a, -a), which the
            reflections of D_n exchange, as all a and then all -a (e2cnn's quotient by the turns).
        group: C_n or D_n, acting on the plane of the image with y upwards.
        kernel_size: Side of the kernel; 3×3 with the default stride and padding keep height and width.
        stride: Pixels in per pixel out.
        padding: Zeros on every side.
        dilation: Pixels from one point of the kernel to the next. e2cnn keeps its rings as narrow as for
            dilation 1, so that a 3×3 kernel of a large dilation has next to nothing in its corners.

    Raises:
        ConfigError: The group is not C_n or D_n, or it has no reflections for `in_signs`.
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
        in_signs: int = 0,
        group: Group = C4,
        kernel_size: int = 3,
        stride: int = 1,
        padding: int = 1,
        dilation: int = 1,
    ) -> None:
        super().__init__()
        source, target = (
            _Kind.REGULAR if regular else _Kind.TRIVIAL for regular in (in_regular, out_regular)
        )
        sources = {"basis": (in_fields, source)}
        if in_signs:
            # Before the others, as in the order of e2cnn's parameters.
            sources = {"sign_basis": (in_signs, _Kind.SIGNS), **sources}
        blocks = {
            name: (fields, _block(group, kind, target, kernel_size, dilation))
            for name, (fields, kind) in sources.items()
        }
        self.in_fields, self.out_fields, self.in_signs = in_fields, out_fields, in_signs
        self.stride, self.padding, self.dilation = stride, padding, dilation
        deviations = _he_deviations(list(blocks.values()), out_fields)
        dtype = torch.get_default_dtype()
        self.weights = nn.Parameter((deviations * torch.randn_like(deviations)).to(dtype))
        self.bias = nn.Parameter(torch.zeros(out_fields, dtype=dtype))
        self._sources = {name: fields for name, (fields, _) in blocks.items()}
        self._exact = {name: block.basis for name, (_, block) in blocks.items()}
        self._exact["bias_basis"] = blocks["basis"][1].bias
        for name, exact in self._exact.items():
            self.register_buffer(name, exact.to(dtype), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `[B, channels in, H, W]` to `[B, channels out, H', W']`."""
        # Not under autocast: a kernel that is rounded once, when complete, is closer to equivariant.
        with torch.autocast(x.device.type, enabled=False):
            kernel = expanded_once(self, self._kernel)
            bias = torch.outer(self.bias_basis, self.bias).flatten()
        return convolve(x, kernel, bias, stride=self.stride, padding=self.padding, dilation=self.dilation)

    @torch.no_grad()
    def remove_means(self) -> None:
        """Takes their means over pixels from the kernels, by the least change of weights that does."""
        bases = [(fields, self.get_buffer(name).double()) for name, fields in self._sources.items()]
        sizes = [self.out_fields * fields * len(basis) for fields, basis in bases]
        for (fields, basis), weights in zip(bases, torch.split(self.weights, sizes), strict=True):
            means = basis.mean(dim=(-2, -1)).flatten(1)  # [basis, channels]
            own = weights.view(self.out_fields * fields, -1)
            own.sub_((own.double() @ means @ torch.linalg.pinv(means)).to(own.dtype))

    def _kernel(self) -> Tensor:
        """The kernel as a sum over the basis, channels-last `[channels out, channels in, k, k]`."""
        bases = [(fields, self.get_buffer(name)) for name, fields in self._sources.items()]
        sizes = [self.out_fields * fields * len(basis) for fields, basis in bases]
        parts = []
        for (fields, basis), weights in zip(bases, torch.split(self.weights, sizes), strict=True):
            part = torch.einsum("bpqhw,oib->poqihw", basis, weights.view(self.out_fields, fields, -1))
            parts.append(part.flatten(2, 3).flatten(0, 1))
        kernel = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
        return kernel.contiguous(memory_format=torch.channels_last)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:  # noqa: FBT001, FBT002
        """Moves or casts the layer; bases are rounded from the exact ones, never twice."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        for name, exact in self._exact.items():
            setattr(self, name, exact.to(getattr(self, name)))
        return self

    def extra_repr(self) -> str:
        """What the layer maps to what."""
        return f"{self.in_fields} fields, {self.out_fields} fields"


class _SteerableMaps(nn.Module):
    """What the steerable embeddings share: steerable layers, then a sigmoid, and fields as maps of objects.

    Args:
        layers: From trivial fields to one field per object.
        regular: Whether these fields are regular; otherwise they are trivial.
    """

    def __init__(self, layers: list[nn.Module], *, regular: bool) -> None:
        super().__init__()
        self.layers = Layers(*layers)
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

    The input is trivial fields (the colours), the hidden layers are regular ones, and the output is trivial
    ones (a map per object) or regular ones (a C4 fibre of maps per object). It commutes exactly with quarter
    turns of the image; that the group acts on the pixels in this way is the wrong assumption of `full`. It is
    initialised as in e2cnn: generalised He, biases 0.

    Args:
        image_channels: Channels of the observations.
        num_objects: Fields to produce.
        fields: Regular fields of the three hidden layers (paper: 16).
        regular: Whether the fields to produce are regular.
    """

    def __init__(self, *, image_channels: int, num_objects: int, fields: int, regular: bool = False) -> None:
        layers: list[nn.Module] = []
        for index in range(3):
            in_fields = fields if index else image_channels
            layers += [
                SteerableConvolution(in_fields, fields, in_regular=index > 0, out_regular=True),
                FieldBatchNorm(fields),
                nn.ReLU(),
            ]
        last = SteerableConvolution(fields, num_objects, in_regular=True, out_regular=regular)
        super().__init__([*layers, last], regular=regular)


class SteerablePatchEmbedding(_SteerableMaps):
    """The steerable counterpart of `PatchEmbedding`: a convolution per patch, batch norm, ReLU, 1×1, sigmoid.

    Fields and initialisation are as in `SteerableEmbedding`. It commutes exactly with quarter turns of the
    image if patches tile the image.

    Args:
        image_channels: Channels of the observations.
        num_objects: Fields to produce.
        fields: Regular fields of the hidden layer (16 [ours], as in 3D Blocks).
        patch: Side of a patch in pixels.
        regular: Whether the fields to produce are regular.
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

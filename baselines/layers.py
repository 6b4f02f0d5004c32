"""Layers that commute with the rotations of the plane by quarter turns (the group C4).

A C4-regular feature is a tensor `[..., 4, C]`: axis -2 is the group axis, indexed by direction (up, right,
down, left), and a rotation by +90 degrees rolls it by -1. Everything here is real arithmetic: it runs in
float64, float32 and under autocast.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from sen_bench.baselines.group_convolution import c4_linear


class C4Linear(nn.Module):
    """The C4-equivariant linear layer on regular features, `[..., 4, in]` to `[..., 4, out]`.

    Its parameters are those of the dense group convolution: `4·in·out` weights and `out` biases, initialised
    as `nn.Linear` does, uniform within 1/sqrt(fan_in), with fan_in = 4·in.

    Args:
        in_channels: Regular channels in.
        out_channels: Regular channels out.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.weight = nn.Parameter(torch.empty(4, out_channels, in_channels))
        self.bias = nn.Parameter(torch.empty(out_channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws new weights and biases, uniform within 1/sqrt(4·in)."""
        bound = 1 / math.sqrt(4 * self.in_channels)
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `[..., 4, in]` to `[..., 4, out]`; see `c4_linear`."""
        return c4_linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        """The channels in and out, for `repr`."""
        return f"{self.in_channels}, {self.out_channels}"


def orbit_stack(maps: Tensor) -> Tensor:
    """Cuts square maps into the orbits of their pixels under quarter turns (paper, section 3).

    An even side n gives the n²/4 pixels of the upper left quadrant. An odd one gives the centre, repeated
    along the group axis, and the (n²-1)/4 pixels of an upper left block of (n-1)/2 rows and (n+1)/2 columns.
    Fibre g holds these pixels of the map turned g times, so `torch.rot90(maps, 1, (-2, -1))` rolls the group
    axis by -1.

    Args:
        maps: Square maps, `[..., n, n]`.

    Returns:
        Orbits, `[..., 4, orbits]`.
    """
    side = maps.shape[-1]
    rows, columns = side // 2, (side + 1) // 2
    # The block that g turns bring to the upper left: cut out first, only a quarter of the map is turned.
    blocks = (
        maps[..., :rows, :columns],
        maps[..., :columns, side - rows :],
        maps[..., side - rows :, side - columns :],
        maps[..., side - columns :, :rows],
    )
    turned = [torch.rot90(block, turns, (-2, -1)).flatten(-2) for turns, block in enumerate(blocks)]
    orbits = torch.stack(turned, dim=-2)
    if rows == columns:
        return orbits
    centre = maps[..., rows, rows, None, None].expand(*maps.shape[:-2], 4, 1)
    return torch.cat([centre, orbits], dim=-1)


def orbit_count(side: int) -> int:
    """How many orbits `orbit_stack` gives for maps of this side."""
    return (side * side + 3) // 4


def fibre_stack(maps: Tensor) -> Tensor:
    """Lines up C4-regular maps along the orbits of their pixels under quarter turns.

    A turn moves every pixel of such maps to another fibre, so all n² orbits are free. Fibre g holds the
    pixels of the maps turned g times that have come to the first map: the g-th map, turned. So turning the
    maps and rolling them by -1 along their group axis, the action on regular maps, rolls the group axis of
    the orbits by -1.

    Args:
        maps: Square maps with their group axis, `[..., 4, n, n]`.

    Returns:
        Orbits, `[..., 4, n²]`.
    """
    turned = [torch.rot90(fibre, turns, (-2, -1)) for turns, fibre in enumerate(maps.unbind(-3))]
    return torch.stack(turned, dim=-3).flatten(-2)

"""The transition T of `tfn`: a tensor field network on the points that a rotation moves (e3nn)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Self, cast

import torch
from e3nn import o3
from e3nn.nn import Gate
from torch import Tensor, nn

from sen_bench.baselines.model import default_dtype
from sen_bench.baselines.rotations import gram_schmidt

if TYPE_CHECKING:
    from collections.abc import Callable

HARMONICS = o3.Irreps("0e+1e+2e")
"""Degrees of the spherical harmonics of directions; those of a 3 × 3 matrix under conjugation, too."""

# The points are the origin and the three columns of z. An edge leads from each point to every other; the
# first six are those from and to the origin, of length 1, the others, between columns, of length √2.
_SOURCES = [0, 0, 0, 1, 2, 3, 1, 2, 3, 2, 3, 1]
_TARGETS = [1, 2, 3, 0, 0, 0, 2, 3, 1, 1, 2, 3]
_SHORT = 6


class TensorFieldLayer(nn.Module):
    """One round of messages: each point's own features and those of the others times their direction.

    With W a linear map, ⊗ the fully connected tensor product with a weight for each path, and Y spherical
    harmonics,

        h'_i = (W h_i + Σ_{j≠i} h_j ⊗_{|r_ij|} Y(r_ij)) / 2

    The weights of a tensor field network's products are functions of the distance. Here there are only two
    distances, so that function is two sets of weights.

    Args:
        irreps_in: Features in.
        irreps_out: Features out.
    """

    sources: Tensor
    incidence: Tensor

    def __init__(self, irreps_in: o3.Irreps, irreps_out: o3.Irreps) -> None:
        super().__init__()
        self.own = o3.Linear(irreps_in, irreps_out)
        self.product = o3.FullyConnectedTensorProduct(
            irreps_in, HARMONICS, irreps_out, internal_weights=False, shared_weights=True
        )
        # Normal, as e3nn's own: it scales the paths.
        self.weights = nn.Parameter(torch.randn(2, self.product.weight_numel))
        self.register_buffer("sources", torch.tensor(_SOURCES), persistent=False)
        self.register_buffer("incidence", torch.eye(4)[_TARGETS].T, persistent=False)

    def forward(self, features: Tensor, harmonics: Tensor) -> Tensor:
        """Maps features `[B, 4, D]` and harmonics of the edges `[B, 12, 9]` to features `[B, 4, D']`."""
        sent = features[:, self.sources]
        short = self.product(sent[:, :_SHORT], harmonics[:, :_SHORT], self.weights[0])
        long = self.product(sent[:, _SHORT:], harmonics[:, _SHORT:], self.weights[1])
        received = self.incidence @ torch.cat([short, long], dim=1)
        return cast("Tensor", self.own(features) + received) / 2


class TensorFieldNetwork(nn.Module):
    """A tensor field network from a rotation and an action to a rotation (paper, section 3).

    The points are the origin and the columns of z. Each starts with a label of its own (four invariant
    numbers, one-hot) and the action, whose nine entries under conjugation are a scalar, a vector and a
    symmetric traceless matrix (degrees 0, 1 and 2). After the layers, the mean over the points of two vectors
    goes through `gram_schmidt`. The paper gives no more than the points and the action; labels, sizes and
    pooling are ours.

    It is equivariant under rotations: (g z, g a gᵀ) gives g z'. It runs at least in float32, even under
    autocast, and in float64 it is exact to that precision.

    Args:
        hidden: Channels of each degree, 0, 1 and 2, in the hidden layers.
        layers: Hidden layers, each followed by a gate (SiLU on scalars, sigmoid on what scales the others).
    """

    change_of_basis: Tensor
    differences: Tensor
    labels: Tensor

    def __init__(self, *, hidden: int, layers: int = 2) -> None:
        super().__init__()
        self.hidden, self.depth = hidden, layers
        dtype = torch.get_default_dtype()
        scalars, gates = o3.Irreps(f"{hidden}x0e"), o3.Irreps(f"{2 * hidden}x0e")
        gated = o3.Irreps(f"{hidden}x1e+{hidden}x2e")
        irreps = o3.Irreps("4x0e") + HARMONICS
        self.layers = nn.ModuleList()
        self.gates = nn.ModuleList()
        # e3nn rounds its constants to the default type once and for all.
        with default_dtype(torch.float64):
            for _ in range(layers):
                gate = Gate(scalars, [nn.functional.silu], gates, [torch.sigmoid], gated)
                self.layers.append(TensorFieldLayer(irreps, gate.irreps_in))
                self.gates.append(gate)
                irreps = gate.irreps_out
            self.out = TensorFieldLayer(irreps, o3.Irreps("2x1e"))
            self.harmonics = o3.SphericalHarmonics(HARMONICS, normalize=True, normalization="component")
            basis = [math.sqrt(2 * degree + 1) * o3.wigner_3j(1, 1, degree) for degree in range(3)]
            self.register_buffer("change_of_basis", torch.cat(basis, dim=-1).flatten(0, 1), persistent=False)
            labels = torch.eye(4)
            self.register_buffer("labels", labels, persistent=False)
            self.register_buffer("differences", labels[_TARGETS] - labels[_SOURCES], persistent=False)
        self._exact = {name: buffer.clone() for name, buffer in self.named_buffers()}
        self.to(dtype)

    def forward(self, latent: Tensor, action: Tensor) -> Tensor:
        """Maps rotations z and a, `[B, 3, 3]` each and of one type, to rotations z'."""
        with torch.autocast(latent.device.type, enabled=False):
            count = len(latent)
            points = torch.cat([latent.new_zeros(count, 1, 3), latent.mT], dim=1)
            harmonics = self.harmonics(self.differences @ points)
            actions = (action.flatten(1) @ self.change_of_basis)[:, None].expand(count, 4, 9)
            features = torch.cat([self.labels.expand(count, 4, 4), actions], dim=-1)
            for layer, gate in zip(self.layers, self.gates, strict=True):
                features = gate(layer(features, harmonics))
            vectors = cast("Tensor", self.out(features, harmonics)).mean(dim=1)
            return gram_schmidt(vectors.view(-1, 2, 3))

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        """A new network with the same weights: e3nn's own copies of large products have other constants."""
        with torch.random.fork_rng(devices=[]):
            copied = type(self)(hidden=self.hidden, layers=self.depth)
        copied.to(self.labels).train(self.training).load_state_dict(self.state_dict())
        for ours, theirs in zip(self.parameters(), copied.parameters(), strict=True):
            theirs.requires_grad_(ours.requires_grad)
        memo[id(self)] = copied
        return copied

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:  # noqa: FBT001, FBT002
        """Moves or casts the network; constants are rounded from the exact ones, never twice."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        for name, exact in self._exact.items():
            self.get_buffer(name).copy_(exact)
        return self

"""How a rotation acts on a learned vector, by the irreducible representations of SO(3)."""

from __future__ import annotations

import torch
from e3nn import o3
from torch import Tensor, nn


class HarmonicAction(nn.Module):
    """The action of rotations on a learned content: vectors of each degree, turned by Wigner's D-matrices.

    What comes out are Fourier features of SO(3): functions of the rotation up to a degree, without a seam
    anywhere, which a network decodes (the decoder of Falorsi et al. 2018).

    D-matrices are made degree by degree from the rotation itself, D_l = C_l (D_{l−1} ⊗ z) C_lᵀ with
    Clebsch–Gordan coefficients C_l. So they are polynomials of its entries, with gradients that are finite
    everywhere, which those by Euler angles are not.

    Args:
        degree: The highest degree.
        copies: Vectors of each degree.
    """

    def __init__(self, *, degree: int, copies: int) -> None:
        super().__init__()
        self.content = nn.ParameterList([torch.randn(2 * of + 1, copies) for of in range(degree + 1)])
        self._degree = degree
        for of in range(2, degree + 1):
            coupling = o3.wigner_3j(of - 1, 1, of) * (2 * of + 1) ** 0.5
            self.register_buffer(f"coupling_{of}", coupling, persistent=False)

    @property
    def width(self) -> int:
        """How many numbers come out."""
        return sum(content.numel() for content in self.content)

    def matrices(self, rotation: Tensor) -> list[Tensor]:
        """Wigner's D-matrices of rotations `[B, 3, 3]`: `[B, 2l+1, 2l+1]` for each degree l, as in e3nn."""
        found = [torch.ones_like(rotation[:, :1, :1]), rotation]
        for of in range(2, self._degree + 1):
            coupling = self.get_buffer(f"coupling_{of}")
            turned = torch.einsum("aim,bac,bij->bcjm", coupling, found[-1], rotation)
            found.append(torch.einsum("bcjm,cjn->bmn", turned, coupling))
        return found[: self._degree + 1]

    def forward(self, rotation: Tensor) -> Tensor:
        """Turns the content by rotations `[B, 3, 3]`: `[B, width]`."""
        pairs = zip(self.matrices(rotation), self.content, strict=True)
        return torch.cat([(matrix @ content).flatten(1) for matrix, content in pairs], dim=1)

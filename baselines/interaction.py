"""The transition T of object-factored latents: a graph network on the complete graph of objects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sen_bench.baselines.group_convolution import c4_linear
from sen_bench.baselines.hidden_layers import hidden_layer, summed_pairs
from sen_bench.baselines.layers import C4Linear
from sen_bench.baselines.model import apply_in_full_precision


@dataclass(frozen=True)
class LinearFamily:
    """A kind of linear layer on the last axis, as a layer and as the function that it applies.

    Attributes:
        layer: Makes a layer from its channels in and out; it has a `weight` whose last axis is the channels
            in, and a `bias`.
        apply: `apply(x, weight, bias)`.
    """

    layer: Callable[[int, int], nn.Linear | C4Linear]
    apply: Callable[[Tensor, Tensor, Tensor | None], Tensor]


ORDINARY = LinearFamily(nn.Linear, nn.functional.linear)
C4_EQUIVARIANT = LinearFamily(C4Linear, c4_linear)


class InteractionNetwork(nn.Module):
    """One round of messages between all pairs of objects, then one change per object (paper, section 3).

    For every object i, with m an edge network on pairs and n a node network,

        Δ_i = n(z_i, Σ_{j≠i} m(z_i, z_j), a_i)

    Both networks are linear-ReLU-linear-LayerNorm-ReLU-linear. Objects are features `[..., C]` with any axes
    between (the group axis of regular features). The same function is computed with less work than written
    above: the first edge layer is linear in (z_i, z_j), so it is applied once per object instead of once per
    pair, and the last is linear too, so it is applied to the sum over j instead of to every pair.

    Args:
        family: The kind of linear layers: `ORDINARY` or `C4_EQUIVARIANT`.
        latent_channels: Channels of z_i.
        action_channels: Channels of a_i.
        hidden: Width of the hidden layers and of the messages.
    """

    def __init__(
        self, family: LinearFamily, *, latent_channels: int, action_channels: int, hidden: int
    ) -> None:
        super().__init__()
        self._family = family
        self.edge_in = family.layer(2 * latent_channels, hidden)
        self.edge_hidden = family.layer(hidden, hidden)
        self.edge_norm = nn.LayerNorm(hidden)
        self.edge_out = family.layer(hidden, hidden)
        self.node_in = family.layer(latent_channels + hidden + action_channels, hidden)
        self.node_hidden = family.layer(hidden, hidden)
        self.node_norm = nn.LayerNorm(hidden)
        self.node_out = family.layer(hidden, latent_channels)

    def forward(self, latent: Tensor, action: Tensor) -> Tensor:
        """The change of every object.

        Args:
            latent: z, `[B, O, ..., latent_channels]`.
            action: a, `[B, O, ..., action_channels]`.

        Returns:
            Δ, of the shape of `latent`, at least float32.
        """
        return self.nodes(latent, self.messages(latent), action)

    def nodes(self, latent: Tensor, messages: Tensor, action: Tensor) -> Tensor:
        """The changes of objects by themselves, given the messages to them; any leading axes."""
        hidden = self.node_in(torch.cat([latent, messages, action], dim=-1))
        return apply_in_full_precision(self.node_out, hidden_layer(hidden, self.node_hidden, self.node_norm))

    def messages(self, latent: Tensor) -> Tensor:
        """The sum of the messages to each object, `[B, O, ..., hidden]`."""
        others = latent.shape[1] - 1
        if others == 0:
            return latent.new_zeros(*latent.shape[:-1], self.edge_out.weight.shape[-2])
        weight_to, weight_from = self.edge_in.weight.chunk(2, dim=-1)
        to = self._family.apply(latent, weight_to, self.edge_in.bias)
        sent = self._family.apply(latent, weight_from, None)
        hidden = summed_pairs(to, sent, self.edge_hidden, self.edge_norm)
        return self._family.apply(hidden, self.edge_out.weight, others * self.edge_out.bias)

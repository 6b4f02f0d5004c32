"""The models' layers as textbooks write them: slow, dense, and with the same parameters as ours."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sen_bench.baselines import e2cnn_compat
from sen_bench.baselines.interaction import InteractionNetwork
from sen_bench.baselines.layers import C4Linear
from sen_bench.baselines.model import WorldModel
from sen_bench.baselines.normalisation import FieldBatchNorm
from sen_bench.baselines.objects import ObjectEncoder, ObjectModel
from sen_bench.baselines.steerable import (
    SteerableConvolution,
    SteerableEmbedding,
    SteerablePatchEmbedding,
)


def circulant(weight: Tensor) -> Tensor:
    """The matrix `[4·out, 4·in]` of a group convolution over C4: block (g, h) is weight[(g - h) % 4]."""
    return torch.cat([torch.cat([weight[(g - h) % 4] for h in range(4)], dim=1) for g in range(4)], dim=0)


def dense_c4_linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """`c4_linear` by one matrix product with the circulant matrix."""
    y = nn.functional.linear(x.flatten(-2), circulant(weight), bias.repeat(4))
    return y.view(*x.shape[:-1], -1)


def linear(layer: nn.Linear | C4Linear, x: Tensor) -> Tensor:
    """The layer in its dense form."""
    if isinstance(layer, C4Linear):
        return dense_c4_linear(x, layer.weight, layer.bias)
    return nn.functional.linear(x, layer.weight, layer.bias)


def textbook_encoder(encoder: ObjectEncoder, features: Tensor) -> Tensor:
    """E, one dense layer after the other."""
    hidden = torch.relu(linear(encoder.first, features))
    return linear(encoder.last, torch.relu(encoder.norm(linear(encoder.second, hidden))))


def textbook_interaction(network: InteractionNetwork, latent: Tensor, action: Tensor) -> Tensor:
    """T's change, with the whole edge network applied to every ordered pair of different objects."""
    num_objects = latent.shape[1]
    messages = latent.new_zeros(*latent.shape[:-1], network.edge_out.bias.shape[0])
    if num_objects > 1:
        pairs = [
            torch.cat([latent[:, i], latent[:, j]], dim=-1)
            for i in range(num_objects)
            for j in range(num_objects)
            if j != i
        ]
        hidden = linear(network.edge_hidden, torch.relu(linear(network.edge_in, torch.stack(pairs, dim=1))))
        edges = linear(network.edge_out, torch.relu(network.edge_norm(hidden)))
        messages = edges.view(len(edges), num_objects, num_objects - 1, *edges.shape[2:]).sum(dim=2)
    nodes = torch.cat([latent, messages, action], dim=-1)
    hidden = linear(network.node_hidden, torch.relu(linear(network.node_in, nodes)))
    return linear(network.node_out, torch.relu(network.node_norm(hidden)))


def textbook_orbits(maps: Tensor) -> Tensor:
    """Orbits of pixels under quarter turns, followed pixel by pixel: `[..., n, n]` to `[..., 4, orbits]`."""
    side = maps.shape[-1]
    starts = [(r, c) for r in range(side // 2) for c in range((side + 1) // 2)]
    if side % 2:
        starts.insert(0, (side // 2, side // 2))
    columns = []
    for start in starts:
        r, c = start
        fibre = []
        for _ in range(4):
            fibre.append(maps[..., r, c])
            # Turned once more, the pixel that arrives here is the one that lies clockwise of it.
            r, c = c, side - 1 - r
        columns.append(torch.stack(fibre, dim=-1))
    return torch.stack(columns, dim=-1)


def textbook_fibre_orbits(maps: Tensor) -> Tensor:
    """Orbits of C4-regular maps under turns, pixel by pixel: `[..., 4, n, n]` to `[..., 4, n²]`."""
    side = maps.shape[-1]
    columns = []
    for start in ((r, c) for r in range(side) for c in range(side)):
        r, c = start
        fibre = []
        for direction in range(4):
            fibre.append(maps[..., direction, r, c])
            # Turned once more, the pixel that arrives here lies clockwise of it, in the next direction's map.
            r, c = c, side - 1 - r
        columns.append(torch.stack(fibre, dim=-1))
    return torch.stack(columns, dim=-1)


def textbook_object_step(model: ObjectModel, observation: Tensor, action: Tensor) -> Tensor:
    """The predicted next latent of an object model, with E and T in their textbook forms.

    A model with a fibre of maps per object is taken to be one of Rush Hour, whose actions are relative.
    """
    embedding = model.embed(observation)
    relative = embedding.dim() == 5
    if model.equivariant:
        features = textbook_fibre_orbits(embedding) if relative else textbook_orbits(embedding)
    else:
        features = embedding.flatten(2)
    latent = textbook_encoder(model.encoder, features)
    num_objects = embedding.shape[1]
    one_hot = torch.zeros(len(action), num_objects, 4, dtype=latent.dtype)
    for sample, number in enumerate(action.tolist()):
        one_hot[sample, number // 4, number % 4] = 1
    if model.equivariant:
        # Four numbers along the group axis, or four channels that are the same all along it.
        one_hot = torch.stack(4 * [one_hot], dim=2) if relative else one_hot[..., None]
    return latent + textbook_interaction(model.network, latent, one_hot)


def e2cnn_embedding(ours: SteerableEmbedding | SteerablePatchEmbedding) -> Any:
    """e2cnn's own network of R2Conv, InnerBatchNorm and ReLU, with the parameters of ours; no sigmoid."""
    modules = e2cnn_compat.nn
    space = e2cnn_compat.gspaces.Rot2dOnR2(4)

    def field_type(fields: int, channels: int) -> Any:
        return modules.FieldType(
            space, fields * [space.regular_repr if channels == 4 else space.trivial_repr]
        )

    layers = []
    with e2cnn_compat.silenced():
        for own in ours.layers:
            if isinstance(own, SteerableConvolution):
                out_channels, in_channels, kernel_size, _ = own.basis.shape[1:]
                in_type = field_type(own.in_fields, in_channels)
                out_type = field_type(own.out_fields, out_channels)
                layer = modules.R2Conv(
                    in_type,
                    out_type,
                    kernel_size=kernel_size,
                    stride=own.stride,
                    padding=own.padding,
                    recompute=True,
                    initialize=False,
                )
                with torch.no_grad():
                    layer.weights.copy_(own.weights)
                    layer.bias.copy_(own.bias)
            elif isinstance(own, FieldBatchNorm):
                layer = modules.InnerBatchNorm(out_type)
                getattr(layer, "batch_norm_[4]").load_state_dict(own.norm.state_dict())
            else:
                layer = modules.ReLU(out_type)
            layers.append(layer)
        return modules.SequentialModule(*layers)


def contrastive_loss(model: WorldModel, observation: Tensor, action: Tensor, following: Tensor) -> Tensor:
    """The paper's contrastive loss, with negatives from the batch shifted by one."""
    latent = model.encode(model.embed(observation))
    target = model.encode(model.embed(following))
    positive = model.distance(model.transition(latent, action), target).mean()
    negative = torch.relu(1 - model.distance(latent, latent.roll(1, dims=0))).mean()
    return positive + negative

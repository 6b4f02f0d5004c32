"""The models of 3D Blocks as the paper's public code has them: its names, and what it computes, in loops.

Written from what github.com/jypark0/sen, `sen/net`, computes, read in November 2026; nothing is copied.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from sen_bench.baselines import e2cnn_compat

OBJECTS, SIDE, LATENTS = 5, 50, 2


def steerable_embedding(width: int) -> Any:
    """The S of `full`: e2cnn's own layers, with statistics and biases that do something."""
    modules, space = e2cnn_compat.nn, e2cnn_compat.gspaces.Rot2dOnR2(4)
    image, maps = (modules.FieldType(space, count * [space.trivial_repr]) for count in (3, OBJECTS))
    hidden = modules.FieldType(space, width * [space.regular_repr])
    layers: list[Any] = []
    with e2cnn_compat.silenced():
        for source in (image, hidden, hidden):
            layers += [modules.R2Conv(source, hidden, 3, padding=1), modules.InnerBatchNorm(hidden)]
            layers.append(modules.ReLU(hidden))
        layers += [modules.R2Conv(hidden, maps, 3, padding=1)]
        layers.append(modules.PointwiseNonLinearity(maps, function="p_sigmoid"))
        network = modules.SequentialModule(*layers)
    for entry in itertools.chain(network.parameters(), network.buffers()):
        if entry.dim() == 1 and entry.is_floating_point() and not entry.any():
            torch.nn.init.uniform_(entry)
    return network.eval()


def public_state(kind: str, *, width: int, hidden: int) -> dict[str, Tensor]:
    """Random weights under the public code's names; of `full` without those of S."""
    shapes: dict[str, tuple[int, ...]] = {}
    if kind != "full":
        widths = (3, width, width, width, OBJECTS)
        for number, (narrow, wide) in enumerate(itertools.pairwise(widths), start=1):
            shapes[f"embedding.cnn{number}.weight"] = (wide, narrow, 3, 3)
            shapes[f"embedding.cnn{number}.bias"] = (wide,)
            if number < 4:
                names = ("weight", "bias", "running_mean", "running_var")
                shapes |= {f"embedding.ln{number}.{name}": (wide,) for name in names}
    orbits = SIDE * SIDE if kind == "none" else SIDE * SIDE // 4
    actions = 4 if kind == "none" else 1
    encoder = ("net.0", "net.2", "net.3", "net.5") if kind == "none" else ("fc1", "fc2", "ln", "fc3")
    layers = [
        (tuple(f"encoder.{name}" for name in encoder), (orbits, hidden, hidden, LATENTS)),
        (_layers("transition.edge_mlp"), (2 * LATENTS, hidden, hidden, hidden)),
        (_layers("transition.node_mlp"), (LATENTS + actions + hidden, hidden, hidden, LATENTS)),
    ]
    for (first, second, norm, last), (inputs, one, two, outputs) in layers:
        for name, pair in ((first, (one, inputs)), (second, (two, one)), (last, (outputs, two))):
            weight = f"{name}.weight" if kind == "none" else f"{name}.weights"
            shapes |= {weight: pair if kind == "none" else (4, *pair), f"{name}.bias": pair[:1]}
            if kind != "none":
                shapes[f"{name}.mat"] = (4, 4, *pair)
        shapes |= {f"{norm}.weight": (two,), f"{norm}.bias": (two,)}
    state = {
        name: torch.rand(shape) - (0 if "running_var" in name else 0.5) for name, shape in shapes.items()
    }
    if kind != "full":
        state |= {f"embedding.ln{number}.num_batches_tracked": torch.tensor(7) for number in (1, 2, 3)}
    return state


def public_embedding(state: Mapping[str, Tensor], images: Tensor) -> Tensor:
    """The S of the other two: four convolutions with batch norms between them, and a sigmoid."""
    x = images
    for number in (1, 2, 3, 4):
        x = functional.conv2d(
            x, state[f"embedding.cnn{number}.weight"], state[f"embedding.cnn{number}.bias"], padding=1
        )
        if number < 4:
            norm = f"embedding.ln{number}"
            mean, variance = state[f"{norm}.running_mean"], state[f"{norm}.running_var"]
            x = functional.batch_norm(
                x, mean, variance, state[f"{norm}.weight"], state[f"{norm}.bias"]
            ).relu()
    return x.sigmoid()


def public_prediction(kind: str, state: Mapping[str, Tensor], maps: Tensor, action: Tensor) -> Tensor:
    """The prediction z + T(z, a) from the maps of S, pair by pair and group element by group element."""
    if kind == "none":
        features = maps.flatten(2)
        names = tuple(f"encoder.net.{place}" for place in (0, 2, 3, 5))
    else:
        corner = SIDE // 2
        turned = [torch.rot90(maps, turns, (-2, -1))[..., :corner, :corner].flatten(2) for turns in range(4)]
        features = torch.stack(turned, dim=2)
        names = tuple(f"encoder.{name}" for name in ("fc1", "fc2", "ln", "fc3"))
    z = _three_layers(kind, state, names, features)
    messages = torch.stack(
        [
            torch.stack(
                [
                    _three_layers(
                        kind, state, _layers("transition.edge_mlp"), torch.cat([z[:, i], z[:, j]], dim=-1)
                    )
                    for j in range(OBJECTS)
                    if j != i
                ]
            ).sum(dim=0)
            for i in range(OBJECTS)
        ],
        dim=1,
    )
    moves = functional.one_hot(action, 4 * OBJECTS).to(z).view(-1, OBJECTS, 4)
    moves = moves if kind == "none" else moves[..., None]
    nodes = torch.cat([z, moves, messages], dim=-1)
    return z + _three_layers(kind, state, _layers("transition.node_mlp"), nodes)


def _layers(network: str) -> tuple[str, str, str, str]:
    return f"{network}.0", f"{network}.2", f"{network}.3", f"{network}.5"


def _three_layers(kind: str, state: Mapping[str, Tensor], names: tuple[str, ...], x: Tensor) -> Tensor:
    first, second, norm, last = names
    hidden = _linear(kind, state, second, _linear(kind, state, first, x).relu())
    weight, bias = state[f"{norm}.weight"], state[f"{norm}.bias"]
    return _linear(kind, state, last, functional.layer_norm(hidden, weight.shape, weight, bias).relu())


def _linear(kind: str, state: Mapping[str, Tensor], name: str, x: Tensor) -> Tensor:
    """The public code's linear layer; the C4-equivariant one is y[g] = sum over h of w[(h - g) % 4] x[h]."""
    bias = state[f"{name}.bias"]
    if kind == "none":
        return functional.linear(x, state[f"{name}.weight"], bias)
    weights = state[f"{name}.weights"]
    fibre = [sum((x[..., h, :] @ weights[(h - g) % 4].T for h in range(4)), start=bias) for g in range(4)]
    return torch.stack(fibre, dim=-2)

"""Weights of the paper's public code (github.com/jypark0/sen): where each has its place in our models.

The public code has networks for 3D Blocks and Reacher. Those of 3D Blocks are the same functions as ours,
with other names, and in two places in another order:

* Its C4-equivariant layers compute ``y[g] = sum_h w[(h - g) % 4] @ x[h]``, ours `c4_linear`, with ``g - h``.
* The node network of its T reads (z, action, messages), ours (z, messages, action).

Those of Reacher are not: they pad images and maps otherwise, and reflect about another axis.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import Tensor, nn

from sen_bench.baselines.convolutions import ConvolutionalEmbedding
from sen_bench.baselines.objects import ObjectModel
from sen_bench.errors import ConfigError

_NORM: Final = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
_DERIVED: Final = re.compile(
    r"embedding\.net\.\d+\.(filter|expanded_bias|bias_expansion|_?basisexpansion\..*|indices_\d+)"
    r"|(encoder|transition)\..*\.mat"
)
"""What it stores besides parameters: kernels that are made of them, and the bases of e2cnn."""

_INVERSE: Final = (0, 3, 2, 1)
"""The inverse of each element of C4."""


def from_public_code(state: Mapping[str, Any], model: nn.Module) -> dict[str, Any]:
    """The state dict of a model of 3D Blocks, from one of the public code's.

    Args:
        state: What the public code saves as ``model.pt``: entries that begin with ``embedding.``,
            ``encoder.`` and ``transition.``.
        model: The model of ours that it is meant for: `sen`, `none` or `full`.

    Returns:
        The entries under our names, rearranged where the order differs. Entries that follow from others are
        left out; entries of other names are kept, so that whoever loads them finds them unexpected.

    Raises:
        ConfigError: The public code has no such model.
    """
    if not isinstance(model, ObjectModel) or not _is_of_blocks(model):
        raise ConfigError(
            "weights of the public code can be read for sen, none and full of 3d-blocks; it has no other"
            " grid world, and its networks of Reacher pad otherwise than ours"
        )
    names = _names(model)
    entries: dict[str, Any] = {}
    for name, value in state.items():
        if name in names:
            entries[names[name]] = _rearranged(model, names[name], value)
        elif not _DERIVED.fullmatch(name):
            entries[name] = value
    return entries


def _is_of_blocks(model: ObjectModel) -> bool:
    """Whether a model is built as those of 3D Blocks are, whatever its widths."""
    layers = getattr(model.embedding, "layers", ())
    as_deep = isinstance(layers, nn.Sequential) and len(layers) == 10
    return as_deep and len(model.embedding_shape) == 3 and len(model.latent_shape) == 2 + model.equivariant


def _names(model: ObjectModel) -> dict[str, str]:
    """Our names of the parameters and statistics of a model, by those of the public code."""
    names: dict[str, str] = {}
    if isinstance(model.embedding, ConvolutionalEmbedding):
        for number, place in enumerate((0, 3, 6, 9), start=1):
            names |= _of(f"embedding.cnn{number}", f"embedding.layers.{place}", ("weight", "bias"))
        for number, place in enumerate((1, 4, 7), start=1):
            names |= _of(f"embedding.ln{number}", f"embedding.layers.{place}", _NORM)
    else:
        for place in (0, 3, 6, 9):
            names |= _of(f"embedding.net.{place}", f"embedding.layers.{place}", ("weights", "bias"))
        for place in (1, 4, 7):
            names |= _of(f"embedding.net.{place}.batch_norm_[4]", f"embedding.layers.{place}.norm", _NORM)
    parts = ("first", "second", "norm", "last")
    theirs = ("fc1", "fc2", "ln", "fc3") if model.equivariant else ("net.0", "net.2", "net.3", "net.5")
    layers = [(f"encoder.{one}", f"encoder.{other}") for one, other in zip(theirs, parts, strict=True)]
    for network in ("edge", "node"):
        layers += [
            (f"transition.{network}_mlp.{place}", f"network.{network}_{part}")
            for place, part in ((0, "in"), (2, "hidden"), (3, "norm"), (5, "out"))
        ]
    for one, other in layers:
        weight = "weights" if model.equivariant and not other.endswith("norm") else "weight"
        names |= {f"{one}.{weight}": f"{other}.weight", f"{one}.bias": f"{other}.bias"}
    return names


def _of(theirs: str, ours: str, entries: tuple[str, ...]) -> dict[str, str]:
    """Entries that have the same names in a layer of theirs and in one of ours."""
    return {f"{theirs}.{entry}": f"{ours}.{entry}" for entry in entries}


def _rearranged(model: ObjectModel, name: str, value: Any) -> Any:  # noqa: ANN401 — whatever the file holds
    """The value of an entry of ours, from theirs; as it is if it has not the shape of one."""
    layer, _, entry = name.rpartition(".")
    if not isinstance(value, Tensor) or entry != "weight" or layer.endswith("norm"):
        return value
    group_linear = model.equivariant and not layer.startswith("embedding.")
    if group_linear and value.dim() == 3 and len(value) == len(_INVERSE):
        value = value[list(_INVERSE)]
    if layer == "network.node_in":
        latents, messages = (
            model.get_parameter(f"network.{part}.weight").shape[-2] for part in ("node_out", "edge_out")
        )
        actions = value.shape[-1] - latents - messages
        if actions > 0:
            z, action, messages_in = value.split([latents, actions, messages], dim=-1)
            value = torch.cat([z, messages_in, action], dim=-1)
    return value

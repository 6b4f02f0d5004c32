"""Steerable networks as e2cnn itself builds them, with the parameters of ours."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sen_bench.baselines import e2cnn_compat
from sen_bench.baselines.normalisation import FieldBatchNorm
from sen_bench.baselines.reacher_networks import LATENTS, TORQUES, ConvolutionStack, SteerableTransition
from sen_bench.baselines.steerable import SteerableConvolution

SPACE = e2cnn_compat.gspaces.FlipRot2dOnR2(4, axis=0.0)
"""D4 with the reflection (x, y) to (x, -y), as in the world."""


def field_type(fields: int, *, regular: bool, signs: int = 0) -> Any:
    """Pairs (a, -a), and then trivial or regular fields."""
    representation = SPACE.regular_repr if regular else SPACE.trivial_repr
    return e2cnn_compat.nn.FieldType(
        SPACE, signs * [SPACE.quotient_repr((None, 4))] + fields * [representation]
    )


def _their_convolution(ours: SteerableConvolution, in_type: Any, out_type: Any) -> Any:
    layer = e2cnn_compat.nn.R2Conv(
        in_type,
        out_type,
        kernel_size=ours.basis.shape[-1],
        stride=ours.stride,
        padding=ours.padding,
        dilation=ours.dilation,
        recompute=True,
        initialize=False,  # which takes half a minute at the paper's width
    )
    with torch.no_grad():
        layer.weights.copy_(ours.weights)
        layer.bias.copy_(ours.bias)
    return layer


def _their_norm(ours: FieldBatchNorm, in_type: Any) -> Any:
    layer = e2cnn_compat.nn.InnerBatchNorm(in_type)
    getattr(layer, "batch_norm_[8]").load_state_dict(ours.norm.state_dict())
    return layer


def e2cnn_stack(ours: ConvolutionStack, in_type: Any) -> Any:
    """R2Conv, InnerBatchNorm, ReLU and PointwiseMaxPool in the places of our layers, in float32."""
    layers: list[Any] = []
    with e2cnn_compat.silenced():
        for own in (*ours.hidden, ours.last):
            fields = layers[-1].out_type if layers else in_type
            match own:
                case SteerableConvolution():
                    wide = field_type(own.out_fields, regular=True)
                    layers.append(_their_convolution(own, fields, wide))
                case FieldBatchNorm():
                    layers.append(_their_norm(own, fields))
                case nn.ReLU():
                    layers.append(e2cnn_compat.nn.ReLU(fields))
                case nn.MaxPool2d():
                    layers.append(e2cnn_compat.nn.PointwiseMaxPool(fields, own.kernel_size))
                case _:
                    raise AssertionError(own)
        return e2cnn_compat.nn.SequentialModule(*layers)


def run(theirs: Any, channels: Tensor) -> Tensor:
    """The network on channels ordered by field, then by group element, as e2cnn orders them.

    In float32, as some of e2cnn's layers can do no other, but given and returned as float64.
    """
    result: Tensor = theirs(e2cnn_compat.nn.GeometricTensor(channels.float(), theirs.in_type)).tensor
    return result.double()


def e2cnn_change(ours: SteerableTransition, latent: Tensor, action: Tensor) -> Tensor:
    """T's change of latents `[B, 4, 8]` by torques `[B, 2]`."""
    theirs = e2cnn_stack(ours.layers, field_type(LATENTS, regular=True, signs=TORQUES))
    pairs = torch.stack([action, -action], dim=2).flatten(1)
    channels = torch.cat([pairs, latent.flatten(1)], dim=1)[:, :, None, None]
    return run(theirs, channels).view(latent.shape)

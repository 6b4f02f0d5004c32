"""Reacher models: sizes, equivariance for every element of D4, and the same function as e2cnn's networks."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sen_bench.baselines.kinds import KINDS
from sen_bench.baselines.model import WorldModel
from sen_bench.baselines.reacher import ReacherModel, build_reacher_model
from sen_bench.baselines.reacher_networks import (
    EMBEDDING_SHAPES,
    ENCODER_POOLS,
    ENCODER_SHAPES,
    ConvolutionStack,
    OrdinaryTransition,
    SteerableTransition,
    channels_to_fields,
    fields_to_channels,
    steerable_stack,
)
from sen_bench.baselines.steerable import SteerableConvolution
from sen_bench.envs.grid import grid_symmetry
from sen_bench.envs.reacher import Reacher, reacher_symmetry
from sen_bench.errors import ConfigError
from sen_bench.symmetry import Representation
from tests.oracles.e2cnn_networks import e2cnn_change, e2cnn_stack, field_type, run

EQUIVARIANT = ("sen", "full")
ELEMENTS = torch.arange(8)
SHAPE = (128, 128, 6)
D4 = reacher_symmetry().group


def _build(kind: str, *, embedding_channels: int = 2, hidden: int = 3) -> ReacherModel:
    torch.manual_seed(0)
    return build_reacher_model(
        kind,
        symmetry=reacher_symmetry(),
        observation_shape=SHAPE,
        embedding_channels=embedding_channels,
        hidden=hidden,
    )


def _shaken(module: nn.Module) -> nn.Module:
    """The module in float64, its biases, norms and statistics away from their initial values."""
    generator = torch.Generator().manual_seed(1)
    module.double()
    with torch.no_grad():
        for name, x in (*module.named_parameters(), *module.named_buffers()):
            if x.is_floating_point() and "basis" not in name:
                x.add_(0.2 * torch.rand(x.shape, generator=generator, dtype=x.dtype))
    return module


@pytest.fixture(scope="module")
def shaken() -> dict[str, ReacherModel]:
    """A small model of each kind, as if trained, in float64; not to be changed."""
    models = {kind: _build(kind) for kind in KINDS}
    for model in models.values():
        _shaken(model).eval()
    return models


def _random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def _alike(x: Tensor) -> Tensor:
    """One sample, once for each element."""
    return x.expand(8, *x.shape[1:])


def _moved(image: Tensor, g: int) -> Tensor:
    """g acting on the plane of `[..., H, W]`: reflects (x, y) to (x, -y) from 4 on, then turns."""
    return torch.rot90(image.flip(-2) if g >= 4 else image, g % 4, (-2, -1))


def _each_moved(image: Tensor) -> Tensor:
    return torch.stack([_moved(image, g) for g in range(8)])


@pytest.mark.parametrize("kind", KINDS)
def test_shapes_are_those_announced(kind: str) -> None:
    model = _build(kind)
    observation, action = _random(2, 6, 128, 128, dtype=torch.float32), torch.ones(2, 2)
    embedding = model.embed(observation)
    latent = model.encode(embedding)
    following = model.transition(latent, action)
    maps = (8, 8, 33, 33) if kind == "full" else (8, 33, 33)
    assert embedding.shape == (2, *model.embedding_shape) == (2, *maps)
    fields = (4,) if kind == "none" else (4, 8)
    assert latent.shape == following.shape == (2, *model.latent_shape) == (2, *fields)
    assert torch.equal(
        model.eval()(observation, action), model.transition(model.encode(model.embed(observation)), action)
    )


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("kind", EQUIVARIANT)
def test_the_encoder_is_equivariant_for_every_element(
    kind: str,
    training: bool,  # noqa: FBT001
    shaken: dict[str, ReacherModel],
) -> None:
    model = copy.deepcopy(shaken[kind]).train(training)
    embedding = _alike(_random(1, *model.embedding_shape))
    latent = model.encode(embedding)
    moved = model.encode(model.transform_embedding(ELEMENTS, embedding))
    torch.testing.assert_close(moved, model.transform_latent(ELEMENTS, latent), rtol=0, atol=1e-12)
    # Not because the encoder is constant.
    assert (moved - latent).abs().amax(dim=(1, 2))[1:].min() > 1e-4


@pytest.mark.parametrize("kind", EQUIVARIANT)
def test_the_encoder_is_equivariant_after_every_layer(kind: str, shaken: dict[str, ReacherModel]) -> None:
    model = shaken[kind]
    embedding = _alike(_random(1, *model.embedding_shape))
    regular = kind == "full"
    x, moved = (
        fields_to_channels(v) if regular else v
        for v in (embedding, model.transform_embedding(ELEMENTS, embedding))
    )
    permuted = torch.tensor(D4.cayley[D4.inverse])
    assert isinstance(model.encoder, ConvolutionStack)
    layers = [*model.encoder.hidden, model.encoder.last]
    assert [layer.kernel_size for layer in layers if isinstance(layer, nn.MaxPool2d)] == 3 * [2]
    for layer in layers:
        x, moved = layer(x), layer(moved)
        fields = channels_to_fields(x, x.shape[1] // 8)
        expected = torch.stack([_moved(fields[g].index_select(1, permuted[g]), g) for g in range(8)])
        torch.testing.assert_close(moved, fields_to_channels(expected), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", EQUIVARIANT)
def test_the_transition_is_equivariant_for_every_element(kind: str, shaken: dict[str, ReacherModel]) -> None:
    model = shaken[kind]
    matrices = torch.from_numpy(reacher_symmetry().representations["action"].matrix.copy())
    latent = _alike(_random(1, 4, 8))
    for torques in ((0.7, -0.2), (-1.0, 0.3), (0.0, 0.0), (1.0, 1.0)):
        action = torch.tensor(torques, dtype=torch.float64).expand(8, 2)
        following = model.transition(latent, action)
        moved = model.transition(
            model.transform_latent(ELEMENTS, latent), (matrices @ action[:, :, None])[..., 0]
        )
        torch.testing.assert_close(moved, model.transform_latent(ELEMENTS, following), rtol=0, atol=1e-12)
        assert (following - latent).abs().max() > 1e-3
    # Each torque matters.
    for joint in torch.eye(2, dtype=torch.float64):
        assert (model.transition(latent, action - joint) - following).abs().max() > 1e-3


def test_full_embeds_images_with_a_pixel_in_the_middle_equivariantly(shaken: dict[str, ReacherModel]) -> None:
    model = shaken["full"]
    image = _random(6, 127, 127)
    embedding = model.embed(image[None])
    moved = model.embed(_each_moved(image))
    error = moved - model.transform_embedding(ELEMENTS, _alike(embedding))
    # The kernels of large dilations have angular frequencies up to 63, which cost e2cnn's basis some digits.
    assert error.norm() < 1e-10 * moved.norm()
    assert ((moved - embedding).flatten(1).norm(dim=1)[1:] > 0.1 * embedding.norm()).all()


def test_full_takes_the_middle_of_the_image_to_be_half_a_pixel_off(shaken: dict[str, ReacherModel]) -> None:
    # 128 pixels have no pixel in the middle. The last row and column are beyond those that lie symmetrically
    # under the first kernel; where they are black, the rest is embedded as if it were the image.
    model = shaken["full"]
    image = _random(1, 6, 128, 128)
    image[..., 127, :] = image[..., 127] = 0
    torch.testing.assert_close(model.embed(image), model.embed(image[..., :127, :127]), rtol=0, atol=1e-12)


def _frames(count: int) -> Tensor:
    """Pairs of frames of a random policy, float64 `[count, 6, 128, 128]` in [0, 1]."""
    world, rng = Reacher(), np.random.default_rng(0)
    pairs = []
    for _ in range(count):
        states = [world.sample_state(rng)]
        for _ in range(20):
            states.append(world.step_states(states[-1], world.sample_action(rng)))
        pairs.append(np.concatenate(list(world.render_states(np.stack(states[-2:]))), axis=-1))
    return torch.from_numpy(np.stack(pairs)).permute(0, 3, 1, 2).double() / 255


def test_full_embeds_frames_of_the_world_equivariantly_but_for_a_shift_by_a_pixel() -> None:
    model = _build("full").double().eval()
    for frame in _frames(2):
        # The last row and column have no counterpart; without them the frame has a pixel in the middle.
        frame[:, 127] = frame[:, :, 127] = 0
        moved = _each_moved(frame)
        shifted = moved.clone()
        for image in shifted:
            for axis in (1, 2):
                if not image.select(axis, 0).any():
                    image.copy_(image.roll(-1, dims=axis))
        expected = model.transform_embedding(ELEMENTS, _alike(model.embed(frame[None])))
        error, of_shifted = (
            (model.embed(images) - expected).flatten(1).norm(dim=1) / expected[0].norm()
            for images in (moved, shifted)
        )
        assert of_shifted.max() < 1e-10
        # Element 7 exchanges rows and columns, and so leaves the last ones the last.
        assert error[[0, 7]].max() < 1e-10
        assert 0.01 < error[1:7].min() <= error.max() < 1


def test_with_the_public_codes_paddings_the_encoder_would_not_be_equivariant() -> None:
    shapes = [shape._replace(padding=1 if shape.kernel_size == 3 else 0) for shape in ENCODER_SHAPES]
    torch.manual_seed(0)
    theirs = steerable_stack((8, 16, 4), shapes, in_regular=False, pools=ENCODER_POOLS).double().eval()
    ours = _build("sen", hidden=16).double().eval()
    errors = []
    for encode, side in ((theirs, 32), (ours.encoder, 33)):
        maps = _random(8, side, side)
        latent = channels_to_fields(encode(maps[None]).flatten(1), 4)
        moved = channels_to_fields(encode(_each_moved(maps)).flatten(1), 4)
        expected = ours.transform_latent(ELEMENTS, _alike(latent))
        errors.append((moved - expected).norm() / moved.norm())
    assert errors[0] > 0.1
    assert errors[1] < 1e-12


def test_a_turn_of_the_world_is_seen_counter_clockwise_and_its_reflection_upside_down() -> None:
    world = Reacher()
    straight = np.zeros((8, 6))
    straight[:, 0] = 0.3
    straight[:, 4] = 0.27
    straight = world.transform_state(np.arange(8), straight)
    # The goal stays, so that only the arm moves.
    straight[:, 4:] = 0.25, 0.0
    frames = world.render_states(straight).astype(np.float64).sum(axis=-1)
    arm = np.abs(frames - np.median(frames, axis=0)) > 60
    x, y = (
        np.array([axis[mask].mean() for mask in arm])
        for axis in np.meshgrid(np.arange(128) - 63.5, 63.5 - np.arange(128))
    )
    seen = np.arctan2(y, x)
    plane = reacher_symmetry().representations["plane"].matrix @ (math.cos(0.3), math.sin(0.3))
    difference = seen - np.arctan2(plane[:, 1], plane[:, 0])
    # Seen aslant, angles are off; but by less than half of the least angle between two elements, 0.6.
    np.testing.assert_array_less(np.abs((difference + np.pi) % (2 * np.pi) - np.pi), 0.3)


def test_embeddings_transform_by_moving_maps_and_permuting_fields(shaken: dict[str, ReacherModel]) -> None:
    regular = Representation.regular(D4)
    for kind in KINDS:
        model = shaken[kind]
        embedding = _random(8, *model.embedding_shape)
        moved = model.transform_embedding(ELEMENTS, embedding)
        for g in range(8):
            expected = _moved(embedding[g], g).numpy()
            if kind == "full":
                expected = regular.apply(g, expected, axis=1)
            np.testing.assert_array_equal(moved[g].numpy(), expected)
        strided = embedding.transpose(0, 1).contiguous().transpose(0, 1)
        assert torch.equal(model.transform_embedding(ELEMENTS, strided), moved)


def test_latents_transform_by_the_regular_representation(shaken: dict[str, ReacherModel]) -> None:
    regular = Representation.regular(D4)
    latent = _random(8, 4, 8)
    for kind in EQUIVARIANT:
        moved = shaken[kind].transform_latent(ELEMENTS, latent)
        for g in range(8):
            np.testing.assert_array_equal(moved[g].numpy(), regular.apply(g, latent[g].numpy()))


def test_none_is_not_equivariant_and_says_so(shaken: dict[str, ReacherModel]) -> None:
    assert not shaken["none"].equivariant
    with pytest.raises(NotImplementedError, match="ReacherModel"):
        shaken["none"].transform_latent(torch.tensor([0]), torch.zeros(1, 4))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("kind", EQUIVARIANT)
def test_the_encoder_is_e2cnns_network(
    kind: str,
    training: bool,  # noqa: FBT001
    shaken: dict[str, ReacherModel],
) -> None:
    model = copy.deepcopy(shaken[kind]).train(training)
    embedding = _random(2, *model.embedding_shape)
    assert isinstance(model.encoder, ConvolutionStack)
    theirs = e2cnn_stack(model.encoder, field_type(8, regular=kind == "full")).train(training)
    expected = run(theirs, embedding.flatten(1, -3)).view(2, 4, 8)
    # e2cnn samples its basis in float32.
    torch.testing.assert_close(model.encode(embedding), expected, rtol=1e-5, atol=1e-5)


def test_the_transition_is_e2cnns_network(shaken: dict[str, ReacherModel]) -> None:
    model = shaken["sen"]
    assert isinstance(model.network, SteerableTransition)
    latent, action = _random(5, 4, 8), 2 * _random(5, 2) - 1
    expected = latent + e2cnn_change(model.network, latent, action)
    torch.testing.assert_close(model.transition(latent, action), expected, rtol=1e-5, atol=1e-5)


def test_the_embedding_of_full_is_e2cnns_network(shaken: dict[str, ReacherModel]) -> None:
    model = shaken["full"]
    image = _random(1, 6, 128, 128)
    assert isinstance(model.embedding, ConvolutionStack)
    theirs = e2cnn_stack(model.embedding, field_type(6, regular=False)).eval()
    expected = run(theirs, image).view(1, 8, 8, 33, 33)
    torch.testing.assert_close(model.embed(image), expected, rtol=1e-4, atol=1e-4)


def test_embeddings_walk_over_the_image_as_the_paper_says() -> None:
    layers = [layer for layer in _build("sen").embedding.modules() if isinstance(layer, nn.Conv2d)]
    walk = [(layer.stride[0], layer.dilation[0]) for layer in layers]
    assert walk == [(2, 1), (1, 2), (1, 4), (1, 8), (1, 16), (1, 32), (2, 1)]
    steerable = [
        layer for layer in _build("full").embedding.modules() if isinstance(layer, SteerableConvolution)
    ]
    assert [(layer.stride, layer.dilation) for layer in steerable] == walk
    assert len(EMBEDDING_SHAPES) == 7


def test_the_transition_of_none_is_the_textbooks(shaken: dict[str, ReacherModel]) -> None:
    model = shaken["none"]
    assert isinstance(model.network, OrdinaryTransition)
    first, _, second, norm, _ = model.network.hidden
    latent, action = _random(5, 4), _random(5, 2)
    hidden = norm(second(first(torch.cat([latent, action], dim=1)).relu())).relu()
    expected = latent + model.network.last(hidden)
    torch.testing.assert_close(model.transition(latent, action), expected, rtol=0, atol=1e-12)


def test_distance_is_twice_the_squared_distance() -> None:
    latent, other = torch.zeros(2, 4, 8), torch.zeros(2, 4, 8)
    other[0, 0, 3], other[1] = 3, 1
    # 0.5 / 0.5² = 2.
    assert _build("sen").distance(latent, other).tolist() == [2 * 9, 2 * 32]
    assert _build("none").distance(latent[..., 0], other[..., 0]).tolist() == [0, 2 * 4]


def test_worlds_that_do_not_fit_are_refused_by_one_line() -> None:
    def build(**options: Any) -> WorldModel:
        settings: dict[str, Any] = {"symmetry": reacher_symmetry(), "observation_shape": SHAPE} | options
        return build_reacher_model("sen", **settings)

    with pytest.raises(ConfigError, match="images of 128x128 pixels, not 64x128"):
        build(observation_shape=(64, 128, 6))
    with pytest.raises(ConfigError, match="a world with the symmetry D4, not C4 x S5"):
        build(symmetry=grid_symmetry(5, 5))


def test_stacks_pool_after_as_many_layers_as_they_are_told() -> None:
    stack = ConvolutionStack([nn.Conv2d(1, 1, 1) for _ in range(4)], lambda: (nn.ReLU(),), pools=2)
    kinds = [type(layer).__name__ for layer in stack.hidden]
    assert kinds == ["Conv2d", "ReLU", "MaxPool2d", "Conv2d", "ReLU", "MaxPool2d", "Conv2d", "ReLU"]

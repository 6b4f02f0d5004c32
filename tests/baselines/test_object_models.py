"""Object models: sizes, equivariance for every group element, and the same function as in textbooks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sen_bench.baselines.interaction import C4_EQUIVARIANT, ORDINARY, InteractionNetwork
from sen_bench.baselines.kinds import BLOCKS_3D, KINDS, RUSH_HOUR, SHAPES_2D
from sen_bench.baselines.layers import C4Linear
from sen_bench.baselines.model import WorldModel, apply_in_full_precision, full_precision, parameter_count
from sen_bench.baselines.objects import ObjectModel, build_object_model
from sen_bench.envs import make_world
from sen_bench.envs.grid import grid_symmetry
from sen_bench.envs.rushhour import rush_hour_symmetry
from sen_bench.errors import ConfigError
from sen_bench.symmetry import Group, Representation, Symmetry
from tests.oracles.dense_layers import (
    linear,
    textbook_interaction,
    textbook_object_step,
)

EQUIVARIANT = ("sen", "full")
SPACES = {"2d-shapes": SHAPES_2D, "3d-blocks": BLOCKS_3D, "rush-hour": RUSH_HOUR}
WORLDS = tuple(SPACES)


def _symmetry(world: str, objects: int = 5) -> Symmetry:
    make: Callable[[int, int], Symmetry] = rush_hour_symmetry if world == "rush-hour" else grid_symmetry
    return make(5, objects)


def _action_moves(world: str, objects: int = 5) -> Tensor:
    """Where each element sends each action, int64 `[element, action]`."""
    moves = _symmetry(world, objects).representations["action"].permutation
    assert moves is not None
    return torch.tensor(moves)


def _pixels(world: str, side: int) -> int:
    """The side of images whose maps have this side."""
    return side * SPACES[world].patch


def _model(
    kind: str, world: str = "3d-blocks", *, side: int = 6, objects: int = 5, **widths: int
) -> ObjectModel:
    """A narrow model of the spaces of a world, with maps of this side."""
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"embedding_channels": 3, "hidden": 6} | widths
    pixels = _pixels(world, side)
    return build_object_model(
        kind,
        symmetry=_symmetry(world, objects),
        observation_shape=(pixels, pixels, 3),
        spaces=SPACES[world],
        **sizes,
    )


def _images(world: str, side: int, *, count: int = 4, seed: int = 0) -> Tensor:
    pixels = _pixels(world, side)
    return _random(count, 3, pixels, pixels, seed=seed, dtype=torch.float32)


def _random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def _repeated(x: Tensor, times: int) -> Tensor:
    return x.expand(times, *x.shape[1:])


def test_frozen_parameters_are_not_counted() -> None:
    layer = nn.Linear(3, 2)
    layer.bias.requires_grad = False
    assert parameter_count(layer) == 6


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("objects", [1, 5])
@pytest.mark.parametrize(
    ("world", "side"),
    [
        ("2d-shapes", 5),
        ("3d-blocks", 1),
        ("3d-blocks", 5),
        ("3d-blocks", 6),
        ("rush-hour", 4),
        ("rush-hour", 5),
    ],
)
def test_shapes_are_those_announced(world: str, kind: str, objects: int, side: int) -> None:
    model = _model(kind, world, side=side, objects=objects)
    observation = _images(world, side)
    embedding = model.embed(observation)
    latent = model.encode(embedding)
    following = model.transition(latent, torch.arange(4))
    fibre = (4,) if world == "rush-hour" else ()
    assert embedding.shape == (4, *model.embedding_shape) == (4, objects, *fibre, side, side)
    assert 0 < embedding.min() <= embedding.max() < 1
    regular, plain = {"2d-shapes": (1, 2), "3d-blocks": (2, 2), "rush-hour": (2, 4)}[world]
    per_object = (plain,) if kind == "none" else (4, regular)
    assert latent.shape == following.shape == (4, *model.latent_shape) == (4, objects, *per_object)
    assert torch.equal(model.eval()(observation, torch.arange(4)), model(observation, torch.arange(4)))


@pytest.mark.parametrize("kind", EQUIVARIANT)
@pytest.mark.parametrize("side", [5, 6])
@pytest.mark.parametrize("world", WORLDS)
def test_the_encoder_is_equivariant_for_every_element(world: str, kind: str, side: int) -> None:
    model = _model(kind, world, side=side).double()
    elements = torch.arange(480)
    embedding = _repeated(_random(1, *model.embedding_shape), 480)
    latent = model.encode(embedding)
    moved = model.encode(model.transform_embedding(elements, embedding))
    torch.testing.assert_close(moved, model.transform_latent(elements, latent), rtol=0, atol=1e-12)
    # Not because the encoder is constant.
    assert (moved - latent).abs().amax(dim=(1, 2, 3))[1:].min() > 1e-3


@pytest.mark.parametrize("kind", EQUIVARIANT)
@pytest.mark.parametrize("objects", [1, 2, 5])
@pytest.mark.parametrize("world", WORLDS)
def test_the_transition_is_equivariant_for_every_element_and_move(
    world: str, kind: str, objects: int
) -> None:
    model = _model(kind, world, objects=objects).double()
    moves = _action_moves(world, objects)
    elements = torch.arange(len(moves))
    one = _random(1, *model.latent_shape)
    latent = _repeated(one, len(elements))
    # The moves of one object: elements take them to those of the others.
    for action in range(4):
        following = _repeated(model.transition(one, torch.tensor([action])), len(elements))
        moved = model.transition(model.transform_latent(elements, latent), moves[:, action])
        torch.testing.assert_close(moved, model.transform_latent(elements, following), rtol=0, atol=1e-12)
        assert (following - latent).abs().min() > 0


@pytest.mark.parametrize("kind", EQUIVARIANT)
@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_every_linear_layer_is_equivariant(kind: str, turns: int) -> None:
    model = _model(kind).double()
    layers = [
        layer
        for part in (model.encoder, model.network)
        for layer in part.children()
        if isinstance(layer, C4Linear)
    ]
    assert len(layers) == 9
    for layer in layers:
        x = _random(3, 4, layer.weight.shape[-1])
        torch.testing.assert_close(layer(x.roll(-turns, -2)), layer(x).roll(-turns, -2), rtol=0, atol=1e-12)


@pytest.mark.parametrize("side", [5, 8])
@pytest.mark.parametrize("world", WORLDS)
def test_full_carries_a_turned_image_to_turned_maps_and_a_turned_prediction(world: str, side: int) -> None:
    model = _model("full", world, side=side).double().eval()
    observation, action = _images(world, side, count=2).double(), torch.tensor([2, 17])
    embedding, predicted = model.embed(observation), model(observation, action)
    for turns in range(4):
        element = torch.full((2,), turns * 120)
        turned = torch.rot90(observation, turns, (-2, -1))
        torch.testing.assert_close(
            model.embed(turned), model.transform_embedding(element, embedding), rtol=0, atol=1e-12
        )
        moved = model(turned, _action_moves(world)[turns * 120][action])
        torch.testing.assert_close(moved, model.transform_latent(element, predicted), rtol=0, atol=1e-12)
    # Not because the maps are the same all over.
    assert embedding.std(dim=(-2, -1)).min() > 1e-3


def test_full_is_right_about_rush_hour_whose_pictures_turn_with_the_world() -> None:
    """Rendered twins are equivalent to it, states, actions and pictures; it is not so in 2D Shapes."""
    errors = {}
    for world in ("2d-shapes", "rush-hour"):
        env = make_world("sen_bench/RushHour-v0" if world == "rush-hour" else "sen_bench/Shapes2D-v0")
        states = np.stack([env.sample_state(np.random.default_rng(seed)) for seed in range(6)])
        elements = np.array(2 * env.symmetry.twin_elements)
        frames, twins = (
            torch.from_numpy(env.render_states(these)).permute(0, 3, 1, 2).double() / 255
            for these in (states, env.transform_state(elements, states))
        )
        model = _model("full", world, side=5).double().eval()
        action = torch.arange(6)
        moved = model(twins, torch.from_numpy(env.transform_action(elements, action.numpy())))
        expected = model.transform_latent(torch.from_numpy(elements), model(frames, action))
        errors[world] = (moved - expected).abs().max().item()
    assert errors["rush-hour"] < 1e-12
    assert errors["2d-shapes"] > 1e-3


def test_none_is_not_equivariant_and_says_so() -> None:
    model = _model("none").double()
    assert not model.equivariant
    latent = _random(1, 5, 2)
    with pytest.raises(NotImplementedError, match="ObjectModel"):
        model.transform_latent(torch.tensor([0]), latent)
    # Its objects are interchangeable all the same: the graph network does not number them.
    renamed = model.transition(latent.roll(1, dims=1), torch.tensor([4]))
    torch.testing.assert_close(renamed, model.transition(latent, torch.tensor([0])).roll(1, dims=1))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("world", WORLDS)
def test_embeddings_transform_by_turning_maps_and_permuting_objects(world: str, kind: str) -> None:
    symmetry = _symmetry(world)
    direction, renaming = (symmetry.representations[name].permutation for name in ("direction", "object"))
    assert direction is not None
    assert renaming is not None
    model = _model(kind, world, side=5).double()
    embedding = _random(480, *model.embedding_shape)
    moved = model.transform_embedding(torch.arange(480), embedding)
    expected = torch.empty_like(embedding)
    for g in range(480):
        turned = torch.rot90(embedding[g], g // 120, (-2, -1))
        for i in range(5):
            if world == "rush-hour":
                expected[g, renaming[g, i], direction[g].tolist()] = turned[i]
            else:
                expected[g, renaming[g, i]] = turned[i]
    assert torch.equal(moved, expected)


@pytest.mark.parametrize("world", WORLDS)
def test_latents_transform_by_the_direction_and_object_representations(world: str) -> None:
    symmetry = _symmetry(world, 3)
    direction, renaming = (symmetry.representations[name].permutation for name in ("direction", "object"))
    assert direction is not None
    assert renaming is not None
    model = _model("sen", world, objects=3)
    latent = _random(24, *model.latent_shape)
    moved = model.transform_latent(torch.arange(24), latent)
    for g in range(24):
        for i in range(3):
            for d in range(4):
                assert torch.equal(moved[g, renaming[g, i], direction[g, d]], latent[g, i, d])


@pytest.mark.parametrize("world", WORLDS)
def test_transforming_does_not_depend_on_the_memory_format(world: str) -> None:
    model = _model("sen", world).double()
    embedding, elements = _random(4, *model.embedding_shape), torch.tensor([0, 130, 255, 479])
    strided = embedding.transpose(1, -1).contiguous().transpose(1, -1)
    assert torch.equal(
        model.transform_embedding(elements, strided), model.transform_embedding(elements, embedding)
    )


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)], ids=["float32", "float64"]
)
@pytest.mark.parametrize("objects", [1, 5])
@pytest.mark.parametrize("kind", ["sen", "none"])
@pytest.mark.parametrize("world", WORLDS)
def test_the_model_is_the_textbook_model_with_its_gradients(
    world: str, kind: str, objects: int, dtype: torch.dtype, tolerance: float
) -> None:
    model = _model(kind, world, side=5, objects=objects, hidden=16).to(dtype)
    observation = _images(world, 5, count=8).to(dtype)
    action = torch.arange(8) % (4 * objects)
    predictions, gradients = [], []
    for step in (model.forward, lambda *inputs: textbook_object_step(model, *inputs)):
        model.zero_grad()
        predicted = step(observation, action)
        torch.autograd.backward([predicted.square().sum()])
        predictions.append(predicted.detach())
        gradients.append([p.grad for p in model.parameters() if p.grad is not None])
    torch.testing.assert_close(predictions[0], predictions[1], rtol=tolerance, atol=tolerance)
    used = sum(1 for _ in model.parameters()) - (8 if objects == 1 else 0)
    assert len(gradients[0]) == len(gradients[1]) == used
    for ours, textbook in zip(*gradients, strict=True):
        scale = max(1.0, textbook.abs().max().item())
        torch.testing.assert_close(ours, textbook, rtol=tolerance, atol=10 * tolerance * scale)


class _Step(nn.Module):
    def __init__(self, model: ObjectModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor, action: Tensor) -> Tensor:
        return self.model.transition(self.model.encode(self.model.embed(images)), action)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_traced_needs_no_operators_of_ours(kind: str) -> None:
    """It runs where there is no sen-bench. In training, as batch normalisation has loops only there."""
    model, images = _model(kind), _images("3d-blocks", 6)
    action = torch.arange(len(images))
    step = _Step(model)
    traced = torch.jit.trace(step, (images, action))  # type: ignore[no-untyped-call]
    assert "sen_bench::" not in str(traced.inlined_graph)
    torch.testing.assert_close(traced(images, action), step(images, action), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", [C4_EQUIVARIANT, ORDINARY], ids=["c4", "ordinary"])
def test_messages_come_from_the_others_only_and_from_all_of_them(family: Any) -> None:
    torch.manual_seed(0)
    network = InteractionNetwork(family, latent_channels=2, action_channels=1, hidden=5).double()
    latent, action = _random(1, 4, 4, 2), torch.zeros(1, 4, 4, 1, dtype=torch.float64)
    expected = textbook_interaction(network, latent, action)
    torch.testing.assert_close(network(latent, action), expected, rtol=0, atol=1e-12)
    for moved in range(1, 4):
        other = latent.clone()
        other[:, moved] += 1
        assert (network(other, action) - expected)[:, 0].abs().max() > 1e-4
    # Alone, an object receives nothing: its change is the node network of itself and zeros.
    alone, still = latent[:, :1], action[:, :1]
    features = torch.cat([alone, alone.new_zeros(1, 1, 4, 5), still], dim=-1)
    hidden = network.node_norm(linear(network.node_hidden, linear(network.node_in, features).relu()))
    torch.testing.assert_close(
        network(alone, still), linear(network.node_out, hidden.relu()), rtol=0, atol=1e-12
    )


def test_distance_is_twice_the_squared_distance_averaged_over_objects() -> None:
    latent, other = torch.zeros(2, 5, 4, 2), torch.zeros(2, 5, 4, 2)
    other[0, 0, 3, 1] = 3
    other[1, :, 0, 0] = 2
    # 0.5 / 0.5² = 2; the first sample has 9 at one of 5 objects, the second 4 at each.
    assert _model("sen").distance(latent, other).tolist() == pytest.approx([2 * 9 / 5, 2 * 4])
    assert _model("none").distance(latent[..., 0], other[..., 0]).tolist() == pytest.approx([0, 2 * 4])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64], ids=str)
def test_full_precision_widens_only_what_is_narrow(dtype: torch.dtype) -> None:
    wide = dtype if dtype == torch.float64 else torch.float32
    x = torch.ones(2, 3, dtype=dtype)
    assert full_precision(x).dtype == wide
    layer = nn.Linear(3, 4, dtype=wide)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert apply_in_full_precision(layer, x).dtype == wide


def test_worlds_that_do_not_fit_are_refused_by_one_line() -> None:
    symmetry = grid_symmetry(5, 5)

    def build(**options: Any) -> WorldModel:
        settings: dict[str, Any] = {"symmetry": symmetry, "observation_shape": (50, 50, 3)} | options
        return build_object_model("sen", **settings)

    with pytest.raises(ConfigError, match="square images, not 40x50"):
        build(observation_shape=(40, 50, 3))
    with pytest.raises(ConfigError, match="side 45 cannot be cut into patches of side 10"):
        build(observation_shape=(45, 45, 3), spaces=SHAPES_2D)
    group = Group.cyclic(4)
    turns_only = Symmetry(group, {"direction": Representation.regular(group)}, twin_elements=(1,))
    with pytest.raises(ConfigError, match="permutation representation 'object'; this one has direction"):
        build(symmetry=turns_only)
    parts = symmetry.representations
    by_direction = {**parts, "action": parts["direction"].tensor_product(parts["object"], "action")}
    with pytest.raises(ConfigError, match="object models need actions 4·object \\+ move"):
        build(symmetry=Symmetry(symmetry.group, by_direction, twin_elements=symmetry.twin_elements))

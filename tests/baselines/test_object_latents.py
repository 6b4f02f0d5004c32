"""Latents of grid worlds other than the default ones: vectors of the plane, and the numbers of `none`."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from sen_bench.baselines import WorldModel, parameter_count
from sen_bench.baselines.latents import from_regular, signed, to_regular, turn_table
from sen_bench.errors import ConfigError
from sen_bench.symmetry import Representation
from sen_bench.tasks import get_task

NARROW = {"embedding_channels": 2, "hidden": 5}
PAPER = {"standard_latents": 1, "regular_latents": 1}
SIZES = [PAPER, {"standard_latents": 2, "regular_latents": 0}, {"standard_latents": 3, "regular_latents": 2}]
GROUP = torch.arange(480)  # element 120·k + p: k quarters, the p-th permutation of the objects

# What a quarter turn, counter-clockwise, does to one object's ρ_std ⊕ ρ_reg: a vector (up, right) becomes
# (right, -up), and what was in direction d is in direction d - 1.
QUARTER = torch.tensor(
    [
        [0, 1, 0, 0, 0, 0],
        [-1, 0, 0, 0, 0, 0],
        [0, 0, 0, 1, 0, 0],
        [0, 0, 0, 0, 1, 0],
        [0, 0, 0, 0, 0, 1],
        [0, 0, 1, 0, 0, 0],
    ],
    dtype=torch.float64,
)


def _model(task: str, kind: str, options: dict[str, int]) -> WorldModel:
    torch.manual_seed(0)
    return get_task(task).build_model(kind, NARROW | options).double().eval()


def _permutation(task: str, name: str) -> Tensor:
    table = get_task(task).world().symmetry.representations[name]
    assert isinstance(table, Representation)
    return torch.tensor(table.permutation)


def _random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("options", SIZES, ids=str)
@pytest.mark.parametrize("task", ["rush-hour", "2d-shapes"])
def test_the_encoder_and_the_transition_are_equivariant_for_every_element(
    task: str, options: dict[str, int]
) -> None:
    """The networks are those of `full` too, whose S is tested by itself."""
    model = _model(task, "sen", options)
    moves = _permutation(task, "action")
    embedding = _random(1, *model.embedding_shape).sigmoid()
    many = embedding.expand(480, *model.embedding_shape)
    latent = model.encode(many)
    assert latent.shape == (480, 5, 2 * options["standard_latents"] + 4 * options["regular_latents"])
    moved = model.encode(model.transform_embedding(GROUP, many))
    torch.testing.assert_close(moved, model.transform_latent(GROUP, latent), rtol=0, atol=1e-12)
    assert (moved - latent).abs().amax(dim=(1, 2))[1:].min() > 1e-3  # the encoder is not constant
    for action in range(4):
        following = model.transition(latent, torch.full((480,), action))
        after = model.transition(model.transform_latent(GROUP, latent), moves[:, action])
        torch.testing.assert_close(after, model.transform_latent(GROUP, following), rtol=0, atol=1e-12)
        assert (following - latent).abs().max() > 1e-3


@pytest.mark.parametrize("kind", ["sen", "full"])
def test_the_papers_latent_of_a_car_is_a_vector_and_a_regular_feature(kind: str) -> None:
    model = _model("rush-hour", kind, PAPER)
    assert model.latent_shape == (5, 6)
    latent = _random(480, 5, 6)
    moved = model.transform_latent(GROUP, latent)
    renamed = _permutation("rush-hour", "object")
    for element in range(480):
        turned = latent[element] @ torch.linalg.matrix_power(QUARTER, element // 120).T
        assert torch.equal(moved[element, renamed[element]], turned)


def test_full_carries_a_turned_picture_to_the_turned_prediction() -> None:
    model = _model("rush-hour", "full", PAPER)
    observation, action = _random(2, 3, 50, 50).sigmoid(), torch.tensor([2, 17])
    predicted = model(observation, action)
    for turns in range(4):
        moved = model(torch.rot90(observation, turns, (-2, -1)), action)
        expected = model.transform_latent(torch.full((2,), 120 * turns), predicted)
        torch.testing.assert_close(moved, expected, rtol=0, atol=1e-12)
    assert predicted.std() > 1e-3


@pytest.mark.parametrize(("standard", "regular"), [(1, 1), (2, 0), (3, 2)])
def test_vectors_lie_in_regular_features_with_the_same_distances(standard: int, regular: int) -> None:
    latents = _random(7, 3, 2 * standard + 4 * regular)
    features = to_regular(latents, standard=standard)
    assert features.shape == (7, 3, 4, standard + regular)
    torch.testing.assert_close(features.flatten(2).norm(dim=2), latents.norm(dim=2))
    torch.testing.assert_close(from_regular(features, standard=standard), latents)
    turned = signed(latents, standard=standard)[..., turn_table(standard=standard, regular=regular)[1]]
    torch.testing.assert_close(to_regular(turned, standard=standard), features.roll(-1, dims=-2))
    # The transpose, of features that are none of vectors: ⟨to x, y⟩ = ⟨x, from y⟩.
    others = _random(7, 3, 4, standard + regular).flip(0)
    torch.testing.assert_close(
        (features * others).sum(), (latents * from_regular(others, standard=standard)).sum()
    )


@pytest.mark.parametrize(
    ("kind", "options", "count"),
    [
        ("sen", PAPER, 1_364_344),
        ("full", PAPER, 1_356_281),
        ("none", {"plain_latents": 6}, 1_396_352),
        ("none", {"plain_latents": 16}, 1_421_972),
    ],
)
def test_documented_sizes(kind: str, options: dict[str, int], count: int) -> None:
    model = get_task("rush-hour").build_model(kind, options)
    assert parameter_count(model) == count
    assert model.latent_shape == (5, options.get("plain_latents", 6))


@pytest.mark.parametrize(("kind", "options"), [("sen", {"standard_latents": 0, "regular_latents": 2})])
def test_sizes_that_are_the_tasks_own_change_nothing(kind: str, options: dict[str, int]) -> None:
    models = [_model("rush-hour", kind, given) for given in ({}, options)]
    states = [model.state_dict() for model in models]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    assert models[0].latent_shape == models[1].latent_shape == (5, 4, 2)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("none", PAPER, "model none has no option standard_latents; its latents are given by plain_latents"),
        (
            "sen",
            {"plain_latents": 6},
            "model sen has no option plain_latents; .* by standard_latents and regular_latents",
        ),
        ("full", {"regular_latents": -1}, "regular_latents must not be negative, as -1 is"),
        (
            "sen",
            {"regular_latents": 0},
            "model sen would have empty latents; give standard_l",
        ),
        ("none", {"plain_latents": 0}, "model none would have empty latents; give plain_latents at least 1"),
    ],
)
def test_latents_that_a_model_cannot_have_are_refused(
    kind: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        get_task("rush-hour").build_model(kind, options)

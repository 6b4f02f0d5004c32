"""Maps of objects behind masks, `masked_fields` of Rush Hour, and what equivariant layers read from codes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sen_bench.baselines import WorldModel, parameter_count
from sen_bench.baselines.layers import C4Linear
from sen_bench.baselines.object_embeddings import MaskedEmbedding
from sen_bench.errors import ConfigError
from sen_bench.symmetry import Representation
from sen_bench.tasks import get_task

KINDS = ("sen", "full", "none")
FIELDS = 3
GROUP = torch.arange(480)  # element 120·k + p: k quarters, the p-th permutation of the objects


def _model(kind: str, **options: int) -> WorldModel:
    torch.manual_seed(0)
    given = {"embedding_channels": 4, "hidden": 5, "masked_fields": FIELDS, **options}
    return get_task("rush-hour").build_model(kind, given).double()


def _frames(count: int) -> Tensor:
    world = get_task("rush-hour").world()
    states = [world.reset(seed=seed)[1]["state"] for seed in range(count)]
    pictures = torch.stack([torch.from_numpy(world.render_states(state[None])[0]) for state in states])
    return pictures.permute(0, 3, 1, 2).double() / 255


def _embedding(model: WorldModel) -> MaskedEmbedding:
    assert isinstance(model.embedding, MaskedEmbedding)
    return model.embedding


@pytest.mark.parametrize("kind", KINDS)
def test_maps_are_masks_times_codes_that_all_objects_share(kind: str) -> None:
    model, frames = _model(kind).eval(), _frames(4)
    maps, network = model.embed(frames), _embedding(model)
    assert maps.shape == (4, *model.embedding_shape) == (4, 5, FIELDS, 4, 5, 5)
    masks, codes = network.masks(frames), network.codes(frames)
    for thing in range(5):
        for field in range(FIELDS):
            for place in range(4):
                expected = masks[:, thing] * (2 * codes[:, 4 * field + place] - 1)
                torch.testing.assert_close(maps[:, thing, field, place], expected, rtol=0, atol=0)


@pytest.mark.parametrize("kind", ["sen", "full"])
def test_the_encoder_is_equivariant_for_every_element(kind: str) -> None:
    model = _model(kind, standard_latents=1, regular_latents=1).eval()
    maps = model.embed(_frames(1)).expand(480, *model.embedding_shape)
    latent = model.encode(maps)
    moved = model.encode(model.transform_embedding(GROUP, maps))
    torch.testing.assert_close(moved, model.transform_latent(GROUP, latent), rtol=0, atol=1e-12)
    assert (moved - latent).abs().amax(dim=(1, 2))[120:].min() > 1e-5  # every turn moves latents


def test_turns_move_every_field_and_renamings_the_objects() -> None:
    model = _model("sen")
    maps = torch.randn(480, *model.embedding_shape, dtype=torch.float64)
    moved = model.transform_embedding(GROUP, maps)
    table = get_task("rush-hour").world().symmetry.representations["object"]
    assert isinstance(table, Representation)
    for element in GROUP.tolist():
        turned = torch.rot90(maps[element], element // 120, (-2, -1)).roll(-(element // 120), dims=2)
        assert torch.equal(moved[element, torch.tensor(table.permutation)[element]], turned)


def test_full_carries_a_turned_picture_to_turned_maps() -> None:
    model, frames = _model("full").eval(), _frames(3)
    maps = model.embed(frames)
    for turns in range(4):
        turned = model.embed(torch.rot90(frames, turns, (-2, -1)))
        expected = model.transform_embedding(torch.full((3,), 120 * turns), maps)
        torch.testing.assert_close(turned, expected, rtol=0, atol=1e-12)
    assert maps.std(dim=(-2, -1)).min() > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_masks_begin_alike_and_codes_far_apart(kind: str) -> None:
    network = _embedding(_model(kind, embedding_channels=32).train())
    frames = _frames(64)
    masks, codes = network.masks(frames), 2 * network.codes(frames) - 1
    assert (masks - 0.5).abs().max() < 0.1
    cars = torch.nn.functional.max_pool2d(frames.amax(dim=1, keepdim=True), 10) > 0
    assert codes.abs()[cars.expand_as(codes)].mean() > 0.75


@pytest.mark.parametrize("kind", KINDS)
def test_codes_begin_blind_to_uniform_colours_and_tell_headings_apart(kind: str) -> None:
    network = _embedding(_model(kind, embedding_channels=32, masked_fields=16).train())
    white, coloured = torch.rand(2, 4, 3, 1, 1, dtype=torch.float64).expand(2, 4, 3, 50, 50)
    # Weights are made in float32, and batch normalisation makes the little that is left of colours larger.
    torch.testing.assert_close(network.codes(white), network.codes(coloured), rtol=0, atol=1e-2)
    world = get_task("rush-hour").world()
    states = np.array([[[car, car, (car + turns) % 4] for car in range(5)] for turns in range(4)])
    pictures = np.stack([world.render_states(state[None])[0] for state in states])
    codes = 2 * network.codes(torch.from_numpy(pictures).permute(0, 3, 1, 2).double() / 255) - 1
    of_cars = codes.diagonal(dim1=-2, dim2=-1)  # [turns, code, car]
    assert (of_cars.var(dim=0, unbiased=False).mean() / of_cars.square().mean()) > 0.4


def test_equivariant_layers_bring_four_codes_to_order_from_four_fields_on() -> None:
    """Random codes of four headings go to the four places of one field by a linear map that commutes with C4.

    In frequencies, such a map is one matrix for each, so the four codes must be independent in every one.
    """
    draw = torch.Generator().manual_seed(0)
    for fields, possible in ((4, True), (16, True), (3, False)):
        codes = torch.randint(2, (4, 4, fields), generator=draw).double() * 2 - 1  # [heading, place, field]
        layer = C4Linear(fields, 1).double()
        # Its outputs are linear in its weights: solve for those that give heading h the place h.
        columns = []
        for number in range(4 * fields):
            with torch.no_grad():
                layer.weight.zero_().view(-1)[number] = 1
                layer.bias.zero_()
                columns.append(layer(codes).flatten())
        matrix, wanted = torch.stack(columns, dim=1), torch.eye(4, dtype=torch.float64).flatten()
        solution = torch.linalg.lstsq(matrix, wanted[:, None], driver="gelsd").solution
        off = (matrix @ solution - wanted[:, None]).abs().max().item()
        assert (off < 1e-10) is possible, (fields, off)


@pytest.mark.parametrize("kind", KINDS)
def test_maps_stay_float32_where_networks_compute_in_bfloat16(kind: str) -> None:
    model, frames = _model(kind).float().train(), _frames(8).float()
    exact = model.embed(frames)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        maps = model.embed(frames)
    assert maps.dtype == torch.float32
    # Codes differ by a few roundings of bfloat16; their weights are large.
    assert 0 < (maps - exact).abs().mean() < 0.02


@pytest.mark.parametrize(("kind", "count"), [("sen", 1_759_657), ("full", 1_743_049), ("none", 2_170_541)])
def test_documented_sizes(kind: str, count: int) -> None:
    assert parameter_count(get_task("rush-hour").build_model(kind, {"masked_fields": 16})) == count


@pytest.mark.parametrize("kind", KINDS)
def test_no_masked_fields_are_the_models_of_the_task(kind: str) -> None:
    plain, none = (_state(kind, options) for options in ({}, {"masked_fields": 0}))
    assert plain.keys() == none.keys()
    assert all(torch.equal(value, none[name]) for name, value in plain.items())


def _state(kind: str, options: dict[str, int]) -> dict[str, Tensor]:
    torch.manual_seed(0)
    return get_task("rush-hour").build_model(kind, options).state_dict()


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        ("rush-hour", {"masked_fields": -1}, "masked_fields must not be negative, as -1 is"),
        ("2d-shapes", {"masked_fields": 4}, "masked_fields are for worlds whose objects have headings"),
    ],
)
def test_fields_that_a_model_cannot_have_are_refused(
    task: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        get_task(task).build_model("sen", options)

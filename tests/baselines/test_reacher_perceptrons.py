"""Reacher's perceptrons: what they compute, equivariance for every element of D4, sizes, checkpoints."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sen_bench.baselines.kinds import KINDS
from sen_bench.baselines.model import parameter_count
from sen_bench.baselines.reacher import ReacherModel, build_reacher_model
from sen_bench.baselines.reacher_perceptrons import FrameEmbedding, OrbitPerceptron
from sen_bench.envs.reacher import reacher_symmetry
from sen_bench.errors import ConfigError, UnknownNameError

EQUIVARIANT = ("sen", "full")
ELEMENTS = torch.arange(8)


def _build(
    kind: str,
    *,
    networks: str = "perceptrons",
    channels: int = 6,
    embedding_channels: int | None = 5,
    hidden: int | None = 3,
    plain_latents: int | None = None,
    seed: int = 0,
) -> ReacherModel:
    torch.manual_seed(seed)
    return build_reacher_model(
        kind,
        symmetry=reacher_symmetry(),
        observation_shape=(128, 128, channels),
        networks=networks,
        embedding_channels=embedding_channels,
        hidden=hidden,
        plain_latents=plain_latents,
    )


def _trained(kind: str, *, training: bool = False) -> ReacherModel:
    """A small model in float64, its numbers away from their initial values: zeros of T would hide all."""
    model = _build(kind).double().train(training)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for x in model.parameters():
            x.add_(0.2 * torch.rand(x.shape, generator=generator, dtype=x.dtype))
    return model


def _random(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(3), dtype=dtype)


def _embedding() -> FrameEmbedding:
    torch.manual_seed(1)
    return FrameEmbedding(image_channels=6, image_side=128, numbers=7, regular=False)


def _each_moved(image: Tensor) -> Tensor:
    """An image moved by every element of D4: from 4 on, rows are reflected first; then it is turned."""
    return torch.stack([torch.rot90(image.flip(-2) if g >= 4 else image, g % 4, (-2, -1)) for g in range(8)])


@pytest.mark.parametrize("kind", KINDS)
def test_shapes_are_those_announced(kind: str) -> None:
    model = _build(kind)
    embedding = model.embed(_random(2, 6, 128, 128, dtype=torch.float32))
    latent = model.encode(embedding)
    assert embedding.shape == (2, *model.embedding_shape) == (2, 8, *((8,) if kind == "full" else ()), 9, 9)
    assert latent.shape == (2, *model.latent_shape) == (2, 4, *((8,) if kind != "none" else ()))


@pytest.mark.parametrize("networks", ["convolutions", "perceptrons"])
def test_latents_of_none_have_as_many_numbers_as_they_are_told(networks: str) -> None:
    model = _build("none", networks=networks, plain_latents=32)
    latent = model.encode(_random(2, *model.embedding_shape, dtype=torch.float32))
    following = model.transition(latent, torch.ones(2, 2))
    assert latent.shape == following.shape == (2, *model.latent_shape) == (2, 32)


@pytest.mark.parametrize("kind", KINDS)
def test_embeddings_and_latents_are_float32_under_autocast(kind: str) -> None:
    model = _build(kind)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        embedding = model.embed(_random(2, 6, 128, 128, dtype=torch.float32))
        latent = model.encode(embedding)
        following = model.transition(latent, torch.ones(2, 2))
    assert {x.dtype for x in (embedding, latent, following)} == {torch.float32}


@pytest.mark.parametrize("kind", KINDS)
def test_first_latents_are_apart_but_not_by_many_margins_of_the_loss(kind: str) -> None:
    model = _build(kind, embedding_channels=None, hidden=None, plain_latents=32 if kind == "none" else None)
    latent = model.encode(model.embed(_random(16, 6, 128, 128, dtype=torch.float32))).detach()
    assert 0.01 < float(model.distance(latent, latent.roll(1, 0)).mean()) < 10


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("kind", EQUIVARIANT)
def test_the_encoder_is_equivariant_for_every_element(kind: str, training: bool) -> None:  # noqa: FBT001
    model = _trained(kind, training=training)
    embedding = _random(1, *model.embedding_shape).expand(8, *model.embedding_shape)
    latent = model.encode(embedding)
    moved = model.encode(model.transform_embedding(ELEMENTS, embedding))
    torch.testing.assert_close(moved, model.transform_latent(ELEMENTS, latent), rtol=0, atol=1e-12)
    # Not because the encoder is constant.
    assert (moved - latent).abs().amax(dim=(1, 2))[1:].min() > 1e-4


@pytest.mark.parametrize("kind", EQUIVARIANT)
def test_the_transition_is_equivariant_for_every_element(kind: str) -> None:
    model = _trained(kind)
    latent = _random(1, 4, 8).expand(8, 4, 8)
    torques = torch.tensor([0.7, -0.2], dtype=torch.float64).expand(8, 2)
    matrices = torch.from_numpy(reacher_symmetry().representations["action"].matrix.copy())
    following = model.transition(latent, torques)
    moved = model.transition(
        model.transform_latent(ELEMENTS, latent), (matrices @ torques[..., None])[..., 0]
    )
    torch.testing.assert_close(moved, model.transform_latent(ELEMENTS, following), rtol=0, atol=1e-12)
    assert (following - latent).abs().max() > 1e-3
    assert (model.transition(latent, -torques) - following).abs().max() > 1e-3


@pytest.mark.parametrize("training", [False, True])
def test_full_embeds_images_of_even_sides_equivariantly_for_every_element(training: bool) -> None:  # noqa: FBT001
    model = _trained("full", training=training)
    image = _random(6, 128, 128)
    # Two images at a time, as norms need in training; running statistics change, but not what is returned.
    still, moved = (
        torch.cat([model.embed(torch.stack([each, each / 2])) for each in images])[::2]
        for images in (image.expand(8, -1, -1, -1), _each_moved(image))
    )
    torch.testing.assert_close(moved, model.transform_embedding(ELEMENTS, still), rtol=0, atol=1e-10)
    assert (moved - still).flatten(1).abs().amax(dim=1)[1:].min() > 1e-3
    assert model.image_equivariance == "exact"
    transformed = model.transform_observation(ELEMENTS, image.expand(8, -1, -1, -1))
    assert torch.equal(transformed, _each_moved(image))


@pytest.mark.parametrize("kind", ["sen", "none"])
def test_what_the_group_does_to_images_is_not_assumed_but_in_full(kind: str) -> None:
    model = _build(kind)
    assert model.image_equivariance is None
    assert model.equivariant is (kind == "sen")


def test_the_embedding_projects_each_frame_by_itself() -> None:
    network = _embedding().double().train()
    images = _random(4, 6, 128, 128)
    frames = images.view(4, 2, 3, 32, 4, 32, 4).mean(dim=(4, 6)).flatten(2)
    numbers = (frames.numpy() @ network.get_buffer("projection").numpy().T).reshape(8, 7)
    standard = (numbers - numbers.mean(axis=0)) / np.sqrt(numbers.var(axis=0) + network.standardise.eps)
    expected = standard @ network.last.weight.detach().numpy().T + network.last.bias.detach().numpy()
    np.testing.assert_allclose(network(images).detach().numpy(), expected.reshape(4, 8, 9, 9), atol=1e-9)
    # Half of the maps see nothing of the other frame.
    network.eval()
    other = images.clone()
    other[:, 3:] = 1 - other[:, 3:]
    assert torch.equal(network(other)[:, :4], network(images)[:, :4])
    assert (network(other)[:, 4:] - network(images)[:, 4:]).abs().amax(dim=(1, 2, 3)).min() > 1e-3


def test_neither_what_is_alike_in_all_images_nor_contrast_matters() -> None:
    network = _embedding().double().train()
    images = _random(4, 6, 128, 128)
    # Frames share their numbers' mean, so they share the background too.
    background = _random(3, 128, 128).repeat(2, 1, 1)
    torch.testing.assert_close(network(0.1 * images + background), network(images), rtol=0, atol=1e-3)


def test_motion_of_a_few_grey_levels_survives_autocast() -> None:
    network = _embedding().train()
    dim = 0.5 + _random(4, 6, 128, 128, dtype=torch.float32) / 1000
    exact = network(dim)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        maps = network(dim)
    assert maps.dtype == torch.float32
    torch.testing.assert_close(maps, exact, rtol=0, atol=1e-4)
    assert (exact[0] - exact[1]).norm() > 0.1


def test_the_encoder_is_one_layer_for_every_element_and_then_linear_maps_of_fields() -> None:
    torch.manual_seed(2)
    network = OrbitPerceptron(3, regular=False).double()
    maps = _random(1, 8, 9, 9)
    inverse = reacher_symmetry().group.inverse
    moved = _each_moved(maps[0])
    fields = torch.stack([network.first(moved[inverse[g]].flatten()) for g in range(8)]).relu()
    latent = network.layers(fields.flatten()[None, :, None, None])
    torch.testing.assert_close(network(maps)[0], latent.view(8, 4).T, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_the_transition_predicts_no_change_at_first_and_learns(kind: str) -> None:
    model = _build(kind)
    latent, torques = _random(3, *model.latent_shape, dtype=torch.float32), torch.ones(3, 2)
    following = model.transition(latent, torques)
    assert torch.equal(following, latent)
    following.square().sum().backward()  # type: ignore[no-untyped-call]
    gradients = [x.grad for x in model.network.parameters() if x.grad is not None]
    assert any(gradient.abs().max() > 0 for gradient in gradients)


_S = 192 * 324 + 324
# E after its first layer, and T: 8 weights for two regular fields, and 2 for a pair (a, -a) and a field.
_STEERABLE = (8 * 64 * 64 + 64 + 8 * 64 * 4 + 4) + (
    2 * 2 * 64 + 8 * 4 * 64 + 64 + 8 * 64 * 64 + 64 + 8 * 64 * 4 + 4
)
_ORDINARY = (256 * 256 + 256 + 256 * 4 + 4) + (6 * 256 + 256 + 256 * 256 + 256 + 2 * 256 + 256 * 4 + 4)


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        ("sen", _S + (648 * 64 + 64) + _STEERABLE),
        ("full", _S + (8 * 648 * 64 + 64) + _STEERABLE),
        ("none", _S + (648 * 256 + 256) + _ORDINARY),
    ],
)
def test_parameter_counts_are_those_of_the_layers(kind: str, count: int) -> None:
    assert parameter_count(_build(kind, embedding_channels=None, hidden=None)) == count


@pytest.mark.parametrize("kind", KINDS)
def test_checkpoints_hold_the_projection_which_is_not_trained(kind: str) -> None:
    model, fresh = _build(kind).eval(), _build(kind, seed=5).eval()
    image = _random(2, 6, 128, 128, dtype=torch.float32)
    assert not torch.equal(fresh.embed(image), model.embed(image))
    fresh.load_state_dict(model.state_dict())
    assert torch.equal(fresh.embed(image), model.embed(image))
    assert not any("projection" in name for name, _ in model.named_parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_the_default_is_the_papers_convolutions(kind: str) -> None:
    torch.manual_seed(0)
    plain = build_reacher_model(
        kind,
        symmetry=reacher_symmetry(),
        observation_shape=(128, 128, 6),
        embedding_channels=2,
        hidden=3,
    )
    named = _build(kind, networks="convolutions", embedding_channels=2).state_dict()
    assert plain.state_dict().keys() == named.keys()
    assert all(torch.equal(value, named[name]) for name, value in plain.state_dict().items())
    assert not any(isinstance(layer, nn.Linear) for layer in plain.embedding.modules())


def test_networks_and_channels_that_do_not_fit_are_refused_in_one_line() -> None:
    with pytest.raises(UnknownNameError, match=r"'dense'.*convolutions, perceptrons"):
        _build("sen", networks="dense")
    with pytest.raises(ConfigError, match=r"share 8 maps between frames of 3 channels each; .* 9 channels"):
        _build("sen", channels=9)
    with pytest.raises(ConfigError, match="with 4 channels"):
        _build("sen", channels=4)
    with pytest.raises(ConfigError, match="embedding_channels must be at least 1, not 0"):
        _build("sen", embedding_channels=0)
    with pytest.raises(ConfigError, match="plain_latents must be at least 1, not 0"):
        _build("none", plain_latents=0)
    with pytest.raises(ConfigError, match="model sen of Reacher has no option plain_latents"):
        _build("sen", plain_latents=32)

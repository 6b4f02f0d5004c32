"""Models of 3D Teapot: rotations whatever the network says, and T equivariant where it claims to be."""

from __future__ import annotations

import copy
from typing import Any, TypeAlias, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from sen_bench.baselines.model import WorldModel
from sen_bench.baselines.rotations import DEGENERATE, gram_schmidt
from sen_bench.baselines.teapot import KINDS, RotationModel, build_teapot_model
from sen_bench.baselines.tensor_field import TensorFieldLayer
from sen_bench.envs.grid import grid_symmetry
from sen_bench.envs.teapot import Teapot, teapot_symmetry
from sen_bench.errors import ConfigError
from sen_bench.symmetry import SO3

EQUIVARIANT = ("matmul", "tfn")
SMALL: dict[str, dict[str, int]] = {
    "matmul": {"embedding_channels": 2},
    "tfn": {"embedding_channels": 2, "hidden": 3},
    "none": {"embedding_channels": 2, "hidden": 8},
}
Models: TypeAlias = dict[str, RotationModel]


def _build(kind: str, **options: Any) -> RotationModel:
    settings: dict[str, Any] = {"symmetry": teapot_symmetry(), "observation_shape": (64, 64, 1)}
    return build_teapot_model(kind, **(settings | SMALL[kind] | options))


@pytest.fixture(scope="module")
def models() -> Models:
    """Small models, shared: whoever changes one takes a copy."""
    torch.manual_seed(0)
    return {kind: _build(kind) for kind in KINDS}


@pytest.fixture(scope="module")
def exact(models: Models) -> Models:
    """The same in float64."""
    return {kind: copy.deepcopy(model).double() for kind, model in models.items()}


def _rotations(count: int, seed: int) -> Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(np.stack([SO3().sample(rng) for _ in range(count)]))


def _random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def _vectors(count: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(count, 2, 3, generator=torch.Generator().manual_seed(0), dtype=dtype)


def _assert_rotations(matrices: Tensor, *, atol: float) -> None:
    eye = torch.eye(3, dtype=matrices.dtype).expand_as(matrices)
    torch.testing.assert_close(matrices.mT @ matrices, eye, rtol=0, atol=atol)
    determinants = torch.linalg.det(matrices)
    torch.testing.assert_close(determinants, torch.ones_like(determinants), rtol=0, atol=atol)


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float32, 1e-6), (torch.float64, 1e-14)])
def test_gram_schmidt_gives_rotations_of_the_documented_columns(dtype: torch.dtype, atol: float) -> None:
    vectors = _vectors(1000, dtype)
    rotations = gram_schmidt(vectors)
    _assert_rotations(rotations, atol=atol)
    x, y, z = rotations.unbind(-1)
    u, v = vectors.unbind(-2)
    # u lies along x, v in the half-plane of x and y with positive y.
    assert ((u * x).sum(-1) > 0).all()
    torch.testing.assert_close(torch.linalg.cross(u, x), torch.zeros_like(u), rtol=0, atol=10 * atol)
    assert ((v * y).sum(-1) > 0).all()
    torch.testing.assert_close((v * z).sum(-1), torch.zeros_like(v[:, 0]), rtol=0, atol=1e3 * atol)


def test_gram_schmidt_of_a_rotations_first_columns_is_the_rotation() -> None:
    rotations = _rotations(20, 0)
    torch.testing.assert_close(gram_schmidt(rotations.mT[:, :2]), rotations, rtol=0, atol=1e-14)


def test_gram_schmidt_turns_with_its_vectors() -> None:
    vectors = _vectors(100)
    for g in _rotations(20, 1):
        turned = gram_schmidt(vectors @ g.T)
        torch.testing.assert_close(turned, g @ gram_schmidt(vectors), rtol=0, atol=1e-12)


def test_gram_schmidt_of_undefined_directions_is_a_rotation_without_gradient_to_the_vector_at_fault() -> None:
    tiny = DEGENERATE / 10
    u, v = torch.tensor([0.3, -0.2, 0.5]), torch.tensor([0.1, 0.4, 0.2])
    cases = {
        "nothing": (torch.zeros(3), torch.zeros(3)),
        "no u": (torch.zeros(3), v),
        "no v": (u, torch.zeros(3)),
        "short u": (tiny * u, v),
        "parallel": (u, 2 * u),
        "opposite": (u, -u),
        "nearly parallel": (u, u + tiny * v),
        "along an axis": (torch.tensor([1.0, 0, 0]), torch.tensor([2.0, 0, 0])),
        "u absent, v its substitute": (torch.zeros(3), torch.tensor([1.0, 0, 0])),
    }
    vectors = torch.stack([torch.stack(pair) for pair in cases.values()]).requires_grad_()
    rotations = gram_schmidt(vectors)
    _assert_rotations(rotations.detach(), atol=1e-6)
    (rotations * _random(3, 3)).sum().backward()  # type: ignore[no-untyped-call]
    assert vectors.grad is not None
    assert vectors.grad.isfinite().all()
    names = list(cases)
    assert not vectors.grad[[names.index(name) for name in ("no u", "short u")], 0].any()
    faulty_v = ("no v", "parallel", "opposite", "nearly parallel", "along an axis")
    assert not vectors.grad[[names.index(name) for name in faulty_v], 1].any()


@pytest.mark.parametrize("angle", [2, 10, 1000])
def test_gradients_near_degeneracy_stay_within_their_bound(angle: int) -> None:
    """Just outside the undefined, at some multiples of the threshold, where float32 is at its worst."""
    u = _random(200, 3) - 0.5
    v = u + angle * DEGENERATE * (_random(200, 3, seed=1) - 0.5)
    vectors = torch.stack([u, v], dim=1).requires_grad_()
    rotations = gram_schmidt(vectors)
    _assert_rotations(rotations.detach(), atol=1e-5)
    (rotations * _random(3, 3)).sum().backward()  # type: ignore[no-untyped-call]
    assert vectors.grad is not None
    assert vectors.grad.isfinite().all()
    assert vectors.grad.norm(dim=-1).mul(u.norm(dim=-1, keepdim=True)).max() < 10 / DEGENERATE


def test_gram_schmidt_of_narrow_vectors_is_as_exact_as_of_others() -> None:
    vectors = _vectors(100, torch.float32).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rotations = gram_schmidt(vectors)
    assert torch.equal(rotations, gram_schmidt(vectors.float()))


def test_gram_schmidt_differentiates_as_its_formula() -> None:
    assert torch.autograd.gradcheck(gram_schmidt, _vectors(5).requires_grad_())


@pytest.mark.parametrize("kind", EQUIVARIANT)
def test_the_transition_is_equivariant_for_random_rotations(kind: str, exact: Models) -> None:
    model = exact[kind]
    assert model.equivariant
    latent, action = _rotations(30, 0), _rotations(30, 1)
    following = model.transition(latent, action)
    _assert_rotations(following, atol=1e-12)
    for g in _rotations(20, 2):
        elements = g.expand(30, 3, 3)
        turned = model.transition(model.transform_latent(elements, latent), g @ action @ g.T)
        expected = model.transform_latent(elements, following)
        torch.testing.assert_close(turned, expected, rtol=0, atol=1e-12)
    # Not because it gives the latent back, or takes no notice of the action.
    assert (following - latent).flatten(1).norm(dim=1).min() > 1e-2
    assert (following - model.transition(latent, action.roll(1, 0))).flatten(1).norm(dim=1).min() > 1e-2


def test_the_ordinary_transition_is_not_equivariant(exact: Models) -> None:
    model = exact["none"]
    assert not model.equivariant
    latent, action, g = _rotations(30, 0), _rotations(30, 1), _rotations(30, 2)
    turned = model.transition(model.transform_latent(g, latent), g @ action @ g.mT)
    expected = model.transform_latent(g, model.transition(latent, action))
    assert (turned - expected).flatten(1).norm(dim=1).mean() > 0.5
    assert not model.equivariant


def test_every_layer_of_the_tensor_field_network_is_equivariant(exact: Models) -> None:
    network: Any = exact["tfn"].network
    layers = [layer for layer in network.modules() if isinstance(layer, TensorFieldLayer)]
    assert len(layers) == 3
    directions = _vectors(12)[:, 0].expand(2, 12, 3)
    g = _rotations(1, 3)[0]
    basis = network.change_of_basis
    of_matrix = basis.T @ torch.kron(g, g) @ basis
    of_degree = [of_matrix[:1, :1], g, of_matrix[4:, 4:]]

    def representation(irreps: Any) -> Tensor:
        blocks = [of_degree[irrep.l] for count, irrep in irreps for _ in range(count)]
        return cast("Tensor", torch.block_diag(*blocks))  # type: ignore[no-untyped-call]  # torch leaves it untyped

    def assert_equivariant(function: Any, irreps_in: Any, irreps_out: Any) -> None:
        of_input, of_output = representation(irreps_in), representation(irreps_out)
        features = _random(2, 4, len(of_input), dtype=torch.float64)
        turned = function(features @ of_input.T, directions @ g.T)
        expected = function(features, directions) @ of_output.T
        torch.testing.assert_close(turned, expected, rtol=0, atol=1e-12)

    for layer in layers:
        assert_equivariant(
            lambda x, r, layer=layer: layer(x, network.harmonics(r)),
            layer.own.irreps_in,
            layer.own.irreps_out,
        )
    for gate in network.gates:
        assert_equivariant(lambda x, _, gate=gate: gate(x), gate.irreps_in, gate.irreps_out)


def test_the_action_enters_the_tensor_field_network_whole(exact: Models) -> None:
    """Its nine entries and the features of degrees 0, 1 and 2 are the same in two orthonormal bases."""
    basis: Any = exact["tfn"].network
    gram = basis.change_of_basis.T @ basis.change_of_basis
    torch.testing.assert_close(gram, torch.eye(9, dtype=torch.float64), rtol=0, atol=1e-12)


def test_the_tensor_field_network_tells_the_columns_of_a_latent_apart(exact: Models) -> None:
    """A network of points without labels would give the same for the columns in any order."""
    model = exact["tfn"]
    latent, action = _rotations(30, 0), _rotations(30, 1)
    permuted = model.transition(latent[:, :, [1, 2, 0]], action)
    assert (permuted - model.transition(latent, action)).flatten(1).norm(dim=1).min() > 1e-2


@pytest.mark.parametrize("kind", KINDS)
def test_the_group_acts_on_latents_as_on_the_states_of_the_world(kind: str, models: Models) -> None:
    world, model = Teapot(), models[kind]
    states, actions, g = (_rotations(20, seed) for seed in range(3))
    for transform in (model.transform_embedding, model.transform_latent):
        turned = torch.from_numpy(world.transform_state(g.numpy(), states.numpy()))
        torch.testing.assert_close(transform(g, states), turned, rtol=0, atol=1e-14)
    turned_action = torch.from_numpy(world.transform_action(g.numpy(), actions.numpy()))
    torch.testing.assert_close(g @ actions @ g.mT, turned_action, rtol=0, atol=1e-14)


def test_the_matrix_product_is_what_the_world_does(models: Models) -> None:
    states, actions = _rotations(20, 0), _rotations(20, 1)
    following = torch.from_numpy(Teapot().step_states(states.numpy(), actions.numpy()))
    torch.testing.assert_close(models["matmul"].transition(states, actions), following, rtol=0, atol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_latents_are_rotations_from_pixels_on(kind: str, models: Models) -> None:
    model, action = models[kind], _rotations(8, 0)
    embedding = model.embed(_random(8, 1, 64, 64))
    latent = model.encode(embedding)
    following = model.transition(latent, action)
    assert torch.equal(latent, embedding)
    for rotations in (latent, following):
        assert rotations.shape == (8, *model.latent_shape) == (8, *model.embedding_shape) == (8, 3, 3)
        assert rotations.dtype == torch.float32
        _assert_rotations(rotations, atol=1e-5)


def test_distance_is_twice_the_squared_distance_and_16_for_half_a_turn(models: Models) -> None:
    model = models["matmul"]
    half_turn = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    pairs = torch.stack([torch.eye(3), half_turn])
    assert model.distance(torch.eye(3).expand(2, 3, 3), pairs).tolist() == [0, 16]
    a, b = _rotations(20, 0), _rotations(20, 1)
    angle = torch.arccos((torch.einsum("bij,bij->b", a, b) - 1) / 2)
    torch.testing.assert_close(model.distance(a, b), 16 * torch.sin(angle / 2) ** 2, rtol=1e-9, atol=0)
    assert not model.ee_normalised


@pytest.mark.parametrize("kind", KINDS)
def test_under_autocast_rotations_stay_float32_and_near(kind: str, models: Models) -> None:
    model, observation, action = models[kind], _random(8, 1, 64, 64), _rotations(8, 0)
    exact = model.embed(observation)
    following, distance = model.transition(exact, action), model.distance(exact, exact.roll(1, 0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        embedding = model.embed(observation)
        narrow = model.transition(exact, action)
        turned = model.transform_latent(action, exact)
        assert torch.equal(model.distance(exact, exact.roll(1, 0)), distance)
    for rotations in (embedding, narrow, turned):
        assert rotations.dtype == torch.float32
        _assert_rotations(rotations.detach(), atol=1e-5)
    torch.testing.assert_close(embedding, exact, rtol=0, atol=0.2)
    assert torch.equal(turned, model.transform_latent(action, exact))
    if model.equivariant:
        assert torch.equal(narrow, following)


def test_constants_stay_exact_whatever_was_loaded_or_cast(exact: Models) -> None:
    """A checkpoint of a float32 model carries e3nn's constants rounded, a float64 model has them exact."""
    trained = copy.deepcopy(exact["tfn"])
    trained.load_state_dict(_build("tfn").state_dict())
    recast = trained.float().double()
    latent, action, g = (_rotations(20, seed) for seed in range(3))
    turned = recast.transition(g @ latent, g @ action @ g.mT)
    torch.testing.assert_close(turned, g @ recast.transition(latent, action), rtol=0, atol=1e-12)


def test_a_copy_is_the_same_model_at_its_full_width() -> None:
    """Of e3nn's own copies, those of wide layers have constants that are neither exact nor in checkpoints."""
    model = build_teapot_model("tfn", symmetry=teapot_symmetry(), observation_shape=(64, 64, 1)).eval()
    model.network.requires_grad_(False)  # noqa: FBT003 - torch gives it no name
    state = torch.random.get_rng_state()
    copied = copy.deepcopy(model)
    assert torch.equal(torch.random.get_rng_state(), state)
    latent, action, g = (_rotations(20, seed) for seed in range(3))
    assert torch.equal(copied.transition(latent.float(), action), model.transition(latent.float(), action))
    assert copied.state_dict().keys() == model.state_dict().keys()
    assert not copied.network.training
    assert not any(parameter.requires_grad for parameter in copied.network.parameters())
    exact = copied.double()
    turned = exact.transition(g @ latent, g @ action @ g.mT)
    torch.testing.assert_close(turned, g @ exact.transition(latent, action), rtol=0, atol=1e-12)
    assert next(model.parameters()).dtype == torch.float32


def test_what_does_not_fit_is_refused_by_one_line() -> None:
    def build(**options: Any) -> WorldModel:
        settings: dict[str, Any] = {"symmetry": teapot_symmetry(), "observation_shape": (64, 64, 1)}
        return build_teapot_model("matmul", **(settings | options))

    with pytest.raises(ConfigError, match="square images, not 40x64"):
        build(observation_shape=(40, 64, 1))
    with pytest.raises(ConfigError, match=r"symmetry SO\(3\), not C4 x S5"):
        build(symmetry=grid_symmetry(5, 5))
    with pytest.raises(ConfigError, match="matmul has no option hidden"):
        build(hidden=8)

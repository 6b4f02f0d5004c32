"""The homeomorphic VAE: its latents turn with what acts on them, and its bound is what it says."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
import torch
from e3nn import o3
from torch import Tensor

from sen_bench.baselines.harmonic_action import HarmonicAction
from sen_bench.baselines.rotations import gram_schmidt
from sen_bench.baselines.variational import NARROWEST, VariationalRotationModel
from sen_bench.baselines.wrapped_normal import WIDEST
from sen_bench.errors import ConfigError
from sen_bench.symmetry import SO3
from sen_bench.tasks import default_models, get_task
from tests.support.registry import narrow_model


def _rotations(count: int, seed: int = 0) -> Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(np.stack([SO3().sample(rng) for _ in range(count)]))


def _images(count: int = 6) -> Tensor:
    return torch.rand(count, 1, 64, 64, generator=torch.Generator().manual_seed(0))


@cache
def _model() -> VariationalRotationModel:
    model = narrow_model("teapot-large", "vae").eval()
    assert isinstance(model, VariationalRotationModel)
    return model


@pytest.fixture
def model() -> VariationalRotationModel:
    """In evaluation mode; shared, and so not to be changed."""
    return _model()


def test_gram_schmidt_turns_with_its_vectors() -> None:
    vectors = torch.randn(40, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    turn = _rotations(40)
    turned = gram_schmidt(vectors @ turn.mT)
    torch.testing.assert_close(turned, turn @ gram_schmidt(vectors), rtol=0, atol=1e-12)


class TestHarmonics:
    action = HarmonicAction(degree=4, copies=5).double()

    def test_matrices_are_those_of_e3nn(self) -> None:
        rotations = _rotations(8)
        for degree, matrices in enumerate(self.action.matrices(rotations)):
            expected = o3.Irrep(degree, 1).D_from_matrix(rotations.float())
            torch.testing.assert_close(matrices.float(), expected, rtol=0, atol=1e-4)

    def test_they_are_a_representation(self) -> None:
        first, second = _rotations(8), _rotations(8, seed=1)
        pairs = zip(
            self.action.matrices(first),
            self.action.matrices(second),
            self.action.matrices(first @ second),
            strict=True,
        )
        for left, right, both in pairs:
            torch.testing.assert_close(left @ right, both, rtol=0, atol=1e-6)

    def test_content_turns_with_the_rotation(self) -> None:
        """ρ(g) ρ(z) c = ρ(g z) c, degree by degree."""
        turn, rotation = _rotations(8), _rotations(8, seed=1)
        moved, still = self.action(turn @ rotation), self.action(rotation)
        begin = 0
        for matrix in self.action.matrices(turn):
            end = begin + matrix.shape[-1] * 5
            expected = (matrix @ still[:, begin:end].view(8, -1, 5)).flatten(1)
            torch.testing.assert_close(moved[:, begin:end], expected, rtol=0, atol=1e-5)
            begin = end
        assert begin == self.action.width == moved.shape[1]

    def test_gradients_are_finite_where_euler_angles_have_none(self) -> None:
        rotation = torch.eye(3, dtype=torch.float64)[None].requires_grad_()
        torch.autograd.backward([self.action(rotation).square().sum()])
        assert rotation.grad is not None
        assert rotation.grad.isfinite().all()
        assert rotation.grad.any()


def test_the_transition_is_the_group_and_commutes_with_it_exactly(model: VariationalRotationModel) -> None:
    latent, action, turn = _rotations(9), _rotations(9, seed=1), _rotations(9, seed=2)
    following = model.transition(latent, action)
    torch.testing.assert_close(following, action @ latent, rtol=0, atol=0)
    moved = model.transition(model.transform_latent(turn, latent), turn @ action @ turn.mT)
    torch.testing.assert_close(moved, model.transform_latent(turn, following), rtol=0, atol=1e-14)


def test_embeddings_are_the_means_of_the_posterior(model: VariationalRotationModel) -> None:
    mean, scale = model.posterior(_images())
    assert torch.equal(model.embed(_images()), mean)
    torch.testing.assert_close(mean @ mean.mT, torch.eye(3).expand(6, 3, 3), rtol=0, atol=1e-6)
    assert scale.shape == (6, 3)
    assert ((scale >= NARROWEST) & (scale <= WIDEST)).all()
    # Before training about a tenth of a radian.
    assert scale.log().mean().exp().item() == pytest.approx(0.1, rel=0.5)


def test_the_reconstruction_is_the_likelihood_of_pixels(model: VariationalRotationModel) -> None:
    drawn: list[Tensor] = []
    watch = model.decoder.action.register_forward_pre_hook(lambda _, given: drawn.append(given[0]))
    torch.manual_seed(3)
    evidence = model.evidence(_images())
    watch.remove()
    torch.manual_seed(3)
    mean, scale = model.posterior(_images())
    vectors = scale * torch.randn_like(scale)
    turns = torch.linalg.matrix_exp(_crosses(vectors))
    # Before training pixels hardly depend on the latent, so that it is looked at itself.
    torch.testing.assert_close(drawn[0], mean @ turns, rtol=0, atol=1e-5)
    shown = model.decoder.logits(mean @ turns).sigmoid()
    pixels = _images() * shown.log() + (1 - _images()) * (1 - shown).log()
    torch.testing.assert_close(evidence.reconstruction, -pixels.sum(dim=(1, 2, 3)), rtol=1e-4, atol=0)
    assert torch.equal(evidence.latent, mean)


def _crosses(vectors: Tensor) -> Tensor:
    """The matrices of v ×, `[B, 3, 3]`."""
    return torch.stack(
        [torch.linalg.cross(vectors, axis.expand_as(vectors)) for axis in torch.eye(3)], dim=-1
    )


def test_the_divergence_is_near_that_of_a_gaussian_while_scales_are_small(
    model: VariationalRotationModel,
) -> None:
    _, scale = model.posterior(_images())
    expected = math.log(8 * math.pi**2) - 1.5 * math.log(2 * math.pi * math.e) - scale.log().sum(dim=1)
    torch.manual_seed(0)
    drawn = torch.stack([model.evidence(_images()).divergence for _ in range(50)]).mean(dim=0)
    torch.testing.assert_close(drawn, expected, rtol=0, atol=0.02)


def test_evidence_changes_with_every_draw_and_gradients_reach_every_weight() -> None:
    trained = narrow_model("teapot-large", "vae")
    assert isinstance(trained, VariationalRotationModel)
    torch.manual_seed(0)
    first, second = trained.evidence(_images()), trained.evidence(_images())
    assert not torch.equal(first.reconstruction, second.reconstruction)
    torch.autograd.backward([(first.reconstruction + first.divergence).mean()])
    for name, parameter in trained.named_parameters():
        assert parameter.grad is not None, name


def test_it_is_run_only_where_it_is_named() -> None:
    for actions in ("small", "large"):
        task = get_task(f"teapot-{actions}")
        assert "vae" in task.models
        assert default_models(task) == ["matmul", "tfn", "none"]


def test_worlds_of_other_groups_are_refused() -> None:
    builder = "sen_bench.baselines:build_teapot_vae"
    with pytest.raises(ConfigError, match=r"need a world with the symmetry SO\(3\)"):
        get_task("2d-shapes").build_model(builder)

"""e2cnn on this NumPy, and our steerable convolutions against its own."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse
from torch import Tensor

from sen_bench.baselines import e2cnn_compat
from sen_bench.baselines.normalisation import FieldBatchNorm
from sen_bench.baselines.steerable import (
    SteerableConvolution,
    SteerableEmbedding,
    SteerablePatchEmbedding,
)
from sen_bench.errors import SenBenchError
from tests.oracles.dense_layers import e2cnn_embedding

SIZES: dict[str, Any] = {"image_channels": 3, "num_objects": 5, "fields": 4}


def _images(side: int = 9, *, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0), dtype=dtype)


Embedding = SteerableEmbedding | SteerablePatchEmbedding

EMBEDDINGS: dict[str, Callable[[], Embedding]] = {
    "layers": lambda: SteerableEmbedding(**SIZES),
    "layers to fibres": lambda: SteerableEmbedding(**SIZES, regular=True),
    "patches": lambda: SteerablePatchEmbedding(**SIZES, patch=4),
    "patches to fibres": lambda: SteerablePatchEmbedding(**SIZES, patch=4, regular=True),
    "odd patches": lambda: SteerablePatchEmbedding(**SIZES, patch=3),
}


def _trained_embedding(which: str = "layers") -> Embedding:
    """An embedding whose batch norms and biases have left their initial values, in float64."""
    torch.manual_seed(0)
    embedding = EMBEDDINGS[which]().double()
    with torch.no_grad():
        for parameter in embedding.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    for seed in range(3):
        embedding(_images(12) + seed)
    return embedding


def _turned_maps(maps: Tensor, turns: int, *, regular: bool) -> Tensor:
    """The action of quarter turns on the maps of 5 objects, `[B, 5, n, n]` or, regular, `[B, 20, n, n]`."""
    turned = torch.rot90(maps, turns, (-2, -1))
    if not regular:
        return turned
    fibres = turned.reshape(-1, 5, 4, *turned.shape[-2:])
    return fibres.roll(-turns, dims=2).flatten(1, 2)


def _roll_fields(x: Tensor, turns: int, fields: int) -> Tensor:
    """The group's action on regular fields `[B, 4·fields, H, W]`: turns the maps and shifts the fibre."""
    # The fibre of g lies at channels g·fields to (g + 1)·fields - 1.
    return torch.rot90(x, turns, (-2, -1)).roll(turns * fields, dims=1)


def test_another_version_of_e2cnn_is_refused_by_one_line_that_says_what_to_install() -> None:
    e2cnn_compat.check_version("0.2.3")
    with pytest.raises(SenBenchError, match=r"e2cnn 0\.2\.4 .* pip install e2cnn==0\.2\.3") as caught:
        e2cnn_compat.check_version("0.2.4")
    assert "\n" not in str(caught.value)


def test_the_mended_array_copies_only_if_needed_and_the_rest_is_numpy() -> None:
    mended = e2cnn_compat.utils.np
    x = np.arange(3)
    assert mended.array(x, copy=False) is x
    assert mended.array(x) is not x
    assert mended.array(2.5, copy=False) == 2.5
    assert mended.cos is np.cos


@pytest.mark.parametrize("space", ["Rot2dOnR2", "FlipRot2dOnR2"])
def test_bases_of_rotations_and_reflections_can_be_built_and_hashed(space: str) -> None:
    gspace = getattr(e2cnn_compat.gspaces, space)(4)
    regular = e2cnn_compat.nn.FieldType(gspace, [gspace.regular_repr])
    with e2cnn_compat.silenced():
        layer = e2cnn_compat.nn.R2Conv(regular, regular, kernel_size=3)
        again = e2cnn_compat.nn.R2Conv(regular, regular, kernel_size=3)
    assert layer.basisexpansion == again.basisexpansion


def test_a_kernel_basis_may_have_a_single_element() -> None:
    space = e2cnn_compat.gspaces.Rot2dOnR2(4)
    regular, trivial = (
        e2cnn_compat.nn.FieldType(space, [part]) for part in (space.regular_repr, space.trivial_repr)
    )
    with e2cnn_compat.silenced():
        layer = e2cnn_compat.nn.R2Conv(regular, trivial, kernel_size=1, recompute=True)
    assert layer.basisexpansion.dimension() == 1


def test_scipy_is_not_asked_for_what_it_is_about_to_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """SciPy 1.18 deprecates `block_diag` of dense blocks only; warnings are errors here."""
    block_diag = sparse.block_diag

    def as_in_1_18(blocks: Any, **options: Any) -> Any:
        if not any(sparse.issparse(block) for block in blocks):
            warnings.warn("`block_diag` is switching to the sparse array interface.", DeprecationWarning, 2)
        return block_diag(blocks, **options)

    monkeypatch.setattr(sparse, "block_diag", as_in_1_18)
    with pytest.warns(DeprecationWarning, match="switching"):
        sparse.block_diag([np.eye(2)])
    space = e2cnn_compat.gspaces.FlipRot2dOnR2(
        6, axis=0.0
    )  # used nowhere else: e2cnn keeps what it has built
    fields = e2cnn_compat.nn.FieldType(space, [space.regular_repr, space.quotient_repr((None, 6))])
    basis, inverse = fields.change_of_basis, fields.change_of_basis_inv
    np.testing.assert_allclose((basis @ inverse).toarray(), np.eye(14), atol=1e-12)


@pytest.mark.parametrize("name", e2cnn_compat.MENDED_BASES)
def test_a_mended_basis_hashes_by_its_four_attributes(name: str) -> None:
    kind = getattr(e2cnn_compat.irreps_basis, name)

    def basis(mu: float) -> object:
        made = kind.__new__(kind)
        made.in_irrep, made.out_irrep, made.mu, made.gamma = "in", "out", np.array([mu]), 0.0
        return made

    assert hash(basis(1.0)) == hash(basis(1.0)) != hash(basis(2.0))


@pytest.mark.parametrize("which", EMBEDDINGS)
def test_the_embedding_is_e2cnns_own_network(which: str) -> None:
    ours = _trained_embedding(which)
    theirs = e2cnn_embedding(ours).double()
    images = _images(12)
    for mode in (True, False):
        ours.train(mode)
        theirs.train(mode)
        with torch.no_grad():
            expected = theirs(e2cnn_compat.nn.GeometricTensor(images, theirs.in_type)).tensor
        if ours.regular:
            # Its fibres are numbered by turns counter-clockwise, ours by directions, clockwise.
            expected = expected.unflatten(1, (5, 4))[:, :, [0, 3, 2, 1]].flatten(1, 2)
        # e2cnn samples its basis in float32.
        torch.testing.assert_close(ours(images), torch.sigmoid(expected), rtol=0, atol=1e-6)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("which", EMBEDDINGS)
def test_the_embedding_commutes_with_turning_the_image(which: str, training: bool) -> None:  # noqa: FBT001
    embedding = _trained_embedding(which).train(training)
    patched = isinstance(embedding, SteerablePatchEmbedding)
    for side in (12, 24) if patched else (8, 9):
        images = _images(side)
        maps = embedding(images)
        for turns in range(4):
            torch.testing.assert_close(
                embedding(torch.rot90(images, turns, (-2, -1))),
                _turned_maps(maps, turns, regular=embedding.regular),
                rtol=0,
                atol=1e-12,
            )


def test_where_patches_do_not_tile_the_image_turning_it_moves_them() -> None:
    embedding, images = _trained_embedding("patches").eval(), _images(13)
    error = embedding(torch.rot90(images, 1, (-2, -1))) - torch.rot90(embedding(images), 1, (-2, -1))
    assert error.abs().max() > 1e-3


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_every_layer_commutes_with_the_group(turns: int) -> None:
    fields = SIZES["fields"]
    regular = torch.randn(2, 4 * fields, 9, 9, dtype=torch.float64)
    for layer in _trained_embedding().layers:
        trivial_in = isinstance(layer, SteerableConvolution) and layer.in_fields == 3
        trivial_out = isinstance(layer, SteerableConvolution) and layer.out_fields == 5
        x = _images() if trivial_in else regular
        turned = torch.rot90(x, turns, (-2, -1)) if trivial_in else _roll_fields(x, turns, fields)
        y = layer(x)
        expected = torch.rot90(y, turns, (-2, -1)) if trivial_out else _roll_fields(y, turns, fields)
        torch.testing.assert_close(layer(turned), expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("which", EMBEDDINGS)
def test_a_checkpoint_of_either_mode_loads_in_either_mode(which: str) -> None:
    images = _images(12)
    trained = _trained_embedding(which)
    expected = trained.eval()(images)
    for saved_training in (True, False):
        state = copy.deepcopy(trained.train(saved_training).state_dict())
        for loaded_training in (True, False):
            fresh = EMBEDDINGS[which]().double().train(loaded_training)
            fresh.load_state_dict(state)
            assert torch.equal(fresh.eval()(images), expected)


@pytest.mark.parametrize("which", EMBEDDINGS)
def test_a_checkpoint_holds_no_derived_buffers(which: str) -> None:
    names = {name.rsplit(".", 1)[-1] for name in EMBEDDINGS[which]().state_dict()}
    assert names == {"weights", "bias", "weight", "running_mean", "running_var", "num_batches_tracked"}


def test_casting_one_layer_leaves_another_alone_and_loses_nothing() -> None:
    one, other = (SteerableConvolution(4, 4, in_regular=True, out_regular=True) for _ in range(2))
    exact = one.double().basis
    assert other.basis.dtype == torch.float32
    assert torch.equal(one.float().double().basis, exact)
    assert not torch.equal(exact.float().double(), exact)


def test_field_batch_norm_gives_every_field_mean_0_and_variance_1() -> None:
    x = 3 + 2 * torch.randn(8, 12, 5, 5, dtype=torch.float64)
    y = FieldBatchNorm(3).double()(x).unflatten(1, (4, 3))
    torch.testing.assert_close(y.mean(dim=(0, 1, 3, 4)), torch.zeros(3).double(), rtol=0, atol=1e-12)
    torch.testing.assert_close(
        y.var(dim=(0, 1, 3, 4), correction=0), torch.ones(3).double(), rtol=0, atol=1e-4
    )

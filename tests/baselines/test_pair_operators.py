"""Pairs of objects by compiled loops: those of PyTorch's steps."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sen_bench.baselines import loops, pair_operators
from sen_bench.baselines.pair_operators import relu_pairs

DTYPES = [torch.float64, torch.float32, torch.bfloat16]


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _values_and_gradients(to: Tensor, sent: Tensor) -> list[Tensor]:
    leaves = [each.clone().requires_grad_() for each in (to, sent)]
    pairs = relu_pairs(*leaves)
    probe = _random(*pairs.shape, seed=2).to(pairs.dtype)
    return [pairs.detach(), *torch.autograd.grad(pairs, leaves, probe)]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(3, 5, 4, 6), (2, 2, 7), (1, 3, 1)], ids=str)
def test_loops_are_pytorchs_steps_with_their_gradients(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    inputs = [_random(*shape, seed=seed).to(dtype) for seed in (0, 1)]
    ours = _values_and_gradients(*inputs)
    monkeypatch.setattr(pair_operators, "use_loops", lambda *_: False)
    theirs = _values_and_gradients(*inputs)
    exact = _values_and_gradients(*(each.double() for each in inputs))
    assert torch.equal(ours[0], theirs[0])
    for by_loops, in_steps, in_float64 in zip(ours[1:], theirs[1:], exact[1:], strict=True):
        assert by_loops.dtype == in_steps.dtype == dtype
        # The probe too is rounded to bfloat16, before sums; that leaves less than nothing of the last digit.
        eps = torch.finfo(dtype).eps
        torch.testing.assert_close(by_loops.double(), in_float64, rtol=2 * eps, atol=8 * eps)


def test_gradients_are_those_of_finite_differences() -> None:
    to, sent = (_random(2, 3, 2, seed=seed).requires_grad_() for seed in (0, 1))
    assert torch.autograd.gradcheck(relu_pairs, (to, sent))


def test_features_of_any_strides_are_read_as_they_are() -> None:
    to, sent = (_random(2, 4, 3, seed=seed).transpose(1, 2) for seed in (0, 1))
    for ours, expected in zip(
        _values_and_gradients(to, sent),
        _values_and_gradients(to.contiguous(), sent.contiguous()),
        strict=True,
    ):
        assert torch.equal(ours, expected)


def test_what_is_not_a_number_stays_so() -> None:
    to, sent = torch.zeros(1, 3, 2), torch.zeros(1, 3, 2)
    to[0, 1, 0] = torch.nan
    assert relu_pairs(to, sent).isnan().nonzero().tolist() == [[0, 0, 1, 0], [0, 1, 1, 0]]


def test_threads_share_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = [_random(7, 3, 8, seed=seed) for seed in (0, 1)]
    alone = _values_and_gradients(*inputs)
    monkeypatch.setattr(loops, "THREADS_WORTH", 64)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    assert all(torch.equal(*pair) for pair in zip(alone, _values_and_gradients(*inputs), strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_they_are_well_formed_operators(dtype: torch.dtype) -> None:
    """Their schemas and their forms for fake tensors are what PyTorch expects of them."""
    to, sent = (_random(2, 3, 4, seed=seed).to(dtype) for seed in (0, 1))
    gradient = _random(2, 2, 3, 4).to(dtype)
    operators = torch.ops.sen_bench
    for operator, arguments in (
        (operators.relu_pairs, (to, sent)),
        (operators.relu_pairs_backward, (gradient, to, sent)),
    ):
        torch.library.opcheck(operator, arguments, test_utils=("test_schema", "test_faketensor"))

"""C4's Fourier transform by compiled loops: planes of frequencies, and layers that multiply them."""

from __future__ import annotations

import functools
import threading
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sen_bench.baselines import group_convolution, loops
from sen_bench.baselines.fourier_operators import from_planes, to_planes
from sen_bench.baselines.group_convolution import c4_linear
from tests.support.interrupting import interrupted_everywhere

DTYPES = [torch.float64, torch.float32, torch.bfloat16]


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _frequencies(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Frequencies 0, 2 and 1, this one complex, of features `[N, 4, C]` in float64."""
    x_0, x_1, x_2, x_3 = x.double().unbind(1)
    return x_0 + x_1 + x_2 + x_3, x_0 - x_1 + x_2 - x_3, torch.complex(x_0 - x_2, x_1 - x_3)


@pytest.mark.parametrize("stored", DTYPES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize(("channels", "scaled"), [(1, True), (37, True), (37, False)])
def test_planes_are_frequencies_and_a_mix_but_for_rounding(
    channels: int, sign: int, dtype: torch.dtype, stored: torch.dtype, *, scaled: bool
) -> None:
    x = _random(11, 4, channels).to(stored)
    f_0, f_2, f_1 = _frequencies(x)
    exact = torch.stack([f_0, f_2, f_1.real, f_1.imag, f_1.real + sign * f_1.imag])
    if scaled:
        exact *= torch.tensor([1 / 4, 1 / 4, 1 / 2, 1 / 2, 1 / 2])[:, None, None]
    planes = to_planes(x, sign, dtype=dtype, scaled=scaled)
    assert planes.dtype == dtype
    # Sums are made in float32 at least, and rounded once.
    eps = max(torch.finfo(dtype).eps, torch.finfo(stored).eps if stored != torch.bfloat16 else 1e-7)
    torch.testing.assert_close(planes.double(), exact, rtol=eps, atol=8 * eps)


@pytest.mark.parametrize("stored", DTYPES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("scaled", [False, True])
def test_products_of_planes_are_those_of_complex_numbers(
    sign: int, dtype: torch.dtype, stored: torch.dtype, *, scaled: bool
) -> None:
    """`w · x` with sign -1 and `conj(w) · g` with sign 1, by complex arithmetic, number by number."""
    w, x = _random(9, 4, 5), _random(9, 4, 5, seed=1)
    bias = _random(5, seed=2).to(stored)
    products = to_planes(w, -1, dtype=torch.float64) * to_planes(x, sign, dtype=torch.float64)
    y = from_planes(products.to(stored), bias, sign, leading=(3, 3), dtype=dtype, scaled=scaled)
    assert y.dtype == dtype
    assert y.shape == (3, 3, 4, 5)
    (w_0, w_2, w_1), (x_0, x_2, x_1) = _frequencies(w), _frequencies(x)
    y_0, y_2, y_1 = _frequencies(y.view(9, 4, 5))
    eps = max(torch.finfo(each).eps for each in (dtype, stored))
    # A difference of products, the largest of which is about 40.
    close = functools.partial(torch.testing.assert_close, rtol=eps, atol=100 * eps)
    # Features of a frequency have it four times, and frequency 1 twice.
    times, complex_times = (1, 1) if scaled else (4, 2)
    close(y_0, times * w_0 * x_0 + 4 * bias.double())
    close(y_2, times * w_2 * x_2)
    close(y_1, complex_times * (w_1 if sign == -1 else w_1.conj()) * x_1)


def _layer(*inputs: Tensor, dtype: torch.dtype) -> list[Tensor]:
    """A layer's values, and the gradients of what it is given."""
    leaves = [each.clone().requires_grad_() for each in inputs]
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        y = c4_linear(*leaves)
    values = y.detach().clone()
    # In place, as after a layer: that must not be recorded as a change of a view.
    torch.autograd.backward([y.add_(1).square().sum()])
    return [values, *(leaf.grad for leaf in leaves if leaf.grad is not None)]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_layer_by_loops_is_the_one_by_pytorchs_additions(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype
) -> None:
    """Its rounding errors are hardly larger, though it takes a difference of three products."""
    monkeypatch.setattr(group_convolution, "is_small", lambda _: False)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    shapes = [(50, 3, 4, 32), (4, 24, 32), (24,)]
    inputs = [_random(*shape, seed=n).to(wide) for n, shape in enumerate(shapes)]
    ours = _layer(*inputs, dtype=dtype)
    monkeypatch.setattr(group_convolution, "use_loops", lambda *_: False)
    steps = _layer(*inputs, dtype=dtype)
    exact = _layer(*(each.double() for each in inputs), dtype=torch.float64)
    assert len(ours) == len(steps) == len(exact) == 4
    for mine, theirs, true in zip(ours, steps, exact, strict=True):
        assert mine.dtype == theirs.dtype
        if dtype == torch.float64:
            torch.testing.assert_close(mine, theirs, rtol=1e-13, atol=1e-11)
        else:
            error, their_error = ((each.double() - true).square().mean().sqrt() for each in (mine, theirs))
            assert error < 1.5 * their_error
            assert error < 3 * torch.finfo(dtype).eps * true.square().mean().sqrt()


@pytest.mark.parametrize(("small", "by_loops"), [(False, True), (False, False), (True, False)])
def test_gradients_are_as_exact_as_the_layer_wherever_they_are_taken(
    monkeypatch: pytest.MonkeyPatch, *, small: bool, by_loops: bool
) -> None:
    monkeypatch.setattr(group_convolution, "is_small", lambda _: small)
    monkeypatch.setattr(group_convolution, "use_loops", lambda *_: by_loops)
    shapes = [(7, 4, 6), (4, 5, 6), (5,)]
    results = []
    for enabled in (False, True):
        leaves = [_random(*shape, seed=n).float().requires_grad_() for n, shape in enumerate(shapes)]
        y = c4_linear(*leaves)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            torch.autograd.backward([y], [torch.ones_like(y)])
        results.append([leaf.grad for leaf in leaves])
    for outside, within in zip(*results, strict=True):
        torch.testing.assert_close(within, outside, rtol=0, atol=0)


@pytest.mark.parametrize("used", [True, False])
def test_a_layer_is_by_loops_where_they_can_be_used(monkeypatch: pytest.MonkeyPatch, *, used: bool) -> None:
    called = []

    def watched(x: Tensor, sign: int, **options: Any) -> Tensor:
        called.append(sign)
        return to_planes(x, sign, **options)

    monkeypatch.setattr(group_convolution, "to_planes", watched)
    monkeypatch.setattr(group_convolution, "use_loops", lambda *_: used)
    c4_linear(_random(7, 4, 6), _random(4, 6, 6, seed=1))  # small
    assert not called
    c4_linear(_random(7, 4, 40), _random(4, 40, 40, seed=1))
    assert bool(called) == used


def test_features_of_any_strides_are_read_as_they_are() -> None:
    x = _random(6, 4, 10)[::2, :, 1:4]
    planes = to_planes(x, 1, dtype=torch.float64)
    assert torch.equal(planes, to_planes(x.contiguous(), 1, dtype=torch.float64))
    mirrored = planes.mT.contiguous().mT
    ours, expected = (
        from_planes(each, None, 1, leading=(3,), dtype=torch.float64) for each in (mirrored, planes)
    )
    assert torch.equal(ours, expected)


def test_threads_share_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "THREADS_WORTH", 64)
    x = _random(23, 4, 16)
    results = []
    for threads in (1, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        planes = to_planes(x, -1, dtype=torch.float64)
        results.append([planes, from_planes(planes, x[0, 0], -1, leading=(23,), dtype=torch.float64)])
    assert all(torch.equal(*pair) for pair in zip(*results, strict=True))
    assert any(thread.name.startswith("sen-bench-loops") for thread in threading.enumerate())


def test_an_interrupt_at_any_moment_leaves_threads_that_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """They stay for later calls, so that a lock that stayed held would end those, and the process's end."""
    monkeypatch.setattr(loops, "THREADS_WORTH", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 5)  # as no other test has
    matrix = np.arange(5.0)[:, np.newaxis]
    assert all(interrupted_everywhere(lambda: loops.in_parts(matrix, lambda part: matrix[part].sum())))
    assert loops.in_parts(matrix, lambda part: matrix[part].sum()) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_they_are_well_formed_operators(dtype: torch.dtype) -> None:
    """Their schemas and their forms for fake tensors are what PyTorch expects of them."""
    x = _random(6, 4, 5).to(dtype)
    planes = to_planes(x, 1, dtype=torch.bfloat16)
    of_features = {"leading": [2, 3], "dtype": dtype}
    for operator, arguments, options in (
        (torch.ops.sen_bench.c4_to_planes, (x, 1), {"dtype": torch.bfloat16, "scaled": True}),
        (torch.ops.sen_bench.c4_from_planes, (planes, None, -1), of_features),
        (torch.ops.sen_bench.c4_from_planes, (planes, x[0, 0].float(), 1), of_features | {"scaled": True}),
    ):
        torch.library.opcheck(operator, arguments, options, test_utils=("test_schema", "test_faketensor"))

"""C4's Fourier transform by compiled loops: that of PyTorch's additions, rounded once."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from torch import Tensor

from sen_bench.baselines import fourier_operators, layers, loops
from sen_bench.baselines.layers import c4_linear
from tests.support.interrupting import interrupted_everywhere

DTYPES = [torch.float64, torch.float32, torch.bfloat16]


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _exact_frequencies(x: Tensor) -> tuple[Tensor, ...]:
    x_0, x_1, x_2, x_3 = x.unbind(1)
    return x_0 + x_1 + x_2 + x_3, x_0 - x_1 + x_2 - x_3, torch.cat([x_0 - x_2, x_1 - x_3], dim=1)


@pytest.mark.parametrize("stored", DTYPES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("channels", [1, 37])
def test_both_ways_are_exact_but_for_rounding(channels: int, dtype: torch.dtype, stored: torch.dtype) -> None:
    x = _random(11, 4, channels).to(stored)
    tolerance = 2 * max(torch.finfo(each).eps for each in (dtype, torch.float32))
    if torch.float64 == dtype == stored:
        tolerance = 1e-15
    frequencies = fourier_operators.to_frequencies(x, dtype)
    for ours, exact in zip(frequencies, _exact_frequencies(x.double()), strict=True):
        assert ours.dtype == dtype
        torch.testing.assert_close(ours.double(), exact, rtol=tolerance, atol=10 * tolerance)
    y = fourier_operators.from_frequencies(*frequencies, (11,), stored)
    assert y.dtype == stored
    real, imaginary = frequencies[2].double().chunk(2, dim=1)
    f_0, f_2 = (each.double() for each in frequencies[:2])
    exact = torch.stack(
        [f_0 + f_2 + real, f_0 - f_2 + imaginary, f_0 + f_2 - real, f_0 - f_2 - imaginary], dim=1
    )
    tolerance = max(tolerance, 2 * torch.finfo(stored).eps)
    torch.testing.assert_close(y.double(), exact, rtol=tolerance, atol=10 * tolerance)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_layer_by_loops_is_the_one_by_pytorchs_additions(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype
) -> None:
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    inputs = [_random(*shape, seed=n).to(wide) for n, shape in enumerate([(7, 3, 4, 6), (4, 5, 6), (5,)])]
    results = []
    for least in (7 * 3 * 4 * 6 + 1, 0):
        monkeypatch.setattr(layers, "LOOPS_FROM", least)
        leaves = [each.clone().requires_grad_() for each in inputs]
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            y = c4_linear(*leaves)
        # In place, as after a layer: that must not be recorded as a change of a view.
        torch.autograd.backward([y.relu_().square().sum()])
        results.append([y, *(leaf.grad for leaf in leaves)])
    # PyTorch's own are rounded after every addition.
    tolerance = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 0.06}[dtype]
    for steps, by_loops in zip(*results, strict=True):
        assert by_loops.dtype == steps.dtype
        torch.testing.assert_close(by_loops, steps, rtol=tolerance, atol=10 * tolerance)


def test_features_of_any_strides_are_read_as_they_are() -> None:
    x = _random(6, 4, 10)[::2, :, 1:4]
    for ours, exact in zip(
        fourier_operators.to_frequencies(x, torch.float64), _exact_frequencies(x), strict=True
    ):
        torch.testing.assert_close(ours, exact, rtol=1e-15, atol=1e-14)


def test_threads_share_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "THREADS_WORTH", 64)
    x = _random(23, 4, 16)
    results = []
    for threads in (1, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        frequencies = fourier_operators.to_frequencies(x, torch.float64)
        y = fourier_operators.from_frequencies(*frequencies, (23,), torch.float64)
        results.append([*frequencies, y])
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
    frequencies = fourier_operators.to_frequencies(x, torch.bfloat16)
    for operator, arguments in (
        (torch.ops.sen_bench.c4_to_frequencies, (x, torch.bfloat16)),
        (torch.ops.sen_bench.c4_from_frequencies, (*frequencies, [2, 3], dtype)),
    ):
        torch.library.opcheck(operator, arguments, test_utils=("test_schema", "test_faketensor"))


def test_loops_are_called_where_they_are_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    called = []
    for name in ("to_frequencies", "from_frequencies"):
        operator = getattr(fourier_operators, name)

        def watched(*arguments: object, operator: object = operator, name: str = name) -> object:
            assert callable(operator)
            called.append(name)
            return operator(*arguments)

        monkeypatch.setattr(fourier_operators, name, watched)
    x, weight = _random(7, 4, 6), _random(4, 6, 6, seed=1)
    monkeypatch.setattr(layers, "LOOPS_FROM", x.numel() + 1)
    c4_linear(x, weight)
    assert called == []
    monkeypatch.setattr(layers, "LOOPS_FROM", x.numel())
    c4_linear(x, weight)
    assert called == ["to_frequencies", "from_frequencies"]

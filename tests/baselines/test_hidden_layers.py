"""Hidden layers of C4 networks by compiled loops: those of PyTorch's modules, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import pytest
import torch
from torch import Tensor, nn

from sen_bench.baselines import hidden_layers, loops
from sen_bench.baselines.hidden_layers import hidden_layer, summed_pairs
from sen_bench.baselines.hidden_operators import normalised
from sen_bench.baselines.layers import C4Linear

DTYPES = [torch.float64, torch.float32, torch.bfloat16]
Shapes = Sequence[tuple[int, ...]]
INPUTS, OUTPUTS = 33, 36
"""Channels, more than those of layers that are small."""
FEATURES: Final[Shapes] = [(3, 5, 4, INPUTS)]
PAIRS: Final[Shapes] = [*FEATURES, *FEATURES]
"""Shapes of what `hidden_layer` is given, and `summed_pairs`."""

Given = tuple[list[Tensor], C4Linear, nn.LayerNorm]


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _given(shapes: Shapes, dtype: torch.dtype = torch.float64) -> Given:
    """Features and a layer with numbers as training gives them, of a type."""
    features = [_random(*shape, seed=seed).to(dtype) for seed, shape in enumerate(shapes)]
    linear, norm = C4Linear(INPUTS, OUTPUTS), nn.LayerNorm(OUTPUTS)
    for seed, parameter in enumerate([*linear.parameters(), *norm.parameters()], 5):
        parameter.data = 0.3 * _random(*parameter.shape, seed=seed)
    return features, linear.to(dtype), norm.to(dtype)


def _apply(features: list[Tensor], linear: nn.Linear | C4Linear, norm: nn.LayerNorm) -> Tensor:
    if len(features) == 1:
        return hidden_layer(features[0], linear, norm)
    to, sent = features
    return summed_pairs(to, sent, linear, norm)


def _values_and_gradients(given: Given, *, narrow: bool = False) -> list[Tensor]:
    features, linear, norm = given
    leaves = [each.clone().requires_grad_() for each in features]
    with torch.autocast("cpu", torch.bfloat16, enabled=narrow):
        y = _apply(leaves, linear, norm)
    probe = _random(*y.shape, seed=9).to(y.dtype)
    return [y.detach(), *torch.autograd.grad(y, [*leaves, *linear.parameters(), *norm.parameters()], probe)]


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """A list that grows when loops normalise; it ensures that what is tested is not PyTorch's."""
    calls: list[bool] = []

    def watched(*given: Any, **options: Any) -> Tensor:
        calls.append(True)
        return normalised(*given, **options)

    monkeypatch.setattr(hidden_layers, "normalised", watched)
    return calls


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(
    "shapes",
    [
        [(4, INPUTS)],
        [(7, 4, INPUTS)],
        FEATURES,
        [(2, 3, 5, 4, INPUTS)],
        PAIRS,
        [(1, 2, 4, INPUTS)] * 2,
        [(0, 3, 4, INPUTS)] * 2,
    ],
    ids=lambda shapes: "x".join(map(str, shapes[0])) + f" of {len(shapes)}",
)
def test_loops_are_pytorchs_modules_with_their_gradients(
    monkeypatch: pytest.MonkeyPatch, used: list[bool], shapes: Shapes, dtype: torch.dtype
) -> None:
    narrow = dtype == torch.bfloat16
    given = _given(shapes, torch.float32 if narrow else dtype)
    ours = _values_and_gradients(given, narrow=narrow)
    assert used == [True]
    monkeypatch.setattr(hidden_layers, "use_loops", lambda *_: False)
    theirs = _values_and_gradients(given, narrow=narrow)
    exact = _values_and_gradients(_given(shapes))
    assert used == [True]
    assert len(ours) == len(theirs) == len(exact) == len(shapes) + 5
    for number, (mine, their, true) in enumerate(zip(ours, theirs, exact, strict=True)):
        # Sums of normalised features are not rounded to bfloat16.
        assert mine.dtype == (torch.float32 if narrow and not number else their.dtype)
        assert mine.shape == their.shape
        size = true.norm() or 1  # of nothing, everything is 0
        error, their_error = ((each.double() - true).norm() / size for each in (mine, their))
        if dtype == torch.float64:
            assert error < 1e-14
        else:
            # Which of a few hundred ReLUs pass depends on roundings too.
            assert error < max(2 * their_error, 3 * torch.finfo(dtype).eps)
            assert error < 30 * torch.finfo(dtype).eps


@pytest.mark.parametrize("shapes", [[(2, 4, INPUTS)], [(1, 3, 4, INPUTS)] * 2], ids=["features", "pairs"])
def test_gradients_are_those_of_finite_differences(shapes: Shapes, used: list[bool]) -> None:
    features, linear, norm = _given(shapes)
    leaves = [each.requires_grad_() for each in features]
    assert torch.autograd.gradcheck(
        lambda *given: _apply(list(given[:-2]), linear, norm), (*leaves, norm.weight, norm.bias)
    )
    assert used


@pytest.mark.parametrize("shapes", [FEATURES, PAIRS], ids=["features", "pairs"])
def test_gradients_come_only_where_they_are_asked_for(shapes: Shapes, used: list[bool]) -> None:
    features, linear, norm = _given(shapes)
    leaves = [*features, *linear.parameters(), *norm.parameters()]
    for frozen in range(len(leaves)):
        for number, leaf in enumerate(leaves):
            leaf.grad = None
            leaf.requires_grad_(number != frozen)
        torch.autograd.backward([_apply(features, linear, norm).square().sum()])
        assert [leaf.grad is None for leaf in leaves] == [number == frozen for number in range(len(leaves))]
    assert used


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("shapes", [FEATURES, PAIRS], ids=["features", "pairs"])
def test_they_commute_with_rolling_the_group_axis(shapes: Shapes, turns: int, used: list[bool]) -> None:
    features, linear, norm = _given(shapes)
    turned = _apply([each.roll(-turns, -2) for each in features], linear, norm)
    torch.testing.assert_close(turned, _apply(features, linear, norm).roll(-turns, -2), rtol=0, atol=1e-12)
    assert used


def test_messages_move_with_the_objects_that_get_them() -> None:
    features, linear, norm = _given(PAIRS)
    order = torch.tensor([3, 0, 4, 1, 2])
    moved = _apply([each[:, order] for each in features], linear, norm)
    torch.testing.assert_close(moved, _apply(features, linear, norm)[:, order], rtol=0, atol=1e-12)


@pytest.mark.parametrize("shapes", [FEATURES, PAIRS], ids=["features", "pairs"])
def test_gradients_are_as_exact_as_the_layer_wherever_they_are_taken(
    shapes: Shapes,
) -> None:
    results = []
    for enabled in (False, True):
        features, linear, norm = _given(shapes, torch.float32)
        leaves = [each.requires_grad_() for each in features]
        y = _apply(leaves, linear, norm)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            torch.autograd.backward([y], [torch.ones_like(y)])
        results.append([leaf.grad for leaf in (*leaves, *linear.parameters(), *norm.parameters())])
    for outside, within in zip(*results, strict=True):
        assert outside is not None
        torch.testing.assert_close(within, outside, rtol=0, atol=0)


@pytest.mark.parametrize("shapes", [FEATURES, PAIRS], ids=["features", "pairs"])
def test_features_of_any_strides_are_read_as_they_are(shapes: Shapes) -> None:
    features, linear, norm = _given(shapes)
    strided = [each.transpose(0, 1).contiguous().transpose(0, 1) for each in features]
    for ours, expected in zip(
        _values_and_gradients((strided, linear, norm)),
        _values_and_gradients((features, linear, norm)),
        strict=True,
    ):
        assert torch.equal(ours, expected)


@pytest.mark.parametrize("shapes", [FEATURES, PAIRS], ids=["features", "pairs"])
def test_what_is_not_a_number_stays_so(shapes: Shapes, used: list[bool]) -> None:
    features, linear, norm = _given(shapes)
    features[0][1, 2] = torch.nan
    gone = _apply(features, linear, norm).isnan()
    expected = torch.zeros_like(gone)
    expected[1, 2] = True
    assert torch.equal(gone, expected)
    assert used


@pytest.mark.parametrize("shapes", [FEATURES, PAIRS], ids=["features", "pairs"])
def test_threads_share_the_work(monkeypatch: pytest.MonkeyPatch, shapes: Shapes) -> None:
    given = _given([(7, *shape[1:]) for shape in shapes])
    alone = _values_and_gradients(given)
    monkeypatch.setattr(loops, "THREADS_WORTH", 64)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    shared = _values_and_gradients(given)
    # Each thread adds up gradients of the norm's weights and biases by itself.
    for ours, expected in zip(shared[:-2], alone[:-2], strict=True):
        assert torch.equal(ours, expected)
    for ours, expected in zip(shared[-2:], alone[-2:], strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-13, atol=1e-13)


def _ordinary() -> tuple[nn.Linear, nn.LayerNorm]:
    return nn.Linear(INPUTS, OUTPUTS).double(), nn.LayerNorm(OUTPUTS).double()


def _small() -> tuple[C4Linear, nn.LayerNorm]:
    return C4Linear(INPUTS, 2).double(), nn.LayerNorm(2).double()


def _of_bfloat16() -> tuple[C4Linear, nn.LayerNorm]:
    _, linear, norm = _given([], torch.bfloat16)
    return linear, norm


@pytest.mark.parametrize("make", [_ordinary, _small, _of_bfloat16])
def test_other_layers_are_pytorchs_modules_and_leave_their_input_alone(
    make: Callable[[], tuple[nn.Linear | C4Linear, nn.LayerNorm]], used: list[bool]
) -> None:
    linear, norm = make()
    to, sent = (_random(2, 3, 4, INPUTS, seed=seed).to(norm.weight.dtype) for seed in (0, 1))
    before = to.clone()
    alone = hidden_layer(to, linear, norm)
    assert torch.equal(alone, norm(linear(before.relu())).relu())
    messages = summed_pairs(to, sent, linear, norm)
    pairs = [(before + sent.roll(-step, 1)).relu() for step in (1, 2)]
    close = torch.testing.assert_close
    close(messages, sum(norm(linear(pair)).relu() for pair in pairs), rtol=0.02, atol=0.05)
    assert torch.equal(to, before)
    assert not used


@pytest.mark.parametrize("shapes", [FEATURES, PAIRS], ids=["features", "pairs"])
@pytest.mark.parametrize("listened", [1, 2], ids=["linear", "norm"])
@pytest.mark.parametrize(
    "register",
    ["forward_pre_hook", "forward_hook", "full_backward_pre_hook", "full_backward_hook"],
)
def test_hooks_of_modules_are_called(shapes: Shapes, listened: int, register: str, used: list[bool]) -> None:
    given = _given(shapes)
    expected = _values_and_gradients(given)
    assert used == [True]
    heard: list[str] = []
    handle = getattr(given[listened], f"register_{register}")(lambda *_: heard.append(register))
    for mine, theirs in zip(_values_and_gradients(given), expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)
    assert heard == [register]
    handle.remove()
    _values_and_gradients(given)
    assert used == [True, True]


class _Doubled(C4Linear):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


def test_a_layer_of_a_class_of_its_own_does_what_that_says(used: list[bool]) -> None:
    (x,), linear, norm = _given(FEATURES)
    doubled = _Doubled(INPUTS, OUTPUTS).double()
    doubled.load_state_dict(linear.state_dict())
    torch.testing.assert_close(
        hidden_layer(x, doubled, norm), norm(2 * linear(x.relu())).relu(), rtol=0, atol=0
    )
    assert not used


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_they_are_well_formed_operators(dtype: torch.dtype) -> None:
    """Their schemas and their forms for fake tensors are what PyTorch expects of them."""
    x, sent, gradient = (_random(2, 3, 4, 5, seed=seed).to(dtype) for seed in range(3))
    products, of_pairs = (_random(5, rows, 5).to(dtype) for rows in (6, 12))
    layer = [_random(5, seed=seed).float() for seed in range(3)]
    ours = torch.ops.sen_bench
    for operator, arguments, options in (
        (ours.c4_relu_to_planes, (x, None), {"dtype": torch.bfloat16}),
        (ours.c4_relu_to_planes, (x, sent), {"dtype": torch.float32}),
        (ours.c4_relu_to_planes_backward, (products, x, None), {}),
        (ours.c4_relu_to_planes_backward, (of_pairs, x, sent), {}),
        (ours.c4_normalised, (products, *layer, 1e-5), {"leading": [2, 3]}),
        (ours.c4_normalised, (of_pairs, *layer, 1e-5), {"leading": [2, 3]}),
        (ours.c4_normalised_backward, (of_pairs, *layer, 1e-5, gradient.float()), {}),
    ):
        torch.library.opcheck(operator, arguments, options, test_utils=("test_schema", "test_faketensor"))

"""The paper's illustrative example: sinusoids, shifts, and what a layer before convolutions learns."""

from __future__ import annotations

import math

import pytest
import torch

from sen_bench.errors import ConfigError
from sen_bench.examples.sequence import NETWORKS, SequenceNetwork, train_sequence_example
from sen_bench.examples.shifts import shift_equivariance_error
from sen_bench.examples.sinusoids import sample_sinusoids
from sen_bench.examples.sizes import HIGHEST_FREQUENCY, LENGTH


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _circulant(row: torch.Tensor) -> torch.Tensor:
    return torch.stack([row.roll(shift) for shift in range(len(row))])


def test_a_circulant_matrix_has_no_error() -> None:
    matrix = _circulant(torch.randn(7, generator=_generator()))
    assert shift_equivariance_error(matrix) == 0


def test_the_error_is_that_of_the_definition() -> None:
    matrix = torch.randn(6, 6, generator=_generator(), dtype=torch.float64)
    step = _circulant(torch.eye(6, dtype=torch.float64)[1])
    squares = []
    for power in range(1, 6):
        shift = torch.linalg.matrix_power(step, power)
        squares.append(float((matrix @ shift - shift @ matrix).square().sum() / matrix.square().sum()))
    assert shift_equivariance_error(matrix) == pytest.approx(math.sqrt(sum(squares) / 5), rel=1e-12)


def test_a_random_matrix_has_an_error_of_the_root_of_two() -> None:
    assert shift_equivariance_error(torch.randn(64, 64, generator=_generator())) == pytest.approx(
        1.414, abs=0.02
    )


def test_each_period_has_one_peak_at_its_largest_sample() -> None:
    samples, labels = sample_sinusoids(500, _generator())
    spectrum = torch.fft.rfft(samples).abs()
    frequency = spectrum.argmax(dim=1)
    assert set(frequency.tolist()) == set(range(1, HIGHEST_FREQUENCY + 1))
    assert torch.equal(labels.sum(dim=1).long(), frequency)
    # Nothing but the one frequency is in a sequence.
    assert torch.allclose(spectrum.amax(dim=1), spectrum.sum(dim=1), rtol=1e-3)
    assert (labels.gather(1, samples.argmax(dim=1, keepdim=True)) == 1).all()


def test_labels_are_shifted_with_the_samples() -> None:
    """The step after which convolutions go on is equivariant, and so is what is to be learned."""
    torch.manual_seed(0)
    rest = NETWORKS["convolutions"]()
    sequence = torch.randn(5, 1, LENGTH)
    moved = rest(sequence.roll(7, dims=2))
    assert torch.allclose(moved, rest(sequence).roll(7, dims=2), atol=1e-5)


def test_only_the_network_with_convolutions_is_equivariant_as_soon_as_its_first_layer_is() -> None:
    samples, _ = sample_sinusoids(20, _generator())
    for name, equivariant in (("convolutions", True), ("fully-connected", False)):
        torch.manual_seed(0)
        network = SequenceNetwork(NETWORKS[name]())
        with torch.no_grad():
            network.first.weight.copy_(_circulant(torch.randn(LENGTH)))
            moved, still = network(samples.roll(3, dims=1)), network(samples).roll(3, dims=1)
        assert torch.allclose(moved, still, atol=1e-4) is equivariant


def test_only_before_convolutions_the_first_layer_learns_to_be_circulant() -> None:
    errors = []
    for seed in range(3):
        example = train_sequence_example(seed=seed, steps=400)
        convolutions, plain = example.networks
        assert (convolutions.name, plain.name) == ("convolutions", "fully-connected")
        # Where another machine's rounding leaves some positions with signs of their own, it is about 0.9.
        assert convolutions.equivariance_error < 1.1
        assert plain.equivariance_error > 1.3
        assert min(convolutions.accuracy, plain.accuracy) > example.no_peak + 0.05
        assert convolutions.equivariance_error == shift_equivariance_error(convolutions.weight)
        errors.append(convolutions.equivariance_error)
    assert sorted(errors)[1] < 0.6


def test_equal_seeds_give_equal_results_and_leave_the_callers_generator_alone() -> None:
    torch.manual_seed(5)
    first = train_sequence_example(seed=3, steps=20)
    drawn = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(1), drawn)
    again, other = train_sequence_example(seed=3, steps=20), train_sequence_example(seed=4, steps=20)
    for mine, same, another in zip(first.networks, again.networks, other.networks, strict=True):
        assert torch.equal(mine.weight, same.weight)
        assert mine.accuracy == same.accuracy
        assert not torch.equal(mine.weight, another.weight)


@pytest.mark.parametrize(("seed", "steps", "problem"), [(0, 0, "steps must be"), (-1, 1, "the seed must be")])
def test_what_makes_no_sense_is_refused(seed: int, steps: int, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        train_sequence_example(seed=seed, steps=steps)

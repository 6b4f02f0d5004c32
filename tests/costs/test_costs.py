"""The cost of training steps: counted by hand for tiny networks, and as published for those of the paper."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from sen_bench.costs import MachineLimits, StepCost, gathering_cost, measured_limits, step_cost
from sen_bench.costs import limits as machine
from sen_bench.costs.operators import OperatorCounter
from sen_bench.envs import make_world
from sen_bench.errors import ExtensionError
from sen_bench.symmetry import Symmetry
from sen_bench.system import settings_restored
from sen_bench.tasks.registry import get_task
from tests.support.fake_worlds import DRIFT
from tests.support.own_models import Mean

FLOAT = 4
"""Bytes of a number."""
PIXELS, WIDE = 42, 3


class Linear(Mean):
    """Its S is one linear layer on pixels; E takes the mean of what it gives."""

    def __init__(self, *, symmetry: Symmetry, observation_shape: tuple[int, int, int]) -> None:
        super().__init__(symmetry=symmetry, observation_shape=observation_shape)
        self._embedding_shape = (WIDE,)
        self.layer = nn.Linear(PIXELS, WIDE)

    def embed(self, observation: Tensor) -> Tensor:
        result: Tensor = self.layer(observation.flatten(1))
        return result

    def encode(self, embedding: Tensor) -> Tensor:
        return embedding.mean(dim=1, keepdim=True)


class Choosing(Linear):
    """Its S looks at the numbers that it computes with."""

    def embed(self, observation: Tensor) -> Tensor:
        return super().embed(observation) * (2 if observation.mean() > 0.5 else 1)


def _model(kind: type[Linear]) -> Linear:
    return kind(symmetry=make_world(DRIFT).symmetry, observation_shape=(6, 7, 1))  # type: ignore[arg-type]


class TestOperators:
    def test_a_product_reads_its_factors_and_writes_its_result(self) -> None:
        left, right = torch.ones(2, 3), torch.ones(3, 5)
        with OperatorCounter() as counted:
            left @ right
        assert (counted.operators, counted.flops) == (1, 2 * 2 * 3 * 5)
        assert counted.bytes_moved == counted.product_bytes == FLOAT * (6 + 15 + 10)

    def test_what_is_written_in_place_is_also_read_and_what_is_given_to_write_into_is_not(self) -> None:
        x, y, out = torch.ones(10), torch.ones(10), torch.empty(10)
        with OperatorCounter() as counted:
            x.add_(y)
        assert counted.bytes_moved == FLOAT * 30
        with OperatorCounter() as counted:
            torch.add(x, y, out=out)
        assert counted.bytes_moved == FLOAT * 30
        with OperatorCounter() as counted:
            x.zero_()
            torch.zeros_like(x)
        assert counted.bytes_moved == FLOAT * (20 + 10)
        assert counted.product_bytes == counted.flops == 0

    def test_views_and_empty_memory_move_nothing_and_an_expanded_axis_is_there_once(self) -> None:
        x = torch.ones(4, 6)
        with OperatorCounter() as counted:
            x.T.reshape(2, 12)[:, :3].unsqueeze(0).detach()
            torch.empty_like(x)
            x.new_empty(5)
        # The reshape of a transposed matrix is a copy.
        assert (counted.operators, counted.bytes_moved) == (1, FLOAT * 48)
        with OperatorCounter() as counted:
            torch.ones(6).expand(100, 6).clone()
        assert counted.bytes_moved == FLOAT * (6 + 6 + 600)

    def test_of_what_is_picked_from_only_that_is_read(self) -> None:
        x, places = torch.ones(100, 6), torch.tensor([3, 1])
        picks: list[Callable[[], Tensor]] = [
            lambda: x.index_select(0, places),
            lambda: x[places],
            lambda: nn.functional.embedding(places, x),
            lambda: x.gather(0, places[:, None].expand(-1, 6)),
        ]
        for pick in picks:
            with OperatorCounter() as counted:
                pick()
            assert (counted.operators, counted.bytes_moved) == (1, FLOAT * (12 + 12) + 2 * 8)

    def test_a_convolution_has_two_operations_for_each_weight_and_place(self) -> None:
        x, kernel = torch.ones(2, 3, 8, 8), torch.ones(5, 3, 3, 3)
        with OperatorCounter() as counted:
            nn.functional.conv2d(x, kernel)
        places = 2 * 6 * 6
        assert counted.flops == 2 * places * 5 * 27
        assert counted.product_bytes == FLOAT * (2 * 3 * 64 + 5 * 27 + 5 * places)


def _products_of_c4_layers(batch: int) -> tuple[int, int]:
    """Operations of one product of `out × in` in each C4 layer in a step of 3D Blocks `sen`, by hand.

    Those of large layers, which take six products or five, and those of small ones, which take sixteen.
    """
    objects, pairs, hidden, latent = 5, 5 * 4, 256, 2
    orbits = 50 * 50 // 4
    # Two frames are encoded; T is applied once, and its first edge layer in two halves.
    encoder = 2 * objects * (orbits * hidden + hidden * hidden)
    edges = pairs * hidden * hidden + objects * hidden * hidden
    nodes = objects * ((latent + hidden + 1) * hidden + hidden * hidden)
    small = (2 + 2 + 1) * objects * hidden * latent
    # Forwards, the gradient of the features, and that of the weights.
    return 3 * 2 * batch * (encoder + edges + nodes), 3 * 2 * batch * small


class TestSteps:
    @pytest.mark.parametrize("batch", [2, 16])
    def test_products_of_a_tiny_network_are_those_counted_by_hand(self, batch: int) -> None:
        model, world = _model(Linear), make_world(DRIFT)
        before = {name: value.clone() for name, value in model.state_dict().items()}
        cost = step_cost(model, world, batch=batch)
        # One product forwards and one backwards, as images need no gradient, for each of two frames.
        product = 2 * batch * PIXELS * WIDE
        assert cost.flops == 2 * 2 * product
        inputs, weights, outputs = batch * PIXELS, PIXELS * WIDE, batch * WIDE
        products = 2 * (inputs + weights + WIDE + outputs) + 2 * (outputs + inputs + weights)
        # Adam reads and writes parameter, gradient and two moments. Its count of steps, one a parameter, is
        # read twice and written once. Only what has a gradient is updated: all but offset and gain.
        trained = weights + WIDE + 1
        assert cost.fused_bytes == FLOAT * (products + 8 * trained + 3 * 3)
        assert cost.eager_bytes > cost.fused_bytes
        assert cost.batch == batch
        for name, value in model.state_dict().items():
            assert torch.equal(value, before[name]), name
        assert all(parameter.grad is None for parameter in model.parameters())

    @pytest.mark.parametrize(
        ("task", "model", "batch", "gigaflops", "eager", "fused"),
        [
            ("3d-blocks", "sen", 1024, 0.778, 53, 13),
            ("2d-shapes", "none", 1024, 0.074, 4, 0.7),
            ("teapot-large", "matmul", 1024, 0.042, 4, 1.4),
        ],
    )
    def test_the_papers_models_take_what_was_counted_independently(
        self,
        monkeypatch: pytest.MonkeyPatch,
        task: str,
        model: str,
        batch: int,
        gigaflops: float,
        eager: float,
        fused: float,
    ) -> None:
        """Arithmetic agrees; traffic, of which there is no one definition, to a factor of 1.7.

        That count has PyTorch's operators; loops of ours do several of them in one pass, and move less.
        """
        chosen = get_task(task)
        loops = step_cost(chosen.build_model(model, {}), chosen.world(), batch=batch)
        for module in ("group_convolution", "hidden_layers", "normalisation", "pair_operators"):
            monkeypatch.setattr(f"sen_bench.baselines.{module}.use_loops", lambda *_: False)
        cost = step_cost(chosen.build_model(model, {}), chosen.world(), batch=batch)
        large, small = _products_of_c4_layers(batch) if model == "sen" else (0, 0)
        # That count has six products in all C4 layers.
        by_six = cost.flops - (16 - 6) * small
        assert by_six / batch / 1e9 == pytest.approx(gigaflops, abs=0.0006)
        # With loops, the large ones take five products in place of six.
        assert loops.flops == cost.flops - large
        assert 1 / 1.7 < cost.eager_bytes / batch / 1e6 / eager < 1.7
        assert loops.eager_bytes < cost.eager_bytes
        assert 1 / 1.7 < cost.fused_bytes / batch / 1e6 / fused < 1.7

    def test_a_batch_is_read_converted_and_divided(self) -> None:
        batch, world = 8, make_world(DRIFT)
        pixels = batch * PIXELS
        cost = gathering_cost(world, batch=batch)
        # Of observation and next observation: bytes are picked, made numbers of four bytes, and divided.
        frames = 2 * (2 + 1 + FLOAT + 2 * FLOAT) * pixels
        # Actions are picked too, and places computed: a few numbers of eight bytes a transition.
        assert frames < cost.eager_bytes < frames + 24 * 8 * batch
        assert cost.flops == cost.fused_bytes == 0

    def test_bfloat16_moves_fewer_bytes_for_the_same_arithmetic(self) -> None:
        task = get_task("2d-shapes")
        model, world = task.build_model("none", {}), task.world()
        wide, narrow = (step_cost(model, world, batch=64, precision=p) for p in ("float32", "bfloat16"))
        assert narrow.flops == wide.flops
        assert narrow.fused_bytes < wide.fused_bytes
        assert narrow.eager_bytes < wide.eager_bytes

    def test_a_network_that_looks_at_numbers_cannot_be_counted(self) -> None:
        model = _model(Choosing).eval()
        with pytest.raises(ExtensionError, match=r"a step of Choosing cannot be counted .* by if"):
            step_cost(model, make_world(DRIFT), batch=2)
        assert not model.training


class TestSeconds:
    COST = StepCost(batch=4, operators=100, flops=6000, eager_bytes=500, fused_bytes=200)

    def test_the_limit_is_of_arithmetic_or_traffic(self) -> None:
        assert self.COST.floor(MachineLimits(1000, 100, 0, launches_ahead=False)) == 6
        assert self.COST.floor(MachineLimits(6000, 10, 0, launches_ahead=False)) == 20

    def test_uncompiled_a_step_also_moves_what_is_between_products_and_waits_for_launches(self) -> None:
        assert self.COST.expected(MachineLimits(1000, 100, 0.01, launches_ahead=False)) == 6 + 3 + 1
        assert self.COST.expected(MachineLimits(1000, 100, 0.01, launches_ahead=True)) == 9
        assert self.COST.expected(MachineLimits(1000, 100, 0.1, launches_ahead=True)) == 10

    def test_what_an_operator_takes_is_that_of_the_operators_of_a_training_step(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """By a clock that only counts operators: all of the step are counted, and of nothing else."""
        steps: list[int] = []

        def count(work: Callable[[], object], _device: torch.device, rounds: int) -> float:
            assert rounds > 1
            with OperatorCounter() as counted:
                work()
            steps.append(counted.operators)
            return float(counted.operators)

        monkeypatch.setattr("sen_bench.costs.limits._seconds", count)
        state = torch.get_rng_state()
        assert machine._launch(torch.device("cpu")) == 1
        assert torch.equal(torch.get_rng_state(), state)
        # Forwards a product, a norm and a ReLU a layer; each has a gradient.
        assert steps[0] > 6 * (machine._CONVOLUTIONS + machine._LAYERS)

    @pytest.mark.parametrize(("threads", "counts"), [(1, False), (2, True)])
    def test_one_thread_is_measured_by_its_own_time(self, threads: int, *, counts: bool) -> None:
        """What sleeps leaves the core to others, as what waits for it does."""
        with settings_restored():
            torch.set_num_threads(threads)
            found = machine._seconds(lambda: time.sleep(0.1), torch.device("cpu"), rounds=2)
        assert (found > 0.09) is counts

    def test_limits_are_measured_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sen_bench.costs.limits._PRODUCT_SIDES", {"cpu": 32})
        monkeypatch.setattr("sen_bench.costs.limits._COPIED_BYTES", {"cpu": 1024})
        threads = torch.get_num_threads()
        # A number of threads that nobody else asks for, as these limits are not those of this machine.
        limits = measured_limits(torch.device("cpu"), threads=threads + 1)
        assert measured_limits(torch.device("cpu"), "float32", threads + 1) is limits
        assert torch.get_num_threads() == threads
        assert all(0 < x < math.inf for x in (limits.flops, limits.bytes_moved, limits.launch))
        assert not limits.launches_ahead

"""The step that a GPU repeats as a graph, executed as it comes: the weights of the plain loop, to the bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from sen_bench.baselines.model import WorldModel
from sen_bench.config.settings import TrainingConfig
from sen_bench.data.transitions import Batch, Transitions
from sen_bench.errors import CompileError
from sen_bench.training import Checkpoint, TrainingResult, loop, static_step, train
from sen_bench.training.execution import Execution
from sen_bench.training.static_step import WARM_UP, StaticStep
from tests.support.recorder import Recorder
from tests.support.trainings import CPU, IDENTITY, Affine, log_of, small_sen, weights_of

# A rate that float32 has, as the optimiser reads it from a tensor; 42 transitions make a last batch of two.
SETTINGS: dict[str, Any] = {"epochs": 3, "batch_size": 8, "learning_rate": 2**-11}
VARIANTS: list[dict[str, Any]] = [
    {},
    {"negatives_from_epoch": {2: {"same_episode": 0.5, "margin_other": 2.0, "per_object": True}}},
    {"batch_size_from_epoch": {3: 12}, "learning_rate_of": {"embedding": 0.5}, "bystander_weight": 4.0},
]


def _train(
    folder: Path,
    transitions: Any,
    build: Callable[[], WorldModel] = small_sen,
    progress: Recorder | None = None,
    *,
    graph: bool,
    **settings: Any,
) -> TrainingResult:
    return train(
        build,
        transitions,
        TrainingConfig(**{**SETTINGS, **settings}),
        seed=0,
        folder=folder,
        identity=IDENTITY,
        progress=progress or Recorder(),
        graph=graph,
    )


def _assert_equal(one: TrainingResult, other: TrainingResult) -> None:
    theirs = weights_of(other)
    for name, value in weights_of(one).items():
        assert torch.equal(value, theirs[name]), name
    assert one.transitions_seen == other.transitions_seen


@pytest.mark.parametrize("variant", VARIANTS, ids=["plain", "negatives", "growing"])
def test_weights_and_losses_are_those_of_the_plain_loop(
    tmp_path: Path, transitions: Transitions, variant: dict[str, Any]
) -> None:
    results = [_train(tmp_path / str(graph), transitions, graph=graph, **variant) for graph in (False, True)]
    _assert_equal(*results)
    assert log_of(tmp_path / "True") == log_of(tmp_path / "False")
    states = [Checkpoint.load(tmp_path / name / "checkpoint.pt", CPU).optimizer for name in ("True", "False")]
    assert states[0]["param_groups"] == states[1]["param_groups"]


def test_a_rate_that_falls_is_followed(tmp_path: Path, transitions: Transitions) -> None:
    """Up to its rounding to float32; a rate kept from the first step would be far off at the end."""
    falling: dict[str, Any] = {"schedule": "cosine", "learning_rate": 2**-4}
    results = [
        _train(tmp_path / str(graph), transitions, Affine, graph=graph, **falling) for graph in (False, True)
    ]
    torch.testing.assert_close(weights_of(results[0]), weights_of(results[1]), rtol=1e-5, atol=0)
    constant = _train(tmp_path / "constant", transitions, Affine, graph=True, learning_rate=2**-4)
    assert not torch.isclose(weights_of(constant)["weight"], weights_of(results[1])["weight"], rtol=1e-3)


@pytest.mark.parametrize("first", [True, False])
def test_a_run_goes_on_in_either_way(tmp_path: Path, transitions: Transitions, *, first: bool) -> None:
    whole = _train(tmp_path / "whole", transitions, Affine, graph=False)
    with pytest.raises(KeyboardInterrupt):
        _train(tmp_path / "cut", transitions, Affine, Recorder(2), graph=first)
    resumed = _train(tmp_path / "cut", transitions, Affine, graph=not first)
    _assert_equal(whole, resumed)
    assert log_of(tmp_path / "cut") == log_of(tmp_path / "whole")


class Elsewhere:
    """Transitions that are not held on the device."""

    def __init__(self, transitions: Transitions) -> None:
        self._transitions = transitions

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transitions, name)

    def __len__(self) -> int:
        return len(self._transitions)


def test_streamed_data_is_trained_on_as_it_comes(tmp_path: Path, transitions: Transitions) -> None:
    recorder = Recorder()
    result = _train(tmp_path / "streamed", Elsewhere(transitions), Affine, recorder, graph=True)
    assert recorder.messages == ["steps are no CUDA graph, because the training data is streamed"]
    _assert_equal(result, _train(tmp_path / "held", transitions, Affine, graph=False))


class _Broken(StaticStep):
    """Cannot be captured, once it has been executed as it comes."""

    calls = 0

    def advance(self, *inputs: Tensor) -> Tensor:
        type(self).calls += 1
        if self.calls > WARM_UP:
            raise RuntimeError("CUDA error: operation not permitted\nwhen stream is capturing")
        return super().advance(*inputs)


def test_a_capture_that_fails_loses_no_step(
    tmp_path: Path, transitions: Transitions, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = _train(tmp_path / "plain", transitions, Affine, graph=False)
    monkeypatch.setattr("sen_bench.training.steps.StaticStep", _Broken)
    with pytest.raises(CompileError, match=r"operation not permitted\); use --no-cuda-graph$"):
        _train(tmp_path / "asked", transitions, Affine, graph=True)
    # Where nobody asked for it, it is said once.
    monkeypatch.setattr(loop, "choose_execution", lambda *_, **__: Execution(graph=True))
    _Broken.calls = 0
    recorder = Recorder()
    result = _train(tmp_path / "chosen", transitions, Affine, recorder, graph=True)
    (said,) = recorder.messages
    assert said.endswith("(CUDA error: operation not permitted); steps are executed one by one")
    _assert_equal(result, plain)


class _FakeCuda:
    """Streams and graphs that note what is done with them; capturing executes, as PyTorch's runs the code."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.stream_now = "main"
        self.fails = False

    def install(self, patch: pytest.MonkeyPatch) -> None:
        stream = SimpleNamespace(wait_stream=lambda _other: None)
        patch.setattr(torch.cuda, "Stream", lambda _device: stream)
        patch.setattr(torch.cuda, "current_stream", lambda _device: stream)
        patch.setattr(torch.cuda, "set_stream", lambda _stream: self.events.append("set stream"))
        patch.setattr(torch.cuda, "stream", lambda _stream: self._entered("aside"))
        patch.setattr(torch.cuda, "device", lambda _device: self._entered(""))
        patch.setattr(
            torch.cuda,
            "CUDAGraph",
            lambda: SimpleNamespace(replay=lambda: self.events.append("replay")),
        )
        patch.setattr(torch.cuda, "graph", lambda _graph, stream: self._entered("capture", stream))

    @contextmanager
    def _entered(self, what: str, stream: object = None) -> Iterator[None]:
        del stream
        if what:
            self.events.append(what)
        if what == "capture" and self.fails:
            raise RuntimeError("capture failed")
        yield


def test_a_graph_is_captured_once_after_some_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = _FakeCuda()
    fake.install(monkeypatch)
    graph = static_step._CudaGraph(torch.device("cuda", 0))
    for _ in range(WARM_UP + 2):
        graph.run(lambda: fake.events.append("step"))
    assert fake.events == [*WARM_UP * ["aside", "step"], "capture", "step", "replay", "replay"]


def test_after_a_failed_capture_the_stream_is_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = _FakeCuda()
    fake.install(monkeypatch)
    graph = static_step._CudaGraph(torch.device("cuda", 0))
    for _ in range(WARM_UP):
        graph.run(lambda: None)
    fake.fails = True
    with pytest.raises(RuntimeError, match="capture failed"):
        graph.run(lambda: None)
    assert fake.events[-2:] == ["capture", "set stream"]


def test_what_a_step_reads_and_writes_keeps_its_place(transitions: Transitions) -> None:
    """All that a graph would remember by its address: inputs, weights, moments and terms."""
    network = Affine()
    optimizer = torch.optim.Adam(network.parameters(), fused=True)
    seen: list[int] = []

    def measure(index: Tensor) -> tuple[Tensor, ...]:
        batch: Batch = transitions.batch(index)
        seen.append(index.data_ptr())
        return (network(batch.observation, batch.action).square().mean(),)

    places = []
    step = StaticStep(measure, optimizer, [torch.arange(4)])
    for begin in range(3):
        returned = step.advance(torch.arange(begin, begin + 4))
        assert step._terms is not None
        assert returned.data_ptr() != step._terms.data_ptr()
        state = optimizer.state[network.weight]
        places.append((step._terms.data_ptr(), *(state[name].data_ptr() for name in ("step", "exp_avg"))))
    assert len(set(seen)) == len(set(places)) == 1

"""Compiled training: whole graphs, the same losses, gradients and checkpoints; or a line to say why not."""

from __future__ import annotations

import copy
import functools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

from sen_bench.baselines.kinds import KINDS
from sen_bench.baselines.model import WorldModel
from sen_bench.baselines.objects import build_object_model
from sen_bench.checks.samples import Samples
from sen_bench.cli.main import main
from sen_bench.config.presets import load_preset
from sen_bench.config.settings import TrainingConfig
from sen_bench.data.transitions import Batch, Transitions
from sen_bench.envs.blocks3d import Blocks3D
from sen_bench.errors import CompileError
from sen_bench.tasks.registry import get_task
from sen_bench.training import Checkpoint, TrainingResult, contrastive_loss, loop, read_metrics, train
from sen_bench.training import steps as training_steps
from sen_bench.training.compilation import compile_errors, compiled_loss
from sen_bench.training.execution import Execution
from tests.support.presets import TINY
from tests.support.recorder import Recorder
from tests.support.trainings import CPU, IDENTITY, Affine

# PyTorch's own, of what it uses itself to compile.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

# Every kind of layer that the object models of 3D Blocks do not have.
OTHER_MODELS = [
    ("rush-hour", "full"),
    ("reacher", "full"),
    ("reacher", "none"),
    ("teapot-large", "tfn"),
    ("teapot-large", "none"),
]


def _small(kind: str = "none") -> WorldModel:
    return build_object_model(
        kind,
        symmetry=Blocks3D(num_objects=2).symmetry,
        observation_shape=(6, 6, 3),
        embedding_channels=2,
        hidden=4,
    )


def _batch(count: int, seed: int) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    frames = torch.rand(2, count, 6, 6, 3, generator=generator, dtype=torch.float64).permute(0, 1, 4, 2, 3)
    return Batch(frames[0], torch.randint(0, 8, (count,), generator=generator), frames[1])


@pytest.mark.parametrize("kind", KINDS)
def test_object_models_compile_whole_and_learn_as_uncompiled(kind: str) -> None:
    """Without a graph break (``fullgraph``) and without compiling anew; losses and gradients agree.

    In float64. A bias before a batch norm has no gradient but rounding: in float32 Adam makes whole steps of
    that, here it is far below Adam's epsilon.
    """
    with torch.random.fork_rng():
        torch.manual_seed(0)
        eager = _small(kind).double()
    compiled = copy.deepcopy(eager)
    losses = {eager: contrastive_loss, compiled: compiled_loss("aot_eager")}
    optimizers = {model: torch.optim.Adam(model.parameters(), lr=1e-2) for model in losses}
    with torch._dynamo.config.patch(error_on_recompile=True):
        for step in range(10):
            batch, permutation = _batch(8, step), torch.arange(8).roll(1 + step % 7)
            totals = []
            for model, loss in losses.items():
                optimizers[model].zero_grad()
                terms = loss(model, batch, permutation, hinge=1.0, dtype=torch.float32)
                terms.total.backward()  # type: ignore[no-untyped-call]
                totals.append(terms.total.detach())
            torch.testing.assert_close(*totals, rtol=1e-9, atol=1e-9)
            for mine, theirs in zip(eager.parameters(), compiled.parameters(), strict=True):
                torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-8, atol=1e-9)
            for optimizer in optimizers.values():
                optimizer.step()


@pytest.mark.slow
@pytest.mark.parametrize(("task", "name"), OTHER_MODELS)
def test_other_models_compile_whole(task: str, name: str) -> None:
    chosen = get_task(task)
    model = chosen.build_model(name, load_preset("smoke").for_task(task).models[name]).double()
    samples = Samples.draw(chosen.world(), 4)
    frames = samples.observation(torch.float64)
    batch, permutation = Batch(frames, samples.action(), frames.flip(0)), torch.arange(4).roll(1)
    totals = []
    for loss in (compiled_loss("eager"), contrastive_loss):
        model.zero_grad()
        totals.append(loss(model, batch, permutation, hinge=1.0, dtype=torch.float32).total)
        torch.autograd.backward(totals[-1:])
        totals += [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]
    count = len(totals) // 2
    torch.testing.assert_close(totals[:count], totals[count:], rtol=1e-5, atol=1e-7)


@pytest.fixture(scope="module")
def transitions() -> Transitions:
    generator = torch.Generator().manual_seed(0)
    frames = torch.randint(0, 256, (6, 8, 6, 6, 3), dtype=torch.uint8, generator=generator)
    return Transitions(frames, torch.randint(0, 8, (6, 7), generator=generator), CPU)


@pytest.fixture
def cheap_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """Traces as for compiling, and then runs what was traced."""
    monkeypatch.setattr(training_steps, "compiled_loss", functools.partial(compiled_loss, "eager"))


def _train(
    folder: Path,
    transitions: Transitions,
    build: Callable[[], WorldModel] = _small,
    progress: Recorder | None = None,
    later: dict[int, int] | None = None,
    **options: Any,
) -> TrainingResult:
    config = TrainingConfig(epochs=2, batch_size=8, batch_size_from_epoch=later or {})
    with torch._dynamo.config.patch(error_on_recompile=True):
        return train(
            build,
            transitions,
            config,
            seed=0,
            folder=folder,
            identity=IDENTITY,
            progress=progress or Recorder(),
            **options,
        )


def _assert_same(folder: Path, other: Path) -> None:
    """The same losses, and checkpoints that hold the same.

    Weights may differ: of a bias before a batch norm the gradient is nothing but rounding, and of that Adam
    makes whole steps.
    """
    curves = [
        [line["loss"] for line in read_metrics(each / "metrics.jsonl")[0] if "loss" in line]
        for each in (folder, other)
    ]
    assert curves[0] == pytest.approx(curves[1], rel=1e-4)
    states = [Checkpoint.load(each / "checkpoint.pt", CPU).model for each in (folder, other)]
    assert states[0].keys() == states[1].keys()


@pytest.mark.usefixtures("cheap_compiler")
def test_a_run_goes_on_compiled_or_not(tmp_path: Path, transitions: Transitions) -> None:
    """The last batch of an epoch, of two samples, does not compile anew: that would be an error here."""
    _train(tmp_path / "plain", transitions)
    assert not Checkpoint.load(tmp_path / "plain/checkpoint.pt", CPU).compiled
    for first in (True, False):
        folder = tmp_path / f"compiled-{first}"
        with pytest.raises(KeyboardInterrupt):  # in the second epoch
            _train(folder, transitions, progress=Recorder(2), compiled=first)
        assert Checkpoint.load(folder / "checkpoint.pt", CPU).compiled == first
        _train(folder, transitions, compiled=not first)
        _assert_same(folder, tmp_path / "plain")
        assert Checkpoint.load(folder / "checkpoint.pt", CPU).compiled


@pytest.mark.usefixtures("cheap_compiler")
def test_many_models_compile_in_one_process(tmp_path: Path, transitions: Transitions) -> None:
    """PyTorch compiles one function for no more than eight models, unless told to forget the others."""
    for number in range(10):
        recorder = Recorder()
        _train(tmp_path / str(number), transitions, Affine, recorder, compiled=True)
        assert recorder.messages == ["compiling; the first step takes about a minute"]


@pytest.mark.usefixtures("cheap_compiler")
def test_a_batch_larger_than_the_dataset_is_compiled_for_what_there_is(
    tmp_path: Path, transitions: Transitions
) -> None:
    few = Transitions(transitions._frames[:1, :4], transitions._actions[:1, :3], CPU)
    recorder = Recorder()
    _train(tmp_path, few, Affine, recorder, compiled=True)
    assert recorder.messages


@pytest.mark.usefixtures("cheap_compiler")
def test_batches_that_grow_are_compiled_for_once_more(tmp_path: Path, transitions: Transitions) -> None:
    recorder = Recorder()
    _train(tmp_path / "compiled", transitions, progress=recorder, later={2: 12}, compiled=True)
    assert recorder.messages == 2 * ["compiling; the first step takes about a minute"]
    _train(tmp_path / "plain", transitions, later={2: 12})
    _assert_same(tmp_path / "compiled", tmp_path / "plain")


class Opaque(Affine):
    """A model with a branch that a compiler cannot foresee."""

    def encode(self, embedding: Tensor) -> Tensor:
        return embedding * self.weight if embedding.sum() > 0 else embedding


@pytest.mark.usefixtures("cheap_compiler")
def test_a_model_that_cannot_be_compiled_whole_is_refused(tmp_path: Path, transitions: Transitions) -> None:
    with pytest.raises(CompileError, match=r"cannot be compiled \(.*\); use --no-compile$") as refused:
        _train(tmp_path, transitions, Opaque, compiled=True)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "checkpoint.pt").exists()
    _train(tmp_path, transitions, Opaque)


@pytest.mark.usefixtures("cheap_compiler")
def test_where_nobody_asked_to_compile_it_goes_on_without(
    tmp_path: Path, transitions: Transitions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "choose_execution", lambda *_, **__: Execution(compiled=True))
    recorder = Recorder()
    _train(tmp_path / "chosen", transitions, Opaque, recorder)
    compiling, failed = recorder.messages
    assert compiling.startswith("compiling")
    assert failed.startswith("not compiled: the training step cannot be compiled")
    assert not Checkpoint.load(tmp_path / "chosen/checkpoint.pt", CPU).compiled
    monkeypatch.undo()
    _train(tmp_path / "plain", transitions, Opaque)
    _assert_same(tmp_path / "chosen", tmp_path / "plain")


@pytest.mark.usefixtures("cheap_compiler")
def test_a_graph_of_compiled_code_learns_as_the_plain_loop(tmp_path: Path, transitions: Transitions) -> None:
    recorder = Recorder()
    _train(tmp_path / "graph", transitions, progress=recorder, compiled=True, graph=True)
    assert recorder.messages == ["compiling; the first step takes about a minute"]
    _train(tmp_path / "plain", transitions)
    _assert_same(tmp_path / "graph", tmp_path / "plain")


def test_compiled_code_is_kept_in_our_cache(tmp_path: Path) -> None:
    """In a process of its own: PyTorch chooses a folder when the first optimiser is made."""
    script = (
        "from tests.training.test_compile import *;"
        "t = Transitions(torch.zeros(2, 5, 6, 6, 3, dtype=torch.uint8), torch.zeros(2, 4, dtype=int), CPU);"
        f"train(Affine, t, TrainingConfig(epochs=1), seed=0, folder=Path({str(tmp_path / 'run')!r}),"
        " identity=IDENTITY); print(os.environ['TORCHINDUCTOR_CACHE_DIR'])"
    )
    environment = {**os.environ, "SEN_BENCH_CACHE": str(tmp_path)}
    del environment["TORCHINDUCTOR_CACHE_DIR"]
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == str(tmp_path / "compiled")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "cache/half.so",
            r"cannot be loaded \(half\.so: file too short\); its file is removed, .*; or",
        ),
        ("cache/gone.so", r"cannot be compiled \(ImportError: gone\.so: file too short\); use"),
        ("elsewhere/half.so", r"cannot be compiled \(ImportError: half\.so: file too short\); use"),
    ],
)
def test_what_a_killed_compilation_left_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, said: str
) -> None:
    """PyTorch would load it for ever. Files elsewhere are not ours to remove."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    for half in ("cache", "elsewhere"):
        (tmp_path / half).mkdir()
        (tmp_path / half / "half.so").touch()
    file = tmp_path / name

    def backend(*_: object) -> None:
        raise ImportError(f"{file.name}: file too short", path=str(file))

    with pytest.raises(CompileError, match=said) as refused, compile_errors():
        torch.compile(lambda x: x + 1, backend=backend)(torch.ones(1))
    assert str(refused.value).endswith("use --no-compile")
    assert (tmp_path / "cache" / "half.so").exists() == (name != "cache/half.so")
    assert (tmp_path / "elsewhere" / "half.so").exists()


def test_checkpoints_older_than_compiling_can_be_read(tmp_path: Path, transitions: Transitions) -> None:
    path = tmp_path / "checkpoint.pt"
    _train(tmp_path, transitions, Affine)
    contents = torch.load(path, weights_only=True)
    del contents["compiled"]
    torch.save(contents, path)
    assert not Checkpoint.load(path, CPU).compiled


@pytest.mark.slow
def test_compiled_for_real_it_learns_the_same(tmp_path: Path, transitions: Transitions) -> None:
    for name, compiled in (("plain", False), ("compiled", True)):
        _train(tmp_path / name, transitions, compiled=compiled)
    _assert_same(tmp_path / "compiled", tmp_path / "plain")


@pytest.mark.slow
def test_without_a_compiler_on_the_machine_one_line_says_so(tmp_path: Path) -> None:
    """In a process of its own: PyTorch remembers what it has found and compiled."""
    script = (
        "from tests.training.test_compile import *;"
        "t = Transitions(torch.zeros(2, 5, 6, 6, 3, dtype=torch.uint8), torch.zeros(2, 4, dtype=int), CPU);"
        f"train(Affine, t, TrainingConfig(epochs=1), seed=0, folder=Path({str(tmp_path)!r}),"
        " identity=IDENTITY, progress=Recorder(), compiled=True)"
    )
    environment = {**os.environ, "CXX": "/nonexistent", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    last = done.stderr.splitlines()[-1]
    assert last.startswith("sen_bench.errors.CompileError: the training step cannot be compiled")
    assert "compiler" in last
    assert last.endswith("use --no-compile")


@pytest.mark.usefixtures("cheap_compiler")
def test_rows_say_what_was_compiled_and_are_else_of_the_same_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tiny.toml").write_text(TINY)
    command = ["run", "3d-blocks", "--preset", "tiny.toml", "--device", "cpu", "--workers", "1"]
    for seed, how in (("0", "--compile"), ("1", "--no-compile")):
        done = CliRunner().invoke(main, [*command, "--model", "none", "--seeds", seed, how])
        assert done.exit_code == 0, done.output
    runs = pd.read_csv("results/runs.csv")
    assert runs["compiled"].tolist() == (runs["seed"] == 0).tolist()
    assert len(set(runs["config_digest"])) == 1

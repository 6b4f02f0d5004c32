"""The profile of training: it names where the time goes, and changes nothing about the weights."""

from __future__ import annotations

import functools
import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from sen_bench.cli.main import main
from sen_bench.cli.profile_table import OPERATORS, format_profile
from sen_bench.config.settings import TrainingConfig
from sen_bench.costs import MachineLimits, StepCost
from sen_bench.data.transitions import Transitions
from sen_bench.training import Profile, StepProfiler, TrainingResult, profile, train
from sen_bench.training import steps as training_steps
from sen_bench.training.compilation import compiled_loss
from tests.support.presets import TINY
from tests.support.recorder import Recorder
from tests.support.trainings import CPU, IDENTITY, Affine, small_sen

EAGER = ["data", "embed", "encode", "transition", "loss", "backward", "optimiser"]


@pytest.fixture(scope="module")
def transitions() -> Transitions:
    generator = torch.Generator().manual_seed(0)
    frames = torch.randint(0, 256, (6, 8, 6, 6, 3), dtype=torch.uint8, generator=generator)
    return Transitions(frames, torch.randint(0, 20, (6, 7), generator=generator), CPU)


@pytest.fixture(scope="module", autouse=True)
def few_steps() -> Iterator[None]:
    """Two steps to warm up, three by the clock, two in the trace, of the twelve that there are."""
    with pytest.MonkeyPatch.context() as patch:
        for name, steps in (("WARM_UP", 2), ("TIMED", 3), ("TRACED", 2)):
            patch.setattr(profile, name, steps)
        yield


def _train(
    folder: Path, transitions: Transitions, stages: StepProfiler | None, *, compiled: bool = False
) -> TrainingResult:
    return train(
        Affine if compiled else small_sen,
        transitions,
        TrainingConfig(epochs=2, batch_size=8),
        seed=0,
        folder=folder,
        identity=IDENTITY,
        progress=Recorder(),
        compiled=compiled,
        stages=stages,
    )


@pytest.fixture(scope="module")
def profiled(
    tmp_path_factory: pytest.TempPathFactory, transitions: Transitions
) -> tuple[TrainingResult, Profile]:
    """A training, and the one profile made of it."""
    made: list[Profile] = []
    folder = tmp_path_factory.mktemp("profiled")
    profiler = StepProfiler(folder, CPU, made.append)
    result = _train(folder, transitions, profiler)
    assert profiler.finished
    (found,) = made
    assert found.trace == folder / "profile.json.gz"
    assert not list(folder.glob(".*"))
    return result, found


def test_profiling_changes_no_bit_of_the_weights(
    tmp_path: Path, transitions: Transitions, profiled: tuple[TrainingResult, Profile]
) -> None:
    plain = _train(tmp_path, transitions, None)
    for name, value in plain.model.state_dict().items():
        assert torch.equal(value, profiled[0].model.state_dict()[name]), name
    assert profiled[0].transitions_seen == plain.transitions_seen


def test_stages_and_operators_are_named_and_add_up(profiled: tuple[TrainingResult, Profile]) -> None:
    found = profiled[1]
    assert list(found.stages) == EAGER
    assert 0 < sum(found.stages.values()) <= found.seconds
    assert (found.timed, found.traced, found.device) == (3, 2, "cpu")
    costs = [operator.seconds for operator in found.operators]
    assert costs == sorted(costs, reverse=True)
    calls = {operator.name: operator.calls for operator in found.operators}
    assert calls["aten::convolution"] == 2 * 2 * 4  # steps, observations, layers
    assert not {"step", *EAGER} & calls.keys()


def test_the_trace_holds_the_stages_of_so_many_steps(profiled: tuple[TrainingResult, Profile]) -> None:
    with gzip.open(profiled[1].trace) as file:
        names = [event.get("name") for event in json.load(file)["traceEvents"]]
    assert {name: names.count(name) for name in ["step", *EAGER]} == {
        # Each batch is fetched in two parts: its indices, and what they stand for.
        **dict.fromkeys(["step", *EAGER], 2),
        "data": 4,
    }


def test_compiled_stages_are_one(
    tmp_path: Path, transitions: Transitions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_steps, "compiled_loss", functools.partial(compiled_loss, "eager"))
    made: list[Profile] = []
    _train(tmp_path, transitions, StepProfiler(tmp_path, CPU, made.append), compiled=True)
    assert list(made[0].stages) == ["data", "forward", "backward", "optimiser"]


def test_a_training_too_short_says_how_many_steps_it_takes(tmp_path: Path, transitions: Transitions) -> None:
    few = Transitions(transitions._frames[:3], transitions._actions[:3], CPU)
    made: list[Profile] = []
    profiler = StepProfiler(tmp_path, CPU, made.append)
    _train(tmp_path, few, profiler)
    assert not made
    assert not profiler.finished
    assert profiler.shortfall == "it takes 7 steps, and training ended after 6"
    assert not (tmp_path / "profile.json.gz").exists()
    again = StepProfiler(tmp_path, CPU, made.append)
    _train(tmp_path, few, again)
    assert again.shortfall.startswith("it is trained already")


def test_an_interrupted_trace_leaves_the_tracer_free(tmp_path: Path, transitions: Transitions) -> None:
    made: list[Profile] = []

    class Interrupting(StepProfiler):
        def stage(self, name: str) -> object:  # type: ignore[override]
            if self._tracing:
                raise KeyboardInterrupt
            return super().stage(name)

    with pytest.raises(KeyboardInterrupt):
        _train(tmp_path, transitions, Interrupting(tmp_path, CPU, made.append))
    _train(tmp_path, transitions, StepProfiler(tmp_path, CPU, made.append))
    assert len(made) == 1


def test_the_summary_fits_a_screen(profiled: tuple[TrainingResult, Profile]) -> None:
    found = profiled[1]
    step = found.seconds / found.timed
    # A quarter of a step for its arithmetic, less for its traffic.
    cost = StepCost(batch=8, operators=900, flops=10**12, eager_bytes=4 * 10**9, fused_bytes=10**9)
    limits = MachineLimits(flops=4e12 / step, bytes_moved=8e9 / step, launch=1e-6, launches_ahead=False)
    lines = format_profile(found, cost, limits).splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines[:-1])) <= 88
    stages = [line.split() for line in lines[1 : 2 + len(EAGER)]]
    assert [words[0] for words in stages] == [*EAGER, "other"]
    assert sum(float(words[-1].rstrip("%")) for words in stages) == pytest.approx(100, abs=0.5)
    assert sum("calls" in line for line in lines) == OPERATORS
    (limit,) = [line for line in lines if line.startswith("limit of this machine")]
    assert limit.endswith("a step, of which this one reaches 25%")
    assert "limit of this machine" not in format_profile(found, None, limits)


def test_the_command_prints_the_summary_on_stdout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tiny.toml").write_text(TINY.replace("epochs = 2", "epochs = 4"))  # of two steps each
    command = ["--preset", "tiny.toml", "--device", "cpu", "--model", "none"]
    assert CliRunner().invoke(main, ["run", "3d-blocks", "--workers", "1", *command]).exit_code == 0
    train_again = ["train", "3d-blocks", *command, "--profile"]
    already = CliRunner().invoke(main, train_again)
    assert "no profile of 3d-blocks/train/none/tiny/seed-0: it is trained already" in already.stderr
    anew = CliRunner().invoke(main, [*train_again, "--force"])
    assert anew.exit_code == 0, anew.output
    first, *_, last = anew.stdout.splitlines()
    assert first.startswith("a training step on cpu: ")
    assert last.startswith("runs/3d-blocks/train/none/tiny/seed-0: ")
    assert "trace: runs/3d-blocks/train/none/tiny/seed-0/profile.json.gz" in anew.stdout

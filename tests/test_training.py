"""Training: the loss by hand, the same weights however often it was interrupted, collapse seen and said."""

from __future__ import annotations

import errno
import itertools
import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sen_bench.baselines.model import WorldModel
from sen_bench.baselines.objects import build_object_model
from sen_bench.config import RunConfig, TaskPreset, TrainingConfig
from sen_bench.data import Batch, Transitions
from sen_bench.envs.blocks3d import Blocks3D
from sen_bench.errors import CheckpointError, ConfigError, NonFiniteError
from sen_bench.tasks import get_task
from sen_bench.training import Checkpoint, Status, TrainingResult, contrastive_loss, train
from sen_bench.training.collapse import CollapseDetector
from sen_bench.training.log import MetricsLog

CPU = torch.device("cpu")
IDENTITY = {"task": "test", "seed": "0"}


class Recorder:
    """A reporter that remembers, and can interrupt as Ctrl-C would."""

    def __init__(self, interrupt_after: int | None = None) -> None:
        self.statuses: list[Status] = []
        self.messages: list[str] = []
        self._left = interrupt_after

    def progress(self, status: Status) -> None:
        self.statuses.append(status)
        if self._left is not None and len(self.statuses) >= self._left:
            raise KeyboardInterrupt

    def message(self, text: str) -> None:
        self.messages.append(text)


class Affine(WorldModel):
    """The smallest world model: z is the mean of the image, times a weight; T adds the action."""

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__(embedding_shape=(1,), latent_shape=(1,), equivariant=False)
        self.weight = nn.Parameter(torch.tensor(weight))

    def embed(self, observation: Tensor) -> Tensor:
        return observation.mean(dim=(1, 2, 3))[:, None]

    def encode(self, embedding: Tensor) -> Tensor:
        return embedding * self.weight

    def transition(self, latent: Tensor, action: Tensor) -> Tensor:
        return latent + action[:, None].to(latent.dtype)

    def distance(self, latent: Tensor, other: Tensor) -> Tensor:
        return 2 * (latent - other).square().sum(dim=1)

    def transform_embedding(self, elements: Tensor, embedding: Tensor) -> Tensor:
        raise NotImplementedError


def small_sen() -> WorldModel:
    symmetry = Blocks3D().symmetry
    return build_object_model(
        "sen", symmetry=symmetry, observation_shape=(6, 6, 3), embedding_channels=2, hidden=4
    )


@pytest.fixture(scope="module")
def transitions() -> Transitions:
    generator = torch.Generator().manual_seed(0)
    frames = torch.randint(0, 256, (6, 8, 6, 6, 3), dtype=torch.uint8, generator=generator)
    actions = torch.randint(0, 20, (6, 7), generator=generator)
    return Transitions(frames, actions, CPU)


def _train(
    folder: Path,
    transitions: Transitions,
    build: Callable[[], WorldModel] = small_sen,
    reporter: Recorder | None = None,
    *,
    seed: int = 0,
    identity: dict[str, str] = IDENTITY,
    **settings: Any,
) -> TrainingResult:
    config = TrainingConfig(**{"epochs": 3, "batch_size": 8, **settings})
    return train(
        build,
        transitions,
        config,
        seed=seed,
        folder=folder,
        identity=identity,
        reporter=reporter or Recorder(),
    )


def _weights(result: TrainingResult) -> dict[str, Tensor]:
    return dict(result.model.state_dict())


def _log(folder: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def test_transitions_are_neighbouring_frames_of_one_episode(transitions: Transitions) -> None:
    frames, actions = transitions._frames, transitions._actions
    assert len(transitions) == 42
    index = torch.tensor([0, 6, 7, 41])
    batch = transitions.batch(index)
    for row, (episode, step) in enumerate([(0, 0), (0, 6), (1, 0), (5, 6)]):
        for got, frame in ((batch.observation, step), (batch.next_observation, step + 1)):
            expected = frames[episode, frame].permute(2, 0, 1).double() / 255
            torch.testing.assert_close(got[row].double(), expected, rtol=0, atol=1e-7)
        assert batch.action[row] == actions[episode, step]


def test_loss_of_a_case_computed_by_hand() -> None:
    """z = (0, 0.5, 1), z' = (0.5, 0.5, 1), actions (0, 0, 1), negatives of the samples (2, 0, 1)."""

    def images(*values: float) -> Tensor:
        return torch.tensor(values)[:, None, None, None].expand(-1, 3, 2, 2)

    batch = Batch(images(0, 0.5, 1), torch.tensor([0, 0, 1]), images(0.5, 0.5, 1))
    terms = contrastive_loss(Affine(), batch, torch.tensor([2, 0, 1]), hinge=1.0, dtype=torch.float32)
    # d(z + T, z') = 2·(0.25, 0, 1); d(z, z̃) = 2·(1, 0.25, 0.25), short of the margin by (0, 0.5, 0.5).
    assert terms.positive.item() == pytest.approx(2.5 / 3)
    assert terms.negative.item() == pytest.approx(1.0 / 3)
    assert terms.total.item() == pytest.approx(3.5 / 3)
    assert terms.separation.item() == pytest.approx(1.0)


def test_energies_stay_float32_under_autocast(transitions: Transitions) -> None:
    terms = contrastive_loss(
        small_sen(), transitions.batch(torch.arange(8)), torch.arange(8), hinge=1.0, dtype=torch.bfloat16
    )
    assert {term.dtype for term in terms} == {torch.float32}


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("interrupt_after", [1, 3, 5])
def test_interrupted_training_ends_with_the_same_weights_and_log(
    tmp_path: Path, transitions: Transitions, interrupt_after: int, precision: str
) -> None:
    options: dict[str, Any] = {"precision": precision, "batch_size": 2}
    whole = _train(tmp_path / "whole", transitions, **options)
    parts = tmp_path / "parts"
    with pytest.raises(KeyboardInterrupt):
        _train(parts, transitions, reporter=Recorder(interrupt_after), **options)
    resumed = _train(parts, transitions, **options)
    for name, value in _weights(whole).items():
        assert torch.equal(value, _weights(resumed)[name]), name
    assert _log(parts) == _log(tmp_path / "whole")
    assert resumed.transitions_seen == whole.transitions_seen == 3 * 42


def test_the_log_names_the_terms_of_the_loss(tmp_path: Path, transitions: Transitions) -> None:
    _train(tmp_path, transitions, epochs=1)
    first = _log(tmp_path)[0]
    assert first["event"] == "steps"
    assert {"loss", "positive", "negative", "separation"} <= first.keys()
    assert first["loss"] == pytest.approx(first["positive"] + first["negative"])


def test_more_epochs_go_on_from_fewer(tmp_path: Path, transitions: Transitions) -> None:
    _train(tmp_path / "a", transitions, epochs=1)
    longer = _train(tmp_path / "a", transitions, epochs=3)
    direct = _train(tmp_path / "b", transitions, epochs=3)
    assert all(torch.equal(v, _weights(direct)[k]) for k, v in _weights(longer).items())


class Steady(Affine):
    """A model on whose weight the loss pulls by the same gradient in every step."""

    def encode(self, embedding: Tensor) -> Tensor:
        return self.weight.expand_as(embedding)

    def transition(self, latent: Tensor, action: Tensor) -> Tensor:  # noqa: ARG002 - the gradient must not vary
        return latent + 1

    def distance(self, latent: Tensor, other: Tensor) -> Tensor:
        return 2 * (latent + other.detach()).sum(dim=1)


def test_the_cosine_schedule_is_half_a_wave_down_to_0(tmp_path: Path, transitions: Transitions) -> None:
    """Under a gradient that never changes, Adam moves a weight by just the learning rate in every step."""
    model = Steady(100.0)
    weights: list[float] = []

    class Watching(Transitions):
        def batch(self, index: Tensor) -> Batch:
            weights.append(model.weight.item())
            return super().batch(index)

    watching = Watching(transitions._frames, transitions._actions, CPU)
    _train(tmp_path, watching, lambda: model, epochs=2, batch_size=6, learning_rate=0.5, schedule="cosine")
    steps = [before - after for before, after in itertools.pairwise([*weights, model.weight.item()])]
    expected = [0.5 * (1 + math.cos(math.pi * step / 14)) / 2 for step in range(14)]
    assert steps == pytest.approx(expected, abs=1e-4)


def test_batches_have_the_size_of_their_epoch(tmp_path: Path, transitions: Transitions) -> None:
    sizes: list[int] = []

    class Watching(Transitions):
        def batch(self, index: Tensor) -> Batch:
            sizes.append(len(index))
            return super().batch(index)

    watching = Watching(transitions._frames, transitions._actions, CPU)
    reporter = Recorder()
    grown: dict[str, Any] = {"batch_size": 8, "batch_size_from_epoch": {4: 41, 3: 20}}
    result = _train(tmp_path, watching, reporter=reporter, epochs=4, **grown)
    assert len(transitions) == 42
    assert sizes == 2 * [8, 8, 8, 8, 8, 2] + [20, 20, 2] + [41]
    assert result.transitions_seen == 3 * 42 + 41  # a batch of one sample is left out
    last = {status.epoch: (status.step, status.steps) for status in reporter.statuses}
    assert last == {1: (6, 6), 2: (6, 6), 3: (3, 3), 4: (2, 2)}


def test_training_in_growing_batches_can_be_interrupted(tmp_path: Path, transitions: Transitions) -> None:
    grown: dict[str, Any] = {"epochs": 3, "batch_size": 4, "batch_size_from_epoch": {3: 16}}
    whole = _train(tmp_path / "whole", transitions, **grown)
    with pytest.raises(KeyboardInterrupt):
        _train(tmp_path / "parts", transitions, reporter=Recorder(5), **grown)
    resumed = _train(tmp_path / "parts", transitions, **grown)
    assert all(torch.equal(value, _weights(resumed)[name]) for name, value in _weights(whole).items())


def test_training_under_a_schedule_can_be_interrupted(tmp_path: Path, transitions: Transitions) -> None:
    whole = _train(tmp_path / "whole", transitions, schedule="cosine")
    with pytest.raises(KeyboardInterrupt):
        _train(tmp_path / "parts", transitions, reporter=Recorder(2), schedule="cosine")
    resumed = _train(tmp_path / "parts", transitions, schedule="cosine")
    constant = _train(tmp_path / "constant", transitions)
    assert all(torch.equal(value, _weights(resumed)[name]) for name, value in _weights(whole).items())
    assert any(not torch.equal(value, _weights(constant)[name]) for name, value in _weights(whole).items())


def test_a_constant_learning_rate_leaves_digests_as_they_were_before_there_were_schedules() -> None:
    preset = TaskPreset(training=TrainingConfig(epochs=4, batch_size=128, learning_rate=5e-4))
    config = get_task("3d-blocks").run_config("sen", "train", preset)
    assert config.digest == "0d298f37f16d9256"  # of the first rows of results/runs.csv


def test_digests_say_whether_training_can_go_on_for_more_epochs() -> None:
    def config(**settings: Any) -> RunConfig:
        preset = TaskPreset(training=TrainingConfig(**settings))
        return get_task("3d-blocks").run_config("sen", "train", preset)

    grown = [config(epochs=3, batch_size_from_epoch={2: n}) for n in (3, 4)]
    assert len({c.weights_digest for c in (*grown, config(epochs=3))}) == 3
    assert RunConfig.model_validate_json(grown[0].model_dump_json()).digest == grown[0].digest

    constant, cosine = ({n: config(epochs=n, schedule=s) for n in (3, 4)} for s in ("constant", "cosine"))
    assert constant[3].weights_digest == constant[4].weights_digest
    assert cosine[3].weights_digest != cosine[4].weights_digest
    assert constant[3].weights_digest != cosine[3].weights_digest
    assert len({c.digest for c in (*constant.values(), *cosine.values())}) == 4


def test_finished_training_does_nothing_more(tmp_path: Path, transitions: Transitions) -> None:
    first = _train(tmp_path, transitions)
    before = (tmp_path / "checkpoint.pt").read_bytes(), (tmp_path / "metrics.jsonl").read_bytes()
    reporter = Recorder()
    again = _train(tmp_path, transitions, reporter=reporter)
    assert not reporter.statuses
    assert before == ((tmp_path / "checkpoint.pt").read_bytes(), (tmp_path / "metrics.jsonl").read_bytes())
    assert again.seconds == first.seconds
    assert not again.model.training


def test_seeds_decide_the_weights_and_nothing_else_does(tmp_path: Path, transitions: Transitions) -> None:
    first = _weights(_train(tmp_path / "a", transitions, seed=1))
    torch.rand(7)  # the state of the global generator must not matter
    same = _weights(_train(tmp_path / "b", transitions, seed=1))
    other = _weights(_train(tmp_path / "c", transitions, seed=2))
    assert all(torch.equal(value, same[name]) for name, value in first.items())
    assert any(not torch.equal(value, other[name]) for name, value in first.items())


def test_training_leaves_the_global_generator_alone(tmp_path: Path, transitions: Transitions) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    _train(tmp_path, transitions, epochs=1)
    assert torch.equal(torch.rand(1), expected)


def test_every_transition_is_seen_once_an_epoch(tmp_path: Path, transitions: Transitions) -> None:
    seen: list[int] = []

    class Counting(Transitions):
        def batch(self, index: Tensor) -> Batch:
            seen.extend(index.tolist())
            return super().batch(index)

    counting = Counting(transitions._frames, transitions._actions, CPU)
    _train(tmp_path, counting, epochs=2)
    assert sorted(seen[:42]) == list(range(42))
    assert sorted(seen[42:]) == list(range(42))
    assert seen[:42] != seen[42:]


def test_a_last_batch_of_one_sample_is_left_out(tmp_path: Path, transitions: Transitions) -> None:
    result = _train(tmp_path, transitions, epochs=1, batch_size=41)
    assert result.transitions_seen == 41


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_training_reduces_the_loss(tmp_path: Path, precision: str) -> None:
    """On frames that show which action was taken, the loss falls well below that of equal latents."""
    frames = torch.zeros(40, 2, 6, 6, 3, dtype=torch.uint8)
    actions = torch.arange(40)[:, None] % 20
    frames[torch.arange(40), :, torch.arange(40) % 6, torch.arange(40) // 6 % 6] = 255
    reporter = Recorder()
    _train(
        tmp_path,
        Transitions(frames, actions, CPU),
        reporter=reporter,
        epochs=60,
        batch_size=20,
        learning_rate=5e-3,
        precision=precision,
    )
    assert reporter.statuses[-1].loss < 0.5


def test_progress_counts_down(tmp_path: Path, transitions: Transitions) -> None:
    reporter = Recorder()
    _train(tmp_path, transitions, reporter=reporter)
    assert [(s.epoch, s.step) for s in reporter.statuses] == [(1, 6), (2, 6), (3, 6)]
    assert all(s.steps == 6 and s.epochs == 3 and s.speed > 0 for s in reporter.statuses)
    assert reporter.statuses[-1].seconds_left == 0


def test_collapse_is_detected_after_patience_and_recovery_noticed() -> None:
    detector = CollapseDetector(hinge=1.0, patience=3)
    assert [detector.update(1.0, 0.0) for _ in range(5)] == [None, None, "collapsed", None, None]
    assert detector.collapsed
    assert detector.update(0.4, 2.0) == "recovered"
    assert not detector.collapsed


@pytest.mark.parametrize(("loss", "separation"), [(0.5, 0.0), (1.0, 0.2), (0.2, 3.0)])
def test_low_loss_or_separated_latents_are_no_collapse(loss: float, separation: float) -> None:
    detector = CollapseDetector(hinge=1.0, patience=1)
    assert detector.update(loss, separation) is None


def test_a_single_healthy_step_starts_the_count_anew() -> None:
    detector = CollapseDetector(hinge=1.0, patience=2)
    assert [detector.update(1.0, s) for s in (0.0, 0.5, 0.0)] == [None, None, None]


@pytest.fixture
def still_frames() -> Transitions:
    """Nothing happens in them, so a model whose weight is 0 stays collapsed."""
    return Transitions(
        torch.zeros(40, 11, 2, 2, 3, dtype=torch.uint8), torch.zeros(40, 10, dtype=torch.int64), CPU
    )


def test_collapse_is_said_logged_and_recorded(tmp_path: Path, still_frames: Transitions) -> None:
    reporter = Recorder()
    result = _train(tmp_path, still_frames, Affine, reporter, batch_size=4)
    assert result.collapsed
    assert (result.restarts, result.epochs) == (0, 3)
    assert "COLLAPSED at step 200 (epoch 2)" in reporter.messages[0]
    assert reporter.statuses[-1].collapsed
    events = [line["event"] for line in _log(tmp_path)]
    assert events.count("collapsed") == 1
    assert Checkpoint.load(tmp_path / "checkpoint.pt", CPU).collapsed


def test_stop_ends_a_collapsed_run_for_good(tmp_path: Path, still_frames: Transitions) -> None:
    for _ in range(2):
        result = _train(tmp_path, still_frames, Affine, batch_size=4, on_collapse="stop")
        assert result.collapsed
        assert result.epochs == 1
        assert result.transitions_seen == 200 * 4


def test_restart_begins_anew_with_a_derived_seed_and_counts(
    tmp_path: Path, still_frames: Transitions
) -> None:
    drawn: list[float] = []

    def build() -> WorldModel:
        drawn.append(torch.rand(1).item())
        return Affine()

    result = _train(tmp_path, still_frames, build, batch_size=4, on_collapse="restart")
    assert result.restarts == 5
    assert result.collapsed
    assert result.epochs == 3
    assert len(set(drawn)) == 6
    assert result.transitions_seen == 5 * 800 + 3 * 400
    assert {line["attempt"] for line in _log(tmp_path)} == set(range(6))


def test_restarted_training_resumes_to_the_same_weights(tmp_path: Path, still_frames: Transitions) -> None:
    def build() -> WorldModel:
        return Affine(torch.rand(1).item())

    options: dict[str, Any] = {"batch_size": 4, "on_collapse": "restart"}
    whole = _train(tmp_path / "whole", still_frames, build, **options)
    parts = tmp_path / "parts"
    for _ in range(20):
        try:
            resumed = _train(parts, still_frames, build, Recorder(13), **options)
            break
        except KeyboardInterrupt:
            continue
    assert all(torch.equal(v, _weights(resumed)[k]) for k, v in _weights(whole).items())
    assert _log(parts) == _log(tmp_path / "whole")


def test_a_loss_that_is_no_number_ends_training(tmp_path: Path, transitions: Transitions) -> None:
    with pytest.raises(NonFiniteError, match=r"the loss is nan at step 1 .*learning rate"):
        _train(tmp_path, transitions, lambda: Affine(math.nan))
    assert not (tmp_path / "checkpoint.pt").exists()


def test_training_refuses_a_single_transition(tmp_path: Path, transitions: Transitions) -> None:
    one = Transitions(transitions._frames[:1, :2], transitions._actions[:1, :1], CPU)
    with pytest.raises(ConfigError, match="at least two"):
        _train(tmp_path, one)


def test_a_checkpoint_of_another_run_is_refused_by_name(tmp_path: Path, transitions: Transitions) -> None:
    _train(tmp_path, transitions, epochs=1)
    with pytest.raises(CheckpointError, match="its seed is 0, not 7"):
        _train(tmp_path, transitions, identity={"task": "test", "seed": "7"})


@pytest.mark.parametrize("damage", ["truncate", "garbage", "foreign", "version"])
def test_damaged_checkpoints_are_refused_in_one_line(
    tmp_path: Path, transitions: Transitions, damage: str
) -> None:
    _train(tmp_path, transitions, epochs=1)
    path = tmp_path / "checkpoint.pt"
    if damage == "truncate":
        path.write_bytes(path.read_bytes()[:-200])
    elif damage == "garbage":
        path.write_bytes(b"not a checkpoint")
    elif damage == "foreign":
        torch.save({"format_version": 1, "weights": torch.zeros(2)}, path)
    else:
        contents = torch.load(path, weights_only=True)
        torch.save({**contents, "format_version": 99}, path)
    with pytest.raises(CheckpointError) as caught:
        _train(tmp_path, transitions)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_whatever_is_damaged_in_a_checkpoint_it_is_refused_or_read(
    tmp_path: Path, transitions: Transitions
) -> None:
    _train(tmp_path, transitions, epochs=1)
    path = tmp_path / "checkpoint.pt"
    whole = path.read_bytes()
    chance = random.Random(0)  # noqa: S311 — places, not secrets
    refused = 0
    for _ in range(300):
        damaged = bytearray(whole)
        # Most of a checkpoint are weights, which may be anything: what describes them stands at its ends.
        at = chance.choice((chance.randrange(2000), len(whole) - 1 - chance.randrange(2000)))
        damaged[at] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        try:
            Checkpoint.load(path, CPU)
        except CheckpointError as error:
            refused += "\n" not in str(error)
    assert refused > 30


def test_a_failed_save_keeps_the_last_checkpoint(
    tmp_path: Path, transitions: Transitions, monkeypatch: pytest.MonkeyPatch
) -> None:
    _train(tmp_path, transitions, epochs=1)
    before = (tmp_path / "checkpoint.pt").read_bytes()

    def full(path: Path, data: Any) -> int:
        with path.open("wb") as file:
            file.write(data[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(CheckpointError, match="No space left on device; the last one is kept"):
        _train(tmp_path, transitions, epochs=2)
    monkeypatch.undo()
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint.pt", "metrics.jsonl"]


def test_log_drops_what_comes_after_the_checkpoint_and_a_line_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    lines = [{"attempt": a, "epoch": e, "step": s} for a, e, s in [(0, 3, 9), (1, 1, 1), (1, 2, 2)]]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"attempt": 1, "ep')
    with MetricsLog(path, keep=(1, 2)) as log:
        log.add(attempt=1, epoch=2, step=2, loss=0.5)
    kept = [json.loads(line) for line in path.read_text().splitlines()]
    assert kept == [*lines[:2], {"attempt": 1, "epoch": 2, "step": 2, "loss": 0.5}]


def test_tensorboard_events_are_written(tmp_path: Path, transitions: Transitions) -> None:
    config = TrainingConfig(epochs=1, batch_size=8)
    train(
        small_sen,
        transitions,
        config,
        seed=0,
        folder=tmp_path,
        identity=IDENTITY,
        reporter=Recorder(),
        tensorboard=True,
    )
    assert any("tfevents" in path.name for path in (tmp_path / "tensorboard").iterdir())

"""Models with a loss of their own are trained by the one loop: resumed to the bit, and watched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from sen_bench.baselines import CheckedModel, Evidence, GenerativeModel, WorldModel
from sen_bench.config import TrainingConfig
from sen_bench.data import Batch, Transitions
from sen_bench.errors import CompileError, ConfigError, ExtensionError
from sen_bench.tasks import get_task
from sen_bench.training import METRICS_FILE, TrainingResult, evidence_loss, read_metrics, train
from sen_bench.training.evidence import loss_of
from sen_bench.training.execution import Execution
from sen_bench.training.profile import Stages
from sen_bench.training.steps import Steps
from tests.support.recorder import Recorder
from tests.support.registry import narrow_model

CPU = torch.device("cpu")
WHOSE = {"task": "teapot-large", "model": "vae"}


def _transitions(count: int = 12) -> Transitions:
    generator = torch.Generator().manual_seed(0)
    frames = torch.randint(256, (count, 2, 64, 64, 1), dtype=torch.uint8, generator=generator)
    return Transitions(frames, torch.eye(3).expand(count, 1, 3, 3), CPU)


def _built() -> WorldModel:
    return get_task("teapot-large").build_model("vae", {"embedding_channels": 4, "decoder_channels": 4})


def _train(folder: Path, config: TrainingConfig, **others: Any) -> TrainingResult:
    return train(_built, _transitions(), config, seed=0, folder=folder, identity=WHOSE, **others)


def _batch() -> Batch:
    return _transitions().batch(torch.arange(12))


def test_the_loss_is_the_sum_of_the_bounds_terms() -> None:
    model = narrow_model("teapot-large", "vae")
    assert isinstance(model, GenerativeModel)
    permutation = torch.arange(12).roll(1)
    torch.manual_seed(1)
    terms = evidence_loss(model, _batch(), permutation, dtype=torch.float32)
    torch.manual_seed(1)
    evidence = model.evidence(_batch().observation)
    torch.testing.assert_close(terms.positive, evidence.reconstruction.mean())
    torch.testing.assert_close(terms.negative, evidence.divergence.mean())
    torch.testing.assert_close(terms.total, terms.positive + terms.negative)
    apart = CheckedModel(model).distance(evidence.latent, evidence.latent.roll(1, dims=0)).mean()
    torch.testing.assert_close(terms.separation, apart)
    torch.manual_seed(1)
    assert loss_of(model, _batch(), permutation, dtype=torch.float32).total.item() == terms.total.item()


def test_training_resumes_to_the_bit_and_lowers_the_loss(tmp_path: Path) -> None:
    config = TrainingConfig(epochs=2, batch_size=6, learning_rate=1e-3)
    whole = _train(tmp_path / "whole", config)
    _train(tmp_path / "parts", config.model_copy(update={"epochs": 1}))
    parts = _train(tmp_path / "parts", config)
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, parts.model.state_dict()[name]), name
    lines, remark = read_metrics(tmp_path / "whole" / METRICS_FILE)
    assert not remark
    first, last = (line["mean_loss"] for line in lines if line["event"] == "epoch")
    assert last < first


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": "text"},
        {"hinge": 2.0},
        {"negatives_from_epoch": {2: {"same_episode": 0.0}}},
        {"negatives": {"per_object": True}},
        {"bystander_weight": 1},
    ],
)
def test_settings_of_another_loss_are_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    config = TrainingConfig.model_validate({"epochs": 1, "batch_size": 6, **changes})
    (name,) = changes
    with pytest.raises(ConfigError, match=rf"training\.{name} changes nothing: VariationalRotationModel"):
        _train(tmp_path, config)


def test_compiling_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(CompileError, match="use --no-compile"):
        _train(tmp_path, TrainingConfig(epochs=1, batch_size=6), compiled=True)


def test_compiling_that_nobody_asked_for_is_left_out_and_said() -> None:
    recorder, network = Recorder(), _built()
    steps = Steps(
        network,
        torch.optim.Adam(network.parameters()),
        _transitions(),
        TrainingConfig(batch_size=6),
        Execution(compiled=True),
        progress=recorder,
        stages=Stages(),
    )
    assert not steps.execution.compiled
    (told,) = recorder.messages
    assert told == (
        "not compiled: VariationalRotationModel is trained by a loss of its own, which is not compiled"
    )


class _Collapsed(GenerativeModel):
    """All latents are equal, and the loss is far above the margin."""

    def __init__(self, shape: tuple[int, ...] = ()) -> None:
        super().__init__(embedding_shape=(2,), latent_shape=(2,), equivariant=False)
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self._shape = shape

    def embed(self, observation: torch.Tensor) -> torch.Tensor:
        return self.weight.expand(len(observation), 2)

    def encode(self, embedding: torch.Tensor) -> torch.Tensor:
        return embedding

    def transition(self, latent: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        del action
        return latent

    def distance(self, latent: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        return (latent - other).square().sum(dim=1)

    def transform_embedding(self, elements: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        del elements
        return embedding

    def evidence(self, observation: torch.Tensor) -> Evidence:
        latent = self.embed(observation)
        far = 100 + latent[:, 0]
        return Evidence(far.view(len(observation), *self._shape), far - 101, latent)


def test_equal_latents_are_reported_without_a_margin(tmp_path: Path) -> None:
    recorder = Recorder()
    config = TrainingConfig(epochs=40, batch_size=2, learning_rate=1e-9)
    result = train(
        _Collapsed, _transitions(), config, seed=0, folder=tmp_path, identity=WHOSE, progress=recorder
    )
    assert result.collapsed
    (told,) = recorder.messages
    assert told.endswith("all latents are equal")
    # A divergence below 0 is one by chance, and logged as 0.
    logged = [json.loads(line) for line in (tmp_path / METRICS_FILE).read_text().splitlines()]
    assert {line["negative"] for line in logged if line["event"] == "steps"} == {0.0}


def test_terms_of_another_shape_are_refused() -> None:
    with pytest.raises(ExtensionError, match=r"gives a reconstruction of the shape \[12, 1\]"):
        evidence_loss(_Collapsed((1,)), _batch(), torch.arange(12), dtype=torch.float32)

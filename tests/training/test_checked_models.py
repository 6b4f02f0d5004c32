"""Models of others whose tensors have wrong shapes or types, or that change them in place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sen_bench.checks import Samples, equivariance_errors
from sen_bench.config import SplitSize, TrainingConfig
from sen_bench.data import Episodes, Transitions
from sen_bench.envs.shapes2d import Shapes2D
from sen_bench.errors import ExtensionError
from sen_bench.evaluation import evaluate
from sen_bench.generators import generate
from sen_bench.store import Dataset
from sen_bench.tasks import get_task
from sen_bench.training import contrastive_loss, train
from tests.support import misshapen_models as models
from tests.support.batches import world_batch
from tests.support.commands import invoke, refused
from tests.support.faulty_models import Plain
from tests.support.presets import TWO_TASKS
from tests.support.trainings import CPU, IDENTITY

TASK = "2d-shapes"
HOW: dict[str, Any] = {"seed": 0, "identity": IDENTITY, "compiled": True}
BROKEN = [
    (models.WideEmbedding, "embed returns float32 [4, 16]", "float32 [4, 8]"),
    (models.OneEmbedding, "embed returns float32 [1, 8]", "float32 [4, 8]"),
    (models.HalfLatents, "encode returns float16 [4, 8]", "float32 [4, 8]"),
    (models.TupleLatents, "encode returns a tuple, no tensor", "float32 [4, 8]"),
    (models.OnePrediction, "transition returns float32 [1, 8]", "float32 [4, 8]"),
    (models.WholePrediction, "transition returns int64 [4, 8]", "float32 [4, 8]"),
    (models.MatrixDistance, "distance returns float32 [4, 8]", "float32 [4]"),
    (models.ScalarDistance, "distance returns float32 []", "float32 [4]"),
]


def built(model: type[Plain]) -> Plain:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return model(symmetry=Shapes2D().symmetry, observation_shape=(50, 50, 3))


def loss_of(model: Plain) -> Tensor:
    batch, permutation = world_batch(TASK, 4, seed=0)
    terms = contrastive_loss(model, batch, permutation, hinge=1.0, dtype=torch.float32)
    return torch.stack(terms).detach()


@pytest.fixture(scope="module")
def episodes(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    recipe = get_task(TASK).recipe("eval", SplitSize(episodes=4, horizon=3))
    return generate(recipe, tmp_path_factory.mktemp("data") / "eval.zarr", progress=False).dataset


@pytest.mark.parametrize(("model", "found", "wanted"), BROKEN)
class TestShapes:
    def test_no_step_is_trained(self, model: type[Plain], found: str, wanted: str) -> None:
        with pytest.raises(ExtensionError) as refusal:
            loss_of(built(model))
        assert str(refusal.value) == f"{model.__name__}.{found}; for this batch of 4 it must be {wanted}"

    def test_nothing_is_scored(self, model: type[Plain], found: str, wanted: str, episodes: Dataset) -> None:
        with pytest.raises(ExtensionError) as refusal:
            evaluate(built(model), Episodes(episodes, CPU, times=(0, 1, 3)), horizons=(1, 3))
        assert str(refusal.value) == f"{model.__name__}.{found}; for this batch of 4 it must be {wanted}"

    def test_it_fails_its_check(self, model: type[Plain], found: str, wanted: str) -> None:
        del wanted
        with pytest.raises(
            ExtensionError, match=rf"^{model.__name__}\.{found.split(' returns', maxsplit=1)[0]} returns"
        ):
            equivariance_errors(built(model), Samples.draw(get_task(TASK).world(), 4))


def test_a_transformation_of_one_is_refused_where_it_is_scored(episodes: Dataset) -> None:
    with pytest.raises(
        ExtensionError, match=r"transform_embedding returns float32 \[1, 8\]; for this batch of 4"
    ):
        evaluate(built(models.OneTransformed), Episodes(episodes, CPU, times=(0, 1)), horizons=(1,))


def test_on_the_command_line_it_is_one_line(here: Path) -> None:
    (here / "tiny.toml").write_text(TWO_TASKS)
    name = "tests.support.misshapen_models:OnePrediction"
    wrong = "OnePrediction.transition returns float32 [1, 8]; for this batch of 10 it must be float32 [10, 8]"
    settings = ("--preset", "tiny.toml", "--device", "cpu", "--quiet")
    assert refused("run", TASK, "--model", name, *settings) == f"error: {wrong}"
    assert not (here / "results").exists()
    assert not list(here.rglob("checkpoint.pt"))
    assert "OnePrediction.transition returns" in refused("check", TASK, "--model", name)
    result = invoke("run", TASK, "--models", f"{name},none", *settings)
    assert result.exit_code == 1
    assert wrong in result.stderr


@pytest.mark.parametrize(
    "model", [models.InPlace, models.InPlaceLayer, models.InPlaceView, models.Overwriting]
)
class TestInPlace:
    def test_a_negative_term_of_changed_latents_is_refused(self, model: type[Plain]) -> None:
        with pytest.raises(ExtensionError, match=f"^{model.__name__} changes latents in place"):
            loss_of(built(model))

    def test_before_it_is_compiled(self, tmp_path: Path, model: type[Plain]) -> None:
        frames = torch.zeros(2, 5, 50, 50, 3, dtype=torch.uint8)
        transitions = Transitions(frames, torch.zeros(2, 4, dtype=torch.int64), CPU)
        with pytest.raises(ExtensionError, match=f"^{model.__name__} changes latents in place"):
            train(lambda: built(model), transitions, TrainingConfig(epochs=1), **HOW, folder=tmp_path)


def test_scores_are_those_of_a_model_that_changes_nothing_in_place(episodes: Dataset) -> None:
    pairs = [
        (models.InPlace, models.OutOfPlace),
        (models.InPlaceEverywhere, models.OutOfPlaceEverywhere),
    ]
    for changing, keeping in pairs:
        scores = [
            evaluate(built(model), Episodes(episodes, CPU, times=(0, 1, 3)), horizons=(1, 3))
            for model in (changing, keeping)
        ]
        assert repr(scores[0]) == repr(scores[1])


def test_so_are_the_errors_of_a_check() -> None:
    samples = Samples.draw(get_task(TASK).world(), 4)
    changing, keeping = (
        equivariance_errors(built(model), samples)
        for model in (models.InPlaceEverywhere, models.OutOfPlaceEverywhere)
    )
    assert repr(changing) == repr(keeping)

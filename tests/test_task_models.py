"""Every model of every task is trained and scored, by being registered; at the widths of the smoke preset."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import Tensor

from sen_bench.baselines.model import parameter_count
from sen_bench.cli.console import Terminal
from sen_bench.config import Preset, SplitSize, TaskPreset, TrainingConfig, load_preset, preset_names
from sen_bench.data import Transitions
from sen_bench.generators import generate
from sen_bench.store import open_dataset
from sen_bench.sweep import Folders, Run
from sen_bench.tasks import get_task, task_names
from sen_bench.training import contrastive_loss

CPU = torch.device("cpu")
MODELS = [(task, model) for task in task_names() for model in get_task(task).models]
GRIDS = ("2d-shapes", "3d-blocks", "rush-hour")


@pytest.fixture(scope="module")
def transitions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Transitions]:
    """A few transitions of the training data of every task that has models."""
    folder = tmp_path_factory.mktemp("data")
    found = {}
    for name in dict(MODELS):
        recipe = get_task(name).recipe("train", SplitSize(episodes=6, horizon=1))
        found[name] = Transitions.from_dataset(generate(recipe, folder / name).dataset, CPU)
    return found


def _smoke(task: str) -> TaskPreset:
    return load_preset("smoke").for_task(task)


@pytest.mark.parametrize("preset", preset_names())
@pytest.mark.parametrize("task", list(dict(MODELS)))
def test_every_preset_has_settings_for_every_task_with_models(task: str, preset: str) -> None:
    settings = load_preset(preset).for_task(task)
    for model in get_task(task).models:
        get_task(task).run_config(model, "train", settings)


@pytest.mark.parametrize("preset", ["paper", "cpu"])
@pytest.mark.parametrize("task", GRIDS)
def test_presets_take_the_papers_data_and_widths_of_grid_worlds(task: str, preset: str) -> None:
    settings = load_preset(preset).for_task(task)
    assert settings.data == {}
    assert settings.models == {}


@pytest.mark.parametrize("task", ["2d-shapes", "rush-hour"])
def test_the_models_of_a_task_have_the_same_budget(task: str) -> None:
    counts = [parameter_count(get_task(task).build_model(model, {})) for model in get_task(task).models]
    assert max(counts) <= 1.1 * min(counts)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize(("task", "model"), MODELS)
def test_every_model_trains_a_step(
    task: str, model: str, dtype: torch.dtype, transitions: dict[str, Transitions]
) -> None:
    torch.manual_seed(0)
    built = get_task(task).build_model(model, _smoke(task).models.get(model, {}))
    before = {name: parameter.detach().clone() for name, parameter in built.named_parameters()}
    optimizer = torch.optim.Adam(built.parameters(), lr=1e-3)
    batch = transitions[task].batch(torch.arange(6))
    permutation = torch.arange(6).roll(1)

    def loss() -> Tensor:
        return contrastive_loss(built, batch, permutation, hinge=1.0, dtype=dtype).total

    torch.autograd.backward([loss()])
    optimizer.step()
    for name, parameter in built.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.isfinite().all(), name
        # Of a bias, all gradients may vanish: batch normalisation takes it away again.
        assert parameter.dim() < 2 or not torch.equal(parameter, before[name]), name
    assert loss().isfinite()


def _run(task: str, model: str, split: str, folder: Path) -> pd.DataFrame:
    """The rows of a run at the smallest size."""
    widths = _smoke(task).models
    horizon = min(2, get_task(task).split("eval").horizon)
    size = {
        "train": SplitSize(episodes=6, horizon=1),
        "eval": SplitSize(episodes=6, horizon=horizon),
        "train-limited": SplitSize(episodes=40, horizon=1),
    }
    settings = TaskPreset.model_validate(
        {
            "data": {name: size[name] for name in get_task(task).splits},
            "training": TrainingConfig(epochs=1, batch_size=20),
            "evaluation": {"horizons": (1, horizon) if horizon > 1 else (1,)},
            "models": widths,
        }
    )
    preset = Preset(name="tiny", description="as small as it gets", tasks={task: settings})
    folders = Folders(folder / "data", folder / "runs", folder / "results")
    config = get_task(task).run_config(model, split, settings)
    Run(get_task(task), preset, config, 0, folders, CPU).complete(Terminal(quiet=True), workers=1)
    return pd.read_csv(folders.runs_csv)


@pytest.mark.parametrize(("task", "model"), MODELS)
def test_every_model_is_trained_and_scored(task: str, model: str, tmp_path: Path) -> None:
    rows = _run(task, model, "train", tmp_path)
    assert set(rows["model"]) == {model}
    assert rows["mrr"].between(0, 1).all()
    assert rows["die_model"].notna().all()


def test_limited_actions_are_trained_on_and_all_actions_evaluated(tmp_path: Path) -> None:
    rows = _run("2d-shapes", "sen", "train-limited", tmp_path)
    train, evaluation = (
        open_dataset(tmp_path / f"data/tiny/2d-shapes/{split}.zarr") for split in ("train-limited", "eval")
    )
    assert set((train.load("action") % 4).flatten().tolist()) == {0}
    assert set((evaluation.load("action") % 4).flatten().tolist()) == {0, 1, 2, 3}
    assert set(rows["train_split"]) == {"train-limited"}
    assert rows["train_dataset_digest"].eq(f"sha256:{train.content_digest}").all()
    assert rows["eval_dataset_digest"].eq(f"sha256:{evaluation.content_digest}").all()

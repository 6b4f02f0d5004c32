"""Every model of every task is trained and scored, by being registered; at the widths of the smoke preset."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from sen_bench.config.known import preset_names
from sen_bench.config.presets import Preset, SplitSize, TaskPreset, load_preset
from sen_bench.config.settings import TrainingConfig
from sen_bench.data.transitions import Transitions
from sen_bench.errors import ConfigError
from sen_bench.results.folder import ResultsFolder
from sen_bench.runs import Run, complete_run
from sen_bench.runs.workspace import Workspace
from sen_bench.store import open_dataset
from sen_bench.symmetry import Group
from sen_bench.system import QUIET
from sen_bench.tasks.registry import get_task
from sen_bench.training import loss_of
from tests.support.configs import config_of
from tests.support.registry import MODELS, narrow_model, narrow_options

CPU = torch.device("cpu")
GRIDS = ("2d-shapes", "3d-blocks", "rush-hour")


def _noise(task: str, device: torch.device = CPU) -> Transitions:
    """Six transitions of random pixels and actions of a task."""
    world, rng = get_task(task).world(), np.random.default_rng(0)
    shape = (6, 1 + world.frame_stack, *(world.observation_space.shape or ()))
    frames = rng.integers(256, size=shape, dtype=np.uint8)
    actions = np.stack([world.sample_action(rng) for _ in range(6)])[:, None]
    return Transitions(torch.from_numpy(frames), torch.from_numpy(actions), device)


@pytest.mark.parametrize("preset", ["cpu", "paper", "smoke"])
@pytest.mark.parametrize("task", list(dict(MODELS)))
def test_the_presets_of_whole_sweeps_have_settings_for_every_task(task: str, preset: str) -> None:
    settings = load_preset(preset).for_task(task)
    for model in get_task(task).models:
        config_of(task, model, "train", settings)


@pytest.mark.parametrize("task", [task for task in dict(MODELS) if task != "reacher"])
def test_the_preset_cpu_takes_the_papers_data_and_widths(task: str) -> None:
    settings = load_preset("cpu").for_task(task)
    assert settings.data == {}
    # Of models that are run on request the paper gives no widths.
    assert set(settings.models) <= set(get_task(task).models_on_request)


@pytest.mark.parametrize(
    ("preset", "task"), [(preset, task) for preset in preset_names() for task in load_preset(preset).tasks]
)
def test_presets_predict_as_far_ahead_as_the_paper(preset: str, task: str) -> None:
    horizons = load_preset(preset).for_task(task).evaluation.horizons
    # Studies are judged by the last; what lies between is left out of theirs.
    in_grids = (1, 10) if preset == "narrow" else (1, 5, 10)
    assert horizons == (in_grids if task in GRIDS else (1,))


@pytest.mark.parametrize("task", list(dict(MODELS)))
def test_the_preset_paper_trains_as_the_paper(task: str) -> None:
    settings = load_preset("paper").for_task(task)
    reacher = {"batch_size": 256, "precision": "bfloat16"} if task == "reacher" else {}
    assert settings.training == TrainingConfig.model_validate(
        {"epochs": 100, "batch_size": 1024, "learning_rate": 5e-4, **reacher}
    )
    assert settings.data == {}
    assert settings.models == {}


@pytest.mark.parametrize("width", [10**18, 10**30])
def test_widths_that_no_memory_holds_are_refused_in_one_line(width: int) -> None:
    with pytest.raises(ConfigError, match=r"'none' of 2d-shapes cannot be built with \{'hidden': ") as caught:
        get_task("2d-shapes").build_model("none", {"hidden": width})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("task", "model"), MODELS)
def test_every_model_learns_under_autocast_and_keeps_float32(task: str, model: str) -> None:
    """Only products inside the networks are bfloat16: no weight, statistic, gradient, latent or loss."""
    built = narrow_model(task, model)
    before = {name: parameter.detach().clone() for name, parameter in built.named_parameters()}
    optimizer = torch.optim.Adam(built.parameters(), lr=1e-3)
    batch, permutation = _noise(task).batch(torch.arange(6)), torch.arange(6).roll(1)

    def loss() -> Tensor:
        terms = loss_of(built, batch, permutation, dtype=torch.bfloat16)
        assert {term.dtype for term in terms} == {torch.float32}
        return terms.total

    torch.autograd.backward([loss()])
    optimizer.step()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        embedding = built.embed(batch.observation)
        latent = built.encode(embedding)
        predicted = built.transition(latent, batch.action)
    kept = [embedding, latent, predicted, *built.state_dict().values()]
    kept += [value for state in optimizer.state.values() for value in state.values()]
    kept += [parameter.grad for parameter in built.parameters() if parameter.grad is not None]
    assert {value.dtype for value in kept if value.is_floating_point()} == {torch.float32}
    for name, parameter in built.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.isfinite().all(), name
        # Of a bias, all gradients may vanish: batch normalisation takes it away again.
        assert parameter.dim() < 2 or not torch.equal(parameter, before[name]), name
    assert loss().isfinite()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize(("task", "model"), MODELS)
def test_no_step_waits_for_the_gpu(task: str, model: str, dtype: torch.dtype) -> None:
    """From the indices of a batch to the optimiser: whatever waits is an error here."""
    device = torch.device("cuda", 0)
    built = narrow_model(task, model).to(device)
    optimizer = torch.optim.Adam(built.parameters(), lr=1e-3, fused=True)
    transitions, index = _noise(task, device), torch.arange(6, device=device)

    def step() -> Tensor:
        loss = loss_of(built, transitions.batch(index), index.roll(1), dtype=dtype).total
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward([loss])
        optimizer.step()
        return loss.detach()

    step()  # chooses algorithms and takes memory
    with _waiting_is_an_error():
        loss = step()
    assert loss.isfinite()


@contextmanager
def _waiting_is_an_error() -> Iterator[None]:
    """Whatever makes the host wait for the GPU raises a RuntimeError."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that the mode is a prototype
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def _run(task: str, model: str, split: str, folder: Path) -> pd.DataFrame:
    """The rows of a run at the smallest size."""
    horizon = min(2, get_task(task).split("eval").horizon)
    size = {
        "train": SplitSize(episodes=6, horizon=1),
        "eval": SplitSize(episodes=6, horizon=horizon),
        "train-limited": SplitSize(episodes=40, horizon=1),
    }
    settings = TaskPreset.model_validate(
        {
            "data": {name: size[name] for name in (split, "eval")},
            "training": TrainingConfig(epochs=1, batch_size=20),
            "evaluation": {"horizons": (1, horizon) if horizon > 1 else (1,)},
            "models": {model: narrow_options(task, model)},
        }
    )
    preset = Preset(name="tiny", description="as small as it gets", tasks={task: settings})
    results = ResultsFolder(folder / "results")
    workspace = Workspace(folder / "data", folder / "runs", results)
    config = config_of(task, model, split, settings)
    complete_run(Run(get_task(task), preset, config, 0, workspace, CPU), QUIET, workers=1)
    return pd.read_csv(results.runs_csv)


@pytest.mark.slow
@pytest.mark.parametrize(("task", "model"), MODELS)
def test_every_model_is_trained_and_scored(task: str, model: str, tmp_path: Path) -> None:
    rows = _run(task, model, "train", tmp_path)
    assert set(rows["model"]) == {model}
    assert rows["mrr"].between(0, 1).all()
    assert rows["ee_embedding"].ge(0).all()
    # Of SO(3) every twin has an element of its own, and so no pair has one in common.
    assert rows["die_model"].notna().all() == isinstance(get_task(task).world().symmetry.group, Group)
    assert rows["hh_at_1"].notna().all() == get_task(task).split("eval").negatives


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

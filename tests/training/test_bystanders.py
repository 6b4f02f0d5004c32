"""Objects that do not act: their energy by hand and under the group, the loss, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sen_bench.baselines import CheckedModel, WorldModel
from sen_bench.data.transitions import Batch, Transitions
from sen_bench.errors import ConfigError, ExtensionError
from sen_bench.symmetry import Representation
from sen_bench.tasks import get_task
from sen_bench.training import contrastive_loss
from tests.support.recorder import Recorder
from tests.support.trainings import Affine, Pair, halves, train_tiny, weights_of

STANDARD = {"standard_latents": 1, "regular_latents": 1}


def _model(task: str, kind: str, **options: int) -> WorldModel:
    torch.manual_seed(0)
    return get_task(task).build_model(kind, {"embedding_channels": 4, "hidden": 5, **options}).double()


@pytest.mark.parametrize("weight", [0.0, 0.5, 10.0])
@pytest.mark.parametrize("drawn", [0, 2])
def test_the_loss_is_that_of_numpy(weight: float, drawn: int) -> None:
    draw = np.random.default_rng(0)
    first, following, others = (draw.normal(size=(6, 2)) for _ in range(3))
    action, permutation = np.array([0, 3, 4, 7, 2, 5]), np.array([3, 0, 1, 2, 5, 4])
    terms = contrastive_loss(
        Pair(),
        Batch(
            halves(first),
            torch.tensor(action),
            halves(following),
            halves(others[:drawn]) if drawn else None,
        ),
        torch.tensor(permutation),
        hinge=1.0,
        dtype=torch.float32,
        bystander_weight=weight,
    )
    acts = np.arange(2) == (action // 4)[:, None]
    positive = (2 * (first + acts - following) ** 2).mean()
    positive += weight * np.where(acts, 0, 2 * (first - following) ** 2).mean()
    compared = np.concatenate([others[:drawn], first[permutation[drawn:]]])
    negative = np.maximum(0, 1 - (2 * (first - compared) ** 2).mean(axis=1)).mean()
    assert terms.positive.item() == pytest.approx(positive)
    assert terms.negative.item() == pytest.approx(negative)
    assert terms.total.item() == pytest.approx(positive + negative)


@pytest.mark.parametrize(
    ("task", "kind", "options"),
    [
        ("2d-shapes", "sen", {}),
        ("3d-blocks", "none", {}),
        ("rush-hour", "none", {"plain_latents": 7}),
        ("rush-hour", "sen", STANDARD),
    ],
)
def test_it_is_the_energy_of_all_but_the_object_that_acts(
    task: str, kind: str, options: dict[str, int]
) -> None:
    model = _model(task, kind, **options)
    objects = model.latent_shape[0]
    draw = torch.Generator().manual_seed(0)
    latent, other = torch.randn(2, 4 * objects, *model.latent_shape, dtype=torch.float64, generator=draw)
    action = torch.randperm(4 * objects, generator=draw)
    found = CheckedModel(model).bystander_distance(latent, other, action)
    for n, a in enumerate(action.tolist()):
        change = np.delete((latent[n] - other[n]).numpy(), a // 4, axis=0)
        assert found[n].item() == pytest.approx(2 * (change**2).sum() / objects)


@pytest.mark.parametrize("options", [{}, STANDARD])
def test_the_group_leaves_the_energy_as_it_is(options: dict[str, int]) -> None:
    model = _model("rush-hour", "sen", **options)
    elements = torch.arange(480)
    draw = torch.Generator().manual_seed(0)
    latent, other = torch.randn(2, 480, *model.latent_shape, dtype=torch.float64, generator=draw)
    action = torch.randint(20, (480,), generator=draw)
    table = get_task("rush-hour").world().symmetry.representations["action"]
    assert isinstance(table, Representation)
    assert table.permutation is not None
    moved = torch.from_numpy(table.permutation.copy())[elements, action]
    torch.testing.assert_close(
        model.bystander_distance(
            model.transform_latent(elements, latent), model.transform_latent(elements, other), moved
        ),
        model.bystander_distance(latent, other, action),
        rtol=0,
        atol=1e-12,
    )


@pytest.mark.parametrize("task", ["2d-shapes", "3d-blocks", "rush-hour"])
def test_objects_that_do_not_act_stay_in_the_worlds_that_it_is_for(task: str) -> None:
    """Of perfect latents, the stored states, it is 0, so that the term asks for nothing false."""
    world = get_task(task).world()
    state = world.reset(seed=0)[1]["state"]
    world.action_space.seed(0)
    for _ in range(200):
        action = int(world.action_space.sample())
        following = world.step(action)[4]["state"]
        changed = (np.asarray(following) != np.asarray(state)).reshape(len(state), -1).any(axis=1)
        assert not np.delete(changed, action // 4).any()
        state = following


def test_it_is_for_models_of_objects(tmp_path: Path, transitions: Transitions) -> None:
    with pytest.raises(ConfigError, match=r"bystander_weight: the latents of Affine are not .* leave it out"):
        train_tiny(tmp_path, transitions, Affine, bystander_weight=1)
    assert not any(tmp_path.iterdir())
    with pytest.raises(NotImplementedError, match="Affine"):
        Affine().bystander_distance(torch.zeros(1, 1), torch.zeros(1, 1), torch.zeros(1, dtype=torch.int64))

    class Wrong(Pair):
        def bystander_distance(self, latent: Tensor, other: Tensor, action: Tensor) -> Tensor:
            return (latent - other).square()[action // 80]

    with pytest.raises(ExtensionError, match="bystander_distance returns float32"):
        train_tiny(tmp_path, transitions, Wrong, bystander_weight=1)


def test_training_minds_it_and_can_be_interrupted(tmp_path: Path, transitions: Transitions) -> None:
    settings: dict[str, Any] = {"bystander_weight": 10.0}
    whole = train_tiny(tmp_path / "whole", transitions, Pair, **settings)
    with pytest.raises(KeyboardInterrupt):
        train_tiny(tmp_path / "parts", transitions, Pair, progress=Recorder(2), **settings)
    resumed = train_tiny(tmp_path / "parts", transitions, Pair, **settings)
    paper = train_tiny(tmp_path / "paper", transitions, Pair)
    none = train_tiny(tmp_path / "none", transitions, Pair, bystander_weight=0)
    assert all(torch.equal(value, weights_of(resumed)[name]) for name, value in weights_of(whole).items())
    assert all(torch.equal(value, weights_of(none)[name]) for name, value in weights_of(paper).items())
    assert any(not torch.equal(value, weights_of(paper)[name]) for name, value in weights_of(whole).items())

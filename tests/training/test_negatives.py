"""Negatives of the same episode, and against what: losses by hand, shares counted, the same run resumed."""

from __future__ import annotations

import functools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sen_bench.baselines import CheckedModel
from sen_bench.config import LossForm, TrainingConfig
from sen_bench.data.transitions import Batch, Transitions
from sen_bench.errors import ConfigError, ExtensionError
from sen_bench.symmetry import Representation
from sen_bench.tasks import get_task
from sen_bench.training import contrastive_loss, train
from sen_bench.training import steps as training_steps
from sen_bench.training.compilation import compiled_loss
from sen_bench.training.loss import LossTerms
from sen_bench.training.negatives import other_steps
from tests.support.recorder import Recorder
from tests.support.trainings import CPU, IDENTITY, Affine, Pair, halves, log_of, train_tiny, weights_of

HALF: dict[str, Any] = {"negatives": {"same_episode": 0.5, "margin_other": 8}}


def _images(*values: float) -> Tensor:
    return torch.tensor(values)[:, None, None, None].expand(-1, 3, 2, 2)


Z, ACTION, Z_NEXT = np.array([0.0, 0.5, 1.0, 2.0]), np.array([0, 0, 1, -1]), np.array([0.5, 0.5, 1.0, 1.0])
PERMUTATION = np.array([3, 0, 1, 2])


@pytest.mark.parametrize("form", ["public", "text"])
@pytest.mark.parametrize("drawn", [[], [0.25], [0.25, 0.75, 1.5, 1.0]])
@pytest.mark.parametrize("margin_other", [None, 8.0])
def test_the_loss_is_that_of_numpy(form: LossForm, drawn: list[float], margin_other: float | None) -> None:
    """`Affine` has z of the image's mean, T(z, a) = z + a and d(a, b) = 2·(a - b)²."""
    batch = Batch(_images(*Z), torch.tensor(ACTION), _images(*Z_NEXT), _images(*drawn))
    terms = contrastive_loss(
        Affine(),
        batch,
        torch.tensor(PERMUTATION),
        hinge=1.0,
        dtype=torch.float32,
        form=form,
        margin_other=margin_other,
    )
    predicted = Z + ACTION
    negatives = np.concatenate([drawn, Z[PERMUTATION[len(drawn) :]]])
    margins = np.where(np.arange(4) < len(drawn), 1.0, margin_other or 1.0)
    energies = 2 * ((Z if form == "public" else predicted) - negatives) ** 2
    positive = (2 * (predicted - Z_NEXT) ** 2).mean()
    negative = np.maximum(0, margins - energies).mean()
    assert terms.positive.item() == pytest.approx(positive)
    assert terms.negative.item() == pytest.approx(negative)
    assert terms.total.item() == pytest.approx(positive + negative)
    assert terms.separation.item() == pytest.approx((2 * (Z - negatives) ** 2).mean())


@pytest.mark.parametrize("form", ["public", "text"])
@pytest.mark.parametrize("drawn", [0, 2])
@pytest.mark.parametrize("margin_other", [None, 4.0])
def test_margins_of_objects_are_those_of_numpy(
    form: LossForm, drawn: int, margin_other: float | None
) -> None:
    """Of `Pair`, and only to other samples; that one object is far away does not make up for the other."""
    draw = np.random.default_rng(0)
    first, following, others = (draw.normal(size=(6, 2)) for _ in range(3))
    action, permutation = np.array([0, 3, 4, 7, 2, 5]), np.array([3, 0, 1, 2, 5, 4])
    negative = halves(others[:drawn]) if drawn else None
    terms = contrastive_loss(
        Pair(),
        Batch(halves(first), torch.tensor(action), halves(following), negative),
        torch.tensor(permutation),
        hinge=1.0,
        dtype=torch.float32,
        form=form,
        margin_other=margin_other if drawn else None,
        per_object=True,
    )
    predicted = first + (np.arange(2) == (action // 4)[:, None])
    compared = first if form == "public" else predicted
    energies = 2 * (compared - np.concatenate([others[:drawn], first[permutation[drawn:]]])) ** 2
    margin = (margin_other if drawn else None) or 1.0
    short = [max(0, 1 - energy.mean()) for energy in energies[:drawn]]
    short += [np.maximum(0, margin - energy).mean() for energy in energies[drawn:]]
    together = [max(0, margin - energy.mean()) for energy in energies[drawn:]]
    assert terms.negative.item() == pytest.approx(np.mean(short))
    assert sum(short[drawn:]) > sum(together) + 0.4
    assert terms.positive.item() == pytest.approx((2 * (predicted - following) ** 2).mean())


@pytest.mark.parametrize(
    ("task", "kind", "options"),
    [
        ("2d-shapes", "sen", {}),
        ("3d-blocks", "none", {}),
        ("rush-hour", "full", {}),
        ("rush-hour", "sen", {"standard_latents": 1, "regular_latents": 1}),
    ],
)
def test_energies_of_objects_make_up_the_energy_and_go_where_objects_go(
    task: str, kind: str, options: dict[str, int]
) -> None:
    sizes = {"embedding_channels": 2, "hidden": 4}
    model = get_task(task).build_model(kind, {**sizes, **options}).double()
    symmetry = get_task(task).world().symmetry
    draw = torch.Generator().manual_seed(0)
    objects = symmetry.representations["object"]
    assert isinstance(objects, Representation)
    assert objects.permutation is not None
    elements = torch.randperm(len(objects.permutation), generator=draw)[:100]
    latent, other = torch.randn(2, len(elements), *model.latent_shape, dtype=torch.float64, generator=draw)
    found = CheckedModel(model).object_distances(latent, other)
    squares = (latent - other).numpy() ** 2
    expected = 2 * squares.reshape(*squares.shape[:2], -1).sum(axis=2)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)
    torch.testing.assert_close(found.mean(dim=1), model.distance(latent, other), rtol=1e-12, atol=0)
    if model.equivariant:
        moved = model.object_distances(
            model.transform_latent(elements, latent), model.transform_latent(elements, other)
        )
        renamed = torch.from_numpy(objects.permutation.copy())[elements]
        torch.testing.assert_close(moved.gather(1, renamed), found, rtol=1e-12, atol=0)


def test_margins_of_objects_are_for_models_of_objects(tmp_path: Path, transitions: Transitions) -> None:
    settings: dict[str, Any] = {"negatives_from_epoch": {3: {"per_object": True}}}
    with pytest.raises(
        ConfigError, match=r"negatives: the latents of Affine are not .* leave per_object out"
    ):
        train_tiny(tmp_path, transitions, Affine, **settings)
    assert not any(tmp_path.iterdir())
    with pytest.raises(NotImplementedError, match="the latents of Affine are not those of objects"):
        Affine().object_distances(torch.zeros(1, 1), torch.zeros(1, 1))

    class Wrong(Pair):
        def object_distances(self, latent: Tensor, other: Tensor) -> Tensor:
            return self.distance(latent, other)

    with pytest.raises(ExtensionError, match="object_distances returns float32"):
        train_tiny(tmp_path, transitions, Wrong, **settings)


def test_all_that_is_compared_is_embedded_in_one_pass() -> None:
    """Batch normalisation would otherwise tell negatives from the rest by the statistics of their batch."""
    calls: list[int] = []

    class Watched(Affine):
        def embed(self, observation: Tensor) -> Tensor:
            calls.append(len(observation))
            return super().embed(observation)

    for negative, expected in ((None, [4, 4]), (_images(0.25, 0.5), [10])):
        calls.clear()
        batch = Batch(_images(*Z), torch.tensor(ACTION), _images(*Z_NEXT), negative)
        contrastive_loss(Watched(), batch, torch.tensor(PERMUTATION), hinge=1.0, dtype=torch.float32)
        assert calls == expected


def test_other_steps_are_uniform_over_all_but_the_two_of_the_transition() -> None:
    steps, episodes = 4, 6000
    later = other_steps(steps * episodes, steps, torch.Generator().manual_seed(0))
    step = torch.arange(steps * episodes) % steps
    for own in range(steps):
        times = torch.bincount((step + later)[step == own], minlength=steps + 1)
        allowed = [time not in (own, own + 1) for time in range(steps + 1)]
        assert ((times > 0) == torch.tensor(allowed)).all()
        # Each has 2000 on average, with a standard deviation of 37.
        assert (times[torch.tensor(allowed)] - episodes / 3).abs().max() < 5 * 37


def test_the_share_of_negatives_is_what_was_asked_for(
    tmp_path: Path, transitions: Transitions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frames of the noise of `transitions` are all different, so each tells where it is from."""
    frames = transitions._frames.flatten(2).sum(dim=2).tolist()
    home = {total: episode for episode, times in enumerate(frames) for total in times}
    assert len(home) == 48
    shares: list[tuple[int, int]] = []

    def watched(model: Any, batch: Batch, permutation: Tensor, **options: Any) -> LossTerms:
        def episodes(observation: Tensor) -> list[int]:
            return [home[round(image.double().sum().item() * 255)] for image in observation]

        negative = torch.empty(0) if batch.negative is None else batch.negative
        own = episodes(batch.observation)
        assert episodes(negative) == own[: len(negative)]
        for drawn, first, second in zip(negative, batch.observation, batch.next_observation, strict=False):
            assert not torch.equal(drawn, first)
            assert not torch.equal(drawn, second)
        shares.append((len(negative), len(own)))
        return contrastive_loss(model, batch, permutation, **options)

    monkeypatch.setattr(training_steps, "contrastive_loss", watched)
    later = {2: {"same_episode": 0.25}, 3: {"same_episode": 1}}
    train_tiny(tmp_path, transitions, epochs=3, batch_size=16, negatives_from_epoch=later)
    assert shares == [(0, 16), (0, 16), (0, 10), (4, 16), (4, 16), (2, 10), (16, 16), (16, 16), (10, 10)]


def test_without_them_nothing_changes(tmp_path: Path, transitions: Transitions) -> None:
    plain = train_tiny(tmp_path / "plain", transitions)
    none = train_tiny(
        tmp_path / "none",
        transitions,
        loss="public",
        negatives={"same_episode": 0},
        negatives_from_epoch={4: {"same_episode": 0.5}},
        learning_rate_of={"embedding": 1, "encoder": 1},
    )
    assert all(torch.equal(value, weights_of(none)[name]) for name, value in weights_of(plain).items())
    assert log_of(tmp_path / "plain") == log_of(tmp_path / "none")


@pytest.mark.parametrize(
    ("precision", "settings"),
    [
        ("float32", {"negatives_from_epoch": {2: HALF["negatives"]}}),
        ("float32", {"negatives_from_epoch": {2: HALF["negatives"] | {"per_object": True}}}),
        ("bfloat16", HALF | {"loss": "text"}),
    ],
)
def test_training_can_be_interrupted(
    tmp_path: Path, transitions: Transitions, settings: dict[str, Any], precision: str
) -> None:
    settings = settings | {"precision": precision}
    whole = train_tiny(tmp_path / "whole", transitions, **settings)
    with pytest.raises(KeyboardInterrupt):
        train_tiny(tmp_path / "parts", transitions, progress=Recorder(2), **settings)
    resumed = train_tiny(tmp_path / "parts", transitions, **settings)
    paper = train_tiny(tmp_path / "paper", transitions, precision=precision)
    assert all(torch.equal(value, weights_of(resumed)[name]) for name, value in weights_of(whole).items())
    assert any(not torch.equal(value, weights_of(paper)[name]) for name, value in weights_of(whole).items())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_training_compiles_for_each_kind_of_negatives(
    tmp_path: Path, transitions: Transitions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Traced as for compiling; what changes from one epoch to the next is compiled for, and nothing else."""
    monkeypatch.setattr(training_steps, "compiled_loss", functools.partial(compiled_loss, "eager"))
    settings: dict[str, Any] = {"loss": "text", "negatives_from_epoch": {2: HALF["negatives"]}}
    train_tiny(tmp_path / "plain", transitions, Affine, **settings)
    recorder = Recorder()
    with torch._dynamo.config.patch(error_on_recompile=True):
        train(
            Affine,
            transitions,
            TrainingConfig(epochs=3, batch_size=8, **settings),
            seed=0,
            folder=tmp_path / "compiled",
            identity=IDENTITY,
            progress=recorder,
            compiled=True,
        )
    assert sum("compiling" in message for message in recorder.messages) == 2
    losses = [
        [line["loss"] for line in log_of(tmp_path / name) if "loss" in line] for name in ("plain", "compiled")
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_a_collapse_is_judged_by_the_mean_margin(tmp_path: Path, transitions: Transitions) -> None:
    """Equal latents rest at (1 + 8)/2, and at 1 in the first epoch."""
    recorder = Recorder()
    train_tiny(
        tmp_path,
        transitions,
        lambda: Affine(0.0),
        progress=recorder,
        epochs=202,
        batch_size=42,
        learning_rate=1e-12,
        negatives_from_epoch={2: HALF["negatives"]},
    )
    assert any("the loss rests at the margin 4.5" in message for message in recorder.messages)


def test_episodes_of_one_step_have_none(tmp_path: Path, transitions: Transitions) -> None:
    single = Transitions(transitions._frames[:, :2], transitions._actions[:, :1], CPU)
    with pytest.raises(ConfigError, match="episodes of one step have no frames but the two of their transi"):
        train_tiny(tmp_path, single, negatives_from_epoch={3: {"same_episode": 0.1}})
    train_tiny(tmp_path, single, epochs=1, loss="text")
    assert math.isfinite(log_of(tmp_path)[-1]["mean_loss"])

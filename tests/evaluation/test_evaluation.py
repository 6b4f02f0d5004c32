"""Evaluation with models whose scores are known exactly."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sen_bench.baselines.model import WorldModel
from sen_bench.data.episodes import Episodes
from sen_bench.errors import ConfigError, NonFiniteError
from sen_bench.evaluation import protocol as evaluation
from sen_bench.evaluation.metrics import random_order, twin_pairs
from sen_bench.evaluation.protocol import HorizonScores, evaluate
from sen_bench.generators import Recipe, generate
from sen_bench.store import Dataset
from sen_bench.symmetry import SO3
from tests.support.fake_worlds import WIDE
from tests.support.recorder import Recorder

STEPS = 10


class WalkEpisodes:
    """Random walks in the plane, seen as the 1×1 image of their two coordinates; twins by quarter turns.

    Coordinates are whole numbers, so that every distance of equal points is exactly equal. The negatives of a
    point, where they are asked for, are its neighbours to the right and above.
    """

    device = torch.device("cpu")
    horizon = STEPS

    def __init__(
        self, episodes: int, *, seed: int = 0, distinct: bool = True, has_negatives: bool = False
    ) -> None:
        self.has_negatives = has_negatives
        rng = np.random.default_rng(seed)
        steps = torch.from_numpy(rng.integers(-3, 4, (episodes, STEPS, 2))).float()
        start = torch.from_numpy(rng.integers(-3, 4, (episodes, 1, 2))).float()
        if distinct:
            # Far apart from each other: no two episodes meet, and the prediction for one is nearest to it.
            start[:, 0, 0] += 1000 * torch.arange(episodes)
        self._elements = torch.from_numpy(rng.integers(1, 4, episodes))
        states = torch.cat([start, start + steps.cumsum(1)], dim=1)
        self._states = {False: states, True: rotate(self._elements, states)}
        self._actions = {False: steps, True: rotate(self._elements, steps)}
        self.asked: list[tuple[int, bool, int]] = []

    def __len__(self) -> int:
        return len(self._elements)

    def observations(self, index: slice | Tensor, frame: int, *, twin: bool) -> Tensor:
        states = self._states[twin][index, frame]
        self.asked.extend((int(i), twin, frame) for i in torch.arange(len(self))[index])
        return states[:, :, None, None]

    def actions(self, index: slice | Tensor, *, twin: bool) -> Tensor:
        return self._actions[twin][index]

    def elements(self, index: slice | Tensor) -> Tensor:
        return self._elements[index]

    def negatives(self, index: Tensor, frame: int) -> Tensor:
        near = self._states[False][index, frame].unsqueeze(1) + torch.eye(2)
        return near[..., None, None]


def rotate(elements: Tensor, vectors: Tensor) -> Tensor:
    """Turns vectors `[B, ..., 2]` by as many quarters as the element says; whole numbers stay whole."""
    quarter = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
    powers = torch.stack([torch.linalg.matrix_power(quarter, k) for k in range(4)])
    return torch.einsum("bij,b...j->b...i", powers[elements], vectors)


class PlaneModel(WorldModel):
    """Knows the plane: S and E are the identity, T adds the step. Subclasses spoil one part each."""

    def __init__(self) -> None:
        super().__init__(embedding_shape=(2,), latent_shape=(2,), equivariant=True)
        self.inner = nn.BatchNorm1d(2)
        self.modes: set[tuple[bool, bool]] = set()

    def embed(self, observation: Tensor) -> Tensor:
        self.modes.add((self.inner.training, torch.is_inference_mode_enabled()))
        return observation.flatten(1)

    def encode(self, embedding: Tensor) -> Tensor:
        return embedding

    def transition(self, latent: Tensor, action: Tensor) -> Tensor:
        return latent + action

    def distance(self, latent: Tensor, other: Tensor) -> Tensor:
        return 2 * (latent - other).square().sum(dim=1)

    def transform_embedding(self, elements: Tensor, embedding: Tensor) -> Tensor:
        return rotate(elements, embedding)

    def transform_latent(self, elements: Tensor, latent: Tensor) -> Tensor:
        return rotate(elements, latent)


class Standing(PlaneModel):
    """Predicts that nothing ever moves."""

    def transition(self, latent: Tensor, action: Tensor) -> Tensor:  # noqa: ARG002
        return latent


class Collapsed(PlaneModel):
    def encode(self, embedding: Tensor) -> Tensor:
        return torch.full_like(embedding, 0.3)

    def transition(self, latent: Tensor, action: Tensor) -> Tensor:  # noqa: ARG002
        return latent.clone()


class Skewed(PlaneModel):
    """Its embedding shrinks the first axis, so it is neither equivariant nor keeps distances invariant."""

    def embed(self, observation: Tensor) -> Tensor:
        return super().embed(observation) * torch.tensor([0.5, 1.0])


class Exploding(PlaneModel):
    def transition(self, latent: Tensor, action: Tensor) -> Tensor:
        moved = super().transition(latent, action)
        return torch.where(latent[:, :1] > 2500, torch.full_like(moved, math.nan), moved)


def as_dict(scores: HorizonScores) -> dict[str, Any]:
    return {name: getattr(scores, name) for name in HorizonScores.__dataclass_fields__}


def test_perfect_model_scores_perfectly() -> None:
    for scores in evaluate(PlaneModel(), WalkEpisodes(50), chunk=7):
        assert scores.episodes == 50
        assert scores.hits_at_1 == scores.hits_at_5 == scores.hits_at_10 == scores.mrr == 1
        assert scores.hits_at_1_optimistic == scores.mrr_optimistic == 1
        assert scores.ee_embedding == scores.ee_latent == 0
        assert scores.die_embedding == pytest.approx(0, abs=1e-7)
        assert scores.die_model == pytest.approx(0, abs=1e-7)
        assert scores.relative_error == 0
        assert scores.separation == 1
        assert not scores.collapsed


def test_collapsed_model_is_at_chance_and_named_so() -> None:
    for scores in evaluate(Collapsed(), WalkEpisodes(99)):
        assert scores.hits_at_1 == scores.hits_at_5 == scores.hits_at_10 == 0
        assert scores.mrr == pytest.approx(1 / 50)
        assert scores.hits_at_1_optimistic == scores.mrr_optimistic == 1
        assert scores.latent_spread == pytest.approx(0, abs=1e-12)
        assert scores.separation == 0
        assert math.isnan(scores.relative_error)
        assert scores.collapsed


def test_scores_of_each_horizon_are_those_of_its_own_frames() -> None:
    """Against numpy on the true walks: the standing model's prediction is the first frame."""
    episodes = WalkEpisodes(80, distinct=False)
    states = episodes._states[False].numpy()
    for scores in evaluate(Standing(), episodes, horizons=(3, 1, 10), chunk=9):
        distances = ((states[:, None, scores.horizon] - states[None, :, 0]) ** 2).sum(-1)
        own = distances.diagonal()[:, None]
        ranks = 1 + (distances < own).sum(1) + ((distances == own).sum(1) - 1) / 2
        assert scores.hits_at_5 == pytest.approx((ranks <= 5).mean())
        assert scores.hits_at_10 == pytest.approx((ranks <= 10).mean())
        assert scores.mrr == pytest.approx((1 / ranks).mean())
        spread = states[:, scores.horizon] - states[:, scores.horizon].mean(0)
        assert scores.latent_spread == pytest.approx(math.sqrt((spread**2).sum(1).mean()), rel=1e-6)


def test_relative_error_is_one_for_standing_still_and_half_for_half_the_way() -> None:
    class Halfway(PlaneModel):
        """Moves half as far as it should."""

        def transition(self, latent: Tensor, action: Tensor) -> Tensor:
            return latent + (super().transition(latent, action) - latent) / 2

    episodes = WalkEpisodes(80, distinct=False)
    for model, expected in ((Standing(), 1.0), (Halfway(), 0.5), (PlaneModel(), 0.0)):
        for scores in evaluate(model, episodes, chunk=9):
            assert scores.relative_error == pytest.approx(expected, abs=1e-6)


def test_every_action_enters_the_prediction_in_its_turn() -> None:
    """A perfect model of walks that meet is wrong nowhere: others rank as near only where they really are."""
    episodes = WalkEpisodes(400, distinct=False)
    for scores in evaluate(PlaneModel(), episodes, chunk=64):
        states = episodes._states[False][:, scores.horizon]
        ranks = 1 + ((states[:, None] == states[None]).all(dim=2).sum(dim=1).double() - 1) / 2
        assert ranks.max() > 1
        assert scores.mrr == pytest.approx(float((1 / ranks).mean()), rel=1e-12)
        assert scores.hits_at_1 == pytest.approx(float((ranks == 1).double().mean()), rel=1e-12)
        assert scores.mrr_optimistic == 1


def test_horizons_come_back_in_the_order_asked_for() -> None:
    assert [s.horizon for s in evaluate(PlaneModel(), WalkEpisodes(4), horizons=(5, 1, 5))] == [5, 1, 5]


def test_embedding_errors_equal_their_definition() -> None:
    episodes = WalkEpisodes(60, distinct=False)
    first, twin = episodes._states[False][:, 0].double(), episodes._states[True][:, 0].double()
    skew = torch.tensor([0.5, 1.0], dtype=torch.float64)
    elements = episodes.elements(slice(None))
    norm = (first * skew).norm(dim=1).mean()
    ee = (rotate(elements, (first * skew).float()) - twin * skew).norm(dim=1).mean() / norm
    i, j = twin_pairs(elements, random_order(elements, seed=3))
    die = (((first[i] - first[j]) * skew).norm(dim=1) - ((twin[i] - twin[j]) * skew).norm(dim=1)).abs().mean()
    for scores in evaluate(Skewed(), episodes, seed=3, chunk=11):
        assert scores.ee_embedding == pytest.approx(float(ee), rel=1e-6)
        assert scores.ee_latent == scores.ee_embedding  # its E is the identity
        assert scores.ee_embedding > 0.1
        assert scores.die_embedding == pytest.approx(float(die / norm), rel=1e-6)


def test_latent_error_is_that_of_the_latents() -> None:
    """An encoder that keeps one coordinate only is not equivariant, though its embedding is."""

    class Forgetful(PlaneModel):
        def encode(self, embedding: Tensor) -> Tensor:
            return embedding * torch.tensor([1.0, 0.0])

    episodes = WalkEpisodes(60, distinct=False)
    first, twin = (episodes._states[t][:, 0].numpy().astype(float) * [1, 0] for t in (False, True))
    turned = rotate(episodes.elements(slice(None)), torch.from_numpy(first).float()).numpy()
    expected = np.linalg.norm(turned - twin, axis=1).mean() / np.linalg.norm(first, axis=1).mean()
    for scores in evaluate(Forgetful(), episodes, chunk=13):
        assert scores.ee_embedding == 0
        assert scores.ee_latent == pytest.approx(expected, rel=1e-6)
        assert scores.ee_latent > 0.5


def test_model_whose_latents_the_group_does_not_act_on_has_no_latent_error() -> None:
    class Plain(PlaneModel):
        def __init__(self) -> None:
            super().__init__()
            self._equivariant = False

    (scores,) = evaluate(Plain(), WalkEpisodes(8), horizons=(1,))
    assert scores.ee_embedding == 0
    assert math.isnan(scores.ee_latent)


def test_hard_negatives_are_those_of_the_predicted_frame() -> None:
    """Against numpy: standing still is right where the walk is nearer to its start than its neighbours."""
    episodes = WalkEpisodes(200, distinct=False, has_negatives=True)
    states = episodes._states[False].numpy()
    seen = set()
    for scores in evaluate(Standing(), episodes, horizons=(3, 1), chunk=9):
        true, predicted = states[:, scores.horizon], states[:, 0]
        own = np.linalg.norm(predicted - true, axis=1)
        others = np.linalg.norm(predicted[:, None] - (true[:, None] + np.eye(2)), axis=2)
        assert scores.hh_at_1 == pytest.approx((own[:, None] < others).all(axis=1).mean())
        assert 0 < scores.hh_at_1 < 1
        seen.add(scores.hh_at_1)
    assert len(seen) == 2
    (perfect,) = evaluate(PlaneModel(), episodes, horizons=(4,))
    assert perfect.hh_at_1 == 1
    (collapsed,) = evaluate(Collapsed(), episodes, horizons=(4,))
    assert collapsed.hh_at_1 == 0


def test_episodes_without_negatives_have_no_hard_hits() -> None:
    (scores,) = evaluate(PlaneModel(), WalkEpisodes(8), horizons=(1,))
    assert math.isnan(scores.hh_at_1)


class TurnEpisodes:
    """Rotations seen as the 3×3 image of their matrix; one step; twins by random rotations."""

    device = torch.device("cpu")
    horizon = 1
    has_negatives = False

    def __init__(self, episodes: int) -> None:
        draw = SO3().sample
        rng = np.random.default_rng(0)
        states, actions, elements = (
            torch.from_numpy(np.stack([draw(rng) for _ in range(episodes)])) for _ in range(3)
        )
        self._elements = elements
        self._actions = {False: actions, True: elements @ actions @ elements.mT}
        self.states = {
            twin: torch.stack([first, self._actions[twin] @ first], dim=1)
            for twin, first in ((False, states), (True, elements @ states))
        }

    def __len__(self) -> int:
        return len(self._elements)

    def observations(self, index: Tensor, frame: int, *, twin: bool) -> Tensor:
        return self.states[twin][index, frame].unsqueeze(1).float()

    def actions(self, index: Tensor, *, twin: bool) -> Tensor:
        return self._actions[twin][index].unsqueeze(1)

    def elements(self, index: slice) -> Tensor:
        return self._elements[index]

    def negatives(self, index: Tensor, frame: int) -> Tensor:
        raise NotImplementedError


class TurnModel(WorldModel):
    """Sees the rotation as it is, or misses it by a constant turn of its own on the left."""

    ee_normalised = False

    def __init__(self, turn: Tensor | None = None) -> None:
        super().__init__(embedding_shape=(3, 3), latent_shape=(3, 3), equivariant=True)
        self._turn = torch.eye(3) if turn is None else turn.float()

    def embed(self, observation: Tensor) -> Tensor:
        return self._turn @ observation[:, 0]

    def encode(self, embedding: Tensor) -> Tensor:
        return embedding

    def transition(self, latent: Tensor, action: Tensor) -> Tensor:
        return action.to(latent.dtype) @ latent

    def distance(self, latent: Tensor, other: Tensor) -> Tensor:
        return 2 * (latent - other).square().sum(dim=(1, 2))

    def transform_embedding(self, elements: Tensor, embedding: Tensor) -> Tensor:
        return elements.to(embedding.dtype) @ embedding

    def transform_latent(self, elements: Tensor, latent: Tensor) -> Tensor:
        return self.transform_embedding(elements, latent)


def test_rotations_are_scored_by_their_plain_distance_and_have_no_pairs() -> None:
    """No two twins share a rotation, so DIE is undefined; EE is not divided by the norm of a rotation."""
    episodes = TurnEpisodes(40)
    (scores,) = evaluate(TurnModel(), episodes, horizons=(1,), chunk=7)
    assert scores.hits_at_1 == scores.mrr == 1
    assert scores.ee_embedding == pytest.approx(0, abs=1e-6)
    assert math.isnan(scores.die_embedding)
    assert math.isnan(scores.die_model)

    turn = torch.from_numpy(SO3().sample(np.random.default_rng(1)))
    seen = {twin: (turn @ states[:, 0]).numpy() for twin, states in episodes.states.items()}
    apart = episodes.elements(slice(None)).numpy() @ seen[False] - seen[True]
    expected = np.linalg.norm(apart, axis=(1, 2)).mean()
    (scores,) = evaluate(TurnModel(turn), episodes, horizons=(1,), chunk=7)
    assert scores.ee_embedding == pytest.approx(expected, rel=1e-6)
    assert scores.ee_latent == scores.ee_embedding
    assert expected > 1


def test_model_error_pairs_a_prediction_with_another_true_latent_of_the_same_horizon() -> None:
    episodes = WalkEpisodes(60, distinct=False)
    skew = torch.tensor([0.5, 1.0], dtype=torch.float64)
    original, twin = (episodes._states[t].double() * skew for t in (False, True))
    i, j = twin_pairs(episodes.elements(slice(None)), random_order(episodes.elements(slice(None)), seed=5))

    class SkewedStanding(Skewed, Standing):
        pass

    for scores in evaluate(SkewedStanding(), episodes, seed=5, chunk=60):
        p = scores.horizon
        apart = (original[i, 0] - original[j, p]).norm(dim=1) - (twin[i, 0] - twin[j, p]).norm(dim=1)
        expected = apart.abs().mean() / original[:, 0].norm(dim=1).mean()
        assert scores.die_model == pytest.approx(float(expected), rel=1e-6)


def test_equivariant_but_wrong_model_has_no_invariance_error() -> None:
    """DIE pairs are seen after the same element; pairs of different elements would differ."""
    episodes = WalkEpisodes(60, distinct=False)
    for scores in evaluate(Standing(), episodes):
        assert scores.die_embedding == pytest.approx(0, abs=1e-7)
        assert scores.die_model == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize("model", [PlaneModel, Standing, Skewed, Collapsed])
def test_scores_do_not_depend_on_the_chunk(model: type[PlaneModel]) -> None:
    episodes = WalkEpisodes(53, distinct=False, has_negatives=True)
    whole = [as_dict(s) for s in evaluate(model(), episodes, chunk=53)]
    for chunk in (1, 2, 10, 52, 1000):
        for part, expected in zip(evaluate(model(), episodes, chunk=chunk), whole, strict=True):
            assert as_dict(part) == pytest.approx(expected, rel=1e-12, abs=1e-15, nan_ok=True)


def test_seed_decides_the_random_pairs_only() -> None:
    episodes = WalkEpisodes(60, distinct=False, has_negatives=True)
    one, again, other = (as_dict(evaluate(Skewed(), episodes, seed=s)[2]) for s in (1, 1, 2))
    assert one == again
    assert {name for name in one if one[name] != other[name]} <= {"die_embedding", "die_model", "separation"}
    assert one["die_model"] != other["die_model"]


def test_every_needed_frame_is_seen_once_and_no_other() -> None:
    episodes = WalkEpisodes(20)
    evaluate(PlaneModel(), episodes, horizons=(10, 2), chunk=6)
    wanted = [(i, twin, frame) for i in range(20) for twin in (False, True) for frame in (0, 2, 10)]
    assert sorted(episodes.asked) == wanted


@pytest.mark.parametrize("training", [True, False])
def test_model_is_scored_in_evaluation_mode_and_left_as_it_came(training: bool) -> None:  # noqa: FBT001
    model = PlaneModel()
    model.train(training)
    evaluate(model, WalkEpisodes(4))
    assert model.modes == {(False, True)}
    assert model.training is model.inner.training is training
    with pytest.raises(NonFiniteError):
        evaluate(broken := Exploding().train(training), WalkEpisodes(4))
    assert broken.training is training


def test_non_finite_latents_are_named_with_their_horizon() -> None:
    # Episodes 3, 4 and 5 start beyond 2500; the twins come later.
    with pytest.raises(NonFiniteError, match=r"^predicted latents, 1 step: 3 of 6 episodes not finite$"):
        evaluate(Exploding(), WalkEpisodes(6))


def test_non_finite_embeddings_are_named() -> None:
    class Broken(PlaneModel):
        def embed(self, observation: Tensor) -> Tensor:
            return super().embed(observation) / 0

    with pytest.raises(NonFiniteError, match=r"^embeddings of first observations: 4 of 4 episodes"):
        evaluate(Broken(), WalkEpisodes(6), chunk=4)


@pytest.mark.parametrize(
    ("episodes", "options", "message"),
    [
        (
            5,
            {"horizons": (1, 11)},
            "evaluation horizons 1, 11: the episodes have 10 steps, so each must be 1 to 10",
        ),
        (5, {"horizons": (0,)}, "evaluation horizons 0: "),
        (5, {"horizons": ()}, r"evaluation horizons \(none\): "),
        (1, {}, r"1 evaluation episode\(s\): ranking needs at least 2"),
        (5, {"chunk": 0}, "evaluation chunk 0"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(episodes: int, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        evaluate(PlaneModel(), WalkEpisodes(episodes), **options)


def test_progress_counts_every_episode() -> None:
    recorder = Recorder()
    evaluate(PlaneModel(), WalkEpisodes(10), chunk=4, progress=recorder)
    assert recorder.works == {"evaluate episodes": [(4, 10), (8, 10), (10, 10)]}


def test_the_action_of_the_group_is_never_narrow() -> None:
    """Coordinates beyond 256 that are odd have no bfloat16, and the model here turns them by a product."""
    episodes = WalkEpisodes(10)
    assert (episodes.observations(slice(None), 0, twin=False) > 256).any()
    (narrow,) = evaluate(PlaneModel(), episodes, horizons=(1,), autocast=torch.bfloat16)
    assert narrow.ee_embedding == narrow.ee_latent == 0


def test_autocast_reaches_the_model_and_leaves_scores_finite() -> None:
    class Mixed(PlaneModel):
        def __init__(self) -> None:
            super().__init__()
            self.dtypes: set[torch.dtype] = set()

        def embed(self, observation: Tensor) -> Tensor:
            product = observation.flatten(1) @ torch.eye(2)
            self.dtypes.add(product.dtype)
            return product.float()

    model = Mixed()
    scores = evaluate(model, WalkEpisodes(10, has_negatives=True), autocast=torch.bfloat16)
    assert model.dtypes == {torch.bfloat16}
    assert all(math.isfinite(value) for score in scores for value in as_dict(score).values())


@pytest.mark.parametrize("memory", [0, 1_000, 20_000, 1 << 30])
def test_no_score_depends_on_the_memory_for_ranking(memory: int) -> None:
    episodes = WalkEpisodes(53, distinct=False, has_negatives=True)
    for limited, score in zip(
        evaluate(Skewed(), episodes, ranking_memory=memory), evaluate(Skewed(), episodes), strict=True
    ):
        assert as_dict(limited) == as_dict(score)


def test_by_default_a_gpu_gets_more_memory_but_no_more_than_half_of_what_is_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gpu = torch.device("cuda", 0)
    for free, expected in ((80 << 30, 4 << 30), (2 << 30, 1 << 30)):
        monkeypatch.setattr(evaluation, "free_memory", lambda _device, free=free: free)
        assert evaluation.default_memory(gpu) == expected
    assert evaluation.default_memory(torch.device("cpu")) == 16 << 20


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Several files of episodes with their twins."""
    recipe = Recipe(task="drift", split="eval", world_id=WIDE, episodes=130, horizon=4, seed=3, twin=True)
    return generate(recipe, tmp_path_factory.mktemp("stored") / "eval.zarr").dataset


DEVICES = [
    torch.device("cpu"),
    pytest.param(
        torch.device("cuda", 0),
        marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU"),
    ),
]


@pytest.mark.parametrize("device", DEVICES, ids=str)
@pytest.mark.parametrize("memory", [0, None])
def test_episodes_are_shown_as_they_are_stored_wherever_their_frames_are(
    stored: Dataset, device: torch.device, memory: int | None
) -> None:
    some = Episodes(stored, device, times=(0, 3), memory=memory)
    index = torch.tensor([129, 0, 57, 57], device=device)
    for twin, name in ((False, "observation"), (True, "twin/observation")):
        frames = stored.load(name)
        for time in (0, 3):
            shown = some.observations(index, time, twin=twin)
            assert shown.device == device
            expected = frames[index.cpu().numpy(), time].transpose(0, 3, 1, 2) / np.float32(255)
            np.testing.assert_allclose(shown.cpu().numpy(), expected, rtol=0, atol=1e-7)
    kept = [frames.shape[1] for frames in some._frames.values()]
    assert kept == [2, 2]

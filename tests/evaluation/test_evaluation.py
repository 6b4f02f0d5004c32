"""How evaluation goes about it: chunks, seeds, modes, memory, and what it refuses."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from sen_bench.errors import ConfigError, NonFiniteError
from sen_bench.evaluation import protocol as evaluation
from sen_bench.evaluation.protocol import evaluate
from tests.support.plane import Collapsed, PlaneModel, Skewed, Standing, WalkEpisodes, as_dict
from tests.support.recorder import Recorder


class Exploding(PlaneModel):
    def transition(self, latent: Tensor, action: Tensor) -> Tensor:
        moved = super().transition(latent, action)
        return torch.where(latent[:, :1] > 2500, torch.full_like(moved, math.nan), moved)


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
    changed = {name for name in one if one[name] != pytest.approx(other[name], rel=0, abs=0, nan_ok=True)}
    assert changed <= {"die_embedding", "die_model", "separation"}
    assert one["die_model"] != other["die_model"]


def test_what_a_model_draws_is_seeded_and_the_caller_goes_on_undisturbed() -> None:
    class Noisy(PlaneModel):
        def transition(self, latent: Tensor, action: Tensor) -> Tensor:
            moved = super().transition(latent, action)
            return moved + torch.rand_like(moved)

    before = torch.get_rng_state()
    one, again, other = (as_dict(evaluate(Noisy(), WalkEpisodes(60), seed=s)[2]) for s in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert one == again
    assert one["relative_error"] != other["relative_error"]


def test_every_needed_frame_is_seen_once_and_no_other() -> None:
    episodes = WalkEpisodes(20)
    evaluate(PlaneModel(), episodes, horizons=(10, 2), chunk=6)
    wanted = [(i, twin, frame) for i in range(20) for twin in (False, True) for frame in (0, 2, 10)]
    assert sorted(episodes.asked) == wanted
    assert episodes.asked_later == list(range(20))  # all frames, for the local ranking


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
    assert recorder.works == {
        "evaluate episodes": [(4, 10), (8, 10), (10, 10)],
        "evaluate, local ranking episodes": [(count, 10) for count in range(1, 11)],
    }


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
    undefined = {name for score in scores for name, value in as_dict(score).items() if math.isnan(value)}
    # Nothing can be turned at will.
    turned = {"die_embedding_turned", "die_model_turned"}
    assert undefined == {"th_at_1_yaw", "th_at_1_pitch", "th_at_1_roll", *turned}
    assert not any(math.isinf(value) for score in scores for value in as_dict(score).values())


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

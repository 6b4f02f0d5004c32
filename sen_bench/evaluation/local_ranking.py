"""Local ranking: whether a prediction is nearest to its own moment of its own episode.

H@k ranks predictions of different episodes, and what does not change in an episode, such as the headings of
Rush Hour, suffices to tell most of them apart. Here all candidates are of one episode, so only what moves can
tell. [ours, after Biza, van der Pol and Kipf 2021, "The Impact of Negative Sampling on Contrastive Structured
World Models"]

The frame that was predicted from is a candidate too. Predicting no change is at no distance from it, and so
hits only where the true state is the first one again. Without that candidate it would nearly always hit one
step ahead, because all other frames are further off.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from sen_bench.baselines import WorldModel
from sen_bench.evaluation.frames import EvaluationFrames
from sen_bench.evaluation.metrics import Ranking, episode_norms, require_finite
from sen_bench.system import Advance

LOCAL_EPISODES: Final = 1000
"""Episodes that are ranked locally, the first of the split [ours]: all of their frames have to be embedded.
The standard error of a share is then at most 1.6 %."""


def local_episodes(episodes: EvaluationFrames) -> int:
    """How many episodes are ranked locally; 0 if an episode has one step only, and so no other candidates."""
    return min(LOCAL_EPISODES, len(episodes)) if episodes.horizon > 1 else 0


def later_latents(
    model: WorldModel, episodes: EvaluationFrames, *, chunk: int, advance: Advance
) -> Tensor | None:
    """The latents of all frames but the first, of the episodes that are ranked locally.

    Those of the first frames are known by then: predictions start from them.

    Args:
        model: In evaluation mode, on the device of the episodes.
        episodes: The evaluation episodes.
        chunk: Frames that go through the model at a time; at least those of one episode.
        advance: Is told how many episodes are done.

    Returns:
        `[n, T, *latent_shape]`; None if there is nothing to rank.

    Raises:
        NonFiniteError: A latent is NaN or infinite.
    """
    count, parts = local_episodes(episodes), []
    at_a_time = max(1, chunk // episodes.horizon)
    for begin in range(0, count, at_a_time):
        end = min(begin + at_a_time, count)
        observations = episodes.later_observations(slice(begin, end))
        latents = model.encode(model.embed(observations.flatten(0, 1)))
        parts.append(latents.view(*observations.shape[:2], *latents.shape[1:]))
        advance(end, count)
    if not parts:
        return None
    later = torch.cat(parts)
    require_finite(later, "true latents of the first episodes")
    return later


def rank_in_episode(predicted: Tensor, frames: Tensor, repeats: Tensor, *, step: int) -> Ranking:
    """Ranks the true latent among those of its own episode by L2 distance to the prediction.

    This is the other direction than that of `rank_predictions`: there is one prediction, and the candidates
    are true latents. Episodes in which the true state has no other candidate are left out.

    Args:
        predicted: Latents predicted `step` steps ahead, `[N, ...]`.
        frames: True latents of the frames 0 … T of the same episodes, `[N, T + 1, ...]`.
        repeats: Which of these frames show the same state as the true one, bool `[N, T + 1]`. They are no
            candidates, for no model could tell them apart; whether the true frame itself is marked does not
            matter.
        step: Which frame is the true one, 1 … T.

    Returns:
        The ranking of the M <= N episodes that have other candidates; `nearer` and `tied` are `[M]`.

    Raises:
        ValueError: The shapes do not fit each other, or there is no such step.
    """
    steps = frames.shape[1] - 1
    if predicted.shape != (len(frames), *frames.shape[2:]) or repeats.shape != frames.shape[:2]:
        raise ValueError(
            f"predicted {tuple(predicted.shape)}, frames {tuple(frames.shape)} and repeats"
            f" {tuple(repeats.shape)} do not fit each other"
        )
    if not 1 <= step <= steps:
        raise ValueError(f"step {step} of {steps} steps")
    apart = frames.double() - predicted.double().unsqueeze(1)
    distances = episode_norms(apart.flatten(0, 1)).view(frames.shape[:2])
    own = distances[:, step : step + 1]
    others = ~repeats
    others[:, step] = False
    ranked = others.any(dim=1)
    nearer = ((distances < own) & others).sum(dim=1)
    tied = ((distances == own) & others).sum(dim=1)
    return Ranking(nearer=nearer[ranked], tied=tied[ranked])

"""What a model makes of evaluation episodes: their true latents, and those that it predicts."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from sen_bench.baselines import CheckedModel
from sen_bench.evaluation.frames import EvaluationFrames
from sen_bench.evaluation.metrics import hard_hits, require_finite
from sen_bench.system import number_of


class Rollouts:
    """Latents of all episodes, or of all their twins, filled chunk by chunk in any order.

    Args:
        model: In evaluation mode, on the device of the episodes. Methods that change what they are given in
            place are given copies where it matters.
        episodes: The evaluation episodes.
        horizons: Numbers of steps to predict ahead, in ascending order.
        twin: Whether to roll out the twins.

    Attributes:
        episodes: The evaluation episodes.
        true: Latents of the true frames by frame, 0 and the horizons, `[N, ...]` each.
        predicted: Latents predicted from frame 0 on by horizon, `[N, ...]` each.
        hard: Whether those predictions beat every hard negative by horizon, as `hard_hits` says it, `[N]`
            each; empty for twins and if there are no negatives, like the next three.
        hard_no_change: The same of the latents of frame 0.
        hard_others: Whether those predictions beat every hard negative whose state is not that of frame 0.
        hard_others_no_change: The same of the latents of frame 0.
    """

    def __init__(
        self, model: CheckedModel, episodes: EvaluationFrames, horizons: Sequence[int], *, twin: bool
    ) -> None:
        self._model = model
        self.episodes = episodes
        self._horizons = horizons
        self._twin = twin
        self._whose = " of the twins" if twin else ""
        self.true: dict[int, Tensor] = {}
        self.predicted: dict[int, Tensor] = {}
        self.hard: dict[int, Tensor] = {}
        self.hard_no_change: dict[int, Tensor] = {}
        self.hard_others: dict[int, Tensor] = {}
        self.hard_others_no_change: dict[int, Tensor] = {}

    def add(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Rolls some episodes out and encodes their true frames at the horizons.

        Args:
            index: Which episodes, int64 `[B]`.

        Returns:
            The embeddings and the latents of their first observations, `[B, *embedding_shape]` and
            `[B, *latent_shape]`.

        Raises:
            ExtensionError: The model gives tensors of other shapes or types than it should.
            NonFiniteError: One of those embeddings is NaN or infinite.
        """
        embedding = self._model.embed(self.episodes.observations(index, 0, twin=self._twin))
        require_finite(embedding, f"embeddings of first observations{self._whose}")
        actions = self.episodes.actions(index, twin=self._twin)
        first = self._model.encode(embedding.clone())
        latent = first.clone()
        self._keep(self.true, 0, index, first)
        for step in range(1, self._horizons[-1] + 1):
            latent = self._model.transition(latent, actions[:, step - 1])
            if step in self._horizons:
                observation = self.episodes.observations(index, step, twin=self._twin)
                true = self._model.encode(self._model.embed(observation))
                self._keep(self.true, step, index, true)
                self._keep(self.predicted, step, index, latent)
                if self.episodes.has_negatives and not self._twin:
                    negatives = self._negatives(index, step)
                    again = self.episodes.negatives_like_first(index, step)
                    for kept, guess, left_out in (
                        (self.hard, latent, None),
                        (self.hard_no_change, first, None),
                        (self.hard_others, latent, again),
                        (self.hard_others_no_change, first, again),
                    ):
                        hits = hard_hits(guess, true, negatives, left_out=left_out)
                        self._keep(kept, step, index, hits)
        return embedding, first

    def _negatives(self, index: Tensor, step: int) -> Tensor:
        """The latents of the hard negatives of some episodes, `[B, K, *latent_shape]`."""
        observations = self.episodes.negatives(index, step)
        latents = self._model.encode(self._model.embed(observations.flatten(0, 1)))
        return latents.view(*observations.shape[:2], *latents.shape[1:])

    def checked(self, horizon: int) -> tuple[Tensor, Tensor]:
        """True and predicted latents at a horizon, `[N, ...]` each.

        Raises:
            NonFiniteError: One of them is NaN or infinite.
        """
        true, predicted = self.true[horizon], self.predicted[horizon]
        steps = number_of(horizon, "step")
        require_finite(true, f"true latents{self._whose}, {steps}")
        require_finite(predicted, f"predicted latents{self._whose}, {steps}")
        return true, predicted

    def _keep(self, kept: dict[int, Tensor], frame: int, index: Tensor, latent: Tensor) -> None:
        if frame not in kept:
            kept[frame] = latent.new_empty(len(self.episodes), *latent.shape[1:])
        kept[frame][index] = latent

"""What plans are made with: a learned model, or the world itself."""

from __future__ import annotations

from typing import Any, Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sen_bench.baselines import CheckedModel, WorldModel
from sen_bench.data import shown_frames
from sen_bench.envs import World

_FRAMES: Final = 256
"""What an agent sees at once that goes through S and E at a time."""

_LATENTS: Final = 4096
"""Latents that go through T at a time."""


class Dynamics(Protocol):
    """Latents of what is seen, what becomes of them, and how far they are from each other."""

    def observe(self, window: NDArray[Any]) -> Tensor:
        """The latents of what an agent sees now.

        Args:
            window: The last states, as many as it sees frames, `[N, frames, ...]`.

        Returns:
            `[N, ...]`.
        """

    def predict(self, latents: Tensor, actions: NDArray[Any]) -> Tensor:
        """The latents after one action each."""

    def predict_each(self, latents: Tensor, actions: NDArray[Any]) -> Tensor:
        """The latents after each of several actions, `[N, A, ...]`, for actions `[N, A, ...]`."""

    def distance(self, latents: Tensor, goals: Tensor) -> Tensor:
        """How far latents are from goals, float64 `[N]`."""


class TrueDynamics:
    """The world itself: latents are its states.

    Args:
        world: The world.
    """

    def __init__(self, world: World) -> None:
        self._world = world

    def observe(self, window: NDArray[Any]) -> Tensor:
        """The last states; see `Dynamics.observe`."""
        return torch.from_numpy(np.ascontiguousarray(window[:, -1]))

    def predict(self, latents: Tensor, actions: NDArray[Any]) -> Tensor:
        """The next states."""
        return torch.from_numpy(self._world.step_states(latents.numpy(), actions))

    def predict_each(self, latents: Tensor, actions: NDArray[Any]) -> Tensor:
        """The next states for several actions each."""
        return torch.from_numpy(self._world.step_states(latents.numpy()[:, None], actions))

    def distance(self, latents: Tensor, goals: Tensor) -> Tensor:
        """The world's `goal_distance`."""
        return torch.from_numpy(np.asarray(self._world.goal_distance(latents.numpy(), goals.numpy())))


class LearnedDynamics:
    """A world model, which sees frames that the world draws of its states.

    Args:
        model: The model, in evaluation mode on its device.
        world: The world.
        device: The device.
    """

    def __init__(self, model: WorldModel, world: World, device: torch.device) -> None:
        self._model = CheckedModel(model)
        self._world = world
        self._device = device

    def observe(self, window: NDArray[Any]) -> Tensor:
        """E(S(frames)); see `Dynamics.observe`."""
        latents = []
        for begin in range(0, len(window), _FRAMES):
            frames = shown_frames(self._world.render_states(window[begin : begin + _FRAMES]))
            latents.append(self._model.encode(self._model.embed(frames.to(self._device))))
        return torch.cat(latents)

    def predict(self, latents: Tensor, actions: NDArray[Any]) -> Tensor:
        """T, in batches of a size that fits a processor's caches."""
        given = torch.from_numpy(np.ascontiguousarray(actions)).to(self._device)
        parts = (slice(begin, begin + _LATENTS) for begin in range(0, len(latents), _LATENTS))
        return torch.cat([self._model.transition(latents[part], given[part]) for part in parts])

    def predict_each(self, latents: Tensor, actions: NDArray[Any]) -> Tensor:
        """T for several actions each, likewise."""
        given = torch.from_numpy(np.ascontiguousarray(actions)).to(self._device)
        rows = max(1, _LATENTS // given.shape[1])
        parts = (slice(begin, begin + rows) for begin in range(0, len(latents), rows))
        return torch.cat([self._model.transitions(latents[part], given[part]) for part in parts])

    def distance(self, latents: Tensor, goals: Tensor) -> Tensor:
        """The model's own energy."""
        return self._model.distance(latents, goals).double()

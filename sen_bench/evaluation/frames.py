"""What evaluation needs of the episodes that it scores a model on."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class EvaluationFrames(Protocol):
    """The frames of evaluation episodes and of their twins: the same episodes after a group element.

    Every `index` is an int64 tensor of episode numbers on `device`.
    """

    @property
    def device(self) -> torch.device:
        """Where tensors are expected and returned."""

    @property
    def horizon(self) -> int:
        """Actions in an episode, T."""

    def __len__(self) -> int:
        """Number of episodes."""

    def observations(self, index: Tensor, frame: int, *, twin: bool) -> Tensor:
        """Frame 0 … T of some episodes, float32 `[B, C, H, W]` in [0, 1]."""

    def actions(self, index: Tensor, *, twin: bool) -> Tensor:
        """All actions of some episodes, `[B, T, ...]`."""

    def elements(self, index: slice) -> Tensor:
        """The group element g of each twin, int64 `[B]`, or float64 `[B, 3, 3]` where the group is SO(3)."""

    def later_observations(self, index: slice) -> Tensor:
        """Frames 1 … T of some episodes, float32 `[B, T, C, H, W]` in [0, 1]."""

    def repeats(self, index: slice, frame: int) -> Tensor:
        """Which of the frames 0 … T have the same stored state as one of them, bool `[B, T + 1]`."""

    @property
    def has_negatives(self) -> bool:
        """Whether there are hard negatives of every step."""

    def negatives(self, index: Tensor, frame: int) -> Tensor:
        """Observations of the hard negatives of frame 1 … T, float32 `[B, K, C, H, W]` in [0, 1]."""

    def negatives_like_first(self, index: Tensor, frame: int) -> Tensor:
        """Which hard negatives of frame 1 … T have the stored state of frame 0 again, bool `[B, K]`."""

    @property
    def can_turn(self) -> bool:
        """Whether the group is SO(3) and any element of it can be shown, by rendering anew."""

    def turned(self, index: Tensor, frame: int, elements: Tensor) -> Tensor:
        """Frame 0 … T of some episodes after rotations `[B, 3, 3]`, float32 `[B, C, H, W]` in [0, 1]."""

"""Batches of transitions as the worlds give them, without a dataset."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sen_bench.data.transitions import Batch
from sen_bench.tasks.registry import get_task


def world_frames(task: str, count: int, *, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Transitions of a random policy, one an episode, as they are stored.

    Returns:
        Frames, uint8 ``[N, S + 1, H, W, C]``, where a model is shown S at once, and actions ``[N, …]``.
    """
    world = get_task(task).world()
    states, actions = [], []
    for _ in range(count):
        path = [world.sample_state(rng)]
        for _ in range(world.frame_stack):
            action = world.sample_action(rng)
            path.append(world.step_states(path[-1], action))
        states.append(np.stack(path))
        actions.append(action)
    frames = torch.stack([torch.from_numpy(world.render_states(path)) for path in states])
    return frames, torch.from_numpy(np.stack(actions))


def world_batch(task: str, count: int, *, seed: int) -> tuple[Batch, Tensor]:
    """Transitions of a random policy, one an episode, and a random permutation of them for negatives.

    Observations are channels-last in memory, as training gathers them.
    """
    rng = np.random.default_rng(seed)
    frames, actions = world_frames(task, count, rng=rng)
    frames = frames.float() / 255
    before, after = (
        torch.cat(list(shown.unbind(1)), dim=-1).permute(0, 3, 1, 2)
        for shown in (frames[:, :-1], frames[:, 1:])
    )
    permutation = torch.from_numpy(rng.permutation(count))
    return Batch(before, actions, after), permutation

"""What a training step of a model takes, counted without computing it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode

from sen_bench.baselines import WorldModel
from sen_bench.costs.limits import MachineLimits
from sen_bench.costs.operators import OperatorCounter
from sen_bench.data import Batch, Transitions
from sen_bench.envs import World
from sen_bench.errors import ExtensionError, SenBenchError
from sen_bench.training import loss_of


@dataclass(frozen=True)
class StepCost:
    """What one training step takes: loss, gradient and Adam's update, uncompiled, as on a CPU.

    Attributes:
        batch: Transitions in the batch.
        operators: Operators of PyTorch that move anything.
        flops: Floating-point operations of matrix products and convolutions.
        eager_bytes: Bytes read and written if every operator reads its inputs and writes its results.
        fused_bytes: Those of products, convolutions and the update alone: what cannot be saved by doing all
            else while their inputs and results are at hand.
    """

    batch: int
    operators: int
    flops: int
    eager_bytes: int
    fused_bytes: int

    def floor(self, limits: MachineLimits) -> float:
        """Seconds of its arithmetic or of its fused traffic, whichever takes longer: the machine's limit."""
        return max(self.flops / limits.flops, self.fused_bytes / limits.bytes_moved)

    def expected(self, limits: MachineLimits) -> float:
        """Seconds that it takes uncompiled on a machine: products at its limit, and all else at its memory's.

        On a CPU what an operator takes however little it does comes on top, which is most of it in small
        batches. On a GPU operators are launched meanwhile, which may take longer.
        """
        others = (self.eager_bytes - self.fused_bytes) / limits.bytes_moved
        launches = self.operators * limits.launch
        work = self.floor(limits) + others
        return max(work, launches) if limits.launches_ahead else work + launches


def step_cost(model: WorldModel, world: World, *, batch: int, precision: str = "float32") -> StepCost:
    """Counts what a training step of a model takes.

    Nothing is computed: the step is taken with fake tensors, which have shapes and types, but no numbers.

    Args:
        model: The model, on the CPU; it is left as it is.
        world: Its world.
        batch: Transitions in the batch.
        precision: ``bfloat16`` for autocast in the networks, as in training; otherwise they are float32 (in
            memory: also with ``tf32``).

    Raises:
        ExtensionError: The step cannot be taken without numbers, or the model gives tensors of other shapes
            or types than it should.
    """
    step = _Loss(model, torch.bfloat16 if precision == "bfloat16" else torch.float32)
    # Constants of a model that are no buffers are taken as they are.
    fakes = FakeTensorMode(allow_non_fake_inputs=True)
    state: dict[str, Tensor] = {
        name: fakes.from_tensor(tensor) for name, tensor in (*step.named_parameters(), *step.named_buffers())
    }
    action = torch.from_numpy(np.array(world.sample_action(np.random.default_rng(0))))
    height, width, channels = world.observation_space.shape or ()
    training = model.training
    model.train()
    try:
        with fakes, OperatorCounter() as counted:
            # Channels last in memory, as training gathers them.
            frames = torch.empty(2, batch, height, width, channels * world.frame_stack).movedim(-1, 2)
            actions = torch.empty((batch, *action.shape), dtype=action.dtype)
            data = Batch(frames[0], actions, frames[1])
            permutation = torch.empty(batch, dtype=torch.int64)
            loss = torch.func.functional_call(step, state, (data, permutation))
            torch.autograd.backward([loss])
        leaves = [state[name] for name, leaf in step.named_parameters() if leaf.requires_grad]
        adam = torch.optim.Adam(leaves, fused=True)
        with fakes:
            adam.step()  # the first one also makes its moments
        with fakes, OperatorCounter() as update:
            adam.step()
    except SenBenchError:
        raise
    except Exception as error:
        reason = next(iter(str(error).splitlines()), "no reason given")
        raise ExtensionError(
            f"a step of {type(model).__name__} cannot be counted ({type(error).__name__}: {reason}); its"
            " networks must not look at numbers, as by .item() or by if"
        ) from error
    finally:
        model.train(training)
    return StepCost(
        batch=batch,
        operators=counted.operators + update.operators,
        flops=counted.flops,
        eager_bytes=counted.bytes_moved + update.bytes_moved,
        fused_bytes=counted.product_bytes + update.bytes_moved,
    )


def gathering_cost(world: World, *, batch: int) -> StepCost:
    """Counts what it takes to gather a batch of transitions that are held in memory, likewise.

    Args:
        world: Their world.
        batch: Transitions in the batch.
    """
    action = torch.from_numpy(np.array(world.sample_action(np.random.default_rng(0))))
    frames = (batch, 1 + world.frame_stack, *(world.observation_space.shape or ()))
    with FakeTensorMode(), OperatorCounter() as counted:
        held = torch.empty(frames, dtype=torch.uint8), torch.empty((batch, 1, *action.shape))
        Transitions(*held, torch.device("cpu")).batch(torch.empty(batch, dtype=torch.int64))
    return StepCost(
        batch=batch, operators=counted.operators, flops=0, eager_bytes=counted.bytes_moved, fused_bytes=0
    )


class _Loss(nn.Module):
    """The loss of training as a module, whose parameters are then put in by their names.

    Args:
        model: The model.
        dtype: As for `loss_of`.
    """

    def __init__(self, model: WorldModel, dtype: torch.dtype) -> None:
        super().__init__()
        self.model = model
        self.dtype = dtype

    def forward(self, batch: Batch, permutation: Tensor) -> Tensor:
        """The loss of a batch."""
        return loss_of(self.model, batch, permutation, dtype=self.dtype).total

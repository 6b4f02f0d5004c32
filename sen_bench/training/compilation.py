"""The loss of a batch as compiled code, and the error if it cannot be compiled."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import torch

from sen_bench.errors import CompileError
from sen_bench.training.loss import LossFunction, contrastive_loss


def compiled_loss(backend: str = "inductor") -> LossFunction:
    """`contrastive_loss` and its gradient as one compiled graph, for batches of one size.

    It is compiled when it is first called, whole or not at all (``fullgraph``), and for the shapes of that
    call (``dynamic=False``): a batch of another size is better computed uncompiled. What was compiled before
    in this process is dropped; otherwise the ninth model would reach the limit on how often one function is
    compiled again.

    Args:
        backend: The backend of torch.compile.
    """
    torch.compiler.reset()
    # What float32 means is decided in `sen_bench.system.device`.
    warnings.filterwarnings("ignore", message="TensorFloat32 tensor cores", category=UserWarning)
    return cast(
        "LossFunction", torch.compile(contrastive_loss, fullgraph=True, dynamic=False, backend=backend)
    )


@contextmanager
def compile_errors() -> Iterator[None]:
    """Says in one line why something could not be compiled.

    Raises:
        CompileError: Instead of any error of torch.compile: no compiler on the machine, or a model with code
            that it cannot see through.
    """
    # Imported here because it takes seconds, and only those who compile need it.
    from torch._dynamo.exc import TorchDynamoException  # noqa: PLC0415

    try:
        yield
    except TorchDynamoException as error:
        cause = getattr(error, "inner_exception", error)
        reason = next((line.strip() for line in str(cause).splitlines() if line.strip()), "no reason given")
        raise CompileError(
            f"the training step cannot be compiled ({type(cause).__name__}: {reason}); use --no-compile"
        ) from error

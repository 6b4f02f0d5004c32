"""The loss of a batch as compiled code, and the error if it cannot be compiled."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, cast

import torch

from sen_bench.errors import CompileError
from sen_bench.store import cache_folder
from sen_bench.training.loss import LossFunction, contrastive_loss

_CACHE_VARIABLE: Final = "TORCHINDUCTOR_CACHE_DIR"


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


def keep_compiled_code() -> None:
    """Has PyTorch keep what it compiles in the cache of sen-bench, unless TORCHINDUCTOR_CACHE_DIR is set.

    Runs of a sweep that differ in their seed, and later ones, find it there. PyTorch's own place is the
    folder for temporary files, which machines empty; it is chosen as soon as PyTorch's compiler is imported,
    as by the first optimiser that a process makes. So this comes before that, or is without effect.
    """
    os.environ.setdefault(_CACHE_VARIABLE, str(cache_folder() / "compiled"))


@contextmanager
def compile_errors() -> Iterator[None]:
    """Says in one line why something could not be compiled.

    Raises:
        CompileError: Instead of any error of torch.compile: no compiler on the machine, or a model with code
            that it cannot see through; or code in PyTorch's cache that cannot be loaded, as a compilation
            leaves it whose process is killed. PyTorch would try for ever, so its file is removed.
    """
    try:
        yield
    except Exception as error:
        # Imported by whatever compiles. To import it here would take seconds, also where nothing is compiled.
        dynamo = sys.modules.get("torch._dynamo.exc")
        if dynamo is None or not isinstance(error, dynamo.TorchDynamoException):
            raise
        cause = getattr(error, "inner_exception", error)
        reason = next((line.strip() for line in str(cause).splitlines() if line.strip()), "no reason given")
        if isinstance(cause, ImportError) and _remove_compiled(cause.path):
            raise CompileError(
                f"compiled code of before cannot be loaded ({reason}); its file is removed, and the same"
                " command compiles it again; or use --no-compile"
            ) from error
        raise CompileError(
            f"the training step cannot be compiled ({type(cause).__name__}: {reason}); use --no-compile"
        ) from error


def _remove_compiled(path: str | None) -> bool:
    """Removes a file of compiled code from PyTorch's cache, and says whether it did."""
    cache = os.environ.get(_CACHE_VARIABLE)
    if path is None or cache is None or not Path(path).resolve().is_relative_to(Path(cache).resolve()):
        return False
    try:
        Path(path).unlink()
    except OSError:  # of another user, or gone
        return False
    return True

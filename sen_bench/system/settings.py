"""The settings of a process that code of other people may change: put back where it has done its work."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch.backends import cuda, cudnn, mkldnn
from torch.utils import deterministic


def _attribute(owner: object, name: str) -> tuple[Callable[[], Any], Callable[[Any], object]]:
    """How a setting that is an attribute is read and set."""
    return lambda: getattr(owner, name), lambda value: setattr(owner, name, value)


def _set_default_device(device: torch.device) -> None:
    # The CPU is the default of PyTorch; naming it would slow every call down.
    torch.set_default_device(None if device.type == "cpu" else device)


def _flushes_denormals() -> bool:
    """Whether arithmetic takes the smallest numbers for 0; PyTorch offers no other way to know."""
    return bool((torch.tensor(2e-38, dtype=torch.float32, device="cpu") * 1e-3 == 0).item())


_SETTINGS: Final[Mapping[str, tuple[Callable[[], Any], Callable[[Any], object]]]] = {
    "torch.default_dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "torch.default_device": (torch.get_default_device, _set_default_device),
    "torch.num_threads": (torch.get_num_threads, torch.set_num_threads),
    "torch.deterministic_algorithms": (
        torch.get_deterministic_debug_mode,
        torch.set_deterministic_debug_mode,
    ),
    "torch.float32_matmul_precision": (
        torch.get_float32_matmul_precision,
        torch.set_float32_matmul_precision,
    ),
    "torch.grad_enabled": (torch.is_grad_enabled, torch.set_grad_enabled),
    "torch.anomaly_enabled": (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    "torch.flush_denormal": (_flushes_denormals, torch.set_flush_denormal),
    "torch.fill_uninitialized_memory": _attribute(deterministic, "fill_uninitialized_memory"),
    "cudnn.enabled": _attribute(cudnn, "enabled"),
    "cudnn.benchmark": _attribute(cudnn, "benchmark"),
    "cudnn.deterministic": _attribute(cudnn, "deterministic"),
    "cudnn.allow_tf32": _attribute(cudnn, "allow_tf32"),
    "cuda.allow_fp16_reduction": _attribute(cuda.matmul, "allow_fp16_reduced_precision_reduction"),
    "cuda.allow_bf16_reduction": _attribute(cuda.matmul, "allow_bf16_reduced_precision_reduction"),
    "cuda.flash_sdp": (cuda.flash_sdp_enabled, cuda.enable_flash_sdp),
    "cuda.mem_efficient_sdp": (cuda.mem_efficient_sdp_enabled, cuda.enable_mem_efficient_sdp),
    "cuda.math_sdp": (cuda.math_sdp_enabled, cuda.enable_math_sdp),
    "mkldnn.enabled": _attribute(mkldnn, "enabled"),
    "numpy.errors": (np.geterr, lambda errors: np.seterr(**errors)),
    "python.folder": (Path.cwd, os.chdir),
}


@contextmanager
def settings_restored() -> Iterator[None]:
    """Puts back, after the block, what decides how this process computes, whatever the block does to it.

    That is the default type and device of PyTorch, its threads, precision and determinism, how NumPy handles
    errors, and the working folder. What libraries set up once, when they are imported, is not: filters of
    warnings and the environment.
    """
    before = {name: get() for name, (get, _) in _SETTINGS.items()}
    try:
        yield
    finally:
        for name, (get, put) in _SETTINGS.items():
            if get() != before[name]:
                put(before[name])

"""A model for 2D Shapes that changes how its whole process computes, and one that writes down how that is."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from torch.backends import cuda, mkldnn
from torch.utils import deterministic

from tests.support.faulty_models import Plain

seen: list[dict[str, object]] = []
"""How the process computed when `Watching` was built."""


def state() -> dict[str, object]:
    return {
        "dtype": torch.get_default_dtype(),
        "device": torch.get_default_device(),
        "threads": torch.get_num_threads(),
        "deterministic": torch.get_deterministic_debug_mode(),
        "matmul": torch.get_float32_matmul_precision(),
        "grad": torch.is_grad_enabled(),
        "anomaly": torch.is_anomaly_enabled(),
        "denormal": (torch.tensor(2e-38, dtype=torch.float32, device="cpu") * 1e-3 == 0).item(),
        "fill": deterministic.fill_uninitialized_memory,  # type: ignore[attr-defined]
        "cudnn": (torch.backends.cudnn.enabled, torch.backends.cudnn.benchmark),
        "flash": cuda.flash_sdp_enabled(),  # type: ignore[no-untyped-call]
        "mkldnn": mkldnn.enabled,
        "numpy": np.geterr(),
        "folder": Path.cwd(),
    }


def meddle() -> None:
    """Changes all of it."""
    torch.set_num_threads(torch.get_num_threads() + 1)
    torch.use_deterministic_algorithms(mode=True, warn_only=True)
    torch.set_float32_matmul_precision("medium")
    torch.set_flush_denormal(True)
    deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.enabled = False
    torch.backends.cudnn.benchmark = True
    cuda.enable_flash_sdp(enabled=False)
    np.seterr(all="ignore")


class Meddling(Plain):
    """Changes settings as it is built, and more as it runs."""

    def __init__(self, **given: object) -> None:
        super().__init__(**given)  # type: ignore[arg-type]
        meddle()

    def embed(self, observation: torch.Tensor) -> torch.Tensor:
        torch.set_default_dtype(torch.float64)
        return super().embed(observation)


class Watching(Plain):
    """Writes down what it finds."""

    def __init__(self, **given: object) -> None:
        super().__init__(**given)  # type: ignore[arg-type]
        seen.append(state())


def meddle_with_the_rest() -> None:
    """Changes what would break a training at once."""
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    torch.set_grad_enabled(False)
    torch.autograd.set_detect_anomaly(True)
    mkldnn.enabled = False  # type: ignore[assignment]
    os.chdir("/")

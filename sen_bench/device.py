"""The device a model runs on: found by its name, described for result rows, prepared for training."""

from __future__ import annotations

import ctypes
import platform

import torch

from sen_bench.errors import DeviceError


def resolve_device(name: str) -> torch.device:
    """The device of that name.

    Args:
        name: ``auto`` (a GPU where there is one, else the CPU), ``cpu``, ``cuda`` or ``cuda:1``. Others, such
            as ``mps``, have no float64, in which scores are computed.

    Raises:
        DeviceError: If this machine has no such device.
    """
    if name == "auto":
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"{name!r} is no device; use auto, cpu, cuda or cuda:N") from error
    if device.type == "cpu":
        return torch.device("cpu")
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        index = int(name.partition(":")[2] or 0)
        if index < count:
            return torch.device("cuda", index)
        raise DeviceError(
            f"there is no device {name!r}: this PyTorch sees {count} CUDA devices; use --device cpu"
        )
    raise DeviceError(f"sen-bench does not run on {name!r}; use auto, cpu, cuda or cuda:N")


def resolve_devices(name: str) -> list[torch.device]:
    """The devices that runs may be spread over: every GPU for ``auto`` and ``cuda``, else the one named.

    Args:
        name: As `resolve_device` takes it.

    Raises:
        DeviceError: If this machine has no such device.
    """
    first = resolve_device(name)
    if first.type != "cuda" or ":" in name:
        return [first]
    return [torch.device("cuda", index) for index in range(torch.cuda.device_count())]


def device_name(device: torch.device) -> str:
    """What a result row says about the device: ``cpu``, or the GPU's product name."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def prepare_device(device: torch.device) -> None:
    """Makes a process ready to train and score on a device, as far as that is the process's business.

    On a CPU under glibc, memory that tensors free is kept in place of being returned to the kernel after
    every step and faulted in again at the next: 1.4 times the speed for 1.4 times the memory, measured on
    the 3D Blocks model ``sen`` on one core. On a GPU, cuDNN tries its algorithms once for each shape of input
    and keeps the fastest.
    """
    torch.backends.cudnn.benchmark = device.type == "cuda"
    if device.type == "cpu" and platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, -1)


# The parameters of mallopt(3), from malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4

"""The device a model runs on: found by its name, described for result rows, prepared for training."""

from __future__ import annotations

import ctypes
import functools
import math
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import torch

from sen_bench.errors import DeviceError


def resolve_device(name: str) -> torch.device:
    """The device of that name.

    Args:
        name: ``auto`` (a GPU if there is one, otherwise the CPU), ``cpu``, ``cuda`` or ``cuda:1``. Others,
            such as ``mps``, lack float64, in which scores are computed.

    Raises:
        DeviceError: If this machine has no such device.
    """
    if name == "auto":
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"{name!r} is not a device; use auto, cpu, cuda or cuda:N") from error
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
    """The devices that runs may be spread over: every GPU for ``auto`` and ``cuda``, otherwise the one named.

    Args:
        name: As for `resolve_device`.

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


def free_memory(device: torch.device) -> int:
    """Bytes that this process can still take on a device; on a CPU, no more than its cgroup (v2) allows.

    Job schedulers and containers limit a process by its cgroup, and kill it if it takes more. On a GPU, what
    PyTorch keeps for this process without using it counts as free too.
    """
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + kept
    return min([psutil.virtual_memory().available, *_cgroup_room(_PROC_CGROUP, _CGROUPS)])


def _cgroup_room(membership: Path, root: Path) -> list[int]:
    """Bytes left in each cgroup of this process that has a limit, innermost first; caches count as free.

    Args:
        membership: The file `/proc/self/cgroup`.
        root: Where cgroups are mounted.
    """
    try:
        lines = membership.read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return []
    inner = next((line.removeprefix("0::/") for line in lines if line.startswith("0::/")), None)
    if inner is None:
        return []
    room = []
    for folder in (root / inner, *(root / inner).parents):
        if not folder.is_relative_to(root):
            break
        try:
            limit = (folder / "memory.max").read_text(encoding="ascii").strip()
            used = int((folder / "memory.current").read_text(encoding="ascii"))
            stat = (folder / "memory.stat").read_text(encoding="ascii")
        except OSError:
            continue
        caches = dict(line.split(maxsplit=1) for line in stat.splitlines())
        if limit != "max":
            reclaimable = sum(int(caches.get(name, 0)) for name in ("inactive_file", "active_file"))
            room.append(max(0, int(limit) - used + reclaimable))
    return room


def prepare_device(device: torch.device) -> None:
    """Prepares this process for training and scoring on a device.

    On a GPU, float32 is float32: TensorFloat32, which keeps 10 bits of a number's 23 and is PyTorch's default
    in convolutions, is switched off [ours]. A result row says in which precision it was computed, and
    equivariance errors of 1e-6 could not be told apart from its rounding. `float32_products` switches it on
    for runs in a precision of that name.

    On a CPU under glibc, memory that tensors free is kept instead of being returned to the kernel after every
    step and faulted in again at the next: 1.4 times the speed for 1.4 times the memory, measured on the 3D
    Blocks model ``sen`` on one core. On a GPU, cuDNN tries its algorithms once for each shape of input and
    keeps the fastest.
    """
    torch.backends.cudnn.benchmark = device.type == "cuda"
    torch.backends.cudnn.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")
    if device.type == "cpu" and platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, -1)


def check_precision(device: torch.device, precision: str) -> None:
    """Refuses a precision that no device of this kind has.

    Args:
        device: The device, which may be that of another machine.
        precision: ``float32``, ``tf32`` or ``bfloat16``.

    Raises:
        DeviceError: If there is no TensorFloat32 there.
    """
    if precision == "tf32" and device.type != "cuda":
        raise DeviceError(
            f"--precision tf32 is arithmetic of GPUs, which {device.type} has not; use --precision float32 or"
            " bfloat16, or --device cuda"
        )


@contextmanager
def float32_products(device: torch.device, precision: str) -> Iterator[None]:
    """Has products of float32 matrices, and convolutions, computed as a precision says within the block.

    Only ``tf32`` changes something: both factors are then rounded to TensorFloat32, which has float32's
    exponents and 10 of its 23 bits, and sums stay float32. Otherwise it is as `prepare_device` has set it.

    Args:
        device: The device that computes.
        precision: ``float32``, ``tf32`` or ``bfloat16``.

    Raises:
        DeviceError: If the device has no TensorFloat32: it would compute in float32, and rows would say
            otherwise.
    """
    check_precision(device, precision)
    if precision != "tf32":
        yield
        return
    # Compute capability 8 (Ampere) brought it; AMD's GPUs are numbered differently.
    if torch.version.hip is None and torch.cuda.get_device_capability(device)[0] < 8:
        raise DeviceError(
            f"{device_name(device)} has no TensorFloat32, which GPUs have from compute capability 8.0 on"
            " (A100, H100, …); use --precision float32"
        )
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.allow_tf32 = True
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


def precision_notice(device: torch.device, precision: str) -> str | None:
    """Warns of a precision on a device: that bfloat16 is likely to be slower than float32 there.

    It runs nevertheless. On a CPU both are measured, because the features of a processor do not tell: with
    AVX-512 BF16, bfloat16 is half as fast as float32 on one and twice as fast on another.

    Args:
        device: The device.
        precision: ``float32``, ``tf32`` or ``bfloat16``.
    """
    if precision != "bfloat16":
        return None
    if device.type == "cuda":
        # Compute capability 8 (Ampere) brought bfloat16 products; AMD's GPUs are numbered differently.
        fast = torch.version.hip is not None or torch.cuda.get_device_capability(device)[0] >= 8
        return None if fast else "this GPU has no bfloat16 hardware; --precision float32 is likely faster"
    gain = bfloat16_gain()
    if gain >= 1:
        return None
    return (
        f"on this CPU products in bfloat16 take {1 / gain:.1f} times as long as in float32;"
        " --precision float32 is likely faster"
    )


@functools.cache
def bfloat16_gain() -> float:
    """How many times faster this CPU multiplies matrices in bfloat16 than in float32; once a process.

    Measuring takes a tenth of a second, more where there is no hardware for bfloat16.
    """
    seconds = dict.fromkeys((torch.float32, torch.bfloat16), math.inf)
    matrices = {dtype: torch.ones(_MEASURED_SIDE, _MEASURED_SIDE, dtype=dtype) for dtype in seconds}
    # In turn, and the best of each in CPU time, so that other programs disturb little.
    for _ in range(_MEASURED_ROUNDS):
        for dtype, matrix in matrices.items():
            began = time.process_time()
            torch.mm(matrix, matrix)
            seconds[dtype] = min(seconds[dtype], time.process_time() - began)
    return seconds[torch.float32] / seconds[torch.bfloat16]


_MEASURED_SIDE, _MEASURED_ROUNDS = 768, 6

# The parameters of mallopt(3), from malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4

_PROC_CGROUP, _CGROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")

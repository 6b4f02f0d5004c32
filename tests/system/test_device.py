"""Devices are found by name, and one that is not there is refused before any work."""

from __future__ import annotations

import pytest
import torch

from sen_bench.errors import DeviceError
from sen_bench.system import device
from sen_bench.system.device import (
    check_precision,
    device_name,
    float32_products,
    precision_notice,
    prepare_device,
    resolve_device,
)


def test_the_cpu_is_always_there() -> None:
    assert resolve_device("cpu") == torch.device("cpu")
    assert device_name(torch.device("cpu")) == "cpu"


def test_auto_prefers_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("auto") == torch.device("cuda", 0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == torch.device("cpu")


def test_gpus_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("cuda") == torch.device("cuda", 0)
    assert resolve_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(DeviceError, match="'cuda:2': this PyTorch sees 2 CUDA devices"):
        resolve_device("cuda:2")


@pytest.mark.parametrize(
    ("name", "message"),
    [("gpu", "is not a device"), ("cuda:x", "is not a device"), ("meta", "does not run on 'meta'")],
)
def test_what_is_no_device_is_refused(name: str, message: str) -> None:
    with pytest.raises(DeviceError, match=message):
        resolve_device(name)


@pytest.mark.parametrize(("gain", "said"), [(2.3, None), (1.0, None), (0.5, "take 2.0 times as long")])
def test_a_cpu_on_which_bfloat16_is_slow_is_named(
    monkeypatch: pytest.MonkeyPatch, gain: float, said: str | None
) -> None:
    monkeypatch.setattr(device, "bfloat16_gain", lambda: gain)
    notice = precision_notice(torch.device("cpu"), "bfloat16")
    assert notice is None if said is None else notice is not None and said in notice
    assert precision_notice(torch.device("cpu"), "float32") is None


def test_products_are_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter(range(1000))
    taken: list[torch.dtype] = []

    def multiply(matrix: torch.Tensor, _other: torch.Tensor) -> None:
        taken.append(matrix.dtype)
        # A float32 product is made to take three ticks of the clock, one in bfloat16 one.
        for _ in range(2 if matrix.dtype == torch.float32 else 0):
            next(times)

    monkeypatch.setattr(torch, "mm", multiply)
    monkeypatch.setattr("time.process_time", lambda: float(next(times)))
    device.bfloat16_gain.cache_clear()
    try:
        assert device.bfloat16_gain() == device.bfloat16_gain() == 3
    finally:
        device.bfloat16_gain.cache_clear()
    assert len(taken) == len(set(taken)) * taken.count(torch.bfloat16)


@pytest.mark.parametrize(("capability", "slow"), [((7, 5), True), ((8, 0), False), ((9, 0), False)])
def test_a_gpu_without_bfloat16_is_named(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], *, slow: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: capability)
    assert (precision_notice(torch.device("cuda", 0), "bfloat16") is not None) == slow


def test_float32_is_not_tensorfloat32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    prepare_device(torch.device("cpu"))
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32
    assert torch.get_float32_matmul_precision() == "highest"


def _tf32() -> tuple[bool, bool]:
    return torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "tf32"])
def test_tensorfloat32_is_on_where_the_precision_says_so_and_nowhere_else(
    monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: (8, 0))
    prepare_device(torch.device("cpu"))
    with float32_products(torch.device("cuda", 0), precision):
        assert _tf32() == (precision == "tf32",) * 2
    assert _tf32() == (False, False)


def test_a_device_without_tensorfloat32_does_not_pretend(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DeviceError, match="tf32 is arithmetic of GPUs, which cpu has not; use --precision"):
        check_precision(torch.device("cpu"), "tf32")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: (7, 5))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _device: "NVIDIA T4")
    with (
        pytest.raises(DeviceError, match=r"NVIDIA T4 has no TensorFloat32, .* use --precision float32"),
        float32_products(torch.device("cuda", 0), "tf32"),
    ):
        pass

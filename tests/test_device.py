"""Devices are found by name, and one that is not there is refused before any work."""

from __future__ import annotations

import pytest
import torch

from sen_bench.device import device_name, resolve_device
from sen_bench.errors import DeviceError


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
    [("gpu", "is no device"), ("cuda:x", "is no device"), ("meta", "does not run on 'meta'")],
)
def test_what_is_no_device_is_refused(name: str, message: str) -> None:
    with pytest.raises(DeviceError, match=message):
        resolve_device(name)

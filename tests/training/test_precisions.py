"""What each precision computes with: TensorFloat32 stands between float32 and bfloat16."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sen_bench.config.presets import load_preset
from sen_bench.config.settings import TrainingConfig
from sen_bench.config.variants import change_training
from sen_bench.data.transitions import Transitions
from sen_bench.errors import DeviceError
from tests.benchmarks.precision_agreement import agreement
from tests.support.configs import config_of
from tests.support.tensor_float32 import TensorFloat32, rounded
from tests.support.trainings import train_tiny


def test_ten_bits_of_a_fraction_are_kept() -> None:
    one, half_a_step = 1.0, 2.0**-11
    numbers = torch.tensor([one, one + half_a_step, one + 0.9 * half_a_step, -one - half_a_step, 0.0, 3e38])
    kept = torch.tensor([one, one + 2 * half_a_step, one, -one - 2 * half_a_step, 0.0, 3e38])
    torch.testing.assert_close(rounded(numbers)[:5], kept[:5], rtol=0, atol=0)
    assert rounded(numbers)[5] == pytest.approx(3e38, rel=2**-11)
    product = torch.full((1, 1), one + half_a_step / 2)
    with TensorFloat32():
        assert product @ product == 1
        assert product.double() @ product.double() != 1


def test_errors_are_those_of_the_bits_that_are_kept() -> None:
    found = agreement("2d-shapes", "sen", 8, {"embedding_channels": 4, "hidden": 8})
    fine, middle, coarse = (found[precision].latents for precision in ("float32", "tf32", "bfloat16"))
    assert fine < 1e-5
    assert 20 * fine < middle < coarse / 2 < 0.1


def test_a_precision_is_a_setting_of_its_own() -> None:
    smoke = load_preset("smoke").for_task("3d-blocks")
    digests = {
        config_of("3d-blocks", "sen", "train", change_training(smoke, {"precision": precision})).digest
        for precision in ("float32", "tf32", "bfloat16")
    }
    assert len(digests) == 3


def test_a_cpu_does_not_train_in_it(tmp_path: Path, transitions: Transitions) -> None:
    assert TrainingConfig(precision="tf32").precision == "tf32"
    with pytest.raises(DeviceError, match="tf32 is arithmetic of GPUs"):
        train_tiny(tmp_path, transitions, precision="tf32")
    assert not list(tmp_path.iterdir())

"""What the benchmarks share; every one is timed between two timings of the calibration kernel."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from tests.benchmarks.calibration import Calibration, least
from tests.benchmarks.ratios import device, one_thread, pytest_terminal_summary, report_ratio

__all__ = ["device", "one_thread", "pytest_terminal_summary", "report_ratio"]


@pytest.fixture(scope="session")
def calibration() -> Calibration:
    return Calibration()


@pytest.fixture(autouse=True)
def _calibrated(request: pytest.FixtureRequest) -> Iterator[None]:
    """Times the kernel before and after, so that in a run it is timed at many moments."""
    if "benchmark" not in request.fixturenames:
        yield
        return
    benchmark: BenchmarkFixture = request.getfixturevalue("benchmark")
    if not benchmark.enabled:
        yield
        return
    kernel: Calibration = request.getfixturevalue("calibration")
    before = kernel.seconds()
    yield
    benchmark.extra_info["calibration"] = least([before, kernel.seconds()])

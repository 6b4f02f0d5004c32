"""The device of the benchmarks, and the table of ratios at their end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import torch

from sen_bench.system.device import device_name, resolve_device


@dataclass(frozen=True)
class Ratio:
    """One line of the table.

    Attributes:
        what: What was measured.
        ratio: How many times faster ours is than the plain form.
        bound: How many times it is meant to be; None where there is no such aim.
        detail: Further figures.
    """

    what: str
    ratio: float
    bound: float | None = None
    detail: str = ""


_RATIOS = pytest.StashKey[list[Ratio]]()


@pytest.fixture(scope="session")
def device() -> torch.device:
    """The device to measure on: SEN_BENCH_DEVICE, or the CPU."""
    return resolve_device(os.environ.get("SEN_BENCH_DEVICE", "cpu"))


@pytest.fixture
def one_thread() -> Iterator[None]:
    """One thread for PyTorch within this process."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def report_ratio(request: pytest.FixtureRequest) -> Callable[[Ratio], None]:
    """Adds a line to the table."""
    return request.config.stash.setdefault(_RATIOS, []).append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Prints the table, where anything was measured."""
    ratios = config.stash.get(_RATIOS, [])
    if not ratios:
        return
    name = device_name(resolve_device(os.environ.get("SEN_BENCH_DEVICE", "cpu")))
    terminalreporter.section(f"times faster than the plain form, on {name}")
    wide = max(len(each.what) for each in ratios)
    for each in ratios:
        aim = "" if each.bound is None else f"aim {each.bound:g}  {_verdict(each.ratio >= each.bound)}"
        terminalreporter.write_line(f"{each.what:<{wide}}  {each.ratio:5.2f}  {aim:<18}  {each.detail}")


def _verdict(reached: bool) -> str:  # noqa: FBT001 — what it says, and nothing else
    return "reached" if reached else "missed"

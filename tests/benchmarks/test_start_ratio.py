"""How long light commands take beside an import of click alone, in CPU time of new processes."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from tests.benchmarks.ratios import Ratio

ROUNDS = 5


def cpu_seconds(*arguments: str) -> float:
    """User and system time of a new Python that runs with some arguments, and must end well."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


@pytest.mark.parametrize("command", ["--help", "tasks"])
def test_start(benchmark: BenchmarkFixture, report_ratio: Callable[[Ratio], None], command: str) -> None:
    """Both in turn, so that a change in the machine's load meets both."""
    taken: dict[str, list[float]] = {"ours": [], "click": []}
    if benchmark.enabled:  # the first start of all reads files from the disk
        cpu_seconds("-m", "sen_bench", command)
    benchmark.pedantic(  # type: ignore[no-untyped-call]
        lambda: taken["ours"].append(cpu_seconds("-m", "sen_bench", command)),
        setup=lambda: taken["click"].append(cpu_seconds("-c", "import click")),
        rounds=ROUNDS,
    )
    best, best_click = min(taken["ours"]), min(taken["click"])
    benchmark.extra_info |= {"cpu_seconds": best, "click_seconds": best_click, "ratio": best / best_click}
    if benchmark.enabled:
        detail = f"{best:.2f} s of CPU time, import click {best_click:.2f} s"
        report_ratio(Ratio(f"sen-bench {command}, beside import click", best_click / best, detail=detail))

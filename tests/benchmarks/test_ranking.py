"""Ranking in chunks against one full distance matrix and a sort, at the paper's 10,000 episodes."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

import psutil
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor

from sen_bench.evaluation.metrics import rank_predictions
from tests.benchmarks.ratios import Ratio

EPISODES = 10_000
# Where nothing is timed: enough for distances to take far more memory than all else.
UNTIMED = 4_000
BENCHMARK_LATENT = (5, 4, 2)


def latents(episodes: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    true = torch.randn(episodes, *BENCHMARK_LATENT, generator=generator)
    return true, true + 0.5 * torch.randn(episodes, *BENCHMARK_LATENT, generator=generator)


def full_sort(true: Tensor, predicted: Tensor) -> Tensor:
    """The public code's way: the whole matrix, own distance in front, stably sorted."""
    matrix = torch.cdist(true.flatten(1), predicted.flatten(1))
    augmented = torch.cat([matrix.diagonal().unsqueeze(1), matrix], dim=1)
    order = torch.sort(augmented, dim=1, stable=True).indices
    return (order == 0).int().argmax(dim=1) + 1


def chunked(true: Tensor, predicted: Tensor) -> Tensor:
    return rank_predictions(true, predicted).ranks("optimistic")


def _measured(rank: Callable[[Tensor, Tensor], Tensor], episodes: int, pipe: Connection) -> None:
    torch.set_num_threads(1)
    true, predicted = latents(episodes)
    # What is loaded at the first use of a kernel is not the ranking's.
    rank(true[:300], predicted[:300])
    pipe.send(psutil.Process().memory_info().rss)
    began = time.perf_counter()
    rank(true, predicted)
    pipe.send(time.perf_counter() - began)
    pipe.recv()


def measure(rank: Callable[[Tensor, Tensor], Tensor], episodes: int) -> tuple[float, int]:
    """Seconds, and bytes by which the memory of a process of its own grows.

    It is sampled from outside: Python's own tracing does not see torch's memory.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_measured, args=(rank, episodes, theirs))
    process.start()
    before = int(ours.recv())
    watched, peak = psutil.Process(process.pid), before + 1
    while not ours.poll(0.005):
        peak = max(peak, watched.memory_info().rss)
    seconds = float(ours.recv())
    ours.send(None)
    process.join()
    return seconds, peak - before


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_ranking_ratio(benchmark: BenchmarkFixture, report_ratio: Callable[[Ratio], None]) -> None:
    episodes = EPISODES if benchmark.enabled else UNTIMED
    true, predicted = latents(episodes)
    # Rounding in the matrix product may swap neighbours, no more.
    some = slice(0, 1000)
    off = chunked(true[some], predicted[some]) - full_sort(true[some], predicted[some])
    assert float(off.abs().max()) <= 1
    benchmark.pedantic(chunked, args=(true, predicted), rounds=2)  # type: ignore[no-untyped-call]
    (seconds, memory), (seconds_full, memory_full) = (
        measure(rank, episodes) for rank in (chunked, full_sort)
    )
    benchmark.extra_info |= {
        "seconds": seconds,
        "seconds_full_sort": seconds_full,
        "ratio": seconds_full / seconds,
        "megabytes": memory / 1e6,
        "megabytes_full_sort": memory_full / 1e6,
        "times_less_memory_than_full_sort": memory_full / memory,
    }
    assert memory < memory_full / 4
    if benchmark.enabled:
        report_ratio(
            Ratio(
                f"ranking, N = {EPISODES:,}",
                seconds_full / seconds,
                3.0,
                f"{memory_full / memory:.1f} times less memory (aim 4)",
            )
        )

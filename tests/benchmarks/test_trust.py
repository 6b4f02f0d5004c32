"""What the proofs of datasets and checkpoints cost: time of the processor, beside the same work without."""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import zarr
from pytest_benchmark.fixture import BenchmarkFixture

from sen_bench.store import Manifest, check_sizes, open_dataset
from sen_bench.system import write_atomically
from sen_bench.training.checkpoint import Checkpoint
from tests.benchmarks.ratios import Ratio
from tests.paths import ROOT

ROUNDS = 30
# Opened or saved without proofs, in the time that it takes with them: 1.2 times as long is allowed.
AIM = 1 / 1.2
GOLDEN = ROOT / "tests/golden/format-1/reacher/eval.zarr"

pytestmark = pytest.mark.usefixtures("one_thread")


def seconds(work: Callable[[], object]) -> float:
    """Of the processor, all threads together: those of the clock depend on what else the machine does."""
    began = time.process_time()
    work()
    return time.process_time() - began


def compared(
    benchmark: BenchmarkFixture, mine: Callable[[], object], *others: Callable[[], object]
) -> list[float]:
    """The least seconds of ours and of others, measured in turn."""
    works = (mine, *others)
    rounds = [[seconds(work) for work in works] for _ in range(2 if benchmark.disabled else ROUNDS)]
    benchmark.pedantic(mine, rounds=1)  # type: ignore[no-untyped-call]
    return [min(column) for column in zip(*rounds, strict=True)]


def open_unproven(path: Path) -> dict[str, Any]:
    """Opens a dataset as before there were proofs: the manifest, sizes of files, and what Zarr reads."""
    json.loads((path / "zarr.json").read_bytes())
    check_sizes(path, Manifest.read(path))
    group = zarr.open_group(zarr.storage.LocalStore(path, read_only=True), mode="r")
    return dict(group.members(max_depth=None))


def test_opening(benchmark: BenchmarkFixture, report_ratio: Callable[[Ratio], None]) -> None:
    """A small dataset, of which opening is mostly metadata."""
    mine, plain = compared(benchmark, lambda: open_dataset(GOLDEN).arrays, lambda: open_unproven(GOLDEN))
    benchmark.extra_info["ratio"] = plain / mine
    report_ratio(
        Ratio("opening a dataset", plain / mine, AIM, f"{mine * 1e3:.1f} against {plain * 1e3:.1f} ms")
    )


def checkpoint_of(tensors: dict[str, Any]) -> Checkpoint:
    return Checkpoint(
        identity={},
        epoch=1,
        attempt=0,
        step=1,
        samples_seen=1,
        seconds=1.0,
        stopped=False,
        model=tensors,
        optimizer={},
    )


def large_tensors() -> dict[str, Any]:
    """24 MB."""
    return {f"layer{number}": torch.randn(500, 1000) for number in range(12)}


def test_saving(benchmark: BenchmarkFixture, report_ratio: Callable[[Ratio], None], tmp_path: Path) -> None:
    """A checkpoint of 24 MB; beside it what SHA-256 alone takes, which is not to be had for less."""
    tensors = large_tensors()
    checkpoint = checkpoint_of(tensors)

    def save_plain() -> None:
        buffer = io.BytesIO()
        torch.save({"model": tensors, "identity": {}}, buffer)
        write_atomically(tmp_path / "plain.pt", lambda part: part.write_bytes(buffer.getbuffer()))

    data = bytes(24_000_000)
    mine, plain, digest = compared(
        benchmark,
        lambda: checkpoint.save(tmp_path / "checkpoint.pt"),
        save_plain,
        lambda: hashlib.sha256(data).digest(),
    )
    benchmark.extra_info |= {"ratio": plain / mine, "without_sha256": plain / (mine - digest)}
    for what, least in (("saving a checkpoint", mine), ("the same, less SHA-256", mine - digest)):
        detail = f"{least * 1e3:.1f} against {plain * 1e3:.1f} ms; SHA-256 {digest * 1e3:.1f} ms"
        report_ratio(Ratio(what, plain / least, AIM, detail))


def test_loading(benchmark: BenchmarkFixture, report_ratio: Callable[[Ratio], None], tmp_path: Path) -> None:
    """The same checkpoint: proven before anything is read of it, as damage may crash PyTorch."""
    path, device = tmp_path / "checkpoint.pt", torch.device("cpu")
    checkpoint_of(large_tensors()).save(path)
    data = path.read_bytes()
    mine, plain, digest = compared(
        benchmark,
        lambda: Checkpoint.load(path, device),
        lambda: torch.load(path, weights_only=True),
        lambda: hashlib.sha256(data).digest(),
    )
    benchmark.extra_info |= {"ratio": plain / mine, "without_sha256": plain / (mine - digest)}
    detail = f"{mine * 1e3:.1f} against {plain * 1e3:.1f} ms; SHA-256 {digest * 1e3:.1f} ms"
    report_ratio(Ratio("loading a checkpoint", plain / mine, AIM, detail))

"""Random damage to the local copy of a dataset behind a URL: refused, or read as it was."""

from __future__ import annotations

import random
import sys
from collections import Counter
from pathlib import Path

import pytest

from sen_bench.errors import DatasetError
from sen_bench.generators import generate
from sen_bench.store import OFFLINE_VARIABLE, open_dataset
from tests.store.test_store_mutations import MUTATIONS, flip, said
from tests.support.datasets import SMALL

TRIALS = 250


@pytest.mark.slow
def test_damage_to_a_copy_is_never_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEN_BENCH_CACHE", str(tmp_path / "cache"))
    url = generate(SMALL, tmp_path / "a.zarr").path.as_uri()
    whole = said(open_dataset(url))
    monkeypatch.setenv(OFFLINE_VARIABLE, "1")
    assert said(open_dataset(url)) == whole
    files = sorted(path for path in (tmp_path / "cache").rglob("*") if path.is_file())
    assert {path.name for path in files} >= {"zarr.json", "manifest.json"}
    chance = random.Random(18)  # noqa: S311 — places, not secrets
    counts: Counter[str] = Counter()
    for trial in range(TRIALS):
        path = files[trial % len(files)]
        good = path.read_bytes()
        try:
            bad = chance.choice(MUTATIONS)(good, chance)
        except (ValueError, IndexError):  # no JSON, or too short
            bad = flip(good, chance)
        path.write_bytes(bad)
        try:
            counts["read as it was" if said(open_dataset(url)) == whole else "silent"] += 1
        except DatasetError as error:
            counts["refused" if "\n" not in str(error) else "several lines"] += 1
        path.write_bytes(good)
    sys.stdout.write(f"cache of fetched datasets: {TRIALS} mutations: {dict(counts)}\n")
    assert counts.keys() <= {"refused", "read as it was"}
    assert counts["refused"] > TRIALS / 2

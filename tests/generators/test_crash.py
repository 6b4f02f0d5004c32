"""Processes that are killed, disks that fill up, generators that race: nothing finished is lost."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sen_bench.checks import verify
from sen_bench.generators import generate
from tests.generators.crash_controller import digest
from tests.paths import ROOT
from tests.support.datasets import SHARDED

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="the controller forks"),
]


def scenario(name: str, folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Runs a scenario of the controller; returns what it found, and the errors that its children printed."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.generators.crash_controller", name, folder],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr.splitlines()


def test_killed_at_any_change_of_the_disk_it_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    found, _ = scenario("kill", tmp_path)
    assert found["wrong"] == []
    assert set(found["codes"]) == {"-9"}
    # Names of temporary files end in numbers that change.
    places = {re.sub(r"\.[\d-]+\.partial$", "", place) for place in found["places"]}
    assert sum(found["codes"].values()) > 50
    # Every step of the end was among them, with and without an older dataset in the way.
    assert places >= {
        "open .a.zarr.partial/store-1/.zarr.json", "os.rename .a.zarr.partial/store-1/.zarr.json",
        "open .a.zarr.partial/store-1/.manifest.json", "os.rename .a.zarr.partial/store-1/.manifest.json",
        "open .a.zarr.partial/journal.jsonl", "os.rename a.zarr", "os.rename .a.zarr.partial/store-1",
        "os.remove .a.zarr.partial/journal.jsonl", "os.rmdir .a.zarr.partial",
        "os.remove .a.zarr.holder.json",
    }  # fmt: skip


def test_killed_at_any_journal_length_and_step_of_the_end_any_number_of_workers_goes_on(
    tmp_path: Path,
) -> None:
    found, _ = scenario("resume", tmp_path)
    assert found["wrong"] == []
    # A header, five shards, the end; and none, where the journal is not there yet or not any more.
    assert set(found["journaled"]) == set("01234567")
    assert set(found["resumed"]) == {"1", "2", str(os.cpu_count())}
    assert min(found["resumed"].values()) >= 20


def test_a_full_disk_is_one_line_at_any_change_and_with_space_it_goes_on(tmp_path: Path) -> None:
    found, lines = scenario("fill", tmp_path)
    assert found["wrong"] == []
    # Where there is nothing left to be written, a full disk harms nobody.
    assert set(found["codes"]) <= {"0", "2"}
    assert found["codes"]["2"] == len(lines) > 30
    assert all(line.startswith("the disk is full: ") for line in lines)


def test_thirty_killed_at_random_moments_end_with_the_same_bytes(tmp_path: Path) -> None:
    found, _ = scenario("random", tmp_path)
    assert found["wrong"] == []
    assert found["killed"] == {"parent": 20, "worker": 10}
    assert found["resumed"] >= 10
    assert found["orphans"] == 0


def test_of_two_that_race_one_wins_and_one_is_refused(tmp_path: Path) -> None:
    found, lines = scenario("race", tmp_path)
    assert len({digest for _, digest in found["outcomes"]}) == 1
    # One that comes so late that all is done finds an equal dataset there, which is no error.
    assert all(codes in ([0, 2], [0, 0]) for codes, _ in found["outcomes"])
    assert [0, 2] in [codes for codes, _ in found["outcomes"]]
    assert all("another process is generating" in line for line in lines)
    for number in range(4):
        verify(tmp_path / str(number) / "a.zarr", regenerate=5)


def test_the_end_does_not_wait_for_workers_that_wait_for_each_other(tmp_path: Path) -> None:
    """One that is killed with nothing left to do may hold the lock of the queue at which the others wait."""
    found, _ = scenario("stopped", tmp_path)
    assert found["in_time"]
    assert (found["workers"], found["left"]) == (2, 0)
    generate(SHARDED, tmp_path / "b.zarr", progress=False)
    assert found["digest"] == digest(tmp_path / "b.zarr")

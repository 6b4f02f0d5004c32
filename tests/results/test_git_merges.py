"""The guide's way through a conflict of two branches' tables: rows of both, and digests of sen-bench."""

from __future__ import annotations

import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from sen_bench.results import ResultsFolder, append_rows, read_runs
from tests.paths import ROOT
from tests.support.rows import make_row, reference_model


def git(folder: Path, *command: str, check: bool = True) -> int:
    name = ("-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", *name, *command], cwd=folder, check=check, capture_output=True)
    return done.returncode


def record(folder: Path, task: str, seed: int) -> None:
    """What a run does to the tables, in a commit."""
    results = ResultsFolder(folder / "results")
    append_rows(
        results.runs_csv, [make_row(run_id=f"{task}/train/sen/smoke/seed-{seed}", task=task, seed=seed)]
    )
    results.write_leaderboard(reference_model)
    git(folder, "add", "results/runs.csv", "results/runs.csv.sha256", "results/leaderboard.csv",
        "results/leaderboard.csv.sha256")  # fmt: skip
    git(folder, "commit", "-m", f"{task} {seed}")


def recipe() -> str:
    """The commands of the guide, but for the commit."""
    text = (ROOT / "docs/submitting.md").read_text(encoding="utf-8")
    section = text[text.index("## When Git cannot merge the tables") :]
    match = re.search(r"```console\n(.*?)```", section, re.DOTALL)
    assert match
    return match[1].replace("git commit --no-edit\n", "")


def test_the_tables_of_two_branches_are_put_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "clone"
    folder.mkdir()
    git(folder, "init")
    record(folder, "3d-blocks", 0)
    git(folder, "checkout", "-b", "theirs")
    record(folder, "2d-shapes", 0)
    git(folder, "checkout", "-")
    record(folder, "rush-hour", 0)
    assert git(folder, "merge", "theirs", check=False) != 0, "the digests conflict"
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    script = recipe()
    assert "sen-bench merge" in script
    script = script.replace("sen-bench merge", f"{sys.executable} -m sen_bench merge")
    subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=folder, check=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        runs = read_runs(folder / "results/runs.csv")
        ResultsFolder(folder / "results").refresh_leaderboard(reference_model)
    assert sorted(runs["task"]) == ["2d-shapes", "3d-blocks", "rush-hour"]
    for name in ("runs.csv", "leaderboard.csv"):
        subprocess.run(["sha256sum", "--check", f"{name}.sha256"], cwd=folder / "results", check=True)
    assert git(folder, "diff", "--check", "--cached") == 0

"""What CI runs is there: the Makefile's targets, .ci/run, and the workflow that users copy."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.paths import ROOT

CHECKS = ["test", "bench", "quality"]


@pytest.fixture(scope="module")
def workflow() -> dict[str, Any]:
    # A loader of text alone: YAML's own takes the key `on` for a truth value.
    loaded: dict[str, Any] = yaml.load((ROOT / "docs/workflows/ci.yml").read_text(), yaml.BaseLoader)  # noqa: S506
    return loaded


@pytest.fixture(scope="module")
def makefile() -> str:
    return (ROOT / "Makefile").read_text()


def steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def phony(makefile: str) -> list[str]:
    line: str
    (line,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    return line.split()


def test_every_target_has_a_rule_and_is_explained(makefile: str) -> None:
    explained = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in phony(makefile):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
        assert target == "help" or re.search(rf"\bmake {target}\s", explained), target


def test_ci_runs_every_check_in_order() -> None:
    lines = (ROOT / ".ci/run").read_text().splitlines()
    ran = [line.removeprefix("step make ") for line in lines if line.startswith("step make ")]
    assert ran == [".venv/installed", *CHECKS]


def test_ci_says_what_took_how_long_and_stops_at_what_fails(tmp_path: Path) -> None:
    (tmp_path / ".ci").mkdir()
    script = tmp_path / ".ci/run"
    script.write_bytes((ROOT / ".ci/run").read_bytes())
    (tmp_path / "Makefile").write_text("%:\n\t@test $@ != bench\n")
    done = subprocess.run(["bash", script], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    table = [line.split() for line in done.stdout.splitlines() if line.startswith("make ")]
    assert [(row[1], row[-1]) for row in table] == [
        (".venv/installed", "passed"),
        ("test", "passed"),
        ("bench", "failed"),
    ]
    assert all(row[3] == "s" and int(row[2]) >= 0 for row in table)


def test_the_workflow_runs_every_check(workflow: dict[str, Any], makefile: str) -> None:
    ran = [step["run"].removeprefix("make ") for step in steps(workflow) if "run" in step]
    assert ran == CHECKS
    assert set(ran) <= set(phony(makefile))


def test_the_steps_of_the_workflow_are_well_formed(workflow: dict[str, Any]) -> None:
    assert {"name", "on", "jobs", "permissions"} <= set(workflow)
    for job in workflow["jobs"].values():
        assert int(job["timeout-minutes"]) > 0
        assert job["runs-on"].startswith("ubuntu-")
    for step in steps(workflow):
        assert ("run" in step) != ("uses" in step)
        assert re.fullmatch(r"[\w.-]+/[\w.-]+@v\d+", step.get("uses", "a/b@v1"))
        for name in step.get("with", {}).get("cache-dependency-path", "").split():
            assert (ROOT / name).exists()


def test_the_workflow_keeps_what_the_checks_write(workflow: dict[str, Any], makefile: str) -> None:
    (upload,) = (
        step for step in steps(workflow) if step.get("uses", "").startswith("actions/upload-artifact")
    )
    assert upload["with"]["path"].split() == [".benchmarks/*.json", "quality/results/*.csv"]
    assert "MEASURED := .benchmarks/" in makefile
    assert "--results quality/results" in makefile
    # Hidden folders are left out otherwise.
    assert upload["with"]["include-hidden-files"] == "true"


def test_the_guide_shows_the_way_to_the_workflow() -> None:
    guide = (ROOT / "docs/ci.md").read_text()
    assert "](workflows/ci.yml)" in guide
    for target in CHECKS:
        assert f"make {target}" in guide

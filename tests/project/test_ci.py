"""What CI runs is there: the Makefile's targets, .ci/run, the workflows, and the hooks before a commit."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.paths import ROOT

CHECKS = ["test", "bench", "quality", "wheel-test", "docs"]


def read_workflow(name: str) -> dict[str, Any]:
    # A loader of text alone: YAML's own takes the key `on` for a truth value.
    loaded: dict[str, Any] = yaml.load((ROOT / ".github/workflows" / name).read_text(), yaml.BaseLoader)  # noqa: S506
    return loaded


@pytest.fixture(scope="module")
def workflow() -> dict[str, Any]:
    return read_workflow("ci.yml")


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


@pytest.mark.parametrize("name", ["ci.yml", "release.yml"])
def test_the_steps_of_a_workflow_are_well_formed(name: str) -> None:
    workflow = read_workflow(name)
    assert {"name", "on", "jobs", "permissions"} <= set(workflow)
    for job in workflow["jobs"].values():
        assert int(job["timeout-minutes"]) > 0
        assert job["runs-on"].startswith("ubuntu-")
    for step in steps(workflow):
        assert ("run" in step) != ("uses" in step)
        assert re.fullmatch(r"[\w.-]+/[\w.-]+@(release/)?v\d+", step.get("uses", "a/b@v1"))
        for path in step.get("with", {}).get("cache-dependency-path", "").split():
            assert (ROOT / path).exists()


def test_the_workflow_keeps_what_the_checks_write(workflow: dict[str, Any], makefile: str) -> None:
    upload, built = (
        step for step in steps(workflow) if step.get("uses", "").startswith("actions/upload-artifact")
    )
    assert built["with"]["path"].split() == ["dist/*", "site/"]
    assert upload["with"]["path"].split() == [".benchmarks/*.json", "quality/results/*.csv"]
    assert "MEASURED := .benchmarks/" in makefile
    assert "--results quality/results" in makefile
    # Hidden folders are left out otherwise.
    assert upload["with"]["include-hidden-files"] == "true"


def test_the_guide_shows_the_way_to_the_workflow() -> None:
    guide = (ROOT / "docs/ci.md").read_text()
    assert "](../.github/workflows/ci.yml)" in guide
    for target in CHECKS:
        assert f"make {target}" in guide


def test_nothing_is_released_unless_a_person_asks_for_it() -> None:
    release = read_workflow("release.yml")
    assert set(release["on"]) == {"workflow_dispatch"}
    assert release["on"]["workflow_dispatch"]["inputs"]["publish"]["default"] == "false"
    publish = release["jobs"]["publish"]
    assert publish["if"] == "${{ inputs.publish }}"
    assert publish["needs"] == "build"
    # Only this job may speak to PyPI.
    writing = {name for name, job in release["jobs"].items() if "id-token" in job.get("permissions", {})}
    assert writing == {"publish"}
    assert any(step.get("run") == "make wheel-test" for step in release["jobs"]["build"]["steps"])


def test_a_commit_is_checked_by_the_tools_of_make_lint(makefile: str) -> None:
    hooks = [
        hook
        for repository in yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
        for hook in repository["hooks"]
    ]
    assert all(hook["language"] == "system" for hook in hooks)
    tools = [hook["entry"].removesuffix(" --force-exclude") for hook in hooks]
    (lint,) = re.findall(r"^lint: .*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    checks = [line.strip().replace("$(BIN)", ".venv/bin") for line in lint.splitlines()]
    # Before a commit files are formatted, not only checked; and those that changed, not all.
    assert tools == [re.sub(r" --check|( --check)? \.$", "", check) for check in checks]


def test_the_classifiers_name_only_pythons_that_are_tested(workflow: dict[str, Any]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = re.findall(r"Python :: (3\.\d+)$", "\n".join(project["classifiers"]), re.MULTILINE)
    assert named
    assert set(named) <= set(workflow["jobs"]["tests"]["strategy"]["matrix"]["python"])
    assert f"Python {named[0]}" in (ROOT / "README.md").read_text()

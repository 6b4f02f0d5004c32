"""What packaging and documentation say is what is there."""

from __future__ import annotations

import importlib
import pkgutil
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

import sen_bench
from sen_bench.config.known import preset_names
from sen_bench.config.presets import load_preset
from sen_bench.tasks.registry import get_task, task_names
from tests.paths import ROOT
from tests.support.configs import config_of


@pytest.fixture(scope="module")
def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_every_package_is_installed(pyproject: dict[str, Any]) -> None:
    found = {"sen_bench"} | {
        module.name for module in pkgutil.walk_packages(sen_bench.__path__, "sen_bench.") if module.ispkg
    }
    assert set(pyproject["tool"]["setuptools"]["packages"]) == found


@pytest.mark.parametrize("name", ["envs", "generators", "baselines"])
def test_folders_at_the_root_are_parts_of_the_package(name: str) -> None:
    link = ROOT / "sen_bench" / name
    assert link.is_symlink()
    assert not link.readlink().is_absolute()
    module = importlib.import_module(f"sen_bench.{name}")
    assert module.__file__ is not None
    assert Path(module.__file__).resolve().parent == ROOT / name


def test_constraints_pin_every_dependency(pyproject: dict[str, Any]) -> None:
    project = pyproject["project"]
    # They ask for older Pillow and importlib_metadata than the pinned ones, and are not in "dev".
    conflicting = {"trackio", "mlflow"}
    extras = [lines for name, lines in project["optional-dependencies"].items() if name not in conflicting]
    wanted = [*project["dependencies"], *(line for extra in extras for line in extra)]
    names = {re.split(r"[^A-Za-z0-9_.-]", line)[0].lower().replace("_", "-") for line in wanted}
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in lines if "==" in line}
    # The extra "dev" takes in other extras of the project itself.
    assert names - {project["name"]} <= pinned


@pytest.mark.parametrize("preset", preset_names())
def test_presets_fit_the_tasks_they_mention(preset: str) -> None:
    loaded = load_preset(preset)
    for name, of_task in loaded.tasks.items():
        task = get_task(name)
        for model in task.models:
            config = config_of(name, model, "train", of_task)
            task.build_model(model, config.model_options)


@pytest.mark.parametrize("task", [name for name in task_names() if get_task(name).models])
def test_the_paper_preset_changes_no_size(task: str) -> None:
    of_task = load_preset("paper").for_task(task)
    assert not of_task.data
    assert not of_task.models


@pytest.mark.parametrize(
    "page", sorted(p.relative_to(ROOT) for p in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
)
def test_links_between_documents_lead_somewhere(page: Path) -> None:
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        if "://" not in target:
            assert ((ROOT / page).parent / target).exists(), target


def test_the_readme_names_only_commands_that_exist() -> None:
    from sen_bench.cli.main import main  # noqa: PLC0415

    pages = [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]
    code = re.compile(r"(?:`|^)sen-bench ([a-z]+)", re.MULTILINE)
    named = {command for page in pages for command in code.findall(page.read_text())}
    assert {"generate", "run"} <= named <= set(main.commands)

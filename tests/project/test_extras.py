"""What is optional can be installed wherever sen-bench can."""

from __future__ import annotations

import tomllib

import pytest
from packaging.requirements import Requirement

from tests.paths import ROOT


@pytest.mark.parametrize(("version", "wanted"), [("3.11", True), ("3.12", False), ("3.13", False)])
def test_pybullet_is_asked_for_only_where_it_has_wheels(version: str, *, wanted: bool) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    (pybullet,) = (Requirement(text) for text in extras["pybullet"])
    assert pybullet.marker is not None
    assert pybullet.marker.evaluate({"python_version": version}) == wanted
    others = [
        *project["dependencies"],
        *(text for name in extras if name != "pybullet" for text in extras[name]),
    ]
    assert not any(Requirement(text).name == "pybullet" for text in others)

"""The former name of the checks of equivariance goes on for one release, and says where they are now."""

from __future__ import annotations

import importlib
import sys

import pytest

from sen_bench.checks import equivariance


def test_the_former_name_warns_and_has_the_same_functions() -> None:
    sys.modules.pop("sen_bench.testing", None)
    with pytest.warns(DeprecationWarning, match="from sen_bench.checks import assert_equivariant"):
        testing = importlib.import_module("sen_bench.testing")
    own = [
        name
        for name, value in vars(equivariance).items()
        if not name.startswith("_") and getattr(value, "__module__", "") == equivariance.__name__
    ]
    assert {"assert_equivariant", "equivariance_errors", "ElementErrors"} <= set(own)
    for name in [*own, "TOLERANCE", "RANDOM_ROTATIONS", "GroupAction"]:
        assert getattr(testing, name) is getattr(equivariance, name)

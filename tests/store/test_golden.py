"""Datasets of format version 1, as the first version that could verify them wrote them: they open for ever.

Never make them anew. They were made by

    sen-bench generate reacher teapot-small --split eval --episodes 2 --horizon 1 --out tests/golden/format-1

and have between them a finite group and SO(3), permutations and matrices, twins, leading frames and hard
negatives. A change that they do not survive is a new format version.
"""

from __future__ import annotations

import numpy as np
import pytest
import xarray
import zarr

from sen_bench.checks import verify
from sen_bench.store import open_dataset
from tests.paths import ROOT

GOLDEN = ROOT / "tests" / "golden" / "format-1"
CONTENT = {
    "reacher": "062df3a5f4fa328160cc12113a4ba74768e754b4f89fb86a0c3978c9577e8a7e",
    "teapot-small": "c6577a3ae71ad51b56624e33287d43fa5d222fcd9e4a7b9b6a6a8d0836988017",
}


@pytest.fixture(params=CONTENT)
def task(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_they_verify(task: str) -> None:
    report = verify(GOLDEN / task / "eval.zarr")
    assert report.dataset.content_digest == CONTENT[task]
    assert report.dataset.attributes["format_version"] == 1


def test_they_say_what_they_are(task: str) -> None:
    dataset = open_dataset(GOLDEN / task / "eval.zarr")
    assert (dataset.task, dataset.split, dataset.episodes, dataset.horizon) == (task, "eval", 2, 1)
    assert dataset.frame_stack == (2 if task == "reacher" else 1)
    assert dataset.symmetry.group.name == ("D4" if task == "reacher" else "SO(3)")


def test_they_are_read_by_us_zarr_and_xarray_alike(task: str) -> None:
    path = GOLDEN / task / "eval.zarr"
    ours = open_dataset(path)
    plain = zarr.open_group(path, mode="r")
    for name in ours.arrays:
        array = plain[name]
        assert isinstance(array, zarr.Array)
        np.testing.assert_array_equal(np.asarray(array[...]), ours.load(name))
    frames = xarray.open_zarr(path)["observation"]
    assert frames.dims == ("episode", "frame", "height", "width", "channel")
    np.testing.assert_array_equal(frames.values, ours.load("observation"))

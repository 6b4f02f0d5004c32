"""Weights from elsewhere: read without running anything, and put into a model entirely or not at all."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from sen_bench.errors import CheckpointError
from sen_bench.training.state_dicts import StateDict, weights_digest

REMEDY = "build it otherwise"


def _saved(path: Path, contents: Any) -> Path:
    torch.save(contents, path)
    return path


def _model() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))


@pytest.mark.parametrize("part", [None, "model", "state_dict"])
def test_weights_are_read_whether_alone_or_in_a_checkpoint(tmp_path: Path, part: str | None) -> None:
    given, model = _model(), _model()
    state = given.state_dict()
    path = _saved(tmp_path / "w.pt", state if part is None else {"epoch": 3, part: state, "optimizer": {}})
    read = StateDict.read(path)
    read.put_into(model, "the model", remedy=REMEDY)
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name])


def test_narrow_weights_are_widened(tmp_path: Path) -> None:
    narrow, model = nn.Linear(2, 3).bfloat16(), nn.Linear(2, 3)
    path = _saved(tmp_path / "w.pt", narrow.state_dict())
    StateDict.read(path).put_into(model, "the model", remedy=REMEDY)
    assert torch.equal(model.weight, narrow.weight.float())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"0.weight": None}, "it lacks 0.weight"),
        (dict.fromkeys(("0.weight", "0.bias", "1.weight", "1.bias")), "1.weight and 1 more"),
        ({"2.weight": torch.zeros(1)}, "the model has no 2.weight"),
        ({"0.weight": torch.zeros(3, 4)}, r"0.weight is \[3, 4\] instead of \[3, 2\]"),
        ({"0.weight": torch.zeros(3, 2).int()}, "0.weight is int32 instead of float32"),
        ({"0.weight": 3.0}, "0.weight is a float instead of a tensor"),
        ({"0.bias": None, "b\x1b": torch.zeros(1)}, r"it lacks 0.bias; the model has no b\\x1b"),
    ],
    ids=["missing", "several missing", "unexpected", "shape", "type", "no tensor", "both"],
)
def test_what_does_not_fit_is_named_and_changes_nothing(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    model = _model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = {name: value for name, value in {**_model().state_dict(), **change}.items() if value is not None}
    read = StateDict.read(_saved(tmp_path / "w.pt", state))
    with pytest.raises(CheckpointError, match=f"does not fit the model: .*{said}.*; {REMEDY}$"):
        read.put_into(model, "the model", remedy=REMEDY)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        ({}, "holds no state dict"),
        ([torch.zeros(1)], "holds no state dict"),
        ({"model": {"epoch": 3}}, "holds no state dict"),
        ({1: torch.zeros(1)}, "holds no state dict"),
        (nn.Linear(1, 1), "holds more than tensors and plain values"),
    ],
    ids=["nothing", "a list", "no tensors", "numbers for names", "a whole model"],
)
def test_files_without_a_state_dict_are_refused(tmp_path: Path, contents: Any, said: str) -> None:
    with pytest.raises(CheckpointError, match=rf"w\.pt .*{said}.*write it by torch\.save"):
        StateDict.read(_saved(tmp_path / "w.pt", contents))


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"cannot read .*gone\.pt: No such file"):
        StateDict.read(tmp_path / "gone.pt")
    # The first byte of each means something else to the reader.
    for text in ("", "weights", "hello"):
        (tmp_path / "text.pt").write_text(text)
        with pytest.raises(CheckpointError, match=r"text\.pt cannot be read \(it is no file of torch\.save"):
            StateDict.read(tmp_path / "text.pt")


def test_the_digest_is_of_names_types_shapes_and_numbers() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    digest = weights_digest(model)
    assert weights_digest(copy.deepcopy(model)) == digest
    moved = copy.deepcopy(model)
    with torch.no_grad():
        next(moved.parameters())[0, 0] += 1
    narrow = copy.deepcopy(model).to(torch.bfloat16)
    changed = [moved, narrow, nn.Sequential(model[0], nn.Identity(), model[1])]
    assert len({digest, *map(weights_digest, changed)}) == 4

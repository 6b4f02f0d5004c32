"""Checkpoints that are not what was saved: refused in one line, also those of before they had a digest."""

from __future__ import annotations

import io
import random
import signal
import sys
import time
import zipfile
from collections import Counter, OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sen_bench.data.transitions import Transitions
from sen_bench.errors import CheckpointError, NonFiniteError
from sen_bench.training import Checkpoint
from tests.support.trainings import CPU, Affine, small_sen, train_tiny

Contents = dict[str, Any]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory, transitions: Transitions) -> bytes:
    folder = tmp_path_factory.mktemp("run")
    train_tiny(folder, transitions, epochs=1)
    return (folder / "checkpoint.pt").read_bytes()


def contents_of(data: bytes) -> Contents:
    return dict(torch.load(io.BytesIO(data), weights_only=True))


def older(contents: Contents) -> bytes:
    """A checkpoint as it was written before it had a digest."""
    buffer = io.BytesIO()
    torch.save(contents, buffer)
    return buffer.getvalue()


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal to the bit."""
    if isinstance(one, torch.Tensor):
        return (
            isinstance(other, torch.Tensor)
            and one.dtype == other.dtype
            and one.shape == other.shape
            and one.numpy().tobytes() == other.numpy().tobytes()
        )
    if isinstance(one, dict):
        return (
            isinstance(other, dict) and list(one) == list(other) and all(same(one[k], other[k]) for k in one)
        )
    if isinstance(one, list | tuple):
        return isinstance(other, type(one)) and len(one) == len(other) and all(map(same, one, other))
    return bool(type(one) is type(other) and one == other)


def mutated(data: bytes, kind: int, chance: random.Random) -> bytes:
    """Damage of one kind: flipped bits anywhere and near the ends, zeros, truncation, exchanged stretches."""
    changed = bytearray(data)
    near = chance.choice((chance.randrange(3000), len(data) - 1 - chance.randrange(3000)))
    at, length = chance.randrange(len(data) - 600), chance.randrange(1, 500)
    if kind == 0:
        changed[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    elif kind == 1:
        changed[near] ^= 1 << chance.randrange(8)
    elif kind == 2:
        changed[at : at + length] = bytes(length)
    elif kind == 3:
        del changed[chance.randrange(len(data)) :]
    else:
        other = chance.randrange(len(data) - 600)
        changed[at : at + length], changed[other : other + length] = (
            changed[other : other + length],
            changed[at : at + length],
        )
    return bytes(changed)


@pytest.mark.slow
@pytest.mark.parametrize("sealed", [True, False])
def test_no_damage_is_loaded(
    tmp_path: Path, saved: bytes, capsys: pytest.CaptureFixture[str], *, sealed: bool
) -> None:
    data = saved if sealed else older(contents_of(saved))
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(data)
    whole = vars(Checkpoint.load(path, CPU))
    chance = random.Random(18)  # noqa: S311 — places, not secrets
    counts: Counter[str] = Counter()
    for trial in range(600):
        bad = mutated(data, trial % 5, chance)
        if bad == data:
            continue
        path.write_bytes(bad)
        try:
            outcome = "read as it was" if same(vars(Checkpoint.load(path, CPU)), whole) else "silent"
        except CheckpointError as error:
            outcome = "refused" if "\n" not in str(error) else "lines"
        counts[outcome] += 1
    with capsys.disabled():
        sys.stderr.write(f"\nmutations of checkpoints (sealed: {sealed}): {dict(counts)}\n")
    assert counts["silent"] == counts["lines"] == 0
    assert counts.total() > 500
    # The digest covers every bit; the older checksums leave out times, names and gaps of the archive.
    assert counts["refused"] > (counts.total() - 1 if sealed else 0.6 * counts.total())


def test_the_digest_lies_where_any_pytorch_passes_it_over(tmp_path: Path, saved: bytes) -> None:
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(saved)
    with zipfile.ZipFile(path) as archive:
        assert archive.comment.startswith(b"sha256:")
        assert archive.testzip() is None
    # What it holds is what it held before, key by key.
    assert sorted(torch.load(path, weights_only=True)) == [
        "attempt", "collapsed", "compiled", "epoch", "format_version", "identity", "model", "optimizer",
        "seconds", "step", "stopped", "streak", "transitions_seen",
    ]  # fmt: skip


def test_one_flip_in_every_weight_of_a_tensor(tmp_path: Path, saved: bytes) -> None:
    model = contents_of(saved)["model"]
    weights = max(model.values(), key=lambda tensor: tensor.numel()).numpy().tobytes()
    at = saved.index(weights)
    flipped = bytearray(saved)
    for place in range(at, at + len(weights), 4):
        flipped[place] ^= 1
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(flipped)
    with pytest.raises(CheckpointError, match="does not have the SHA-256 that it was saved with"):
        Checkpoint.load(path, CPU)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"epoch": -1}, "has a negative epoch, -1"),
        ({"step": -5}, "has a negative step, -5"),
        ({"step": 0}, "has 0 steps in 1 epoch"),
        ({"transitions_seen": 1}, "has seen 1 transition in"),
        ({"seconds": -1.0}, "has taken -1.0 seconds"),
        ({"seconds": float("nan")}, "has taken nan seconds"),
        ({"seconds": float("inf")}, "has taken inf seconds"),
        ({"stopped": True}, "was stopped without a collapse"),
        ({"collapsed": True, "streak": 0}, "is collapsed without a collapsed step"),
        ({"epoch": 0}, "has not finished an epoch"),
        ({"identity": {"task": 3}}, "has an identity that is not text"),
        ({"epoch": True}, "its epoch is of the type bool"),
    ],
)
def test_numbers_out_of_their_range(tmp_path: Path, saved: bytes, changes: Contents, match: str) -> None:
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(older({**contents_of(saved), **changes}))
    with pytest.raises(CheckpointError, match=match):
        Checkpoint.load(path, CPU)


@pytest.mark.parametrize("part", ["model", "optimizer"])
def test_weights_that_are_not_numbers(tmp_path: Path, saved: bytes, part: str) -> None:
    contents = contents_of(saved)
    tensors = contents["model"] if part == "model" else contents["optimizer"]["state"][0]
    name = "exp_avg" if part == "optimizer" else next(iter(tensors))
    tensors[name].view(-1)[-1] = float("nan")
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(older(contents))
    with pytest.raises(CheckpointError, match=f"has NaN in the {part}'s .*{name}"):
        Checkpoint.load(path, CPU)
    path.write_bytes(saved)
    checkpoint = Checkpoint.load(path, CPU)
    checkpoint.model, checkpoint.optimizer = contents["model"], contents["optimizer"]
    with pytest.raises(NonFiniteError, match="is not written, because it has NaN"):
        checkpoint.save(tmp_path / "new.pt")
    assert not (tmp_path / "new.pt").exists()


@pytest.mark.parametrize("part", ["model", "optimizer"])
def test_other_dtypes_are_not_rounded(tmp_path: Path, saved: bytes, part: str) -> None:
    contents = contents_of(saved)
    tensors = contents["model"] if part == "model" else contents["optimizer"]["state"][0]
    name = "exp_avg" if part == "optimizer" else next(iter(tensors))
    tensors[name] = tensors[name].double()
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(older(contents))
    model = small_sen()
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    with pytest.raises(CheckpointError, match=r"is torch\.float64 instead of torch\.float32"):
        Checkpoint.load(path, CPU).put_into(model, path, optimizer)


class Remembering(Affine):
    """A model with an extra state."""

    def __init__(self, extra: object) -> None:
        super().__init__()
        self.extra = extra

    def get_extra_state(self) -> object:
        return self.extra

    def set_extra_state(self, state: object) -> None:
        self.extra = state


@pytest.mark.parametrize(
    ("extra", "kind"),
    [
        (Path("somewhere"), "pathlib.PosixPath"),
        ({"deep": [1, {"er": np.ones(2)}]}, "numpy.ndarray"),
        (np.float64(0.5), "numpy.float64"),
        (lambda: None, "builtins.function"),
    ],
)
def test_an_extra_state_that_could_not_be_read_is_refused_at_the_first_save(
    tmp_path: Path, transitions: Transitions, extra: object, kind: str
) -> None:
    with pytest.raises(CheckpointError, match=rf"model: _extra_state.* is a {kind}, which could not"):
        train_tiny(tmp_path, transitions, lambda: Remembering(extra), epochs=1)
    assert not (tmp_path / "checkpoint.pt").exists()


@pytest.mark.parametrize(
    "extra", [None, 3, {"a": [1.5, "x", (2, b"y")]}, OrderedDict(b=torch.ones(2)), torch.Size([2, 3]), {1, 2}]
)
def test_an_extra_state_of_plain_values_is_read_back(
    tmp_path: Path, transitions: Transitions, extra: object
) -> None:
    train_tiny(tmp_path, transitions, lambda: Remembering(extra), epochs=1)
    resumed = train_tiny(tmp_path, transitions, lambda: Remembering(None), epochs=2)
    assert isinstance(resumed.model, Remembering)
    assert same(resumed.model.extra, extra)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there are no timers to interrupt it")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of files not yet in a block
def test_an_interrupt_at_any_moment_of_saving_stays_an_interrupt(tmp_path: Path) -> None:
    """PyTorch's writer turns what is raised in a write of Python's into a RuntimeError, with a traceback."""
    path = tmp_path / "checkpoint.pt"
    tensors = {f"layer{number}": torch.full((100, 100), float(number)) for number in range(100)}
    checkpoint = Checkpoint({}, 1, 0, 1, 1, 1.0, stopped=False, model=tensors, optimizer={})
    checkpoint.save(path)
    whole = path.read_bytes()
    began = time.perf_counter()
    checkpoint.save(path)
    length = time.perf_counter() - began
    chance, interrupted = random.Random(0), 0  # noqa: S311 — moments, not secrets

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for _ in range(400):
            try:
                signal.setitimer(signal.ITIMER_REAL, chance.uniform(1e-5, length))
                checkpoint.save(path)
                signal.setitimer(signal.ITIMER_REAL, 0)
            except KeyboardInterrupt:
                interrupted += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert interrupted > 40
    assert path.read_bytes() == whole

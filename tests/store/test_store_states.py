"""Whatever happens to a dataset in whatever order, it is whole and the same, or it is refused."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sen_bench.checks import verify
from sen_bench.errors import DatasetError
from sen_bench.generators import generate
from sen_bench.generators.staging import Attempt, Staging
from sen_bench.store import Journal, open_dataset, write_rows
from tests.support.datasets import SHARDED

# Two shards of five arrays.
RECIPE = replace(SHARDED, episodes=50, twin=False)
WRITES = 2 + 2 * 4  # annotations, shards


class Killed(BaseException):
    """A process that dies, as far as one process can play it: nothing catches it."""


class Life(RuleBasedStateMachine):
    """A target to which commands and accidents happen.

    The model is three facts: whether a dataset is at the target, whether its files are as they were written,
    and whether there is an unfinished one.
    """

    content: str

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.target = self.folder / "a.zarr"
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(os, "fsync", lambda _descriptor: None)
        self.there = self.intact = False

    def teardown(self) -> None:
        self.patch.undo()
        shutil.rmtree(self.folder)

    @initialize()
    def know_what_it_should_be(self) -> None:
        if not hasattr(Life, "content"):
            Life.content = generate(RECIPE, self.folder / "b.zarr").dataset.files_digest

    def killed(self, after: int, *, force: bool) -> None:
        """Generates, and dies after so many shards of arrays, or in one of the steps that follow them all."""
        left = iter(range(after))

        def limited(*args: Any) -> Any:
            if next(left, None) is None:
                raise Killed
            return write_rows(*args)

        def dead(*_: object, **__: object) -> None:
            raise Killed

        def put_and_die(staging: Staging, attempt: Attempt) -> None:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Staging, "_clear", dead)
                put_into_place(staging, attempt)

        put_into_place = Staging.put_into_place
        module = sys.modules["sen_bench.generators.staging"]
        steps: list[tuple[object, str, object]] = [
            (module, "finish_store", dead), (Journal, "finish", dead), (module, "move_aside", dead),
            (Staging, "put_into_place", put_and_die),
        ]  # fmt: skip
        with pytest.MonkeyPatch.context() as patch, contextlib.suppress(Killed):
            for user in ("staging", "shards"):
                patch.setattr(sys.modules[f"sen_bench.generators.{user}"], "write_rows", limited)
            if after >= WRITES:
                patch.setattr(*steps[after - WRITES])
            generate(RECIPE, self.target, force=force)
            # What was killed after all was done the time before is done now, and nothing was left to kill.
            self.there = self.intact = True
        if after == WRITES + 3:
            self.there = self.intact = True

    @precondition(lambda self: not self.there)
    @rule(after=st.integers(0, WRITES + 3).filter(lambda after: after != WRITES + 2))
    def kill(self, after: int) -> None:
        self.killed(after, force=False)

    @precondition(lambda self: self.there)
    @rule(after=st.integers(0, WRITES + 3))
    def kill_while_forced(self, after: int) -> None:
        self.killed(after, force=True)

    @precondition(lambda self: not self.there or self.intact)
    @rule()
    def write(self) -> None:
        """Or resume, or find it there already."""
        generate(RECIPE, self.target)
        self.there = self.intact = True

    @rule()
    def write_by_force(self) -> None:
        generate(RECIPE, self.target, force=True)
        self.there = self.intact = True

    @precondition(lambda self: self.there and self.intact)
    @rule(position=st.integers(0, 2**30), bit=st.integers(0, 7))
    def corrupt(self, position: int, bit: int) -> None:
        files = sorted(path for path in self.target.rglob("*") if path.is_file())
        file = files[position % len(files)]
        data = bytearray(file.read_bytes())
        data[position % len(data)] ^= 1 << bit
        file.write_bytes(data)
        self.intact = False

    @rule(position=st.integers(0, 2**30), bit=st.integers(0, 7))
    def corrupt_the_unfinished(self, position: int, bit: int) -> None:
        """Nothing in the model changes: what is unfinished is not believed."""
        staging = self.folder / ".a.zarr.partial"
        files = sorted(path for path in staging.rglob("*") if path.is_file())
        if files:
            file = files[position % len(files)]
            data = bytearray(file.read_bytes())
            if data:
                data[position % len(data)] ^= 1 << bit
            file.write_bytes(data)

    @precondition(lambda self: self.there and self.intact)
    @rule(position=st.integers(0, 2**30))
    def delete_a_file(self, position: int) -> None:
        files = sorted(path for path in self.target.rglob("*") if path.is_file())
        files[position % len(files)].unlink()
        self.intact = False
        with pytest.raises(DatasetError):
            open_dataset(self.target)

    @precondition(lambda self: self.there)
    @rule()
    def delete(self) -> None:
        shutil.rmtree(self.target)
        self.there = False

    @invariant()
    def it_is_whole_or_refused(self) -> None:
        if not self.there:
            with pytest.raises(DatasetError, match="there is no dataset"):
                verify(self.target)
        elif self.intact:
            assert verify(self.target).dataset.files_digest == Life.content
        else:
            with pytest.raises(DatasetError):
                verify(self.target)


TestLife = pytest.mark.slow(Life.TestCase)
TestLife.settings = settings(deadline=None, max_examples=10, stateful_step_count=10)

"""An interrupted generation goes on where it stopped, ends with the same bytes, and mixes nothing up."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sen_bench.checks import verify
from sen_bench.errors import DatasetError
from sen_bench.generators import GENERATOR_VERSION, Recipe, generate
from sen_bench.store import Receipt, open_dataset, read_journal, write_rows
from tests.support.datasets import SHARDED, SMALL, left_behind, tree
from tests.support.recorder import Recorder

STAGING = ".a.zarr.partial"
SHARDS = 5
FRAMES = SHARDED.episodes * 2 * (SHARDED.horizon + 1)


@pytest.fixture(scope="module", autouse=True)
def quick_sync() -> Iterator[None]:
    """No power fails in these tests, and waiting for the disk takes half of their time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _descriptor: None)
        yield


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return tree(generate(SHARDED, tmp_path_factory.mktemp("whole") / "a.zarr").path)


def interrupting(after: int) -> Recorder:
    """Interrupts as Ctrl-C would, once so many shards more are done."""
    left = iter(range(after))  # the first call tells what was there before

    def advanced(_done: int, _total: int) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt

    return Recorder(advanced=advanced)


def interrupted(target: Path, shards: int, recipe: Recipe = SHARDED) -> Path:
    """Generates a part of a dataset; returns the latest attempt's store."""
    with pytest.raises(KeyboardInterrupt):
        generate(recipe, target, progress=interrupting(shards))
    return max((target.parent / STAGING).glob("store-*"))


def resumed(target: Path, **options: Any) -> tuple[list[str], list[tuple[int, int]]]:
    """Generates what is missing; returns what was said and the progress."""
    recorder = Recorder()
    assert generate(SHARDED, target, progress=recorder, **options).created
    return recorder.messages, recorder.counts


@contextmanager
def full_disk(*, after: int) -> Iterator[None]:
    """Makes the disk full after so many shards of arrays, wherever in the generation that is."""
    left = iter(range(after))

    def limited(*args: Any) -> Receipt:
        if next(left, None) is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write_rows(*args)

    with pytest.MonkeyPatch.context() as patch:
        for user in ("staging", "shards"):
            patch.setattr(sys.modules[f"sen_bench.generators.{user}"], "write_rows", limited)
        yield


class TestGoesOn:
    @pytest.mark.parametrize("shards", range(1, SHARDS + 1))
    def test_to_the_same_bytes(self, tmp_path: Path, undisturbed: dict[str, bytes], shards: int) -> None:
        interrupted(tmp_path / "a.zarr", shards)
        assert left_behind(tmp_path) == [STAGING]
        lines, _ = resumed(tmp_path / "a.zarr")
        assert lines == [f"resuming: {shards} of {SHARDS} shards are there"]
        assert tree(tmp_path / "a.zarr") == undisturbed
        assert left_behind(tmp_path) == ["a.zarr"]

    def test_and_writes_no_finished_shard_again(self, tmp_path: Path) -> None:
        store = interrupted(tmp_path / "a.zarr", 3)
        contents = read_journal(tmp_path / STAGING / "journal.jsonl")
        assert contents is not None
        finished = {name for shard in contents.shards.values() for name in shard.files}
        before = {name: (store / name).stat().st_mtime_ns for name in finished}
        assert len(before) == 3 * 8
        resumed(tmp_path / "a.zarr")
        assert {name: (tmp_path / "a.zarr" / name).stat().st_mtime_ns for name in finished} == before

    def test_after_any_number_of_interruptions(self, tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
        for _ in range(SHARDS):
            interrupted(tmp_path / "a.zarr", 1)
        resumed(tmp_path / "a.zarr")
        assert tree(tmp_path / "a.zarr") == undisturbed

    def test_and_progress_counts_what_was_there(self, tmp_path: Path) -> None:
        interrupted(tmp_path / "a.zarr", 2)
        _, calls = resumed(tmp_path / "a.zarr")
        assert calls[0] == (2 * 25 * 8, FRAMES)
        assert calls[-1] == (FRAMES, FRAMES)
        assert len(calls) == 1 + 3

    @pytest.mark.parametrize("workers", [1, 2])
    def test_after_an_interrupt_of_any_number_of_workers(self, tmp_path: Path, workers: int) -> None:
        with pytest.raises(KeyboardInterrupt):
            generate(SHARDED, tmp_path / "a.zarr", workers=workers, progress=interrupting(1))
        assert left_behind(tmp_path) == [STAGING]
        lines, _ = resumed(tmp_path / "a.zarr")
        assert lines == [f"resuming: 1 of {SHARDS} shards are there"]

    @pytest.mark.parametrize("after", [0, 1, 2, 5, 9, 20, 41])
    def test_when_there_is_space_again(
        self, tmp_path: Path, undisturbed: dict[str, bytes], after: int
    ) -> None:
        with (
            full_disk(after=after),
            pytest.raises(DatasetError, match=r"the disk is full: .*a.zarr") as error,
        ):
            generate(SHARDED, tmp_path / "a.zarr")
        assert "\n" not in str(error.value)
        assert left_behind(tmp_path) == [STAGING]
        resumed(tmp_path / "a.zarr")
        assert tree(tmp_path / "a.zarr") == undisturbed

    @pytest.mark.parametrize("workers", [1, 2])
    def test_after_an_error_in_a_world(self, tmp_path: Path, workers: int) -> None:
        recipe = replace(SHARDED, world_options={"fails": "raise"})
        with pytest.raises(RuntimeError, match="fell off the edge"):
            generate(recipe, tmp_path / "a.zarr", workers=workers)
        assert left_behind(tmp_path) == [STAGING]

    def test_after_a_worker_died_which_is_reported_in_one_line(self, tmp_path: Path) -> None:
        recipe = replace(SHARDED, world_options={"fails": "die"})
        with pytest.raises(DatasetError, match="a worker process was killed") as error:
            generate(recipe, tmp_path / "a.zarr", workers=2)
        assert "\n" not in str(error.value)
        # In this process that world does not die.
        assert generate(recipe, tmp_path / "a.zarr").created
        assert left_behind(tmp_path) == ["a.zarr"]


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


class TestDamageMeanwhile:
    """What is on disk is believed only as far as the journal vouches for it, and the journal by its sums."""

    @pytest.mark.parametrize(
        "damage",
        [flip, Path.unlink, lambda file: os.truncate(file, 20)],
        ids=["flipped", "gone", "truncated"],
    )
    def test_a_finished_shard_is_made_again(
        self, tmp_path: Path, undisturbed: dict[str, bytes], damage: Callable[[Path], object]
    ) -> None:
        store = interrupted(tmp_path / "a.zarr", 3)
        damage(store / "twin" / "state" / "c" / "1" / "0" / "0")
        lines, _ = resumed(tmp_path / "a.zarr")
        assert lines == [f"resuming: 2 of {SHARDS} shards are there"]
        assert tree(tmp_path / "a.zarr") == undisturbed

    def test_strays_are_deleted(self, tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
        store = interrupted(tmp_path / "a.zarr", 2)
        (store / "action" / "c" / "0" / "0.0123.partial").write_text("torn")
        (store / "notes.txt").write_text("not ours")
        (store / "observation" / "c" / "4").mkdir(parents=True)
        (store / "observation" / "c" / "4" / "0").mkdir()
        resumed(tmp_path / "a.zarr")
        assert tree(tmp_path / "a.zarr") == undisturbed

    def test_metadata_are_written_anew(self, tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
        store = interrupted(tmp_path / "a.zarr", 2)
        for file in store.rglob("zarr.json"):
            flip(file)
        resumed(tmp_path / "a.zarr")
        assert tree(tmp_path / "a.zarr") == undisturbed

    @pytest.mark.parametrize("keep", [0, 1, 20])
    def test_a_journal_torn_in_its_header_is_none(
        self, tmp_path: Path, undisturbed: dict[str, bytes], keep: int
    ) -> None:
        interrupted(tmp_path / "a.zarr", 2)
        os.truncate(tmp_path / STAGING / "journal.jsonl", keep)
        lines, calls = resumed(tmp_path / "a.zarr")
        assert lines == []
        assert calls[0] == (0, FRAMES)
        assert tree(tmp_path / "a.zarr") == undisturbed

    def test_a_torn_last_line_costs_its_shard_only(
        self, tmp_path: Path, undisturbed: dict[str, bytes]
    ) -> None:
        interrupted(tmp_path / "a.zarr", 3)
        journal = tmp_path / STAGING / "journal.jsonl"
        os.truncate(journal, journal.stat().st_size - 5)
        interrupted(tmp_path / "a.zarr", 1)  # appends after the torn line
        lines, _ = resumed(tmp_path / "a.zarr")
        assert lines == [f"resuming: 3 of {SHARDS} shards are there"]
        assert tree(tmp_path / "a.zarr") == undisturbed

    def test_a_store_that_is_gone_is_made_again(self, tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
        interrupted(tmp_path / "a.zarr", 3).rename(tmp_path / "elsewhere")
        lines, _ = resumed(tmp_path / "a.zarr")
        assert lines == []
        assert tree(tmp_path / "a.zarr") == undisturbed


class TestAnother:
    """What is unfinished there may be something else."""

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            ({"seed": 1}, "recipe.seed 0 instead of 1"),
            ({"episodes": 111}, "recipe.episodes 110 instead of 111"),
            ({"twin": False}, "recipe.twin True instead of False"),
        ],
    )
    def test_recipe_is_refused_and_kept(self, tmp_path: Path, change: dict[str, Any], says: str) -> None:
        interrupted(tmp_path / "a.zarr", 2)
        before = tree(tmp_path / STAGING)
        with pytest.raises(DatasetError, match=rf"{says}; delete it, or .* force") as error:
            generate(replace(SHARDED, **change), tmp_path / "a.zarr")
        assert "\n" not in str(error.value)
        assert str(tmp_path / STAGING) in str(error.value)
        assert tree(tmp_path / STAGING) == before

    def test_generator_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        interrupted(tmp_path / "a.zarr", 2)
        monkeypatch.setattr("sen_bench.generators.shards.GENERATOR_VERSION", GENERATOR_VERSION + 1)
        with pytest.raises(DatasetError, match="generator version 1 instead of 2"):
            generate(SHARDED, tmp_path / "a.zarr")

    def test_format_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        interrupted(tmp_path / "a.zarr", 2)
        monkeypatch.setattr("sen_bench.generators.staging.FORMAT_VERSION", 2)
        with pytest.raises(DatasetError, match="format version 1 instead of 2"):
            generate(SHARDED, tmp_path / "a.zarr")

    def test_library_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        interrupted(tmp_path / "a.zarr", 2)
        monkeypatch.setattr("sen_bench.generators.shards.__version__", "99")
        with pytest.raises(DatasetError, match=r"library versions.sen-bench '[^']*' instead of '99'"):
            generate(SHARDED, tmp_path / "a.zarr")

    def test_is_moved_aside_by_force(self, tmp_path: Path) -> None:
        interrupted(tmp_path / "a.zarr", 2)
        recorder = Recorder()
        generate(replace(SHARDED, seed=1), tmp_path / "a.zarr", force=True, progress=recorder)
        aside = tmp_path / f"{STAGING}.old-1"
        assert recorder.messages == [f"moved an unfinished dataset with other settings to {aside}"]
        assert left_behind(tmp_path) == [aside.name, "a.zarr"]
        contents = read_journal(aside / "journal.jsonl")
        assert contents is not None
        assert len(contents.shards) == 2

    def test_dataset_at_the_target_is_refused_first(self, tmp_path: Path) -> None:
        interrupted(tmp_path / "a.zarr", 2)
        generate(replace(SHARDED, seed=1), tmp_path / "b.zarr").path.rename(tmp_path / "a.zarr")
        with pytest.raises(DatasetError, match="is another dataset, with seed 1 instead of 0"):
            generate(SHARDED, tmp_path / "a.zarr")


class TestForce:
    def test_that_failed_leaves_the_old_one_in_place_and_goes_on(
        self, tmp_path: Path, undisturbed: dict[str, bytes]
    ) -> None:
        old = generate(replace(SHARDED, seed=1), tmp_path / "a.zarr").dataset.content_digest
        with full_disk(after=20), pytest.raises(DatasetError, match="disk is full"):
            generate(SHARDED, tmp_path / "a.zarr", force=True)
        assert left_behind(tmp_path) == [STAGING, "a.zarr"]
        assert open_dataset(tmp_path / "a.zarr").content_digest == old
        lines, _ = resumed(tmp_path / "a.zarr", force=True)
        assert lines == [f"resuming: 2 of {SHARDS} shards are there"]
        assert tree(tmp_path / "a.zarr") == undisturbed
        assert open_dataset(tmp_path / "a.zarr.old-1").content_digest == old


class TestKilledAtTheVeryEnd:
    """After the rename and before the staging folder is gone: the dataset is whole, and must stay."""

    @pytest.fixture
    def target(self, tmp_path: Path) -> Path:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sen_bench.generators.staging.Staging._clear", lambda _self: None)
            generate(SMALL, tmp_path / "a.zarr")
        assert left_behind(tmp_path) == [STAGING, "a.zarr"]
        return tmp_path / "a.zarr"

    @pytest.mark.parametrize("force", [False, True])
    def test_the_same_command_only_clears_up(self, target: Path, *, force: bool) -> None:
        written = (target / "manifest.json").stat().st_mtime_ns
        result = generate(SMALL, target, force=force)
        assert (result.created, result.moved_aside) == (True, None)
        assert (target / "manifest.json").stat().st_mtime_ns == written
        assert left_behind(target.parent) == ["a.zarr"]

    def test_a_folder_that_has_lost_its_journal_already_is_cleared_up(self, target: Path) -> None:
        (target.parent / STAGING / "journal.jsonl").unlink()
        assert not generate(SMALL, target).created
        assert left_behind(target.parent) == ["a.zarr"]

    def test_a_dataset_that_was_damaged_since_is_not_taken_for_it(self, target: Path) -> None:
        flip(target / "state" / "c" / "0" / "0" / "0")
        assert generate(SMALL, target, force=True).moved_aside == target.with_name("a.zarr.old-1")
        verify(target)

    def test_another_command_is_not_misled(self, target: Path) -> None:
        with pytest.raises(DatasetError, match="is another dataset, with seed 0 instead of 9"):
            generate(replace(SMALL, seed=9), target)
        assert generate(replace(SMALL, seed=9), target, force=True).moved_aside is not None
        assert left_behind(target.parent) == ["a.zarr", "a.zarr.old-1"]

    def test_a_dataset_that_was_taken_away_is_made_again(self, target: Path) -> None:
        target.rename(target.with_name("b.zarr"))
        assert generate(SMALL, target).created
        assert tree(target) == tree(target.with_name("b.zarr"))

    def test_forcing_twice_is_not_taken_for_it(self, target: Path) -> None:
        """The unfinished one is equal to the one at the target, and all but in place."""
        generate(SMALL, target)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sen_bench.generators.staging.move_aside", interrupt)
            with pytest.raises(KeyboardInterrupt):
                generate(SMALL, target, force=True)
        assert left_behind(target.parent) == [STAGING, "a.zarr"]
        assert generate(SMALL, target, force=True).moved_aside == target.with_name("a.zarr.old-1")


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs to know what a descriptor is of")
def test_everything_is_on_disk_before_the_journal_or_a_manifest_vouches_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []  # by the names that the files had then

    def fsync(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())

    monkeypatch.setattr("os.fsync", fsync)
    generate(SHARDED, tmp_path / "a.zarr")
    store = tmp_path / STAGING / "store-1"
    [manifest] = [n for n, path in enumerate(synced) if path.name.startswith(".manifest.json.")]
    first = {path: n for n, path in reversed(list(enumerate(synced)))}
    # The first line is the header, which is written as a whole file; the last says that the dataset is whole.
    lines = [n for n, path in enumerate(synced) if path == tmp_path / STAGING / "journal.jsonl"]
    assert len(lines) == SHARDS + 1
    for number, line in enumerate(lines[:-1]):
        files = [name for name in tree(tmp_path / "a.zarr") if re.search(rf"/c/{number}(/0)*$", name)]
        assert len([name for name in files if not name.startswith("symmetry/")]) == 8
        assert all(first[store / name] < line for name in files)
    whole = [path for path in (tmp_path / "a.zarr").rglob("*") if path.name != "manifest.json"]
    assert all(first[store / path.relative_to(tmp_path / "a.zarr")] < manifest for path in whole)
    last = {path: n for n, path in enumerate(synced)}
    assert manifest < lines[-1] < last[tmp_path / STAGING] < last[tmp_path]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match=r"file/a.zarr could not be written: ") as error:
        generate(SMALL, tmp_path / "file" / "a.zarr")
    assert "\n" not in str(error.value)

"""The staging folder beside a target, in which a dataset grows shard by shard and can be resumed.

```
.train.zarr.partial/
  journal.jsonl   what is being generated, and which shards are finished
  store-N/        the dataset, without its manifest until the very end; N counts the attempts
```

Each attempt works under a path of its own: workers that outlive a killed parent for a moment, on this machine
or another, then write where nobody looks.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sen_bench.errors import DatasetError
from sen_bench.generators.recipe import differences
from sen_bench.generators.shards import ShardPlan
from sen_bench.store import (
    FORMAT_VERSION,
    MANIFEST,
    Journal,
    JournalContents,
    Receipt,
    ShardEntry,
    create_store,
    finish_store,
    open_dataset,
    read_journal,
    sync_rows,
    write_rows,
)
from sen_bench.system import move_aside, sync

_JOURNAL = "journal.jsonl"
_JOURNAL_VERSION = 1
_STORE = re.compile(r"store-(\d+)")


@dataclass
class Attempt:
    """A dataset that is being written: its finished shards, and those still to be made.

    Args:
        root: The store. Anybody writes shards into it, by `write_rows`.
        planned: What it becomes.
        journal: Its journal.
        shards: The finished shards.
    """

    root: Path
    planned: ShardPlan
    journal: Journal
    shards: list[ShardEntry]
    _annotations: list[Receipt] = field(default_factory=list)

    def prepare(self) -> None:
        """Writes what is small and the same in every attempt: metadata and annotations."""
        planned = self.planned
        create_store(self.root, [*planned.arrays, *(spec for spec, _ in planned.annotations)])
        self._annotations = [
            write_rows(self.root, spec.path, 0, values) for spec, values in planned.annotations
        ]
        sync_rows(self.root, self._annotations)

    @property
    def finished_episodes(self) -> int:
        """How many episodes the finished shards have."""
        return sum(stop - start for start, stop in (shard.episodes for shard in self.shards))

    @property
    def missing(self) -> list[tuple[int, int]]:
        """The episodes of each shard that is not finished."""
        finished = {shard.episodes for shard in self.shards}
        return [episodes for episodes in self.planned.blocks.ranges() if episodes not in finished]

    def add(self, episodes: tuple[int, int], receipts: Sequence[Receipt]) -> None:
        """Notes that a shard is written and synced; from then on it survives everything."""
        shard = ShardEntry(episodes, tuple(receipts))
        self.journal.add_shard(shard)
        self.shards.append(shard)

    def finish(self) -> None:
        """Makes sure that everything is there, and writes the manifest.

        Raises:
            DatasetError: Some rows are missing, or there are files that do not belong.
        """
        receipts = [*self._annotations, *(receipt for shard in self.shards for receipt in shard.receipts)]
        manifest = finish_store(self.root, self.planned.attributes, receipts, inexact=self.planned.inexact)
        self.journal.finish(manifest)


def staging_folder(target: Path) -> Path:
    """Where a dataset grows until it is whole."""
    return target.with_name(f".{target.name}.partial")


class Staging:
    """The staging folder of one target. Its user must hold the target's lock.

    Args:
        target: The dataset's folder, absolute.
        planned: What is to be generated.
    """

    def __init__(self, target: Path, planned: ShardPlan) -> None:
        self.folder = staging_folder(target)
        self._target = target
        self._planned = planned
        self._journal_file = self.folder / _JOURNAL
        said = ("recipe", "generator_version", "library_versions")
        self._header: dict[str, Any] = {
            "journal version": _JOURNAL_VERSION,
            "format version": FORMAT_VERSION,
            **{name.replace("_", " "): planned.attributes[name] for name in said},
            "episodes in a shard": planned.blocks.per_shard,
        }

    def settle(self) -> bool:
        """Removes the folder if its dataset is at the target already: a process was killed at the very end.

        A folder without a journal is removed in any case: nothing vouches for what is in it.

        Returns:
            Whether that was so, and the dataset is the one that is to be generated.
        """
        contents = read_journal(self._journal_file)
        if contents is None:
            self._clear()
            return False
        if contents.finished is None:
            return False
        if any((store / MANIFEST).exists() for store in self._stores().values()):
            return False
        self._clear()
        if contents.header != self._header:
            return False
        try:
            manifest = open_dataset(self._target).manifest
        except DatasetError:
            return False
        # This process did not write them, and --force asks for sound ones.
        return manifest.files_digest == contents.finished and all(
            record.describes(self._target / name) for name, record in manifest.files.items()
        )

    def _clear(self) -> None:
        """Removes the folder, the journal first: without it, it is not a staging folder any more."""
        self._journal_file.unlink(missing_ok=True)
        # Workers that outlived their parent may still put files there; the next attempt removes them.
        shutil.rmtree(self.folder, ignore_errors=True)

    def move_aside_if_other(self) -> Path | None:
        """Moves a staging folder of another generation aside; returns its new place."""
        contents = read_journal(self._journal_file)
        return None if contents is None or contents.header == self._header else move_aside(self.folder)

    def open(self) -> Attempt:
        """Resumes what is there, or starts afresh.

        Raises:
            DatasetError: What is there is of another recipe, generator, format or library.
            OSError: As raised by the file system.
        """
        contents = read_journal(self._journal_file)
        if contents is None:
            self._clear()
            self.folder.mkdir(exist_ok=True)
        else:
            self._check(contents, "delete it, or have it moved aside with force")
        stores = self._stores()
        store = self.folder / f"store-{max(stores, default=0) + 1}"
        if contents is not None and stores:
            stores[max(stores)].rename(store)
        else:
            store.mkdir()
        kept = [] if contents is None else list(self._undamaged(store, contents))
        journal = Journal.start(self._journal_file, self._header, kept)
        sync(self.folder.parent)
        self._remove_strays(store, kept)
        attempt = Attempt(store, self._planned, journal, kept)
        attempt.prepare()
        return attempt

    def put_into_place(self, attempt: Attempt) -> Path | None:
        """Finishes the dataset and renames it to its target.

        Returns:
            The new place of what lay at the target, if anything.
        """
        attempt.finish()
        moved_aside = move_aside(self._target) if self._target.exists() else None
        attempt.root.rename(self._target)
        sync(self.folder)
        sync(self._target.parent)
        self._clear()
        return moved_aside

    def check(self, way_out: str) -> None:
        """Refuses what is unfinished there if it is of another generation; nothing is written.

        Args:
            way_out: What to do about it, as the end of a sentence.

        Raises:
            DatasetError: It is of another recipe, generator, format or library.
        """
        if (contents := read_journal(self._journal_file)) is not None:
            self._check(contents, way_out)

    def _check(self, contents: JournalContents, way_out: str) -> None:
        found = [f"{name} {a} instead of {b}" for name, a, b in differences(contents.header, self._header)]
        if found:
            raise DatasetError(
                f"{self.folder} holds an unfinished dataset with {', '.join(found)}; {way_out}"
            )

    def _stores(self) -> dict[int, Path]:
        """The folders of all attempts by number, the latest last."""
        found = ((_STORE.fullmatch(path.name), path) for path in self.folder.glob("*"))
        return dict(sorted((int(match[1]), path) for match, path in found if match))

    def _undamaged(self, store: Path, contents: JournalContents) -> Iterator[ShardEntry]:
        """The journaled shards whose files are all still as they were written."""
        for episodes in self._planned.blocks.ranges():
            shard = contents.shards.get(episodes)
            if shard is not None and all(
                record.describes(store / name) for name, record in shard.files.items()
            ):
                yield shard

    def _remove_strays(self, store: Path, kept: Sequence[ShardEntry]) -> None:
        for other in self._stores().values():
            if other != store:
                shutil.rmtree(other, ignore_errors=True)
        known = {store / name for shard in kept for name in shard.files}
        for path in store.rglob("*"):
            if path.is_file() and path not in known:
                path.unlink()

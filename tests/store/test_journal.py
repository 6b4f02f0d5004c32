"""The journal says what is on disk; a line that is torn or damaged says nothing, and no other suffers."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sen_bench.store import FileRecord, Journal, Manifest, Receipt, ShardEntry, read_journal

HEADER = {"recipe": {"seed": 1, "task": "käse"}, "format version": 1}


def shard(number: int) -> ShardEntry:
    name = f"observation/c/{number}/0/0"
    record = FileRecord.of(bytes([number]))
    return ShardEntry(
        (4 * number, 4 * number + 4),
        (Receipt("observation", 4 * number, {name: record}, bytes([number]) * 128),),
    )


SHARDS = [shard(number) for number in range(4)]
MANIFEST = Manifest("ab", {"zarr.json": FileRecord(1, "cd")})


def write(path: Path) -> bytes:
    journal = Journal.start(path, HEADER, SHARDS[:1])
    for entry in SHARDS[1:]:
        journal.add_shard(entry)
    journal.finish(MANIFEST)
    return path.read_bytes()


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write(tmp_path / "journal")
    contents = read_journal(tmp_path / "journal")
    assert contents is not None
    assert contents.header == HEADER
    assert contents.shards == {entry.episodes: entry for entry in SHARDS}
    assert contents.finished == MANIFEST.files_digest
    assert SHARDS[1].files == {"observation/c/1/0/0": FileRecord.of(b"\1")}


def test_a_journal_is_replaced_as_a_whole(tmp_path: Path) -> None:
    write(tmp_path / "journal")
    Journal.start(tmp_path / "journal", HEADER, SHARDS[2:3])
    contents = read_journal(tmp_path / "journal")
    assert contents is not None
    assert (list(contents.shards), contents.finished) == ([SHARDS[2].episodes], None)


def test_there_may_be_none(tmp_path: Path) -> None:
    assert read_journal(tmp_path / "journal") is None


@pytest.mark.parametrize("text", ["", "\n", "{}\n", "[]\n", "3\n", "\x00\n", '{"entry": {}, "sha256": ""}\n'])
def test_what_is_no_journal_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "journal").write_text(text)
    assert read_journal(tmp_path / "journal") is None


def test_cut_anywhere_it_says_what_came_before(tmp_path: Path) -> None:
    whole = write(tmp_path / "journal")
    ends = [position + 1 for position, byte in enumerate(whole) if byte == ord("\n")]
    assert len(ends) == 6
    for keep in sorted({*range(0, len(whole), 11), *ends[:-1], *(end - 1 for end in ends)}):
        (tmp_path / "journal").write_bytes(whole[:keep])
        contents = read_journal(tmp_path / "journal")
        lines = sum(end <= keep for end in ends)
        if lines == 0:
            assert contents is None
        else:
            assert contents is not None
            assert list(contents.shards) == [entry.episodes for entry in SHARDS[: lines - 1]]
            assert contents.finished is None


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write(tmp_path_factory.mktemp("journal") / "journal")


@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_a_flipped_bit_costs_one_line(journal: bytes, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal"
        whole = bytearray(journal)
        position = data.draw(st.integers(0, len(whole) - 1))
        number = whole[:position].count(b"\n")
        joins_the_next = whole[position] == ord("\n")
        whole[position] ^= 1 << data.draw(st.integers(0, 7))
        path.write_bytes(whole)
        contents = read_journal(path)
        lost = {number, number + 1} if joins_the_next else {number}
        if 0 in lost:
            assert contents is None
            return
        assert contents is not None
        assert contents.header == HEADER
        assert list(contents.shards.values()) == [s for i, s in enumerate(SHARDS, 1) if i not in lost]
        assert (contents.finished is None) == (len(SHARDS) + 1 in lost)

"""Whatever happens to a table or its digest is said or refused: random damage, counted."""

from __future__ import annotations

import random
import shutil
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from sen_bench.errors import SenBenchError, SenBenchWarning
from sen_bench.results.curves import append_curves, read_curve_rows, read_curves
from sen_bench.results.folder import ResultsFolder
from sen_bench.results.rows import append_rows, read_run_rows, read_runs
from sen_bench.results.table_digests import digest_file
from tests.paths import ROOT
from tests.support.rows import reference_model

_TABLES: dict[str, Callable[[Path], object]] = {
    "runs.csv": read_runs,
    "curves.csv": read_curves,
    "leaderboard.csv": lambda path: ResultsFolder(path.parent).refresh_leaderboard(reference_model),
}


def _flipped_bit(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


def _other_digit(data: bytes, rng: random.Random) -> bytes:
    at = rng.choice([k for k, byte in enumerate(data) if chr(byte).isdigit()])
    return data[:at] + rng.choice(b"0123456789".replace(data[at : at + 1], b"")).to_bytes() + data[at + 1 :]


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def _without_a_piece(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + data[at + rng.randint(1, 20) :]


def _zeros(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return (data[:at] + bytes(rng.randint(1, 512)) + data[at + 512 :])[: len(data)]


def _rearranged(change: Callable[[list[bytes], random.Random], list[bytes]]) -> Callable[..., bytes]:
    return lambda data, rng: b"".join(change(data.splitlines(keepends=True), rng))


def _without_a_line(lines: list[bytes], rng: random.Random) -> list[bytes]:
    at = rng.randrange(1, len(lines)) if len(lines) > 1 else 0
    return lines[:at] + lines[at + 1 :]


def _swapped_lines(lines: list[bytes], rng: random.Random) -> list[bytes]:
    return [lines[0], *rng.sample(lines[1:], len(lines) - 1)]


def _swapped_fields(lines: list[bytes], rng: random.Random) -> list[bytes]:
    at = rng.randrange(len(lines))
    fields = lines[at].split(b",")
    one, other = rng.randrange(len(fields)), rng.randrange(len(fields))
    fields[one], fields[other] = fields[other], fields[one]
    return [*lines[:at], b",".join(fields), *lines[at + 1 :]]


_DAMAGE: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _flipped_bit,
    _other_digit,
    _cut,
    _without_a_piece,
    _zeros,
    _rearranged(_without_a_line),
    _rearranged(lambda lines, rng: [*lines, rng.choice(lines)]),
    _rearranged(_swapped_lines),
    _rearranged(_swapped_fields),
    lambda data, rng: data + rng.randbytes(rng.randint(1, 40)),
)


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A part of the tables of record: several models, two seeds each."""
    folder = ResultsFolder(tmp_path_factory.mktemp("record"))
    rows = read_run_rows(ROOT / "results" / "runs.csv")
    runs = [row for row in rows if row.task == "2d-shapes" and row.seed < 2][:12]
    assert len({row.model for row in runs}) > 1
    curves = read_curve_rows(ROOT / "results" / "curves.csv")[:60]
    append_rows(folder.runs_csv, runs)
    append_curves(folder.curves_csv, curves)
    folder.write_leaderboard(reference_model)
    return folder.path


def _outcome(use: Callable[[], object]) -> str:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", SenBenchWarning)
        try:
            use()
        except SenBenchError as error:
            return "refused" if "\n" not in str(error) else "in several lines"
    assert not any("\n" in str(warning.message) for warning in caught)
    return "said" if caught else "silent"


@pytest.mark.parametrize("name", _TABLES)
@pytest.mark.parametrize("of_digest", [False, True], ids=["table", "digest"])
def test_no_damage_is_silent(record: Path, tmp_path: Path, name: str, *, of_digest: bool) -> None:
    counts: Counter[str] = Counter()
    for seed in range(10 if of_digest else 120):
        rng = random.Random(f"{name} {seed}")  # noqa: S311 — damage
        folder = tmp_path / str(seed)
        shutil.copytree(record, folder)
        damaged = digest_file(folder / name) if of_digest else folder / name
        before = damaged.read_bytes()
        damage = _DAMAGE[seed % (5 if of_digest else len(_DAMAGE))]  # the file of a digest is a single line
        damaged.write_bytes(damage(before, rng))
        if damaged.read_bytes() != before:
            counts[_outcome(lambda at=folder / name: _TABLES[name](at))] += 1  # type: ignore[misc]
    print(f"{name}, damage of its {'digest' if of_digest else 'contents'}: {dict(counts)}")  # noqa: T201
    assert counts["silent"] == counts["in several lines"] == 0
    assert sum(counts.values()) >= (8 if of_digest else 100)


@pytest.mark.parametrize("name", ["runs.csv", "curves.csv"])
def test_damage_of_tables_without_digests_ends_in_no_traceback(
    record: Path, tmp_path: Path, name: str
) -> None:
    """Tables of earlier versions: only what makes no sense is noticed."""
    counts: Counter[str] = Counter()
    for seed in range(100):
        table = tmp_path / str(seed) / name
        table.parent.mkdir()
        rng = random.Random(f"old {name} {seed}")  # noqa: S311 — damage
        table.write_bytes(_DAMAGE[seed % len(_DAMAGE)]((record / name).read_bytes(), rng))
        counts[_outcome(lambda at=table: _TABLES[name](at))] += 1  # type: ignore[misc]
    print(f"{name}, without a digest: {dict(counts)}")  # noqa: T201
    assert counts["refused"] > 30

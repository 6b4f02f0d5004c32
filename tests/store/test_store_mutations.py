"""Random damage to what a dataset says of itself: refused, or read as it was; never anything else."""

from __future__ import annotations

import json
import random
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sen_bench.checks import verify
from sen_bench.errors import DatasetError
from sen_bench.generators import generate
from sen_bench.store import Dataset, FileRecord, Manifest, open_dataset
from tests.support.datasets import SMALL

TRIALS = 400
METADATA = ("zarr.json", "manifest.json", "croissant.json", "action/zarr.json", "twin/zarr.json")
#: Put in the place of some value of a JSON document.
ODD: tuple[Any, ...] = (
    None, True, -1, 0, 1, 2, 10**9, 10**40, 1.5, 1e308, "", "x", "\x1b[31m", "a\0b", "\ud800", "../../x", [],
    {}, [[]], {"a": 1}, "sen_bench/Blocks3D-v0",
)  # fmt: skip

Mutation = Callable[[bytes, random.Random], bytes]


def flip(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    changed[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def truncate(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data))]


def digit(data: bytes, chance: random.Random) -> bytes:
    """Another digit in the place of one: JSON as good as before, and as long."""
    places = [at for at, byte in enumerate(data) if byte in b"0123456789"]
    at = chance.choice(places)
    return data[:at] + str((int(data[at : at + 1]) + 1) % 10).encode() + data[at + 1 :]


def swap(data: bytes, chance: random.Random) -> bytes:
    """Two stretches of equal length, exchanged."""
    length = chance.randrange(1, min(40, len(data) // 3))
    first = chance.randrange(len(data) // 2 - length)
    second = chance.randrange(len(data) // 2, len(data) - length)
    a, b = data[first : first + length], data[second : second + length]
    return data[:first] + b + data[first + length : second] + a + data[second + length :]


def value(data: bytes, chance: random.Random) -> bytes:
    """Another value anywhere in the document, or one left out."""
    document = json.loads(data)
    places: list[tuple[Any, Any]] = []

    def collect(node: Any) -> None:
        for key in node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
            places.append((node, key))
            collect(node[key])

    collect(document)
    node, key = chance.choice(places)
    if chance.random() < 0.2:
        del node[key]
    else:
        node[key] = chance.choice(ODD)
    return (json.dumps(document, indent=1) + "\n").encode()


MUTATIONS: tuple[Mutation, ...] = (flip, truncate, digit, swap, value)


def said(dataset: Dataset) -> dict[str, Any]:
    """Everything that a dataset says of itself, and all it holds."""
    return {
        "attributes": dict(dataset.attributes),
        "symmetry": dataset.symmetry,
        "properties": (dataset.episodes, dataset.horizon, dataset.inexact, dataset.frame_stack),
        "content": dataset.content_digest,
        "files": dataset.files_digest,
        "arrays": {
            name: (str(array.dtype), array.shape, dataset.load(name).tobytes())
            for name, array in dataset.arrays.items()
        },
    }


@pytest.mark.slow
@pytest.mark.parametrize("resigned", [False, True])
def test_damage_to_metadata_is_never_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], *, resigned: bool
) -> None:
    """Resigned: the manifest lists the damaged file, as that of a stranger's dataset may. Such a dataset is
    another one, which may well be read; but no damage ends in anything but one line."""
    store = generate(SMALL, tmp_path / "a.zarr").path
    pristine = Path(shutil.copytree(store, tmp_path / "b.zarr"))
    whole = said(open_dataset(store))
    chance = random.Random(18)  # noqa: S311 — places, not secrets
    counts: Counter[str] = Counter()
    for trial in range(TRIALS):
        mutate, name = MUTATIONS[trial % len(MUTATIONS)], chance.choice(METADATA)
        if resigned and name == "manifest.json":
            continue
        good = (store / name).read_bytes()
        bad = mutate(good, chance)
        if bad == good:
            continue
        (store / name).write_bytes(bad)
        if resigned:
            manifest = Manifest.read(store)
            Manifest(manifest.content_digest, {**manifest.files, name: FileRecord.of(bad)}).write(store)
        outcome = "read as it was"
        try:
            found = said(open_dataset(store))
            if found != whole:
                outcome = "another dataset" if resigned else "silent"
            verify(store)
        except DatasetError as error:
            if outcome != "silent":
                outcome = "refused"
            counts["lines"] += str(error).count("\n")
        counts[outcome] += 1
        (store / name).write_bytes(good)
        shutil.copy(pristine / "manifest.json", store / "manifest.json")
    with capsys.disabled():
        sys.stderr.write(f"\nmutations of store metadata (resigned: {resigned}): {dict(counts)}\n")
    assert counts["silent"] == counts["lines"] == 0
    assert counts.total() > 250
    assert counts["refused"] > (50 if resigned else 0.9 * counts.total())

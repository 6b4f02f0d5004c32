"""The cache of machine code: whatever has become of it, functions are compiled and compute the same."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.paths import ROOT

SOURCE = """
from sen_bench.system.machine_code import compiled

@compiled
def triple(x):
    return 3 * x + 1

if __name__ == "__main__":
    print(triple(13), sum(triple.stats.cache_hits.values()))
"""


CALLED = """
from sen_bench.system.machine_code import in_any_order

@in_any_order
def factor():
    return 3
"""


CALLING = """
from sen_bench.system.machine_code import compiled
from called import factor

@compiled
def triple(x):
    return factor() * x + 1

if __name__ == "__main__":
    print(triple(13), sum(triple.stats.cache_hits.values()))
"""


MUTATED = """
import random, sys, warnings
from collections import Counter
from pathlib import Path
from program import triple
from sen_bench.system.machine_code import compiled
from tests.store.test_store_mutations import flip, swap, truncate

TRIALS = 100
warnings.simplefilter("error")
triple(13)
files = sorted(path for path in Path("cache").rglob("*.nb?"))
whole = compiled(triple.py_func)
assert (whole(13), sum(whole.stats.cache_hits.values())) == (40, 1)
good, chance, counts = {path: path.read_bytes() for path in files}, random.Random(18), Counter()
for trial in range(TRIALS):
    path = files[trial % len(files)]
    path.write_bytes((flip, truncate, swap)[trial // len(files) % 3](good[path], chance))
    again = compiled(triple.py_func)
    right = again(13) == 40
    kept = sum(again.stats.cache_hits.values())
    counts[("read as it was" if kept else "compiled again") if right else "silent"] += 1
    for other, data in good.items():
        other.write_bytes(data)
print(f"cache of machine code: {TRIALS} mutations: {dict(counts)}", file=sys.stderr)
print(counts["silent"], counts.total(), counts["compiled again"] > TRIALS / 2)
"""


WARM = """
import os, sys
from numba import njit
from program import triple

njit(triple.py_func)(13)  # imports what compiling needs; this one has no cache
for _ in sys.stdin:
    child = os.fork()
    if not child:
        print(triple(13), sum(triple.stats.cache_hits.values()), flush=True)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code:
        print("ended with", code, flush=True)
"""


@pytest.fixture(scope="module")
def compiled_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program whose function was compiled and kept, in `cache`, of which `whole` is a copy."""
    path = tmp_path_factory.mktemp("compiled") / "program.py"
    path.write_text(SOURCE)
    assert output(path) == "40 0"
    assert output(path) == "40 1"
    shutil.copytree(path.with_name("cache"), path.with_name("whole"))
    return path


@pytest.fixture
def program(compiled_once: Path) -> Path:
    """The same, whatever other tests have done to the cache."""
    cache = compiled_once.with_name("cache")
    shutil.rmtree(cache)
    shutil.copytree(compiled_once.with_name("whole"), cache)
    return compiled_once


@pytest.fixture(scope="module")
def again(compiled_once: Path) -> Iterator[Callable[[], str]]:
    """The output of the program in a new process: a fork of one that has imported what it needs."""
    path = compiled_once.with_name("warm.py")
    path.write_text(WARM)
    with subprocess.Popen(
        [sys.executable, path],
        env=environment(path),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=path.parent,
    ) as process:
        asked, answers = process.stdin, process.stdout
        assert asked is not None
        assert answers is not None

        def run() -> str:
            asked.write("\n")
            asked.flush()
            return answers.readline().strip()

        yield run


def environment(program: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(program.parent / "cache")}


def output(program: Path) -> str:
    done = subprocess.run(
        [sys.executable, program],
        env=environment(program),
        capture_output=True,
        text=True,
        check=False,
        cwd=program.parent,
    )
    assert done.returncode == 0, done.stderr
    sys.stderr.write(done.stderr)
    return done.stdout.strip()


def flip(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.parametrize("kind", ["nbi", "nbc"])
@pytest.mark.parametrize(
    "damage",
    [lambda _: b"", lambda data: data[: len(data) // 2], lambda data: data[:-1], lambda _: b"\x80junk", flip],
    ids=["empty", "half", "one byte less", "junk", "flipped bit"],
)
def test_a_damaged_cache_is_replaced(
    program: Path, again: Callable[[], str], kind: str, damage: Callable[[bytes], bytes]
) -> None:
    (file,) = (program.parent / "cache").rglob(f"*.{kind}")
    file.write_bytes(damage(file.read_bytes()))
    # A flipped bit may be in the time or the name of an index: then nothing is kept, or it is read.
    assert again().startswith("40 ")
    assert again() == "40 1"


def test_a_cache_that_cannot_be_mended_is_done_without(program: Path) -> None:
    (file,) = (program.parent / "cache").rglob("*.nbi")
    file.unlink()
    file.mkdir()
    assert output(program) == "40 0"


def test_a_change_of_what_a_function_calls_in_another_module_is_compiled(tmp_path: Path) -> None:
    """Numba's own cache would go on with the machine code of before."""
    called, calling = tmp_path / "called.py", tmp_path / "calling.py"
    called.write_text(CALLED)
    calling.write_text(CALLING)
    assert output(calling) == "40 0"
    assert output(calling) == "40 1"
    called.write_text(CALLED.replace("return 3", "return 30"))
    assert output(calling) == "391 0"
    assert output(calling) == "391 1"


def test_functions_from_an_archive_work_without_a_cache(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "program.zip", "w") as archive:
        archive.writestr("__main__.py", "from calling import triple\nprint(triple(13))")
        archive.writestr("called.py", CALLED)
        archive.writestr("calling.py", CALLING)
    assert output(tmp_path / "program.zip") == "40"


@pytest.mark.slow
def test_no_damage_to_the_cache_computes_anything_else(program: Path) -> None:
    """In a process of its own, which damaged machine code would crash."""
    path = program.with_name("mutated.py")
    path.write_text(MUTATED)
    assert output(path) == "0 100 True"

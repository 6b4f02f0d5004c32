"""Kills generators, real processes, and has others go on.

`python -m tests.generators.crash_controller SCENARIO FOLDER` plays a scenario.

One process imports everything once and forks a child for each run, because starting Python takes ten times as
long as a run. It never touches zarr itself, so that it has no threads when it forks. What it found goes to
stdout as JSON.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import importlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import psutil

from sen_bench.errors import ConfigError, DatasetError
from sen_bench.generators import Recipe
from sen_bench.generators import generate as generate_shown
from sen_bench.generators.shards import ShardMaker
from sen_bench.store import Receipt
from tests.support.datasets import SHARDED
from tests.support.recorder import Recorder

# Two shards, of 25 and 5 episodes, are enough to stop between, and quick.
RECIPE = replace(SHARDED, episodes=30, twin=False)
OTHER = replace(RECIPE, seed=1)
DONE, FAILED, REFUSED = 0, 1, 2
# Seconds that a generation of a second may take.
PATIENCE = 300

Disturb = Callable[[str], None]
"""What befalls a change, given its audit event."""

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
CLEARED = "os.remove .a.zarr.partial/journal.jsonl"
CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate"}

#: Without progress: what is read on stderr are errors.
generate = functools.partial(generate_shown, progress=False)


def fork(work: Callable[[], object]) -> int:
    """Starts a child that does some work; its exit code says how that went."""
    child = os.fork()
    if child:
        return child
    code = FAILED
    try:
        work()
        code = DONE
    except DatasetError as error:
        code = REFUSED
        sys.stderr.write(f"{error}\n")
    finally:
        os._exit(code)


def run(work: Callable[[], object]) -> int:
    """Does some work in a child; returns its exit code, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(fork(work), 0)[1])


def digest(target: Path) -> str:
    """Sha256 over the names and bytes of all files."""
    total = hashlib.sha256()
    for file in sorted(path for path in target.rglob("*") if path.is_file()):
        total.update(f"{file.relative_to(target)}\n".encode() + file.read_bytes())
    return total.hexdigest()


def watch(folder: Path, changed: Callable[[str, Path], None]) -> None:
    """Calls a function before every change below a folder that this process makes, of files or entries."""
    inside = str(folder)

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = args
            if not (isinstance(flags, int) and flags & WRITES):
                return
        elif event in CHANGES:
            path = args[0]
        else:
            return
        if isinstance(path, str | os.PathLike) and os.fspath(path).startswith(inside):
            changed(event, Path(path))

    sys.addaudithook(hook)


def recorded(folder: Path, generation: Callable[[], object]) -> list[str]:
    """Every change that an undisturbed generation makes, in order."""
    log = folder.parent / "changes.txt"

    def work() -> None:
        changes: list[str] = []
        watch(folder, lambda event, path: changes.append(f"{event} {path.relative_to(folder)}"))
        generation()
        log.write_text("\n".join(changes))

    assert run(work) == DONE
    return log.read_text().splitlines()


def disturbed(folder: Path, number: int, generation: Callable[[], object], disturb: Disturb) -> int:
    """Generates, and disturbs from the change of that number on."""

    def work() -> None:
        left = [number]

        def changed(event: str, _path: Path) -> None:
            left[0] -= 1
            if left[0] < 0:
                disturb(event)

        watch(folder, changed)
        generation()

    return run(work)


def kill(_event: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fill(event: str) -> None:
    """As a full disk does it: what is there can be moved and deleted, but nothing be added."""
    if event in {"open", "os.mkdir", "os.link"}:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def everywhere(folder: Path, disturb: Disturb) -> dict[str, Any]:
    """Disturbs a generation at many of its changes, at the end at every one, and resumes each.

    Before the last shard is journaled every fifth is taken: they repeat from array to array and from shard to
    shard. Then the end again, where an older dataset is to be moved aside.
    """
    # No power fails here, so nobody needs to wait for the disk.
    os.fsync = lambda fd: None  # noqa: ARG005 — the name is part of the signature
    older = folder / "older" / "a.zarr"
    assert run(functools.partial(generate, OTHER, older)) == DONE
    found: dict[str, Any] = {"wrong": [], "codes": Counter(), "places": []}
    for force in (False, True):
        data = folder / f"force-{force}"
        target = data / "a.zarr"
        generation = functools.partial(generate, RECIPE, target, force=force)

        def prepare(target: Path = target, old: bool = force) -> None:  # noqa: FBT001 — bound, not passed
            shutil.rmtree(target.parent, ignore_errors=True)
            target.parent.mkdir(parents=True)
            if old:
                shutil.copytree(older, target)

        prepare()
        changes = recorded(data, generation)
        whole = digest(target)
        # The last changes of the journal: its last shard, that the dataset is whole, and its removal.
        end = [number for number, change in enumerate(changes) if change.endswith("journal.jsonl")][-3]
        # Without its journal a folder is finished with: then force generates once more.
        settled = max(n for n, change in enumerate(changes) if change == CLEARED)
        for number in [*(() if force else range(0, end, 5)), *range(end, len(changes))]:
            prepare()
            code = disturbed(data, number, generation, disturb)
            again = run(generation)
            left = sorted(path.name for path in data.iterdir() if not path.name.endswith(".lock"))
            # What force moved aside, also that which was whole in spite of the disturbance.
            times = 2 if code == DONE or number > settled else 1
            expected = ["a.zarr", *(f"a.zarr.old-{n}" for n in range(1, force * times + 1))]
            if again != DONE or digest(target) != whole or left != expected:
                found["wrong"].append([force, number, changes[number], code, again, left])
            found["codes"][str(code)] += 1
            found["places"].append(changes[number])
    return found


def resumed(folder: Path) -> dict[str, Any]:
    """Kills a generation at every change of its journal and of its end; resumes by one worker, two, and all.

    The first worker's journal is the same whoever goes on with it, so one generator is killed and copies of
    what it left are resumed.
    """
    os.fsync = lambda fd: None  # noqa: ARG005 — the name is part of the signature
    recipe = replace(SHARDED, twin=False)
    data = folder / "a"
    target = data / "a.zarr"
    generation = functools.partial(generate, recipe, target)
    data.mkdir()
    changes = recorded(data, generation)
    whole = digest(target)
    journal = [number for number, change in enumerate(changes) if "journal.jsonl" in change]
    found: dict[str, Any] = {"wrong": [], "journaled": Counter(), "resumed": Counter()}
    # After each change of the journal; and before every one from that of the last shard to the last of all.
    for number in sorted({*(n + 1 for n in journal), *range(journal[-3], len(changes))} - {len(changes)}):
        shutil.rmtree(data)
        data.mkdir()
        code = disturbed(data, number, generation, kill)
        lines = journal_lines(data / ".a.zarr.partial")
        found["journaled"][str(lines)] += 1
        for workers in sorted({1, 2, os.cpu_count() or 1}):  # the last is the commands' default
            copy = folder / f"{number}-{workers}"
            shutil.copytree(data, copy)
            again = run(functools.partial(with_workers, recipe, copy / "a.zarr", workers))
            if code != -signal.SIGKILL or again != DONE or digest(copy / "a.zarr") != whole:
                found["wrong"].append([number, changes[number], workers, code, again])
            found["resumed"][str(workers)] += 1
            shutil.rmtree(copy)
    return found


def journal_lines(staging: Path) -> int:
    """How many whole lines the journal of a staging folder has; 0 without one."""
    journal = staging / "journal.jsonl"
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


def with_workers(recipe: Recipe, target: Path, workers: int) -> None:
    """Generates with forked workers, which start much faster than those of users."""
    context = multiprocessing.get_context("fork")
    vars(multiprocessing)["get_context"] = lambda _method: context
    generate(recipe, target, workers=workers)


def workers_of(parent: psutil.Process) -> list[psutil.Process]:
    """The worker processes of a generator, which also has one that keeps track of semaphores."""
    workers = []
    for process in parent.children():
        with contextlib.suppress(psutil.NoSuchProcess):  # it ended just now
            if not any("resource_tracker" in word for word in process.cmdline()):
                workers.append(process)
    return workers


def by_two_workers(recipe: Recipe, target: Path, pipe: int, *, forked: bool) -> None:
    """Generates with two worker processes, and writes a byte into a pipe for every report of progress."""
    if forked:
        context = multiprocessing.get_context("fork")
        vars(multiprocessing)["get_context"] = lambda _method: context

    def report(_done: int, _total: int) -> None:
        os.write(pipe, b".")

    generate_shown(recipe, target, workers=2, progress=Recorder(advanced=report))


def slowly_by_two_workers(recipe: Recipe, target: Path, pipe: int, *, forked: bool) -> None:
    """The same, each shard half a second later."""
    make = ShardMaker.make

    def late(self: ShardMaker, start: int, stop: int) -> list[Receipt]:
        time.sleep(0.5)
        return make(self, start, stop)

    with mock.patch.object(ShardMaker, "make", late):
        by_two_workers(recipe, target, pipe, forked=forked)


def stopped(folder: Path) -> dict[str, Any]:
    """Generates with workers that answer no more when all shards are made, as if one waited for another."""
    workers: list[psutil.Process] = []

    def stop(done: int, total: int) -> None:
        if done == total:
            workers.extend(workers_of(psutil.Process()))
            for worker in workers:
                worker.suspend()

    target = folder / "a.zarr"

    def give_up() -> None:
        for worker in workers:
            worker.kill()

    # An end that waits for them is not reached: they are killed, so that this is seen and not waited for.
    late = threading.Timer(PATIENCE, give_up)
    late.start()
    generate_shown(SHARDED, target, workers=2, progress=Recorder(advanced=stop))
    in_time = late.is_alive()
    late.cancel()
    left = len(psutil.wait_procs(workers, timeout=60)[1])
    return {"workers": len(workers), "left": left, "in_time": in_time, "digest": digest(target)}


def randomly(folder: Path) -> dict[str, Any]:
    """Kills 30 generators with two workers each, or in every third one of the workers; resumes each.

    Workers die at random moments with shards left to make, as their shards are made to take a while; one that
    is not missed all the same does not count. Where the generator dies, the workers of every fifth are
    started as those of users are, the others forked, which is quicker by far.
    """
    rng = random.Random(0)  # noqa: S311 — no secret
    recipe, shards = SHARDED, 5
    target = folder / "whole" / "a.zarr"
    assert run(lambda: generate(recipe, target)) == DONE
    whole = digest(target)
    found: dict[str, Any] = {"killed": Counter(), "wrong": [], "orphans": 0, "resumed": 0}
    for number in range(300):
        if found["killed"].total() == 30:
            break
        what = "parent" if found["killed"].total() % 3 else "worker"
        target = folder / str(number) / "a.zarr"
        reader, writer = os.pipe()

        work = slowly_by_two_workers if what == "worker" else by_two_workers
        forked = what == "worker" or number % 5 > 0
        child = fork(functools.partial(work, recipe, target, writer, forked=forked))
        os.close(writer)
        # The first report is that nothing is done, the last that all is.
        for _ in range(rng.randrange(2, shards - 1) if what == "worker" else rng.randrange(1, shards + 2)):
            os.read(reader, 1)
        time.sleep(rng.random() * 0.05)
        parent = psutil.Process(child)
        workers = workers_of(parent)
        victim = rng.choice(workers) if what == "worker" and workers else parent
        ended = os.waitpid(child, os.WNOHANG)[0] == child
        if not ended:
            with contextlib.suppress(psutil.NoSuchProcess):  # a worker that ended just now
                victim.kill()
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            # A worker that had nothing to do any more is not missed.
            if code in {-signal.SIGKILL, REFUSED}:
                found["killed"][what] += 1
        os.close(reader)
        journal = target.with_name(".a.zarr.partial") / "journal.jsonl"
        found["resumed"] += journal.exists() and journal.read_bytes().count(b"\n") > 1
        again = run(functools.partial(generate, recipe, target))
        if again != DONE or digest(target) != whole:
            found["wrong"].append([number, what, again])
        found["orphans"] += len(psutil.wait_procs(workers, timeout=60)[1])
        shutil.rmtree(target.parent)
    return found


def racing(folder: Path) -> dict[str, Any]:
    """Starts two generators of one target at the same time, a few times."""
    outcomes = []
    for number in range(4):
        target = folder / str(number) / "a.zarr"
        children = [fork(functools.partial(generate, RECIPE, target)) for _ in range(2)]
        codes = sorted(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)
        outcomes.append([codes, digest(target)])
    return {"outcomes": outcomes}


def get_ready(folder: Path) -> None:
    """Imports what a generation does at its first use; else every child would, for as long as it generates.

    Arguments are checked, by a library that is imported then, before anything is touched.
    """
    with contextlib.suppress(ConfigError):
        generate(RECIPE, folder / "refused.zarr", workers=0)
    importlib.import_module("zarrs.pipeline")  # what zarr is told to read and write by


def main() -> None:
    scenario, folder = sys.argv[1], Path(sys.argv[2])
    get_ready(folder)
    scenarios: dict[str, Callable[[], dict[str, Any]]] = {
        "kill": lambda: everywhere(folder, kill),
        "fill": lambda: everywhere(folder, fill),
        "resume": lambda: resumed(folder),
        "stopped": lambda: stopped(folder),
        "random": lambda: randomly(folder),
        "race": lambda: racing(folder),
    }
    sys.stdout.write(json.dumps(scenarios[scenario]()) + "\n")


if __name__ == "__main__":
    main()

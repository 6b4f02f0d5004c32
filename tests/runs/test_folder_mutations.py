"""Random damage to the files of a run's folder: refused in one line, or the run is what it was."""

from __future__ import annotations

import json
import random
import re
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sen_bench.errors import SenBenchError
from sen_bench.runs import model_so_far, open_run
from sen_bench.training import CHECKPOINT_FILE, LOSS_TERMS, METRICS_FILE, Checkpoint, read_metrics
from tests.store.test_store_mutations import MUTATIONS
from tests.support.commands import done, invoke
from tests.support.presets import TWO_TASKS
from tests.support.trainings import CPU

TRIALS = 200
RUN = ("run", "2d-shapes", "--preset", "tiny.toml", "--models", "none", "--device", "cpu", "--quiet")
FOLDER = Path("runs/2d-shapes/train/none/tiny/seed-0")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one run that is done."""
    folder = tmp_path_factory.mktemp("workspace")
    (folder / "tiny.toml").write_text(TWO_TASKS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        done(*RUN)
    return folder


@pytest.fixture(autouse=True)
def in_workspace(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workspace)


def what_it_is() -> object:
    """Everything that decides what a run trains and is scored on, and its weights."""
    run = open_run(FOLDER, data=Path("data"), device=CPU)
    model, checkpoint = model_so_far(run)
    digests = [run.data.open(split).content_digest for split in run.splits]
    weights = [value.numpy().tobytes() for value in model.state_dict().values()]
    return run.name, run.config.weights_digest, run.identity(digests[0]), digests, checkpoint.epoch, weights


def outcomes(
    name: str, read: Callable[[], Any], said: Callable[[Any], bool] = lambda _: False
) -> Counter[str]:
    """How often damage to a file was refused, changed nothing, was said, or was read as something else."""
    path = FOLDER / name
    whole, chance = path.read_bytes(), random.Random(0)  # noqa: S311
    expected, counts = read(), Counter[str]()
    try:
        for number in range(TRIALS):
            mutation = MUTATIONS[number % len(MUTATIONS)]
            try:
                damaged = mutation(whole, chance)
            except json.JSONDecodeError:  # a log of lines is no document
                lines = whole.splitlines()
                at = chance.randrange(len(lines))
                lines[at] = mutation(lines[at], chance).replace(b"\n", b"")
                damaged = b"\n".join(lines) + b"\n"
            path.write_bytes(damaged)
            try:
                got = read()
                counts["read as it was" if got == expected else "said" if said(got) else "silent"] += 1
            except SenBenchError as error:
                counts["refused" if "\n" not in str(error) else "several lines"] += 1
    finally:
        path.write_bytes(whole)
    sys.stdout.write(f"{name}: {TRIALS} mutations: {dict(counts)}\n")
    return counts


def test_settings_are_refused_or_those_of_the_checkpoint_and_the_data() -> None:
    counts = outcomes("config.json", what_it_is)
    assert counts.keys() == {"refused", "read as it was"}
    assert counts["refused"] > TRIALS / 4


def test_a_damaged_log_of_measurements_is_refused_or_said() -> None:
    path, checkpoint = FOLDER / METRICS_FILE, Checkpoint.load(FOLDER / CHECKPOINT_FILE, CPU)

    def read() -> tuple[list[dict[str, Any]], str]:
        return read_metrics(path, LOSS_TERMS, until=checkpoint)

    assert read()[1] == ""
    counts = outcomes(METRICS_FILE, read, lambda got: "is missing or empty" in got[1])
    assert counts.keys() <= {"refused", "read as it was", "said"}
    assert counts["refused"] > TRIALS * 0.9


def test_a_damaged_log_of_an_earlier_version_is_refused_or_said() -> None:
    path, checkpoint = FOLDER / METRICS_FILE, Checkpoint.load(FOLDER / CHECKPOINT_FILE, CPU)
    whole = path.read_bytes()
    path.write_bytes(re.sub(rb', "check": "[0-9a-f]{16}"', b"", whole))
    try:
        counts = outcomes(
            METRICS_FILE,
            lambda: read_metrics(path, LOSS_TERMS, until=checkpoint),
            lambda got: "has no check values" in got[1] or "is missing or empty" in got[1],
        )
    finally:
        path.write_bytes(whole)
    assert counts.keys() <= {"refused", "read as it was", "said"}


BESIDE = {
    "a log that is no text": (FOLDER / "run.log", b"\xff\xfe\0\x1b[31m"),
    "a lock with contents": (FOLDER.parent / ".seed-0.lock", b"\0\xff 12345"),
    "an empty lock": (FOLDER.parent / ".seed-0.lock", b""),
}


@pytest.mark.parametrize("what", BESIDE)
def test_what_a_log_or_a_lock_says_decides_nothing(what: str) -> None:
    path, contents = BESIDE[what]
    before = what_it_is()
    path.write_bytes(contents)
    Path("results/runs.csv").unlink()  # so that it is scored again
    done(*RUN)
    assert what_it_is() == before
    assert Path("results/runs.csv").exists()


@pytest.mark.parametrize("name", ["run.log", "config.json", "metrics.jsonl"])
def test_a_folder_in_place_of_a_file_is_said_in_one_line(name: str) -> None:
    path, aside = FOLDER / name, FOLDER / "aside"
    path.rename(aside)
    path.mkdir()
    Path("results/runs.csv").rename("results/aside.csv")
    try:
        result = invoke(*RUN)
        assert result.exit_code == 2, result.output
        assert "Traceback" not in result.output
    finally:
        path.rmdir()
        aside.rename(path)
        Path("results/aside.csv").rename("results/runs.csv")

"""Runs that are begun anew: not under somebody's hands, and not done until they are in the tables again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
from filelock import FileLock

from sen_bench.errors import CheckpointError
from sen_bench.runs.folder import RunFolder
from tests.support.commands import done, invoke
from tests.support.presets import TWO_TASKS
from tests.support.recorder import Recorder

RUN = ("rush-hour", "--preset", "tiny.toml", "--models", "none", "--seeds", "0", "--device", "cpu", "--quiet")
FOLDER = Path("runs/rush-hour/train/none/tiny/seed-0")
pytestmark = pytest.mark.usefixtures("warm_workers")


@pytest.fixture(scope="module")
def done_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the run is done."""
    folder = tmp_path_factory.mktemp("done")
    (folder / "tiny.toml").write_text(TWO_TASKS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        done("run", *RUN)
    return folder


@pytest.fixture
def finished(done_once: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test works in a folder of its own in which the run is done."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr("sen_bench.runs.folder._RELEASE_SECONDS", 0.1)
    shutil.copytree(done_once, here, dirs_exist_ok=True)


@contextmanager
def _somebody_trains() -> Iterator[None]:
    """As another process, as far as the lock is concerned: it belongs to an open file, not to a process."""
    with FileLock(FOLDER.with_name(".seed-0.lock")):
        yield


def _files() -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in Path("runs").rglob("*") if path.is_file()}


def _started() -> list[str]:
    """When the training of the row of record began, by its log."""
    return [line for line in (FOLDER / "run.log").read_text().splitlines() if "training rush-hour" in line]


@pytest.mark.usefixtures("finished")
@pytest.mark.parametrize(("command", "code"), [(("run",), 2), (("train",), 2), (("run", "--jobs", "2"), 1)])
def test_what_another_process_trains_is_not_moved(command: tuple[str, ...], code: int) -> None:
    before = _files()
    with _somebody_trains():
        refused = invoke(*command, *RUN, "--force")
        assert refused.exit_code == code
        assert "another process is training rush-hour/train/none/tiny/seed-0; wait" in refused.stderr
        assert "moved" not in refused.stderr
    assert _files() == before
    assert sorted(path.name for path in FOLDER.parent.iterdir()) == [".seed-0.lock", "seed-0"]


@pytest.mark.usefixtures("finished")
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_force_begins_anew_and_is_done_then(jobs: str) -> None:
    first = _started()
    forced = invoke("run", *RUN, "--force", "--jobs", jobs)
    assert forced.exit_code == 0, forced.stderr
    assert forced.stderr.count(f"moved {FOLDER} to {FOLDER}.old-1") == 1
    assert (FOLDER.with_name("seed-0.old-1") / "checkpoint.pt").exists()
    assert len(_started()) == 1
    again = invoke("run", *RUN)
    assert "already in" in again.stderr
    assert len(first) == 1


@pytest.mark.usefixtures("finished")
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_one_that_was_stopped_is_finished_without_force(jobs: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table still has the rows of the training that was moved aside."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    row = pd.read_csv("results/runs.csv")
    row["train_seconds"] = 12345.5  # tells it from the row of the training to come
    row.to_csv("results/runs.csv", index=False)
    with monkeypatch.context() as patch:
        patch.setattr("sen_bench.runs.steps.evaluate_run", stop)
        stopped = invoke("run", *RUN, "--force")
    assert stopped.exit_code == 130
    assert stopped.stderr.endswith(
        "interrupted; give the same command again, without --force, to do only what is not finished\n"
    )
    pd.testing.assert_frame_equal(pd.read_csv("results/runs.csv"), row)
    assert "0 done, 1 to run" in invoke("run", *RUN, "--dry-run").stdout

    rest = invoke("run", *RUN, "--jobs", jobs)
    assert rest.exit_code == 0, rest.stderr
    assert "moved" not in rest.stderr
    assert (pd.read_csv("results/runs.csv")["train_seconds"] < 12345).all(), (
        "the rows are those of the new one"
    )
    assert "1 done, 0 to run" in invoke("run", *RUN, "--dry-run").stdout
    assert sorted(path.name for path in FOLDER.parent.iterdir() if path.name != ".seed-0.lock") == [
        "seed-0",
        "seed-0.old-1",
    ]


@pytest.mark.usefixtures("finished")
def test_trained_alone_it_is_done_when_it_is_scored() -> None:
    assert invoke("train", *RUN, "--force").exit_code == 0
    assert "0 done, 1 to run" in invoke("run", *RUN, "--dry-run").stdout
    assert invoke("evaluate", *RUN).exit_code == 0
    assert "1 done, 0 to run" in invoke("run", *RUN, "--dry-run").stdout


@pytest.mark.usefixtures("finished")
def test_runs_that_failed_are_tried_again_without_force() -> None:
    (FOLDER / "checkpoint.pt").unlink()
    raising = "tests.support.faulty_models:Raising,tests.support.faulty_models:Plain"
    options = tuple(raising if option == "none" else option for option in RUN)
    failed = invoke("run", *options, "--force")
    assert failed.exit_code == 1
    assert "1 of 2 runs failed; the same command without --force tries them again:" in failed.stderr


def test_what_is_not_there_is_begun_anew_too(tmp_path: Path) -> None:
    """As where the tables were kept and the folder of runs was not."""
    folder = RunFolder(tmp_path / "runs" / "seed-0", "a run")
    recorder = Recorder()
    folder.begin_anew(recorder)
    assert folder.begun_anew
    assert not recorder.messages
    folder.recorded()
    folder.recorded()
    assert not folder.begun_anew


@pytest.mark.usefixtures("finished")
@pytest.mark.parametrize("command", [("run",), ("train",), ("run", "--force"), ("run", "--jobs", "2")])
def test_a_folder_that_cannot_be_made_is_said_in_one_line(command: tuple[str, ...]) -> None:
    refused = invoke(*command, *RUN, "--runs", "tiny.toml/runs", "--results", "elsewhere")
    assert refused.exit_code == (1 if "--jobs" in command else 2)
    assert "cannot make tiny.toml/runs/rush-hour/train/none/tiny/seed-0: Not a directory" in refused.stderr
    assert "Traceback" not in refused.output


def test_a_full_disk_is_not_told_as_something_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(OSError, match="No space left"):
        RunFolder(tmp_path / "seed-0", "a run").make()
    monkeypatch.setattr(
        Path, "mkdir", lambda *_, **__: (_ for _ in ()).throw(OSError(13, "Permission denied"))
    )
    with pytest.raises(CheckpointError, match=r"cannot make .*seed-0: Permission denied"):
        RunFolder(tmp_path / "seed-0", "a run").make()

"""Trackers follow a training wherever it takes place, and whatever becomes of them never ends it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import pytest

import sen_bench as sb
from sen_bench.data import Transitions
from sen_bench.errors import ConfigError, NonFiniteError, UnknownNameError
from sen_bench.system import plugins
from sen_bench.trackers import TrackedRun, Tracking, check_trackers, registry, tracker_names
from tests.support.commands import refused
from tests.support.plugins import TASK, forget, install, run_drift
from tests.support.presets import OF_DRIFT
from tests.support.recorder import Recorder
from tests.support.trainings import Affine, train_tiny

DIARY = """
import json

class Diary:
    def __init__(self, run):
        self.path = run.folder / "diary.jsonl"
        self.write("begin", run.step, [run.name, run.settings.get("seed")])

    def write(self, *line):
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\\n")

    def log(self, values, step):
        self.write("log", step, sorted(values))

    def close(self, outcome):
        self.write("close", 0, outcome)

class Forgetful(Diary):
    def log(self, values, step):
        raise OSError("no\\nnetwork")

def absent(run):
    raise ValueError("not today")
"""
ENTRY_POINTS = {
    plugins.TRACKERS: {"diary": "diary:Diary", "forgetful": "diary:Forgetful", "absent": "diary:absent"},
    plugins.TASKS: {"drift": "drifting:make_drift"},
}


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installed distribution with three trackers and a task."""
    modules = {"diary": DIARY, "drifting": TASK}
    monkeypatch.syspath_prepend(install(tmp_path / "site", "diaries", ENTRY_POINTS, modules))
    yield
    forget(tmp_path)


def _tracking(folder: Path, *names: str) -> Tracking:
    return Tracking(names, TrackedRun("a/run", folder, folder))


def _lines(folder: Path) -> list[list[object]]:
    return [json.loads(line) for line in (folder / "diary.jsonl").read_text().splitlines()]


@pytest.mark.usefixtures("plugin")
def test_a_tracker_is_told_what_the_log_is(tmp_path: Path, transitions: Transitions) -> None:
    train_tiny(tmp_path, transitions, tracking=_tracking(tmp_path, "diary"))
    lines = _lines(tmp_path)
    assert lines[0] == ["begin", 0, ["a/run", None]]
    assert lines[-1] == ["close", 0, "finished"]
    log = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line[1] for line in lines[1:-1]] == [line["step"] for line in log]
    losses = {"train/loss", "train/positive", "train/negative", "train/separation"}
    assert losses <= {name for line in lines[1:-1] for name in line[2]}  # type: ignore[attr-defined]


@pytest.mark.usefixtures("plugin")
def test_a_tracker_is_closed_at_ctrl_c_and_resumes_after_the_steps_that_are_kept(
    tmp_path: Path, transitions: Transitions
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train_tiny(
            tmp_path, transitions, progress=Recorder(interrupt_after=2), tracking=_tracking(tmp_path, "diary")
        )
    assert _lines(tmp_path)[-1] == ["close", 0, "interrupted"]
    interrupted = len(_lines(tmp_path))
    train_tiny(tmp_path, transitions, tracking=_tracking(tmp_path, "diary"))
    assert _lines(tmp_path)[interrupted][:2] == ["begin", 6]


@pytest.mark.usefixtures("plugin")
def test_a_tracker_is_closed_when_the_training_fails(tmp_path: Path, transitions: Transitions) -> None:
    with pytest.raises(NonFiniteError):
        train_tiny(tmp_path, transitions, lambda: Affine(math.nan), tracking=_tracking(tmp_path, "diary"))
    assert _lines(tmp_path)[-1] == ["close", 0, "failed"]


@pytest.mark.usefixtures("plugin")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("forgetful", "tracker forgetful failed (OSError: no network); training goes on without it"),
        ("absent", "tracker absent failed (ValueError: not today); training goes on without it"),
    ],
)
def test_a_tracker_that_fails_is_said_once_and_the_training_goes_on(
    tmp_path: Path, transitions: Transitions, name: str, message: str
) -> None:
    recorder = Recorder()
    train_tiny(tmp_path, transitions, progress=recorder, tracking=_tracking(tmp_path, name, "diary"))
    assert recorder.messages == [message]
    assert _lines(tmp_path)[-1] == ["close", 0, "finished"]


@pytest.mark.usefixtures("plugin", "warm_workers")
def test_workers_of_a_sweep_build_the_trackers_by_name(here: Path) -> None:
    (here / "small.toml").write_text(OF_DRIFT)
    run_drift("--seeds", "3", "--jobs", "2", "--log-to", "diary,forgetful")
    folder = here / "runs/drift/train/mean/small/seed-3"
    lines = _lines(folder)
    assert ["begin", 0, ["drift/train/mean/small/seed-3", 3]] in lines
    assert lines.count(["close", 0, "finished"]) == 1
    assert (folder / "run.log").read_text().count("tracker forgetful failed") == 1


@pytest.mark.usefixtures("plugin")
def test_tensorboard_has_a_short_form(here: Path) -> None:
    (here / "small.toml").write_text(OF_DRIFT)
    run_drift("--tensorboard")
    events = here / "runs/drift/train/mean/small/seed-0/tensorboard"
    assert any("tfevents" in path.name for path in events.iterdir())


def test_what_cannot_be_used_is_said_before_any_work(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = ("run", "3d-blocks", "--preset", "smoke", "--log-to")
    assert refused(*run, "tensorbord") == "error: unknown tracker 'tensorbord'; did you mean 'tensorboard'?"
    monkeypatch.setattr(registry, "_is_installed", lambda package: package not in {"mlflow", "wandb"})
    message = "error: --log-to {0} needs packages that are not installed: pip install 'sen-bench[{0}]'"
    assert refused(*run, "mlflow") == message.format("mlflow")
    assert refused("train", "3d-blocks", "--log-to", "wandb") == message.format("wandb")
    assert not (here / "data").exists()


def test_a_folder_such_as_trackers_leave_is_no_package(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "left_by_a_tracker").mkdir()
    monkeypatch.syspath_prepend(here)
    assert not registry._is_installed("left_by_a_tracker")
    assert registry._is_installed("torch")


def test_trackers_are_named_and_checked_from_python(here: Path) -> None:
    assert tracker_names()[:4] == ["tensorboard", "wandb", "trackio", "mlflow"]
    with pytest.raises(ConfigError, match=r"trackers must be a list of names, such as \['wandb'\]"):
        check_trackers("wandb")
    with pytest.raises(UnknownNameError, match="unknown tracker 'nothing'"):
        sb.run("3d-blocks", "sen", preset="smoke", log_to=["nothing"])
    assert not list(here.iterdir())

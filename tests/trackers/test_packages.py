"""The trackers that come with sen-bench, with their real packages: what they keep is read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sen_bench.data import Transitions
from sen_bench.trackers import TrackedRun, Tracking
from tests.support.recorder import Recorder
from tests.support.trainings import log_of, train_tiny

# Of these packages, about themselves and each other.
pytestmark = pytest.mark.filterwarnings("ignore")


def _train_in_two_sessions(folder: Path, transitions: Transitions, name: str, runs: Path) -> list[float]:
    """Trains with a tracker, interrupted in the second of three epochs and resumed; returns mean losses."""
    tracking = Tracking((name,), TrackedRun("a/run", folder, runs, {"seed": 3, "training": {"epochs": 3}}))
    with pytest.raises(KeyboardInterrupt):
        train_tiny(folder, transitions, progress=Recorder(interrupt_after=2), tracking=tracking)
    recorder = Recorder()
    train_tiny(folder, transitions, progress=recorder, tracking=tracking)
    assert recorder.messages == []
    return [line["mean_loss"] for line in log_of(folder) if line["event"] == "epoch"]


def test_wandb_writes_offline_runs_that_are_one(
    tmp_path: Path, transitions: Transitions, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    _train_in_two_sessions(tmp_path, transitions, "wandb", tmp_path)
    identity = (tmp_path / "wandb/run-id.txt").read_text()
    files = sorted((tmp_path / "wandb").glob(f"offline-run-*-{identity}/run-{identity}.wandb"))
    assert files
    kept = b"".join(file.read_bytes() for file in files)
    for said in (b"train/mean_loss", b"train/separation", b"a/run", b"sen-bench"):
        assert said in kept


def test_trackio_writes_a_database(
    tmp_path: Path,
    transitions: Transitions,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    storage: Any = pytest.importorskip("trackio.sqlite_storage").SQLiteStorage
    means = _train_in_two_sessions(tmp_path, transitions, "trackio", tmp_path)
    rows = storage.get_logs("sen-bench", "a/run")
    kept = [row["train/mean_loss"] for row in rows if "train/mean_loss" in row]
    assert kept == pytest.approx(means)
    assert [row["step"] for row in rows if "train/mean_loss" in row] == [6, 12, 18]
    assert capsys.readouterr().out == ""


def test_mlflow_writes_a_database(
    tmp_path: Path, transitions: Transitions, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracking: Any = pytest.importorskip("mlflow.tracking")
    pytest.importorskip("sqlalchemy")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    means = _train_in_two_sessions(tmp_path / "run", transitions, "mlflow", tmp_path)
    client = tracking.MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")
    experiment = client.get_experiment_by_name("sen-bench")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.run_name == "a/run"
    assert run.info.status == "FINISHED"
    assert run.data.params == {"seed": "3", "training.epochs": "3"}
    history = client.get_metric_history(run.info.run_id, "train/mean_loss")
    assert [metric.value for metric in history] == pytest.approx(means)

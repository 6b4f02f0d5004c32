"""MLflow: a database in the folder of all runs, or the server that MLFLOW_TRACKING_URI names."""

from __future__ import annotations

import logging
import os
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from sen_bench.trackers.protocol import Outcome, TrackedRun

with warnings.catch_warnings():
    # It warns about itself as it is imported.
    warnings.simplefilter("ignore")
    from mlflow.entities import Metric, Param
    from mlflow.tracking import MlflowClient

_EXPERIMENT = "sen-bench"
_STATUS: Mapping[Outcome, str] = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}
# Parameters of MLflow have no more characters.
_LONGEST = 500


class MlflowTracker:
    """Logs to ``mlflow.db`` in the folder of all runs, or to the server that MLFLOW_TRACKING_URI names.

    Args:
        run: The run.
    """

    def __init__(self, run: TrackedRun) -> None:
        uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(run.runs / 'mlflow.db').as_posix()}"
        known = run.folder / "mlflow-run-id.txt"
        with _quiet(), _one_at_a_time(run.runs):
            self._client: Any = MlflowClient(tracking_uri=uri)
            experiment = self._client.get_experiment_by_name(_EXPERIMENT)
            number = experiment.experiment_id if experiment else self._client.create_experiment(_EXPERIMENT)
            if run.step and known.exists():
                self._id = known.read_text(encoding="ascii").strip()
                self._client.update_run(self._id, status="RUNNING")
                return
            self._id = self._client.create_run(number, run_name=run.name).info.run_id
            known.write_text(self._id, encoding="ascii")
            params = [Param(name, str(value)[:_LONGEST]) for name, value in _flat(run.settings)]
            self._client.log_batch(self._id, params=params)

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Logs the values at once."""
        now = int(1000 * time.time())
        with _quiet():
            metrics = [Metric(name, value, now, step) for name, value in values.items()]
            self._client.log_batch(self._id, metrics=metrics)

    def close(self, outcome: Outcome) -> None:
        """Notes how it ended."""
        with _quiet():
            self._client.set_terminated(self._id, _STATUS[outcome])


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Has the processes of a sweep begin one after the other: the first makes the database."""
    with FileLock(folder / ".mlflow.lock"):
        yield


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what MLflow and its database say about themselves."""
    logger = logging.getLogger("mlflow")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested settings with dotted names."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value

"""Runs on a cluster: they are the runs of this machine, whichever worker dies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dask
import distributed
import pandas as pd
import pytest
from filelock import FileLock

from sen_bench.cluster import Token
from tests.support.commands import done, invoke, refused
from tests.support.faulty_models import VARIABLE
from tests.support.presets import SLICED
from tests.support.sweeps import OPTIONS, tables, timeless
from tests.support.threads import one_thread
from tests.support.warm import warm_processes


@pytest.fixture(scope="module")
def poison(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Written, it kills the worker whose model embeds that often."""
    path = tmp_path_factory.mktemp("mortal") / "poison"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, str(path))
        yield path


@pytest.fixture(scope="module")
def workers(poison: Path) -> Iterator[str]:
    """The address of a scheduler with two worker processes, warm as those that follow the killed."""
    assert not poison.exists()
    warm_processes()
    settings = {"deploy.lost-worker-timeout": "5 minutes", "worker.multiprocessing-method": "forkserver"}
    with (
        dask.config.set({f"distributed.{name}": value for name, value in settings.items()}),
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            silence_logs=50,
            dashboard_address=":0",
            env={VARIABLE: str(poison)},
        ) as cluster,
    ):
        yield str(cluster.scheduler_address)


@pytest.mark.slow
class TestOnACluster:
    def test_the_rows_are_those_of_this_machine(self, workers: str, alone: Path, here: Path) -> None:
        result = invoke("run", "--all", *OPTIONS, "--cluster", workers)
        assert result.exit_code == 0, result.output
        for got, expected in zip(tables(here), tables(alone), strict=True):
            pd.testing.assert_frame_equal(got, expected)
        assert not list(here.rglob("cluster-*"))

    def test_a_worker_killed_in_mid_run_and_its_run_goes_on_elsewhere(
        self, workers: str, poison: Path, here: Path
    ) -> None:
        model = "tests.support.faulty_models:Mortal"
        options = ("--preset", "tiny.toml", "--models", model, "--device", "cpu", "--quiet")
        expected = invoke("run", "2d-shapes", *options, "--results", "undisturbed", "--runs", "undisturbed")
        assert expected.exit_code == 0, expected.output
        # Four batches an epoch, each embedded before and after: the second epoch.
        poison.write_text("12")
        result = invoke("run", "2d-shapes", *options, "--cluster", workers)
        assert result.exit_code == 0, result.output
        assert not poison.exists()
        log = (
            here / "runs/2d-shapes/train/tests.support.faulty_models-Mortal/tiny/seed-0/run.log"
        ).read_text()
        assert log.count("training 2d-shapes") == 2
        assert log.count("epoch 1/3") == 1, "it went on from its checkpoint"
        got, want = (timeless(pd.read_csv(here / name / "runs.csv")) for name in ("results", "undisturbed"))
        pd.testing.assert_frame_equal(got, want)

    def test_begun_anew_it_is_moved_aside_once_however_many_workers_die_over_it(
        self, workers: str, poison: Path, here: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sen_bench.runs.folder._RELEASE_SECONDS", 0.1)
        model = "tests.support.faulty_models:Mortal"
        options = ("--preset", "tiny.toml", "--models", model, "--device", "cpu", "--cluster", workers)
        folder = here / "runs/2d-shapes/train/tests.support.faulty_models-Mortal/tiny/seed-0"
        assert invoke("run", "2d-shapes", *options, "--quiet").exit_code == 0
        with FileLock(folder.with_name(".seed-0.lock")):
            refused = invoke("run", "2d-shapes", *options, "--quiet", "--force")
            assert refused.exit_code == 1
            assert "another process is training" in refused.stderr
            assert not folder.with_name("seed-0.old-1").exists()
        poison.write_text("12")
        assert invoke("run", "2d-shapes", *options, "--quiet", "--force").exit_code == 0
        assert not poison.exists()
        assert (folder / "run.log").read_text().count("epoch 1/3") == 1, "it went on from its checkpoint"
        assert folder.with_name("seed-0.old-1").exists()
        assert not folder.with_name("seed-0.old-2").exists()

    def test_a_run_that_fails_does_not_stop_the_others(self, workers: str, here: Path) -> None:
        models = "tests.support.faulty_models:Raising,tests.support.faulty_models:Plain"
        options = ("--preset", "tiny.toml", "--models", models, "--device", "cpu", "--quiet")
        result = invoke("run", "2d-shapes", *options, "--cluster", workers)
        assert result.exit_code == 1
        assert set(pd.read_csv(here / "results/runs.csv")["model"]) == {"tests.support.faulty_models:Plain"}
        assert "IndexError: fell off the edge" in result.stderr

    def test_a_study_of_the_orbit_is_that_of_this_machine(
        self, workers: str, here: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (here / "tiny.toml").write_text(SLICED)
        options = ("--preset", "tiny.toml", "--models", "none", "--device", "cpu", "--quiet")
        study = ("study", "orbit", "--task", "2d-shapes", "--format", "svg", *options)
        with one_thread():
            done(*study, "--runs", "alone", "--results", "alone")
            done(*study, "--cluster", workers)
        for name in ("orbit.csv", "2d-shapes-tiny.csv", "2d-shapes-tiny.svg"):
            got, expected = (here / each / "studies/orbit" / name for each in ("results", "alone"))
            assert got.read_bytes() == expected.read_bytes(), name

        @contextmanager
        def unseen(folder: Path, work: str) -> Iterator[Token]:
            yield Token(folder / "on-another-disk" / "cluster-1", "1", work)

        # Workers that do not share the folder of runs: nothing is trained, scored or drawn.
        monkeypatch.setattr("sen_bench.sweep.dask_jobs.new_token", unseen)
        apart = invoke(*study, "--cluster", workers, "--runs", "apart", "--results", "apart")
        assert apart.exit_code == 1
        assert "the machines do not share that folder" in apart.stderr
        assert not list(here.glob("apart/**/*.c*"))

    def test_scores_by_class_that_cannot_be_computed_here_are_refused_first(self, here: Path) -> None:
        (here / "tiny.toml").write_text(SLICED)
        study = ("study", "orbit", "--task", "2d-shapes", "--preset", "tiny.toml", "--precision", "tf32")
        line = refused(*study, "--device", "cuda", "--cluster", "tcp://nobody:1")
        assert "scores by class are computed on the CPU of this machine" in line

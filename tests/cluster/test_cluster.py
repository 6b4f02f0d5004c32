"""Generation on a cluster gives the bytes of this machine, whatever happens to workers, or says why not."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask
import distributed
import pytest
from click.testing import CliRunner

from sen_bench.cli.main import main
from sen_bench.cluster import SlurmOptions, Token, client
from sen_bench.cluster.slurm import make_slurm_cluster
from sen_bench.errors import ClusterError, ConfigError, MissingExtraError
from sen_bench.generators import Recipe, generate
from sen_bench.generators import cluster as module
from sen_bench.generators.cluster import on_cluster
from sen_bench.generators.workers import FinishedShards
from sen_bench.store import FileRecord, Receipt
from tests.paths import ROOT
from tests.support.datasets import SHARDED, left_behind, tree
from tests.support.mortal_world import MORTAL, VARIABLE
from tests.support.recorder import Recorder

RECIPE = replace(SHARDED, world_id=MORTAL)
OPTIONS = SlurmOptions(jobs=2, cores=4, memory="8 GB")


@pytest.fixture(scope="module")
def poison(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Written, it kills the worker that draws next. The workers inherit its name."""
    path = tmp_path_factory.mktemp("mortal") / "poison"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, str(path))
        yield path


@pytest.fixture(scope="module")
def workers(poison: Path) -> Iterator[distributed.LocalCluster]:
    """A scheduler and two worker processes."""
    assert not poison.exists()
    # A killed worker comes back; on a busy machine that takes longer than a LocalCluster waits by default.
    with (
        dask.config.set({"distributed.deploy.lost-worker-timeout": "5 minutes"}),
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            silence_logs=50,
            dashboard_address=":0",
        ) as cluster,
    ):
        yield cluster


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return tree(generate(RECIPE, tmp_path_factory.mktemp("local") / "eval.zarr").path)


def address(workers: distributed.LocalCluster) -> str:
    return str(workers.scheduler_address)


@pytest.mark.slow
class TestOnWorkers:
    def test_the_bytes_are_those_of_this_machine(
        self, workers: distributed.LocalCluster, expected: dict[str, bytes], tmp_path: Path
    ) -> None:
        with on_cluster(address(workers)) as run:
            result = generate(RECIPE, tmp_path / "eval.zarr", run=run)
        assert result.created
        assert tree(result.path) == expected
        assert left_behind(tmp_path) == ["eval.zarr"]

    def test_a_worker_killed_in_the_middle_of_a_shard(
        self,
        workers: distributed.LocalCluster,
        expected: dict[str, bytes],
        poison: Path,
        tmp_path: Path,
    ) -> None:
        poison.write_text("")
        with on_cluster(address(workers)) as run:
            result = generate(RECIPE, tmp_path / "eval.zarr", run=run)
        assert not poison.exists()
        assert tree(result.path) == expected

    def test_what_a_killed_worker_left_half_written(
        self, workers: distributed.LocalCluster, expected: dict[str, bytes], tmp_path: Path
    ) -> None:
        with on_cluster(address(workers)) as run:

            def littered(root: Path, recipe: Recipe, ranges: Sequence[tuple[int, int]]) -> FinishedShards:
                (root / "observation" / "0.0123456789abcdef.partial").write_text("half")
                yield from run(root, recipe, ranges)

            assert tree(generate(RECIPE, tmp_path / "eval.zarr", run=littered).path) == expected

    def test_workers_that_die_again_and_again(
        self, workers: distributed.LocalCluster, poison: Path, tmp_path: Path, expected: dict[str, bytes]
    ) -> None:
        before = workers.scheduler.allowed_failures
        workers.scheduler.allowed_failures = 0
        poison.write_text("")
        try:
            with on_cluster(address(workers)) as run, pytest.raises(ClusterError, match="again and again"):
                generate(RECIPE, tmp_path / "eval.zarr", run=run)
        finally:
            workers.scheduler.allowed_failures = before
        assert tree(generate(RECIPE, tmp_path / "eval.zarr").path) == expected

    def test_an_interrupt_keeps_what_is_finished(
        self, workers: distributed.LocalCluster, expected: dict[str, bytes], tmp_path: Path
    ) -> None:
        def interrupt(done: int, total: int) -> None:
            if 0 < done < total:
                raise KeyboardInterrupt

        recorder = Recorder()
        with on_cluster(address(workers)) as run:
            with pytest.raises(KeyboardInterrupt):
                generate(RECIPE, tmp_path / "eval.zarr", run=run, progress=Recorder(advanced=interrupt))
            assert not list(tmp_path.rglob("cluster-*"))
            # Workers go on with it, or this machine does: the bytes are the same.
            result = generate(RECIPE, tmp_path / "eval.zarr", progress=recorder)
        assert recorder.messages == ["resuming: 1 of 5 shards are there"]
        assert tree(result.path) == expected

    def test_an_error_of_a_shard_is_that_error(
        self, workers: distributed.LocalCluster, tmp_path: Path
    ) -> None:
        recipe = replace(RECIPE, world_options={"fails": "raise"})
        with on_cluster(address(workers)) as run, pytest.raises(RuntimeError, match="fell off the edge"):
            generate(recipe, tmp_path / "eval.zarr", run=run)

    def test_the_command(
        self, workers: distributed.LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        command = ["generate", "2d-shapes", "--split", "eval", "--episodes", "9", "--quiet", "--out"]
        there = CliRunner().invoke(main, [*command, "there", "--cluster", address(workers)])
        assert there.exit_code == 0, there.output
        here = CliRunner().invoke(main, [*command, "here", "--workers", "1"])
        assert here.exit_code == 0, here.output
        name = "2d-shapes/eval.zarr"
        assert tree(tmp_path / "there" / name) == tree(tmp_path / "here" / name)

    def test_workers_with_another_version(
        self, workers: distributed.LocalCluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(client, "__version__", "99.0")
        with (
            pytest.raises(ClusterError, match=r"has sen-bench .*; install 99\.0 there"),
            on_cluster(address(workers)),
        ):
            pass


@pytest.fixture
def order(tmp_path: Path) -> module._Order:
    """What a worker gets, with a store that is there."""
    (tmp_path / "store").mkdir()
    (tmp_path / "token").write_text("abc")
    token = Token(tmp_path / "token", "abc", "generation")
    return module._Order(tmp_path / "store", RECIPE, token, module._versions(RECIPE))


class TestAWorker:
    def test_that_does_not_see_the_folder(self, order: module._Order) -> None:
        order.root.rmdir()
        with pytest.raises(ClusterError, match="use a folder that all machines share"):
            module._make_shard(order, 0, 5)

    @pytest.mark.parametrize("text", ["", "of another generation"])
    def test_that_sees_another_folder_of_that_name(self, order: module._Order, text: str) -> None:
        order.token.path.write_text(text) if text else order.token.path.unlink()
        with pytest.raises(ClusterError, match="does not see"):
            module._make_shard(order, 0, 5)

    @pytest.mark.parametrize("library", ["generator", "numpy"])
    def test_with_other_versions(self, order: module._Order, library: str) -> None:
        other = replace(order, versions={**order.versions, library: "0.1"})
        with pytest.raises(ClusterError, match=f"has {library} .* instead of 0.1"):
            module._make_shard(other, 0, 5)

    def test_whose_files_are_not_seen_here(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "_VISIBLE", 0)
        receipt = Receipt("seed", 0, {"seed/c/0": FileRecord(8, "")}, b"")
        with pytest.raises(ClusterError, match="it is not seen here"):
            module._await_files(tmp_path, [receipt])


class TestReachingACluster:
    def test_nobody_answers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(client, "_CONNECT", 1)
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # and does not listen
            where = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
            with (
                pytest.raises(ClusterError, match="no Dask scheduler answers at") as caught,
                on_cluster(where),
            ):
                pass
        assert "\n" not in str(caught.value)

    def test_dask_is_not_installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "distributed", None)
        with (
            pytest.raises(MissingExtraError, match=r"pip install 'sen-bench\[cluster\]'"),
            on_cluster("tcp://x:1"),
        ):
            pass

    def test_options_and_slurm_go_together(self) -> None:
        with pytest.raises(ClusterError, match="SLURM needs options"), on_cluster("slurm"):
            pass
        with (
            pytest.raises(ClusterError, match="options are for 'slurm' only"),
            on_cluster("tcp://x:1", OPTIONS),
        ):
            pass

    def test_the_command_wants_a_cluster_for_its_options(self) -> None:
        result = CliRunner().invoke(main, ["generate", "2d-shapes", "--cluster-options", "x.toml"])
        assert result.exit_code == 2
        assert result.stderr == "error: --cluster-options needs --cluster slurm\n"

    def test_nothing_of_it_is_loaded_unasked(self) -> None:
        code = "import sys, sen_bench.cli.main, sen_bench.generators.cluster; print(*sys.modules)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        loaded = set(done.stdout.split())
        assert not {"dask", "distributed", "dask_jobqueue", "h5py", "aiohttp"} & loaded


class TestSlurm:
    def test_ctrl_c_stays_what_it_is(self, tmp_path: Path) -> None:
        """Importing dask-jobqueue by itself would have it end the process as if all were done."""
        code = """
import signal, sys
from pathlib import Path
from sen_bench.cluster.slurm import SlurmOptions, make_slurm_cluster

make_slurm_cluster(SlurmOptions(jobs=1, cores=1, memory="1 GB"), Path(sys.argv[1])).close()
assert "dask_jobqueue.runner" in sys.modules
signal.raise_signal(signal.SIGINT)
"""
        command = [sys.executable, "-c", code, str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.stderr.endswith("KeyboardInterrupt\n")

    def test_options_come_from_toml(self, tmp_path: Path) -> None:
        file = tmp_path / "slurm.toml"
        file.write_text('jobs = 2\ncores = 4\nmemory = "8 GB"\n')
        assert SlurmOptions.read(file) == OPTIONS

    @pytest.mark.parametrize(
        ("text", "complaint"),
        [
            ('jobs = 2\ncores = 4\nmemory = "8 GB"\npartition = "long"', "partition: Extra inputs"),
            ("jobs = 0\ncores = 4\nmemory = '8 GB'", "jobs: Input should be greater than 0"),
            ("jobs = 2\ncores = 4", "memory: Field required"),
            ("jobs = ", "are not TOML"),
        ],
    )
    def test_wrong_options_are_refused(self, tmp_path: Path, text: str, complaint: str) -> None:
        file = tmp_path / "slurm.toml"
        file.write_text(text)
        with pytest.raises(ConfigError, match=complaint) as caught:
            SlurmOptions.read(file)
        assert "\n" not in str(caught.value)
        with pytest.raises(ConfigError, match="cannot read"):
            SlurmOptions.read(tmp_path / "none.toml")

    def test_the_job_script(self, tmp_path: Path) -> None:
        options = SlurmOptions(
            jobs=2,
            cores=4,
            memory="8 GB",
            queue="short",
            account="physics",
            walltime="01:30:00",
            job_extra_directives=["--constraint=skylake"],
            job_script_prologue=["module load python"],
        )
        with contextlib.closing(make_slurm_cluster(options, tmp_path)) as cluster:
            lines = cluster.job_script().splitlines()
        for line in (
            "#SBATCH -J sen-bench",
            "#SBATCH -p short",
            "#SBATCH -A physics",
            "#SBATCH --cpus-per-task=4",
            "#SBATCH --mem=8G",
            "#SBATCH -t 01:30:00",
            "#SBATCH --constraint=skylake",
            "module load python",
        ):
            assert line in lines
        # Four processes of one thread.
        assert "--nthreads 1 --memory-limit 1.86GiB --nworkers 4" in lines[-1]
        assert lines[-1].startswith(f"{sys.executable} -m distributed.cli.dask_worker")

    def test_only_those_with_its_certificate_can_talk_to_it(self, tmp_path: Path) -> None:
        with contextlib.closing(make_slurm_cluster(OPTIONS, tmp_path)) as cluster:
            address = cluster.scheduler_address
            assert address.startswith("tls://")
            script = cluster.job_script()
            assert "--tls-key" in script
            assert "--dashboard-address 127.0.0.1:0" in script
            for file in tmp_path.iterdir():
                assert file.stat().st_mode & 0o077 == 0, "others could read the key"
            assert [host for host, _ in web_servers(cluster)] == ["127.0.0.1"]
            refused = client._client_class("a test")  # closed at once, as Dask's own is not
            for stranger in (address, address.replace("tls://", "tcp://")):
                with pytest.raises((OSError, TypeError, ValueError)):
                    refused(stranger, timeout=2, set_as_default=False)
            with distributed.Client(cluster, timeout=10, set_as_default=False) as ours:
                assert ours.scheduler_info()["address"] == address

    def test_an_address_in_the_clear_is_said(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(client, "_CONNECT", 0.5)
        said: list[str] = []
        nobody, without = "no Dask scheduler answers at", "needs certificates: give --tls-ca"
        for address, lines, error in (
            ("tcp://127.0.0.1:9", 1, nobody), ("127.0.0.1:9", 1, nobody), ("tls://127.0.0.1:9", 0, without)
        ):  # fmt: skip
            said.clear()
            with (
                pytest.raises(ClusterError, match=error),
                client.connected(address, None, said.append, work="a test"),
            ):
                pass
            assert len(said) == lines
            assert all("can run code as you; use tls://" in line for line in said)

    def test_where_there_is_none(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        file = tmp_path / "slurm.toml"
        file.write_text('jobs = 2\ncores = 4\nmemory = "8 GB"\n')
        result = CliRunner().invoke(
            main, ["generate", "2d-shapes", "--cluster", "slurm", "--cluster-options", str(file)]
        )
        assert result.exit_code == 2
        assert result.stderr.splitlines()[-1] == (
            "error: there is no SLURM here: the command sbatch is not found; use a login node"
        )

    def test_jobs_that_it_refuses(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        _command(tmp_path / "sbatch", "echo 'sbatch: error: invalid partition' >&2\nexit 1")
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
        with (
            pytest.raises(ClusterError, match="SLURM refuses the job: sbatch: error: invalid partition"),
            on_cluster("slurm", OPTIONS),
        ):
            pass

    @pytest.mark.slow
    def test_jobs_that_it_runs(
        self, expected: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """A stand-in for SLURM starts what it is given at once."""
        bin_folder = tmp_path / "bin"
        bin_folder.mkdir()
        _command(
            bin_folder / "sbatch",
            f"""[ "$1" = --test-only ] && exit 0
            cp "$1" {tmp_path}/job  # SLURM keeps a copy too; Dask deletes its own at once
            bash {tmp_path}/job > {tmp_path}/log 2>&1 &
            echo $! > {tmp_path}/pid
            echo Submitted batch job 17""",
        )
        _command(bin_folder / "scancel", f"kill $(cat {tmp_path}/pid)")
        monkeypatch.setenv("PATH", f"{bin_folder}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setenv("PYTHONPATH", str(ROOT))
        options = SlurmOptions(jobs=1, cores=2, memory="2 GB", interface="lo")
        with on_cluster("slurm", options) as run:
            assert tree(generate(RECIPE, tmp_path / "eval.zarr", run=run).path) == expected


def web_servers(cluster: Any) -> list[tuple[str, int]]:
    """Where Dask's web page of a scheduler can be reached."""
    server = cluster.scheduler.http_server
    return [socket_.getsockname()[:2] for socket_ in server._sockets.values()]


def _command(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/bash\n{script}\n")
    path.chmod(0o755)

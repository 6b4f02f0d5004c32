"""Workers as SLURM jobs: what may be asked for, and starting them with dask-jobqueue."""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sen_bench.errors import ClusterError, ConfigError, MissingExtraError, first_problem

if TYPE_CHECKING:
    from dask_jobqueue import SLURMCluster
    from distributed.security import Security


# Of this machine only, at any free port: on a login node somebody else's cluster may be using the usual one.
_WEB_PAGE = "127.0.0.1:0"


class SlurmOptions(BaseModel):
    """What to ask SLURM for. The names are those of `dask_jobqueue.SLURMCluster`; others are refused.

    Dask looks up what is not given in its own configuration (`jobqueue.slurm`), where a site may set it.

    Attributes:
        jobs: How many jobs.
        cores: Cores of each job.
        memory: Memory of each job, "16 GB".
        processes: Worker processes of each job; a process makes one shard at a time.  [default: cores]
        queue: Partition.
        account: Account that pays.
        walltime: Longest duration of a job, "02:00:00".
        job_name: Name of the jobs.
        job_extra_directives: Further lines for `#SBATCH`, such as "--constraint=skylake".
        job_directives_skip: Lines with these words are left out, such as "--mem" where a site refuses it.
        job_script_prologue: Lines of shell before the worker starts, such as "module load python".
        job_cpu: Cores to ask for, if other than `cores`.
        job_mem: Memory to ask for, if other than `memory`.
        log_directory: Where the jobs' output goes.
        local_directory: Where workers keep temporary files.
        interface: Network interface, such as "ib0".
        python: Python of the workers.  [default: this one]
        death_timeout: Seconds after which a worker without a scheduler ends.
        worker_extra_args: Further arguments of `dask worker`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    jobs: Annotated[int, Field(gt=0)]
    cores: Annotated[int, Field(gt=0)]
    memory: str
    processes: Annotated[int, Field(gt=0)] | None = None
    queue: str | None = None
    account: str | None = None
    walltime: str | None = None
    job_name: str = "sen-bench"
    job_extra_directives: list[str] | None = None
    job_directives_skip: list[str] | None = None
    job_script_prologue: list[str] | None = None
    job_cpu: Annotated[int, Field(gt=0)] | None = None
    job_mem: str | None = None
    log_directory: str | None = None
    local_directory: str | None = None
    interface: str | None = None
    python: str | None = None
    death_timeout: Annotated[int, Field(gt=0)] | None = None
    worker_extra_args: list[str] | None = None

    @classmethod
    def read(cls, path: Path) -> SlurmOptions:
        """Reads a TOML file.

        Raises:
            ConfigError: It cannot be read, is not TOML, or has a key or value that is not allowed.
        """
        try:
            return cls.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot read the cluster options {path}: {error}") from error
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"cluster options {path} are not TOML: {error}") from error
        except ValidationError as error:
            raise ConfigError(f"cluster options {path}: {first_problem(error)}") from error


def make_slurm_cluster(options: SlurmOptions, credentials: Path) -> SLURMCluster:
    """Makes a cluster that has not asked for a job yet.

    Whoever can talk to a Dask scheduler or worker can run code as its user, and a login node has many users.
    So scheduler, workers and client know each other by a certificate that is made for this cluster alone,
    all they say is encrypted, and the web pages of Dask, which are neither, are for their own machine only.

    Args:
        options: What to ask SLURM for.
        credentials: A folder of this user's alone that the jobs see; the certificate and its key are in it
            for as long as the cluster is.

    Raises:
        ClusterError: Dask does not understand a value.
        MissingExtraError: The package that makes certificates is not installed.
    """
    slurm_cluster = _slurm_cluster()
    given = options.model_dump(exclude={"jobs"}, exclude_none=True)
    workers = [*(options.worker_extra_args or []), "--dashboard-address", _WEB_PAGE]
    ours = {
        "processes": options.cores,
        "scheduler_options": {"dashboard_address": _WEB_PAGE},
        "security": _security(credentials),
    }
    try:
        return slurm_cluster(**{**ours, **given, "worker_extra_args": workers})
    except (ValueError, RuntimeError) as error:
        raise ClusterError(
            f"Dask cannot start a SLURM cluster with these options: {' '.join(str(error).split())}"
        ) from error


def _slurm_cluster() -> type[SLURMCluster]:
    """Dask's class of SLURM clusters, without what importing it does to Ctrl-C.

    Once it is imported, SIGINT ends the process as if it had succeeded: without a word, and with exit code 0.
    """
    handler = signal.getsignal(signal.SIGINT)
    try:
        from dask_jobqueue import SLURMCluster  # noqa: PLC0415 — an optional package
    finally:
        signal.signal(signal.SIGINT, handler)
    return cast("type[SLURMCluster]", SLURMCluster)


def _security(folder: Path) -> Security:
    """Makes a certificate and its key, by which the parts of one cluster know each other.

    Args:
        folder: Where they are put.

    Raises:
        MissingExtraError: The package that makes certificates is not installed.
    """
    from distributed.security import Security  # noqa: PLC0415 — an optional package

    try:
        temporary = Security.temporary()
    except ImportError as error:
        raise MissingExtraError("a safe SLURM cluster", "cluster") from error
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    for path, text in ((certificate, temporary.tls_ca_file), (key, temporary.tls_worker_key)):
        path.touch(mode=0o600)
        path.write_text(text)
    parts = {
        f"tls_{role}_{part}": str(path)
        for role in ("client", "scheduler", "worker")
        for part, path in (("cert", certificate), ("key", key))
    }
    return Security(require_encryption=True, tls_ca_file=str(certificate), **parts)


@contextmanager
def start_slurm(options: SlurmOptions) -> Iterator[SLURMCluster]:
    """Asks SLURM for jobs, and cancels them at the end.

    Raises:
        ClusterError: There is no SLURM here, or it refuses such jobs.
    """
    if shutil.which("sbatch") is None:
        raise ClusterError("there is no SLURM here: the command sbatch is not found; use a login node")
    # Below the current folder, which the jobs see, or they would not find what they are to work on.
    with tempfile.TemporaryDirectory(prefix=".sen-bench-tls-", dir=Path.cwd()) as credentials:
        cluster = make_slurm_cluster(options, Path(credentials))
        try:
            _check_accepted(cluster)
            # Jobs that end before the work does, for want of walltime or because a node fails, are replaced.
            cluster.adapt(minimum_jobs=options.jobs, maximum_jobs=options.jobs)
            yield cluster
        finally:
            cluster.close()


def _check_accepted(cluster: SLURMCluster) -> None:
    """Has SLURM check the job, because Dask only logs a refusal and then waits for ever.

    Raises:
        ClusterError: It would refuse it.
    """
    done = subprocess.run(
        ["sbatch", "--test-only"],  # noqa: S607 — as dask-jobqueue calls it
        input=cluster.job_script(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        reason = " ".join((done.stderr or done.stdout).split())
        raise ClusterError(f"SLURM refuses the job: {reason or f'exit code {done.returncode}'}")

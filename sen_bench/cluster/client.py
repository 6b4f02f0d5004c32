"""Connecting to a cluster: finding or starting its scheduler, and checking the version of its workers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sen_bench._version import __version__
from sen_bench.cluster.slurm import SlurmOptions, start_slurm
from sen_bench.cluster.tls import TLS, TlsFiles
from sen_bench.errors import ClusterError, MissingExtraError

if TYPE_CHECKING:
    import distributed

SLURM = "slurm"
"""Given instead of an address: start workers as SLURM jobs."""

# Seconds to wait for an answer from the scheduler.
_CONNECT = 15
# Addresses that only those can reach who are meant to.
_SAFE = (TLS, "inproc://")


@contextmanager
def connected(
    where: str,
    options: SlurmOptions | None = None,
    notice: Callable[[str], None] = lambda _line: None,
    *,
    work: str,
    tls: TlsFiles | None = None,
) -> Iterator[distributed.Client]:
    """Connects to a cluster, and disconnects from it.

    Args:
        where: The address of a Dask scheduler, "tls://host:8786", or "slurm".
        options: What to ask SLURM for.
        notice: Called with lines that a person should read, such as that there is no worker yet.
        work: What the cluster is for, as the beginning of a sentence.
        tls: The certificates for a "tls://" address. None: those of Dask's own configuration,
            ``distributed.comm.tls``.

    Raises:
        ClusterError: The cluster cannot be reached or started, or a worker has another version of sen-bench.
        MissingExtraError: Dask is not installed.
    """
    client_class = _client_class(work)
    if (where == SLURM) != (options is not None):
        raise ClusterError(
            "SLURM needs options, at least jobs, cores and memory: give a TOML file"
            if where == SLURM
            else f"options are for {SLURM!r} only; workers at {where!r} are there already"
        )
    with contextlib.ExitStack() as stack:
        address: object = where
        if options is not None:
            address = stack.enter_context(start_slurm(options))
        elif not where.startswith(_SAFE):
            notice(
                f"{where} is neither encrypted nor closed to others: whoever reaches that scheduler"
                " can run code as you; use tls:// (see docs/clusters.md)"
            )
        try:
            client = stack.enter_context(
                client_class(
                    address,
                    timeout=_CONNECT,
                    set_as_default=False,
                    security=None if tls is None else tls.security(),
                )
            )
        except TypeError as error:  # no certificates
            raise ClusterError(
                f"{where} needs certificates: give --tls-ca, --tls-cert and --tls-key, or name them in the"
                " configuration of Dask (see docs/clusters.md)"
            ) from error
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise ClusterError(f"no Dask scheduler answers at {where} ({reason})") from error
        _check_versions(client)
        if not client.scheduler_info(n_workers=-1)["workers"]:
            notice("the cluster has no worker yet; waiting for one")
        yield client


def _client_class(work: str) -> type[distributed.Client]:
    """Dask's client, which closes itself at once if it cannot connect.

    Dask leaves that to when the object is thrown away. If that happens while another client starts in the
    same process, each waits for the other for ever.

    Args:
        work: What the cluster is for, as the beginning of a sentence.

    Raises:
        MissingExtraError: Dask is not installed.
    """
    try:
        import distributed  # noqa: PLC0415 — an optional package
    except ImportError as error:
        raise MissingExtraError(f"{work} on a cluster", "cluster") from error

    class ClosedIfRefused(distributed.Client):  # type: ignore[misc]  # untyped
        def start(self, **kwargs: Any) -> None:  # noqa: ANN401 — whatever Dask gives itself
            try:
                super().start(**kwargs)
            except BaseException:
                with contextlib.suppress(OSError):  # why it was refused is what to tell
                    self.close()
                raise

    return ClosedIfRefused


def _check_versions(client: distributed.Client) -> None:
    """Makes sure that the workers present have our version of sen-bench.

    Raises:
        ClusterError: A worker has no sen-bench, or another version.
    """
    found = client.get_versions(packages=["sen_bench"])["workers"]
    for address, versions in found.items():
        theirs = versions["packages"].get("sen_bench")
        if theirs != __version__:
            raise ClusterError(
                f"the worker at {address} has {'sen-bench ' + theirs if theirs else 'no sen-bench'}; install"
                f" {__version__} there, as it is here"
            )

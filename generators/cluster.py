"""Running the shards of a dataset on the workers of a Dask cluster, which see the same file system.

One task is one whole shard. A lost worker costs only the shard that it was making: the scheduler gives that
to another. What a worker writes is what we would have written, because it must have our versions.
"""

from __future__ import annotations

import functools
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sen_bench.cluster import SlurmOptions, TlsFiles, Token, connected, new_token
from sen_bench.envs import make_world
from sen_bench.errors import ClusterError
from sen_bench.generators.recipe import GENERATOR_VERSION, Recipe
from sen_bench.generators.shards import ShardMaker, library_versions
from sen_bench.generators.workers import FinishedShards, RunShards
from sen_bench.store import Receipt
from sen_bench.system import QUIET, Progress

if TYPE_CHECKING:
    import distributed

# Seconds within which one machine must see what another wrote: network file systems cache up to a minute.
_VISIBLE = 90
# A process makes one shard at a time, however many threads it was given: worlds are not thread-safe.
_ONE_AT_A_TIME = threading.Lock()


@contextmanager
def on_cluster(
    where: str,
    options: SlurmOptions | None = None,
    progress: Progress = QUIET,
    *,
    tls: TlsFiles | None = None,
) -> Iterator[RunShards]:
    """Connects to a cluster, and disconnects from it.

    Args:
        where: The address of a Dask scheduler, "tls://host:8786", or "slurm".
        options: What to ask SLURM for.
        progress: Is told that there is no worker yet.
        tls: The certificates for a "tls://" address. None: those of Dask's own configuration.

    Yields:
        What `generate` takes as its `run`.

    Raises:
        ClusterError: The cluster cannot be reached or started, or a worker has another version of sen-bench.
        MissingExtraError: Dask is not installed.
    """
    with connected(where, options, progress.message, work="generation", tls=tls) as client:
        yield shards_on(client)


def shards_on(client: distributed.Client) -> RunShards:
    """What `generate` takes as its `run`, if the cluster is also used for other things."""
    return functools.partial(_run_shards, client)


@dataclass(frozen=True)
class _Order:
    """What a worker needs to know besides the episodes.

    Args:
        root: The store.
        recipe: What to generate.
        token: Shows whether somebody is still waiting for the shards.
        versions: What the bytes depend on: our versions.
    """

    root: Path
    recipe: Recipe
    token: Token
    versions: dict[str, str]


def _run_shards(
    client: distributed.Client, root: Path, recipe: Recipe, ranges: Sequence[tuple[int, int]]
) -> FinishedShards:
    """Makes every shard; yields each range with its receipts when it is done, in no fixed order.

    Raises:
        ClusterError: A worker does not see our files or has other versions, or workers died again and again.
        Exception: Whatever a shard raises; the other tasks are cancelled first.
    """
    from distributed import KilledWorker, as_completed  # noqa: PLC0415 — an optional package

    with new_token(root.parent, "generation") as token:
        order = _Order(root, recipe, token, _versions(recipe))
        futures = {
            client.submit(
                _make_shard, order, *episodes, key=f"sen-bench-{token.text}-{episodes[0]}", pure=False
            ): episodes
            for episodes in ranges
        }
        try:
            for future in as_completed(list(futures), loop=client.loop):
                receipts = future.result()
                _await_files(root, receipts)
                yield futures[future], receipts
            # What was left by workers that were killed while writing.
            for partial in root.rglob("*.partial"):
                partial.unlink(missing_ok=True)
        except KilledWorker as error:
            raise ClusterError(
                "workers died again and again while they made a shard, perhaps for want of memory; give them"
                " more and try again"
            ) from error
        except CancelledError as error:
            raise ClusterError(
                "the scheduler was lost; give the same command again when it is back"
            ) from error
        except ImportError as error:
            raise ClusterError(f"a worker cannot import what it needs ({error}); install it there") from error
        finally:
            client.cancel(list(futures))


def _versions(recipe: Recipe) -> dict[str, str]:
    """Everything that decides the bytes besides the recipe."""
    world = make_world(recipe.world_id, **recipe.world_options)
    return {"generator": str(GENERATOR_VERSION), **library_versions(world)}


def _await_files(root: Path, receipts: Sequence[Receipt]) -> None:
    """Waits until the files of a shard are visible here.

    Raises:
        ClusterError: They do not appear.
    """
    deadline = time.monotonic() + _VISIBLE
    for receipt in receipts:
        for name, record in receipt.files.items():
            while not ((root / name).is_file() and (root / name).stat().st_size == record.size):
                if time.monotonic() > deadline:
                    raise ClusterError(
                        f"a worker wrote {root / name}, but it is not seen here; use a folder that all"
                        " machines share"
                    )
                time.sleep(0.2)


def _make_shard(order: _Order, start: int, stop: int) -> list[Receipt]:
    """The task: makes one shard on a worker.

    Raises:
        ClusterError: The worker does not see the client's files, or has other versions.
    """
    host = socket.gethostname()
    if not order.root.is_dir():
        raise ClusterError(
            f"the worker on {host} does not see {order.root}; use a folder that all machines share"
        )
    order.token.check()
    ours = _versions(order.recipe)
    for name, version in order.versions.items():
        if ours.get(name) != version:
            raise ClusterError(
                f"the worker on {host} has {name} {ours.get(name)} instead of {version}; install the same"
                " versions everywhere, or the bytes may differ"
            )
    with _ONE_AT_A_TIME:
        maker = ShardMaker(order.root, order.recipe, order.token.check)
        return maker.make(start, stop)

"""How commands carry out many runs: after a plan, one by one, side by side or on a cluster."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import sen_bench.cluster
import sen_bench.sweep
import sen_bench.system
from sen_bench.cli.console import EXIT_FAILED
from sen_bench.cli.options import available_cores, cluster_options, trackers_of, workers_option
from sen_bench.cli.plan_table import format_plan
from sen_bench.errors import ConfigError
from sen_bench.system import number_of

if TYPE_CHECKING:
    import torch

    from sen_bench.cluster import TlsFiles
    from sen_bench.runs import Run
    from sen_bench.sweep import Outcome
    from sen_bench.system import Terminal


@dataclass(frozen=True)
class Carried:
    """What became of runs that were carried out.

    Attributes:
        failed: Those that failed.
        total: How many there were to do.
        again: Whether they were started afresh.
    """

    failed: Sequence[Outcome]
    total: int
    again: bool

    def end(self, context: click.Context, terminal: Terminal) -> None:
        """Ends the command, if some failed: names them, with their logs."""
        if not self.failed:
            return
        command = "the same command without --force" if self.again else "the same command"
        terminal.message(
            f"{len(self.failed)} of {number_of(self.total, 'run')} failed; {command} tries them again:"
        )
        for outcome in self.failed:
            log = outcome.run.log
            where = f" (log: {log})" if log.exists() else ""
            terminal.message(f"  {outcome.run.name}: {outcome.error}{where}")
        context.exit(EXIT_FAILED)


@dataclass(frozen=True)
class Sweeping:
    """How runs are carried out.

    Attributes:
        device: The device that was asked for.
        where: The address of a cluster, or "slurm"; None: this machine.
        slurm: The file of what to ask SLURM for, or None.
        tls: The files for a cluster at tls://…, or None.
        workers: Processes that generate data.
        jobs: Runs at the same time.
        trackers: The trackers that losses go to as well, by their names.
        force: Whether existing runs are moved aside.
        dry_run: Whether only the plan is printed.

    Raises:
        ConfigError: If options do not go together.
    """

    device: str
    where: str | None
    slurm: Path | None
    tls: TlsFiles | None
    workers: int
    jobs: int
    trackers: tuple[str, ...]
    force: bool
    dry_run: bool

    def __post_init__(self) -> None:
        if self.slurm is not None and self.where is None:
            raise ConfigError("--cluster-options needs --cluster slurm")
        if self.where is not None and self.jobs > 1:
            raise ConfigError(
                "--jobs is for this machine; a cluster does as many runs at once as it has workers"
            )

    def place(self) -> torch.device:
        """The device of the runs; on a cluster, as its workers will know it.

        Raises:
            ConfigError: If nobody can know which devices a cluster has.
        """
        if self.where is None:
            return sen_bench.system.resolve_device(self.device)
        if self.device not in {"cpu", "cuda"}:
            raise ConfigError(
                "the workers of a cluster decide which GPU they use: say --device cpu or cuda, not"
                f" {self.device}"
            )
        import torch  # noqa: PLC0415 — only now that there is work for it

        return torch.device(self.device)

    def carry_out(self, runs: Sequence[Run], terminal: Terminal) -> Carried | None:
        """Does runs after a plan, and names those that failed; only prints the plan if that was asked for.

        Args:
            runs: The runs, at least one.
            terminal: Shows how it goes.

        Returns:
            What became of them; None if only the plan was asked for.

        Raises:
            SenBenchError: If the plan cannot be made, the disk is too small, the tables cannot be written,
                or a run fails that is alone.
        """
        # Nobody here knows how many workers a cluster has, and which GPUs.
        known = None if self.where and self.device == "cuda" else sen_bench.system.device_name(runs[0].device)
        # It takes seconds a model, which is well spent only where nothing else is asked for.
        count = None
        if self.dry_run and self.where is None:
            threads = sen_bench.sweep.threads_per_job(self.jobs, available_cores())
            count = functools.partial(sen_bench.sweep.counted_seconds, threads=threads, progress=terminal)
        plan = sen_bench.sweep.make_plan(
            runs, jobs=None if self.where else self.jobs, force=self.force, device=known, count=count
        )
        text = format_plan(plan, on=self.where or str(known), workers=None if self.where else self.workers)
        if self.dry_run:
            click.echo(text)
            sen_bench.system.check_disk(plan.needs.disk)
            return None
        for line in text.splitlines():
            terminal.message(line)
        sen_bench.system.check_disk(plan.needs.disk)
        for folder in {run.workspace.results.path for run in plan.to_do}:
            sen_bench.system.check_output(folder, folder=True)
        for run in plan.done:
            terminal.message(f"{run.name}: already in {run.workspace.results.runs_csv}")
        with self._outcomes(plan.to_do, terminal, alone=len(runs) == 1) as outcomes:
            failed = _follow(outcomes, len(plan.to_do), terminal)
        return Carried(failed, len(plan.to_do), again=self.force)

    @contextmanager
    def _outcomes(self, runs: list[Run], terminal: Terminal, *, alone: bool) -> Iterator[Iterator[Outcome]]:
        """What does the runs: this process, several, or a cluster."""
        how: dict[str, Any] = {"log_to": self.trackers, "force": self.force, "progress": terminal}
        if not runs:
            yield iter(())
        elif self.where is not None:
            options = sen_bench.cluster.SlurmOptions.read(self.slurm) if self.slurm else None
            # Closed whatever happens to its consumer: only then are jobs stopped, while there is a client.
            with (
                sen_bench.cluster.connected(
                    self.where, options, terminal.message, work="a sweep", tls=self.tls
                ) as client,
                closing(sen_bench.sweep.on_workers(runs, client, **how)) as outcomes,
            ):
                yield outcomes
        elif self.jobs == 1:
            sen_bench.system.prepare_device(runs[0].device)
            yield sen_bench.sweep.one_by_one(runs, workers=self.workers, alone=alone, **how)
        else:
            threads = sen_bench.sweep.threads_per_job(self.jobs, available_cores())
            devices = sen_bench.system.resolve_devices(self.device)
            share = sen_bench.sweep.MachineShare(self.jobs, threads, devices, self.workers)
            with closing(sen_bench.sweep.side_by_side(runs, share, **how)) as outcomes:
                yield outcomes


def sweep_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """How runs are carried out, beside `settings_options` and `training_options`.

    The command takes ``how``, a `Sweeping`, in place of the device and of what these two say about it.
    """

    @functools.wraps(command)
    def wrapped(
        *positional: Any,  # noqa: ANN401
        log_to: tuple[tuple[str, ...], ...],
        tensorboard: bool,
        **named: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        own = ("device", "where", "slurm", "tls", "workers", "jobs", "force", "dry_run")
        given = {name: named.pop(name) for name in own}
        how = Sweeping(trackers=trackers_of(log_to, tensorboard=tensorboard), **given)
        return command(*positional, how=how, **named)

    decorated: Callable[..., Any] = wrapped
    for option in reversed(
        (
            workers_option,
            click.option(
                "--jobs",
                type=click.IntRange(min=1),
                default=1,
                show_default=True,
                help="Runs at the same time, each in a process with its share of the cores; GPUs are taken in"
                " turn.",
            ),
            cluster_options,
            click.option(
                "--dry-run",
                is_flag=True,
                help="Only print the plan: what is done, what will run, and how long it may take.",
            ),
        )
    ):
        decorated = option(decorated)
    return decorated


def _follow(outcomes: Iterator[Outcome], total: int, terminal: Terminal) -> list[Outcome]:
    """Reports what becomes of each run; returns those that failed."""
    failed = []
    for number, outcome in enumerate(outcomes, start=1):
        run = outcome.run
        state = "done" if outcome.new else f"already in {run.workspace.results.runs_csv}"
        if outcome.error is not None:
            state = f"FAILED: {outcome.error}"
            failed.append(outcome)
        terminal.message(f"[{number}/{total}] {run.name}: {state}")
    return failed

"""The command that runs the benchmark: one task, or every task."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import sen_bench.cluster
import sen_bench.results
import sen_bench.sweep
import sen_bench.system
from sen_bench.cli.console import EXIT_FAILED
from sen_bench.cli.leaderboard_table import format_table
from sen_bench.cli.options import (
    Names,
    SettingsCommand,
    available_cores,
    cluster_options,
    settings_options,
    trackers_of,
    training_options,
    workers_option,
)
from sen_bench.cli.plan_table import format_plan
from sen_bench.cli.run_commands import selection_of
from sen_bench.errors import ConfigError
from sen_bench.system import Terminal
from sen_bench.tasks import reference_model, task_names

if TYPE_CHECKING:
    import torch

    from sen_bench.cluster import TlsFiles
    from sen_bench.runs import Run
    from sen_bench.sweep import Outcome


@click.command("run", cls=SettingsCommand)
@click.argument("task", required=False)
@click.option("--all", "everything", is_flag=True, help="Every task, and every split to train on.")
@click.option("--tasks", type=Names(), metavar="TASK,...", help="These tasks, and every split to train on.")
@click.option(
    "--train-split",
    metavar="SPLIT",
    help="Split to train on.  [default: train; with --all or --tasks every one there is]",
)
@settings_options
@training_options
@workers_option
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Runs at the same time, each in a process with its share of the cores; GPUs are taken in turn.",
)
@cluster_options
@click.option(
    "--dry-run",
    is_flag=True,
    help="Only print the plan: what is done, what will run, and how long it may take.",
)
@click.pass_context
def run_command(
    context: click.Context,
    /,
    task: str | None,
    tasks: tuple[str, ...] | None,
    device: str,
    where: str | None,
    slurm: Path | None,
    tls: TlsFiles | None,
    workers: int,
    jobs: int,
    *,
    everything: bool,
    dry_run: bool,
    log_to: tuple[tuple[str, ...], ...],
    tensorboard: bool,
    force: bool,
    quiet: bool,
    **settings: Any,  # noqa: ANN401 — the options of settings_options, and whether to compile
) -> None:
    """Generate what is missing, train, score, and write the leaderboard of TASK, or of all tasks.

    What is already done is not done again. To resume an interrupted run, give the same command again. A run
    that fails does not stop the others; it is named at the end, and the exit code is 1.

    \b
    Examples:
      sen-bench run 3d-blocks --preset smoke
      sen-bench run --all --preset smoke --jobs 2
      sen-bench run --all --preset paper --device cuda --jobs 4 --dry-run
      sen-bench run --tasks 2d-shapes,3d-blocks --models sen,none --train-split train-limited
      sen-bench run 3d-blocks --models sen,none --seeds 0-2 --preset paper --device cuda
      sen-bench run 3d-blocks --preset smoke --set training.epochs=8 --set models.sen.hidden=64
      sen-bench run --all --preset paper --device cuda --cluster tls://10.0.0.1:8786 \\
        --tls-ca ca.pem --tls-cert cert.pem --tls-key key.pem
      sen-bench run 3d-blocks --preset smoke --log-to tensorboard,wandb
    """
    terminal = Terminal(quiet=quiet)
    trackers = trackers_of(log_to, tensorboard=tensorboard)
    if slurm is not None and where is None:
        raise ConfigError("--cluster-options needs --cluster slurm")
    if where is not None and jobs > 1:
        raise ConfigError("--jobs is for this machine; a cluster does as many runs at once as it has workers")
    several = _several(task, tasks, everything=everything)
    if not several and settings["train_split"] is None:
        settings["train_split"] = "train"
    selection = selection_of(
        tasks or ((task,) if task else None),
        _place(device, where),
        anew=force,
        elsewhere=where is not None,
        **settings,
    )
    runs = sen_bench.sweep.select_runs(selection, terminal)
    # Nobody here knows how many workers a cluster has, and which GPUs.
    known = None if where and device == "cuda" else sen_bench.system.device_name(runs[0].device)
    # It takes seconds a model, which is well spent only where nothing else is asked for.
    count = None
    if dry_run and where is None:
        threads = sen_bench.sweep.threads_per_job(jobs, available_cores())
        count = functools.partial(sen_bench.sweep.counted_seconds, threads=threads, progress=terminal)
    plan = sen_bench.sweep.make_plan(
        runs, jobs=None if where else jobs, force=force, device=known, count=count
    )
    text = format_plan(plan, on=where or str(known), workers=None if where else workers)
    if dry_run:
        click.echo(text)
        sen_bench.system.check_disk(plan.needs.disk)
        return
    for line in text.splitlines():
        terminal.message(line)
    sen_bench.system.check_disk(plan.needs.disk)
    for run in plan.done:
        terminal.message(f"{run.name}: already in {run.workspace.results.runs_csv}")
    how: dict[str, Any] = {"alone": len(runs) == 1, "log_to": trackers, "force": force}
    with _outcomes(plan.to_do, device, where, slurm, tls, workers, jobs, terminal, **how) as outcomes:
        failed = _follow(outcomes, len(plan.to_do), terminal)
    results = selection.workspace.results
    if results.runs_csv.exists():
        table = sen_bench.results.leaderboard_records(results.refresh_leaderboard(reference_model))
        of_these = {run.task.name for run in runs}
        click.echo(format_table([row for row in table if row["task"] in of_these]))
    if failed:
        _report(failed, len(plan.to_do), terminal, force=force)
        context.exit(EXIT_FAILED)


def _several(task: str | None, tasks: tuple[str, ...] | None, *, everything: bool) -> bool:
    """Whether it is a sweep over tasks.

    Raises:
        ConfigError: If the options do not say, or say twice, what to run.
    """
    several = everything or tasks is not None
    if task is not None and several:
        raise ConfigError(f"give either {task} or --all or --tasks, not both")
    if task is None and not several:
        raise ConfigError(f"name a task, or give --all or --tasks; tasks: {', '.join(task_names())}")
    return several


def _place(device: str, where: str | None) -> torch.device:
    """The device of the runs; on a cluster, as its workers will know it.

    Raises:
        ConfigError: If nobody can know which devices a cluster has.
    """
    if where is None:
        return sen_bench.system.resolve_device(device)
    if device not in {"cpu", "cuda"}:
        raise ConfigError(
            f"the workers of a cluster decide which GPU they use: say --device cpu or cuda, not {device}"
        )
    import torch  # noqa: PLC0415 — only now that there is work for it

    return torch.device(device)


@contextmanager
def _outcomes(
    runs: list[Run],
    device: str,
    where: str | None,
    slurm: Path | None,
    tls: TlsFiles | None,
    workers: int,
    jobs: int,
    terminal: Terminal,
    *,
    alone: bool,
    log_to: tuple[str, ...],
    force: bool,
) -> Iterator[Iterator[Outcome]]:
    """What does the runs: this process, several, or a cluster."""
    how: dict[str, Any] = {"log_to": log_to, "force": force}
    if not runs:
        yield iter(())
    elif where is not None:
        options = sen_bench.cluster.SlurmOptions.read(slurm) if slurm else None
        # Closed whatever happens to its consumer: only then are jobs stopped, while there is a client.
        with (
            sen_bench.cluster.connected(where, options, terminal.message, work="a sweep", tls=tls) as client,
            closing(sen_bench.sweep.on_workers(runs, client, progress=terminal, **how)) as outcomes,
        ):
            yield outcomes
    elif jobs == 1:
        sen_bench.system.prepare_device(runs[0].device)
        yield sen_bench.sweep.one_by_one(runs, progress=terminal, workers=workers, alone=alone, **how)
    else:
        threads = sen_bench.sweep.threads_per_job(jobs, available_cores())
        share = sen_bench.sweep.MachineShare(jobs, threads, sen_bench.system.resolve_devices(device), workers)
        with closing(sen_bench.sweep.side_by_side(runs, share, progress=terminal, **how)) as outcomes:
            yield outcomes


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


def _report(failed: list[Outcome], total: int, terminal: Terminal, *, force: bool) -> None:
    """Names the runs that failed, with their logs."""
    command = "the same command without --force" if force else "the same command"
    terminal.message(f"{len(failed)} of {total} runs failed; {command} tries them again:")
    for outcome in failed:
        log = outcome.run.log
        where = f" (log: {log})" if log.exists() else ""
        terminal.message(f"  {outcome.run.name}: {outcome.error}{where}")

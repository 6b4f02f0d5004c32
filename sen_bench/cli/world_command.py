"""The command that checks worlds."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from sen_bench.errors import ConfigError
from sen_bench.system import shown

if TYPE_CHECKING:
    from sen_bench.checks import WorldReport

#: Exit code of a check that a world does not pass; a mistake of the user's has another.
EXIT_FAULTY = 1


@click.command("check-world")
@click.argument("world", metavar="MODULE:CLASS|ID")
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="KEY=VALUE",
    help="Option of the world, its value as JSON or plain text; repeat for several.",
)
@click.option(
    "--states",
    type=click.IntRange(min=4, max=10_000),
    default=16,
    show_default=True,
    help="States to try, each with an action.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    default=1e-9,
    show_default=True,
    help="Largest difference of floating-point states that counts as none; integers must be equal.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of states and actions."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def check_world_command(
    ctx: click.Context,
    world: str,
    options: tuple[str, ...],
    states: int,
    tolerance: float,
    seed: int,
    *,
    as_json: bool,
) -> None:
    """Check that a world keeps the contract on which datasets and models rely.

    WORLD is a class of your own, as package.module:Class, or the id of a registered world. Its dynamics must
    be equivariant under every element of its group (100 random ones of SO(3)), its functions of states pure
    and batched, its randomness seeded, its options enough to rebuild it; and Gymnasium's own checker must
    accept it. Each check is a line; if one fails, the line names the element, the state and the difference,
    and the exit code is 1.

    \b
    Examples:
      sen-bench check-world ring:Ring
      sen-bench check-world sen_bench/Teapot-v0 --option actions=small
      sen-bench check-world ring:Ring --states 100 --json
    """
    from sen_bench.checks import check_world  # noqa: PLC0415 — --help needs no worlds
    from sen_bench.envs import import_world  # noqa: PLC0415

    made = import_world(world, **dict(map(_option, options)))
    report = check_world(made, states=states, seed=seed, tolerance=tolerance)
    click.echo(_json(report) if as_json else _lines(report))
    if not report.passed:
        ctx.exit(EXIT_FAULTY)


def _option(text: str) -> tuple[str, Any]:
    """An option of a world: its name and its value.

    Raises:
        ConfigError: It has another form.
    """
    name, sign, value = text.partition("=")
    if not sign or not name.isidentifier():
        raise ConfigError(f"--option {text!r} has no name and value; write --option KEY=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _lines(report: WorldReport) -> str:
    """The report, and what it comes to."""
    failed = len(report.failures)
    verdict = f"{failed} of {len(report.findings)} checks failed" if failed else "keeps the contract"
    return f"{report}\n{shown(report.world_id)}: {verdict}"


def _json(report: WorldReport) -> str:
    findings = [asdict(finding) for finding in report.findings]
    return json.dumps({"world": report.world_id, "passed": report.passed, "findings": findings}, indent=2)

"""The command that examines the machine."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

import sen_bench.checks
from sen_bench.cli.options import data_option, quiet_option
from sen_bench.system import Terminal, shown

if TYPE_CHECKING:
    from sen_bench.checks import Finding

_SIGNS = {"works": "ok", "missing": "--", "broken": "!!", "fact": "  "}


@click.command("doctor")
@data_option
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@quiet_option
@click.pass_context
def doctor_command(ctx: click.Context, data: Path, *, as_json: bool, quiet: bool) -> None:
    """Find out what works on this machine, and what to install for the rest.

    Everything is tried, each part in a process of its own. The exit code is 0 if the core works and 1 if not;
    optional parts do not affect it.

    \b
    Examples:
      sen-bench doctor
      sen-bench doctor --json > machine.json
    """
    findings = sen_bench.checks.examine(data, Terminal(quiet=quiet))
    works = sen_bench.checks.core_works(findings)
    if as_json:
        click.echo(json.dumps({"core_works": works, "findings": list(map(asdict, findings))}, indent=2))
    else:
        click.echo(_text(findings))
        click.echo("\nthe core works" if works else "\nthe core does not work: see !! above")
    ctx.exit(0 if works else 1)


def _text(findings: list[Finding]) -> str:
    """The findings in words, section by section."""
    width = max(len(finding.name) for finding in findings)
    lines: list[str] = []
    section = ""
    for finding in findings:
        if finding.section != section:
            section = finding.section
            lines += ["", section] if lines else [section]
        lines.append(f"  {_SIGNS[finding.state]} {finding.name:<{width}}  {shown(finding.detail)}")
        if finding.remedy:
            lines.append(f"     {'':<{width}}  -> {finding.remedy}")
    return "\n".join(lines)

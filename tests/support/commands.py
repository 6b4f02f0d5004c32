"""The command line in this process, as the tests give it."""

from __future__ import annotations

from click.testing import CliRunner, Result

from sen_bench.cli.main import main


def invoke(*arguments: str) -> Result:
    """Runs a command line; what it does not turn into an exit code is raised."""
    result = CliRunner().invoke(main, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def done(*arguments: str) -> Result:
    """Runs a command line that must succeed."""
    result = invoke(*arguments)
    assert result.exit_code == 0, result.output
    return result


def refused(*arguments: str) -> str:
    """The one line that the mistake in a command line ends in."""
    result = invoke(*arguments)
    assert result.exit_code == 2, result.output
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, result.stderr
    assert "Traceback" not in result.output
    return lines[0]

"""What is said after Ctrl-C fits the command: only some have --force."""

from __future__ import annotations

from pathlib import Path

import pytest

from sen_bench.results.rows import append_rows
from tests.support.commands import invoke
from tests.support.rows import make_row


@pytest.mark.parametrize(
    ("command", "work", "hint"),
    [
        (("example", "sequence"), "sen_bench.examples.train_sequence_example", "give the same command again"),
        (("report",), "sen_bench.report.read_page_data", "give the same command again"),
        (
            ("run", "3d-blocks", "--preset", "smoke"),
            "sen_bench.sweep.select_runs",
            "give the same command again, without --force, to do only what is not finished",
        ),
        (
            ("study", "data", "--task", "3d-blocks", "--preset", "smoke"),
            "sen_bench.sweep.select_fractions",
            "give the same command again, without --force, to do only what is not finished",
        ),
    ],
)
def test_the_hint_names_options_that_there_are(
    command: tuple[str, ...], work: str, hint: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    append_rows(here / "results" / "runs.csv", [make_row()])
    monkeypatch.setattr(work, interrupt)
    result = invoke(*command)
    assert result.exit_code == 130
    assert result.stderr.splitlines()[-1] == f"interrupted; {hint}"

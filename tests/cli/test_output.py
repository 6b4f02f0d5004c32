"""Output goes wherever it is sent: encodings that cannot show everything, and the settings of notebooks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sen_bench.results.folder import ResultsFolder
from sen_bench.results.rows import append_rows
from tests.paths import ROOT
from tests.support.rows import make_seed, reference_model


def _run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "sen_bench", *arguments],
        env={**os.environ, **environment},
        cwd=ROOT,
        capture_output=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("cp1252", "modèle-?"),
        ("latin-1", "modèle-?"),
        ("latin-1:strict", "modèle-?"),
        ("cp437", "modèle-Ω"),
        ("utf-8", "modèle-Ω"),
    ],
)
def test_what_an_encoding_cannot_show_is_replaced(tmp_path: Path, encoding: str, shown: str) -> None:
    folder = ResultsFolder(tmp_path)
    append_rows(folder.runs_csv, [make_seed(seed, model="modèle-Ω") for seed in range(3)])
    folder.write_leaderboard(reference_model)
    done = _run("leaderboard", "--results", str(tmp_path), PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    assert shown in done.stdout.decode(encoding.partition(":")[0])


@pytest.mark.parametrize("arguments", [("--help",), ("leaderboard", "--help"), ("info", "Ω\udcff.zarr")])
def test_help_and_errors_are_shown_too(arguments: tuple[str, ...]) -> None:
    done = _run(*arguments, PYTHONIOENCODING="latin-1:strict")
    assert done.returncode == (0 if "--help" in arguments else 2)
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("backend", ["module://matplotlib_inline.backend_inline", "inline", "nonsense"])
def test_the_backend_of_a_notebook_is_none_of_a_commands_business(backend: str) -> None:
    code = (
        "import click, os\nfrom sen_bench.cli.main import main\n"
        "@main.command('draw')\ndef draw():\n"
        "    from sen_bench.figures.style import new_figure, style\n"
        "    with style(): click.echo(new_figure(1).get_figheight())\n"
        "try:\n    main(['draw'])\nexcept SystemExit as end:\n    assert not end.code\n"
        "print(os.environ['MPLBACKEND'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "MPLBACKEND": backend},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.split() == ["1.0", backend]

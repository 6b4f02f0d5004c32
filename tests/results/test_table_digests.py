"""What something else than sen-bench did to a table is said, and what a kill left is said as what it is."""

from __future__ import annotations

import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from sen_bench.cli.main import main
from sen_bench.errors import ResultsError, SenBenchWarning
from sen_bench.results.folder import ResultsFolder
from sen_bench.results.rows import append_rows, read_runs
from sen_bench.results.table_digests import digest_file
from tests.paths import ROOT
from tests.support.datasets import tree
from tests.support.rows import make_row, make_seed, reference_model

LEFT = ["runs.csv", "runs.csv.lock", "runs.csv.sha256"]
"""What is in the folder when nobody writes."""

WHOLE = "runs.csv is whole, but runs.csv.sha256 has the digest of the table before"
CHANGED = r"runs\.csv is not as sen-bench wrote it: something else has changed it"


@pytest.fixture
def written(table: Path) -> Path:
    append_rows(table, [make_seed(0), make_seed(1)])
    return table


def _change(table: Path) -> None:
    table.write_bytes(table.read_bytes().replace(b"0.75", b"0.95", 1))


def test_anybody_can_check_the_digest(written: Path) -> None:
    ResultsFolder(written.parent).write_leaderboard(reference_model)
    check = ["sha256sum", "--check", "--strict", "runs.csv.sha256", "leaderboard.csv.sha256"]
    done = subprocess.run(check, cwd=written.parent, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["runs.csv: OK", "leaderboard.csv: OK"]


def test_a_changed_table_is_said_and_read(written: Path) -> None:
    _change(written)
    with pytest.warns(SenBenchWarning, match=CHANGED) as said:
        runs = read_runs(written)
    assert len(said) == 1
    assert "\n" not in str(said[0].message)
    pd.testing.assert_frame_equal(runs, pd.read_csv(written))
    assert runs["hits_at_5"].tolist() == [0.95, 0.75]


def test_a_changed_table_is_said_when_it_is_written_too_and_then_has_a_new_digest(written: Path) -> None:
    _change(written)
    with pytest.warns(SenBenchWarning, match=CHANGED):
        append_rows(written, [make_seed(2)])
    assert read_runs(written)["hits_at_5"].tolist() == [0.95, 0.75, 0.75]


def test_commands_say_it_in_one_line(written: Path) -> None:
    _change(written)
    result = CliRunner().invoke(main, ["leaderboard", "--results", str(written.parent)])
    assert result.exit_code == 0
    assert "MRR" in result.stdout
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"warning: {written} is not as sen-bench wrote it")
    assert line.endswith("; it is read as it is. Remove runs.csv.sha256 if it is right")


@pytest.mark.parametrize(
    "digest", [b"", b"\xff\x00", b"0" * 64, b"0" * 64 + b"  other.csv\n", b"<<<<<<< HEAD\n"]
)
def test_a_file_that_holds_no_digest_of_the_table_is_said(written: Path, digest: bytes) -> None:
    digest_file(written).write_bytes(digest)
    with pytest.warns(SenBenchWarning, match=r"cannot be checked, as runs\.csv\.sha256 does not hold"):
        assert len(read_runs(written)) == 2


def test_a_table_of_earlier_versions_has_no_digest_and_is_read_without_a_word(written: Path) -> None:
    digest_file(written).unlink()
    _change(written)
    assert len(read_runs(written)) == 2


@pytest.mark.parametrize("both", [True, False])
def test_line_ends_that_git_converts_are_no_change(written: Path, *, both: bool) -> None:
    for path in (written, digest_file(written))[: 2 if both else 1]:
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert len(read_runs(written)) == 2
    # One line with another end is no conversion.
    written.write_bytes(written.read_bytes().replace(b"\r\n", b"\n", 1))
    with pytest.warns(SenBenchWarning, match=CHANGED):
        read_runs(written)


def test_a_table_behind_a_link_has_its_digest_beside_it(written: Path, tmp_path: Path) -> None:
    link = tmp_path / "elsewhere" / "table.csv"
    link.parent.mkdir()
    link.symlink_to(written)
    append_rows(link, [make_seed(2)])
    assert digest_file(link) == digest_file(written)
    assert not list(link.parent.glob("*.sha256"))
    assert len(read_runs(link)) == 3
    _change(written)
    with pytest.warns(SenBenchWarning, match=r"table\.csv is not as sen-bench wrote it"):
        read_runs(link)


_DIE = """
import os, signal, sys
from pathlib import Path
from sen_bench.results.rows import append_rows
from tests.support.rows import make_seed
whole, calls = Path.replace, iter(range(9))
def replace(path, target):
    if next(calls) == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(path, target)
Path.replace = replace
append_rows(Path(sys.argv[1]), [make_seed(2)])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
@pytest.mark.parametrize(
    ("step", "runs", "said"),
    [
        (0, 2, []),
        (1, 2, []),
        (2, 3, ["runs.csv is whole, but runs.csv.sha256 has the digest of the table before"]),
    ],
)
def test_a_kill_at_every_step_is_said_as_what_it_is(
    written: Path, step: int, runs: int, said: list[str]
) -> None:
    died = subprocess.run([sys.executable, "-c", _DIE, str(written), str(step)], cwd=ROOT, check=False)
    assert died.returncode == -9
    for use in (lambda: read_runs(written), lambda: append_rows(written, [make_seed(3)])):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            use()
        assert [str(warning.message).split("/")[-1].split(":")[0] for warning in caught] == said
    # What was half written is gone, and nothing is left to say.
    assert len(read_runs(written)) == runs + 1
    assert sorted(path.name for path in written.parent.iterdir()) == LEFT


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
@pytest.mark.parametrize("step", [0, 1, 2])
def test_a_kill_while_the_first_table_is_written_says_nothing_of_a_digest(table: Path, step: int) -> None:
    died = subprocess.run([sys.executable, "-c", _DIE, str(table), str(step)], cwd=ROOT, check=False)
    assert died.returncode == -9
    assert table.exists() == (step == 2)
    append_rows(table, [make_seed(3)])
    assert read_runs(table)["seed"].tolist() == ([2, 3] if step == 2 else [3])
    assert sorted(path.name for path in table.parent.iterdir()) == LEFT


def test_a_reader_beside_a_writer_never_takes_half_a_write_for_a_change(table: Path) -> None:
    append_rows(table, [make_seed(0)])
    code = (
        "import sys\nfrom pathlib import Path\nfrom sen_bench.results.rows import append_rows\n"
        "from tests.support.rows import make_seed\n"
        "for seed in range(60): append_rows(Path(sys.argv[1]), [make_seed(seed)])"
    )
    read = 0
    with subprocess.Popen([sys.executable, "-c", code, str(table)], cwd=ROOT) as writer:
        while writer.poll() is None:
            read += len(read_runs(table)) > 0  # warnings are errors in tests
    assert writer.returncode == 0
    assert read > 10


def test_an_announcement_that_is_renamed_while_it_is_looked_for_is_none(
    written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was there a moment ago."""
    monkeypatch.setattr(Path, "is_file", lambda _: True)
    assert len(read_runs(written)) == 2


def test_a_folder_that_cannot_be_locked_is_read_all_the_same(
    written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _change(written)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("sen_bench.results.csv_tables.FileLock", refuse)
    with pytest.warns(SenBenchWarning, match=CHANGED):
        assert len(read_runs(written)) == 2


def test_a_leaderboard_that_was_changed_is_said_and_written_anew(written: Path) -> None:
    folder = ResultsFolder(written.parent)
    folder.write_leaderboard(reference_model)
    right = folder.leaderboard_csv.read_bytes()
    for refresh in (True, False):
        _change(folder.leaderboard_csv)
        renew = folder.refresh_leaderboard if refresh else folder.write_leaderboard
        with pytest.warns(SenBenchWarning, match=r"leaderboard\.csv is not .*; it is written anew"):
            renew(reference_model)
        assert folder.leaderboard_csv.read_bytes() == right
        folder.refresh_leaderboard(reference_model)


@pytest.mark.parametrize("missing", [False, True])
def test_a_wrong_leaderboard_in_a_read_only_folder_is_said_and_not_used(
    written: Path, monkeypatch: pytest.MonkeyPatch, *, missing: bool
) -> None:
    folder = ResultsFolder(written.parent)
    right = folder.write_leaderboard(reference_model)
    if missing:
        folder.leaderboard_csv.unlink()
    else:
        _change(folder.leaderboard_csv)
    before = tree(folder.path)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("sen_bench.results.csv_tables.FileLock", refuse)
    with pytest.warns(SenBenchWarning, match=r"it cannot be written anew \(Read-only file system\)") as said:
        pd.testing.assert_frame_equal(folder.refresh_leaderboard(reference_model), right)
    assert len(said) == 1
    assert tree(folder.path) == before
    with pytest.raises(ResultsError, match="cannot write"):
        folder.write_leaderboard(reference_model)


def test_the_tables_of_record_have_their_digests(tmp_path: Path) -> None:
    for name in ("runs.csv", "curves.csv", "leaderboard.csv"):
        shutil.copy(ROOT / "results" / name, tmp_path)
        shutil.copy(ROOT / "results" / f"{name}.sha256", tmp_path)
        subprocess.run(["sha256sum", "--check", f"{name}.sha256"], cwd=tmp_path, check=True, stdout=-3)


def test_rows_whose_names_and_columns_disagree_are_said(table: Path) -> None:
    append_rows(table, [make_row(seed=3), make_row(run_id="own")])
    with pytest.warns(
        SenBenchWarning, match=r"line 3 is named 3d-blocks/train/sen/smoke/seed-0, but its seed is 3$"
    ):
        read_runs(table)


def test_names_of_runs_are_compared_as_folders_are_named(table: Path) -> None:
    row = make_row(run_id="own-task/train/pkg-Net/smoke+epochs=3/seed-7", seed=7)
    columns = {"task": "own:task", "model": "pkg:Net", "preset": "smoke+epochs=3"}
    append_rows(table, [row.model_copy(update=columns)])
    assert len(read_runs(table)) == 1


def test_a_run_without_a_horizon_that_others_have_is_said(table: Path) -> None:
    append_rows(table, [make_seed(s, horizon=h) for s in (0, 1) for h in (1, 5, 10) if (s, h) != (1, 5)])
    with pytest.warns(SenBenchWarning, match=r"sen-1 has no row for horizon 5, which other runs"):
        read_runs(table)


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-sen", "@sum", "\tsen", "\rsen", "\uff1dsen"])
def test_text_that_a_spreadsheet_would_run_is_refused_where_it_enters(written: Path, text: str) -> None:
    with pytest.raises(ValueError, match="would be a formula in a spreadsheet"):
        make_row(device=text)
    source = written.parent.with_name("theirs")
    shutil.copytree(written.parent, source)
    theirs = source / "runs.csv"
    frame = pd.read_csv(theirs)
    frame.loc[0, "device"] = text
    frame.to_csv(theirs, index=False)
    digest_file(theirs).unlink()
    before = written.read_bytes()
    result = CliRunner().invoke(main, ["merge", str(source), "--results", str(written.parent)])
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "line " in result.stderr
    assert written.read_bytes() == before


def test_a_table_that_was_saved_with_a_byte_order_mark_is_read(written: Path) -> None:
    written.write_bytes(b"\xef\xbb\xbf" + written.read_bytes())
    with pytest.warns(SenBenchWarning, match=CHANGED):
        pd.testing.assert_frame_equal(read_runs(written), pd.read_csv(written))


@pytest.mark.parametrize("column", ["train_seconds", "die_model", "seed"])
def test_numbers_that_no_statistic_can_hold_are_refused(written: Path, column: str) -> None:
    frame = pd.read_csv(written).astype({column: object})
    frame.loc[1, column] = "1" + "0" * 308
    frame.to_csv(written, index=False)
    with pytest.raises(ResultsError, match=f"line 3, column '{column}': "):
        read_runs(written)

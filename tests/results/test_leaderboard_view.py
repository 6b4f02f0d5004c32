"""What can be chosen of a leaderboard, and published numbers beside it, in every format."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pandas as pd
import pytest

import sen_bench as sb
from sen_bench.errors import ConfigError
from sen_bench.results.published import read_published
from tests.paths import ROOT
from tests.support.commands import done, refused

RECORD = ROOT / "results"


def _printed(*arguments: str) -> str:
    return done("leaderboard", "--results", str(RECORD), *arguments).output


def test_csv_without_choices_is_the_leaderboard_file() -> None:
    assert _printed("--format", "csv") == (RECORD / "leaderboard.csv").read_text()


def test_tasks_horizons_and_metrics_are_chosen() -> None:
    frame = pd.read_csv(
        io.StringIO(
            _printed(
                "--task",
                "reacher",
                "--task",
                "2d-shapes",
                "--horizon",
                "1",
                "--metric",
                "H@1,mrr",
                "--format",
                "csv",
            )
        )
    )
    assert set(frame["task"]) == {"2d-shapes", "reacher"}
    assert set(frame["horizon"]) == {1}
    means = [name for name in frame if str(name).endswith("_mean")]
    assert means == ["hits_at_1_mean", "mrr_mean"]
    heading, *_ = _printed("--task", "2d-shapes", "--metric", "latent_spread,H@1").splitlines()
    assert heading.split()[-5:] == ["latent_spread", "H@1", "%", "parameters", "minutes"]


def test_json_has_the_same_rows_and_null_for_what_is_undefined() -> None:
    rows = json.loads(_printed("--format", "json"), parse_constant=pytest.fail)
    frame = pd.read_csv(RECORD / "leaderboard.csv")
    assert [list(row) for row in rows] == [list(frame)] * len(frame)
    for name in frame:
        wanted = [None if pd.isna(value) else value for value in frame[name]]
        assert [row[name] for row in rows] == wanted


def test_published_numbers_follow_the_rows_they_belong_to() -> None:
    table = sb.leaderboard(RECORD, task="3d-blocks", horizon=10, with_published=True)
    limited = table[table["train_split"] == "train-limited"]
    presets = limited["preset"].tolist()
    assert presets == sorted(presets, key=lambda name: name == "published")
    told = limited[limited["preset"] == "published"].set_index("model")
    assert told.loc["none", "hits_at_1_mean"] == 0.523
    assert told.loc["none", "hits_at_1_std"] == 0.14
    assert told.loc["none", "source"] == "Park et al., ICML 2022 poster; Park et al., ICLR 2022 submission"
    assert "EE(S), DIE(model)" in str(told.loc["none", "note"])
    assert told["runs"].isna().all()
    assert limited["runs"].dtype == "Int64"
    assert not (table[table["train_split"] == "train"]["preset"] == "published").any()


def test_of_several_published_numbers_the_first_counts() -> None:
    table = sb.leaderboard(RECORD, task="teapot-large", metric="HH@1", with_published=True)
    told = table[table["preset"] == "published"].set_index("model")["hh_at_1_mean"]
    numbers = read_published()
    numbers = numbers[(numbers["task"] == "teapot-large") & (numbers["metric"] == "hh_at_1")]
    assert told.to_dict() == numbers.drop_duplicates("model").set_index("model")["mean"].to_dict()


def test_one_line_of_python_makes_what_the_command_prints() -> None:
    choice = ["--task", "3d-blocks", "--horizon", "10", "--metric", "H@1,EE(S)", "--with-published"]
    table = sb.leaderboard(RECORD, task="3d-blocks", horizon=10, metric=["H@1", "EE(S)"], with_published=True)
    for kind in ("markdown", "latex", "csv", "json"):
        assert sb.format_leaderboard(table, kind) + "\n" == _printed(*choice, "--format", kind)


def test_what_is_no_leaderboard_is_not_formatted() -> None:
    table = sb.leaderboard(RECORD, horizon=10, with_published=True)
    with pytest.raises(ConfigError, match="'html' is no format of tables"):
        sb.format_leaderboard(table, "html")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="must be a DataFrame with the columns of a leaderboard"):
        sb.format_leaderboard(table[["task", "model"]])
    with pytest.raises(ConfigError, match="published numbers are means"):
        sb.format_leaderboard(table, iqm=True)


@pytest.mark.parametrize(
    ("name", "begins"),
    [("t.tex", "% Made by"), ("t.md", "| task"), ("t.csv", "task,"), ("t.json", "["), ("t.txt", "task  ")],
)
def test_a_file_gets_the_format_of_its_name(tmp_path: Path, name: str, begins: str) -> None:
    path = tmp_path / "paper" / name
    assert _printed("--output", str(path)) == f"{path}\n"
    assert path.read_text(encoding="utf-8").startswith(begins)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--horizon", "7"], "no run was scored 7 steps ahead; there are 1, 5, 10"),
        (["--metric", "bogus"], "unknown metric 'bogus'; known: DIE(S), "),
        (["--metric", "h@1"], "did you mean 'H@1'?"),
        (["--metric", "hits_at1"], "did you mean 'hits_at_1'?"),
        (["--task", "3d-block"], "unknown task '3d-block'; did you mean '3d-blocks'?"),
        (["--output", "paper.docx"], "paper.docx does not say which format"),
        (["--format", "csv", "--iqm"], "csv always has both means and interquartile means"),
        (["--with-published", "--iqm"], "published numbers are means"),
    ],
)
def test_what_cannot_be_shown_is_refused(arguments: list[str], message: str) -> None:
    assert message in refused("leaderboard", "--results", str(RECORD), *arguments)


def test_an_output_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    target = str(tmp_path / "file" / "t.md")
    assert f"cannot write {target}" in refused("leaderboard", "--results", str(RECORD), "--output", target)

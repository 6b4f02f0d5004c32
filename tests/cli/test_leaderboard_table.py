"""The leaderboard in a terminal."""

from __future__ import annotations

import math
import re

from sen_bench.cli.leaderboard_table import format_table
from sen_bench.results.references import ReferenceRow
from tests.support.rows import leaderboard_rows, make_rivals, make_seed


def test_table_for_the_terminal_shows_shares_in_percent_and_collapsed_seeds() -> None:
    rows = [make_seed(s, hits_at_1=v, collapsed=s == 1) for s, v in enumerate((0.2, 0.5, 0.8))]
    rows.append(make_seed(0, model="none", hits_at_1=0.1234, die_model=math.nan))
    text = format_table(leaderboard_rows(rows))
    heading, _, none, sen = text.splitlines()
    assert heading.split()[:2] == ["task", "trained"]
    assert "50.0 ± 30.0" in sen
    assert "3 (1 collapsed)" in sen
    assert "1,986,345" in sen
    assert sen.endswith(" 2.0")
    assert "12.3" in none
    assert "±" not in none
    assert "collapsed" not in none
    assert re.search(r" 0\.6 .* 0\.03 +- +1,986,345", none)
    assert "config" not in text
    assert not any(line != line.rstrip() for line in text.splitlines())
    assert "\x1b" not in text


def test_table_leaves_out_a_metric_that_no_row_has() -> None:
    without = {"hh_at_1": math.nan, "ee_latent": math.nan}
    rows = [make_seed(0, **without), make_seed(1, model="none", **without)]
    assert "HH@1" not in format_table(leaderboard_rows(rows))
    heading, _, none, sen = format_table(
        leaderboard_rows([*rows[1:], make_seed(0)]),
    ).splitlines()
    assert "HH@1 %" in heading
    assert "EE(z)" in heading
    assert "25.0" in sen
    assert "25.0" not in none


def test_table_tells_rows_of_other_data_or_configuration_apart() -> None:
    rows = [make_seed(0), make_seed(1, config_digest="sha256:dddddddd")]
    text = format_table(leaderboard_rows(rows))
    assert "aaaaaa / bbbbbb / cccccc" in text
    assert "aaaaaa / bbbbbb / dddddd" in text


def test_table_names_devices_where_they_differ() -> None:
    here, there = make_seed(0), make_seed(0, model="none", device="NVIDIA H200")
    heading, _, none, sen = format_table(leaderboard_rows([here, there])).splitlines()
    assert heading.endswith(" on")
    assert none.endswith(" NVIDIA H200")
    assert sen.endswith(f" {here.device}")


def test_names_are_printed_as_they_are() -> None:
    assert "[red]mine[/]:smile:" in format_table(
        leaderboard_rows([make_seed(0, model="[red]mine[/]:smile:")])
    )


def test_terminal_shows_intervals_and_marks_what_is_apart() -> None:
    table = leaderboard_rows(make_rivals())
    heading, _, full, none, sen, blank, note = format_table(table).splitlines()
    assert "92.0 ± 2.0" in sen
    assert "43.3 ± 20.8 *" in none
    assert "*" not in full + sen + heading + blank
    assert note.startswith("* ")
    _, _, full, none, sen, *_ = format_table(table, iqm=True).splitlines()
    assert "43.3 [20.0, 60.0] *" in none
    assert "84.7 [70.0, 93.0]" in full
    assert "0.08 [0.06, 0.1]" in sen
    single = format_table(leaderboard_rows([make_seed(0)]), iqm=True)
    assert "[" not in single
    assert "*" not in single


def test_terminal_shows_no_change_beside_scores_and_marks_what_is_no_better() -> None:
    moving = make_seed(0, model="none", no_change_hits_at_1=0.123, no_change_mrr=0.2)
    still = make_seed(0, relative_error=0.9)
    *_, none, sen, _, brackets, equals = format_table(leaderboard_rows([moving, still])).splitlines()
    assert "30.0 (12.3)" in none
    assert "33.3 (20.0)" in none
    assert "75.0 " in none
    assert " 0.9 = " in sen
    assert "(" not in sen
    assert "=" not in none
    assert brackets.startswith("(…) predicting that nothing changes")
    assert equals == "= no better than no change: relative error of 0.9 or more"


def test_what_exact_latents_score_stands_in_where_the_own_ones_were_not_recorded() -> None:
    moving = make_seed(0, model="none", no_change_hits_at_1=0.123)
    place = (moving.task, moving.horizon, moving.eval_dataset_digest)
    scores = {"hits_at_1": 0.976, "hits_at_5": 1, "hits_at_10": 1, "mrr": 0.989}
    exact = ReferenceRow(
        task=moving.task,
        reference="no-change",
        horizon=moving.horizon,
        latents="cells",
        **scores,
        hh_at_1=math.nan,
        local_hits_at_1=math.nan,
        local_mrr=math.nan,
        eval_episodes=9,
        eval_dataset_digest=moving.eval_dataset_digest,
    )
    rows = leaderboard_rows([moving, make_seed(0)])
    *_, none, sen, _, own, of_exact = format_table(rows, exact={place: exact}).splitlines()
    assert "30.0 (12.3)" in none
    assert "33.3 (‡98.9)" in none
    assert "30.0 (‡97.6)" in sen
    assert own.startswith("(…) ")
    assert of_exact.startswith("(‡…) predicting that nothing changes, from exact latents")
    other = {(moving.task, moving.horizon + 1, moving.eval_dataset_digest): exact}
    assert "‡" not in format_table(rows, exact=other)


def test_no_results_are_said() -> None:
    assert format_table(leaderboard_rows([])) == "no results yet"

"""Weights that were trained elsewhere: scored as runs are, in rows that say what they are."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch

from tests.oracles.public_code import public_state
from tests.support.commands import done, refused
from tests.support.presets import TINY

OPTIONS = ("--preset", "tiny.toml", "--device", "cpu", "--quiet")
ONE_RUN = ("run", "3d-blocks", "--model", "sen", "--seeds", "0", "--train-split", "train", *OPTIONS)
EVALUATE = ("evaluate", "3d-blocks", *OPTIONS)
RUN = "3d-blocks/train/sen/tiny/seed-0"
OWN = """
from sen_bench.tasks import get_task

def build(*, symmetry, observation_shape, hidden: int = 4):
    return get_task("3d-blocks").build_model("sen", {"embedding_channels": 2, "hidden": hidden})
"""
SCORES = ["hits_at_1", "mrr", "ee_embedding", "ee_latent", "die_model", "relative_error", "parameters"]


@pytest.fixture
def trained(here: Path) -> Path:
    """A folder with one run, and its checkpoint in another place."""
    (here / "tiny.toml").write_text(TINY)
    done(*ONE_RUN, "--workers", "1")
    (here / "runs" / RUN / "checkpoint.pt").rename(here / "weights.pt")
    return here


def _rows() -> pd.DataFrame:
    return pd.read_csv("results/runs.csv")


@pytest.mark.usefixtures("trained")
def test_weights_of_a_run_score_as_the_run_did_and_stand_beside_it() -> None:
    done(*EVALUATE, "--model", "sen", "--checkpoint", "weights.pt")
    # The same weights in another file are not another seed.
    torch.save(torch.load("weights.pt", weights_only=True)["model"], "alone.pt")
    text = done(*EVALUATE, "--model", "sen", "--checkpoint", "alone.pt").stdout
    assert text.count("sen (external)") == 2
    rows = _rows()
    assert len(rows) == 4
    given, own = rows[rows["external"].notna()], rows[rows["external"].isna()]
    assert set(own["run_id"]) == {RUN}
    (digest,) = set(given["external"])
    assert set(given["run_id"]) == {f"3d-blocks/train/sen/tiny/external-{digest[7:15]}"}
    pd.testing.assert_frame_equal(given[SCORES].reset_index(drop=True), own[SCORES].reset_index(drop=True))
    assert set(given["train_dataset_digest"]) == {"sha256:0000000000000000"}
    assert set(given["epochs"]) == set(given["transitions_seen"]) == {0}
    leaderboard = pd.read_csv("results/leaderboard.csv")
    assert leaderboard["external"].tolist() == [1, 0, 1, 0]
    # The run itself is neither replaced nor found where it is not.
    assert "1 done, 0 to run" in done(*ONE_RUN, "--dry-run").stdout


def test_models_of_ones_own_and_options_are_built_as_they_were_trained(trained: Path) -> None:
    (trained / "own_external.py").write_text(OWN)
    done(*EVALUATE, "--model", "own_external:build", "--checkpoint", "weights.pt", "--seeds", "5")
    rows = _rows()
    assert set(rows.loc[rows["external"].notna(), "model"]) == {"own_external:build"}
    assert set(rows.loc[rows["external"].notna(), "seed"]) == {5}
    message = refused(
        *EVALUATE, "--model", "sen", "--checkpoint", "weights.pt", "--set", "models.sen.hidden=6"
    )
    assert (
        "weights.pt does not fit model sen of 3d-blocks: encoder.first.weight is [4, 4, 625] instead of"
        in message
    )
    assert "has to be built with the options it was trained with" in message
    assert len(_rows()) == len(rows)


def test_weights_of_the_public_code_are_read_where_that_is_asked_for(trained: Path) -> None:
    torch.manual_seed(0)
    torch.save(public_state("none", width=2, hidden=4), trained / "model.pt")
    asked = (*EVALUATE, "--model", "none", "--checkpoint", "model.pt")
    assert "weights of the paper's public code are read by --layout public" in refused(*asked)
    assert "none (external)" in done(*asked, "--layout", "public").stdout
    rows = _rows()
    assert set(rows.loc[rows["model"] == "none", "external"].str.len()) == {7 + 64}


def test_what_scores_depend_on_makes_rows_beside_and_another_seed_is_refused(trained: Path) -> None:
    asked = (*EVALUATE, "--model", "sen", "--checkpoint", "weights.pt")
    done(*asked)
    done(*asked, "--precision", "bfloat16")
    rows = _rows()
    given = rows[rows["external"].notna()]
    assert given.groupby("precision").size().to_dict() == {"float32": 2, "bfloat16": 2}
    assert given["config_digest"].nunique() == 2
    text = (trained / "results" / "runs.csv").read_bytes()
    said = refused(*asked, "--seeds", "1")
    assert "has these weights as seed 0; give --seeds 0, as weights are one seed" in said
    assert (trained / "results" / "runs.csv").read_bytes() == text


def test_options_of_training_are_refused_and_those_of_scoring_are_not(trained: Path) -> None:
    asked = (*EVALUATE, "--model", "sen", "--checkpoint", "weights.pt")
    for option, value, what in (
        ("--data-memory", "1GiB", "--data-memory"),
        ("--on-collapse", "stop", "--on-collapse"),
        ("--set", "training.learning_rate=0.1", "--set training.learning_rate"),
        ("--set", "data.train.episodes=4", "--set data.train.episodes"),
    ):
        assert f"error: {what}: for training only" in refused(*asked, option, value)
    done(
        *asked,
        "--set",
        "evaluation.horizons=[1]",
        "--set",
        "training.hinge=2",
        "--set",
        "data.eval.horizon=3",
    )
    assert len(_rows()) == 3, "two of the run, and one of the file"
    assert (trained / "results" / "runs.csv").exists()


def test_wider_numbers_are_refused_with_what_would_be_right(trained: Path) -> None:
    state = torch.load("weights.pt", weights_only=True)["model"]
    wide = {name: tensor.double() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    torch.save(wide, trained / "wide.pt")
    asked = (*EVALUATE, "--model", "sen", "--checkpoint", "wide.pt")
    said = refused(*asked)
    assert "float64 instead of float32 and" in said
    assert "they would be rounded; if that is wanted, save model.to(torch.float32).state_dict()" in said
    assert "has to be built" not in said
    # Where something else does not fit either, rounding is not the remedy.
    assert "has to be built" in refused(*asked, "--set", "models.sen.hidden=6")


def test_one_model_one_seed_one_file(here: Path) -> None:
    (here / "tiny.toml").write_text(TINY)
    weights = ("--checkpoint", "weights.pt")
    assert "say which by --model" in refused(*EVALUATE, *weights)
    assert "say which by --model" in refused(*EVALUATE, *weights, "--model", "sen,none")
    assert "weights of one seed" in refused(*EVALUATE, *weights, "--model", "sen", "--seeds", "0-1")
    assert "--layout says how to read --checkpoint FILE" in refused(*EVALUATE, "--layout", "public")
    assert "cannot read gone.pt" in refused(*EVALUATE, "--model", "sen", "--checkpoint", "gone.pt")

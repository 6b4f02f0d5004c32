"""Experiments from Python: in one call, with the names and the refusals of the command line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import sen_bench as sb
from sen_bench.baselines.model import WorldModel
from tests.support.commands import done, refused
from tests.support.own_models import Mean
from tests.support.presets import TINY

OWN = "3d-blocks/train/sen/tiny/seed-0"
VARIANT = "3d-blocks/train/sen/tiny+models.sen.hidden=6+epochs=1/seed-0"
IN_MAIN = (
    "model Mine is defined in __main__; put it into a module (a file such as my_model.py) and import it, so"
    " that other processes and later runs find it"
)
OPTIONS = ("--preset", "tiny.toml", "--model", "sen", "--device", "cpu", "--quiet")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("experiment")
    (folder / "tiny.toml").write_text(TINY)
    return folder


@pytest.fixture(autouse=True)
def _inside(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(here)


def _run(**changes: Any) -> Any:
    given = {"preset": "tiny.toml", "device": "cpu", "progress": False, **changes}
    return sb.run(given.pop("task", "3d-blocks"), given.pop("model", "sen"), **given)


def _own() -> Any:
    return _run()


def test_one_call_does_all_and_a_second_one_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    result = _own()
    assert capsys.readouterr() == ("", "")
    assert (result.name, result.folder) == (OWN, Path("runs") / OWN)
    assert isinstance(result.model, WorldModel)
    assert not result.model.training
    assert result.scores["horizon"].tolist() == [1, 3]
    assert result.scores["eval_episodes"].tolist() == [5, 5]
    assert set(result.curve["epoch"]) == {1, 2}
    assert repr(result) == (
        f"RunResult('{OWN}', folder='runs/{OWN}', scores: 2 rows × {result.scores.shape[1]} columns)"
    )
    before = (result.folder / "checkpoint.pt").stat().st_mtime_ns
    again = _own()
    assert (result.folder / "checkpoint.pt").stat().st_mtime_ns == before
    pd.testing.assert_frame_equal(again.scores, result.scores)
    assert "1 done, 0 to run" in done("run", "3d-blocks", *OPTIONS, "--dry-run").stdout


def test_any_model_is_scored_as_runs_are() -> None:
    result = _own()
    data = sb.load("3d-blocks", "eval", preset="tiny.toml", progress=False)
    for given in (data, data.path, str(data.path)):
        scores = sb.evaluate(result.model, given, horizons=(1, 3), progress=False)
        pd.testing.assert_frame_equal(scores, result.scores, check_dtype=False)
    with pytest.raises(sb.SenBenchError, match="evaluation horizons 1, 9: the episodes have 3 steps"):
        sb.evaluate(result.model, data, horizons=(1, 9), progress=False)


def test_settings_beside_the_preset_make_the_variant_of_the_command_line() -> None:
    own = _own()
    variant = _run(settings={"models.sen.hidden": 6}, epochs=1)
    assert variant.name == VARIANT
    assert set(variant.curve["epoch"]) == {1}
    settings = ("--set", "models.sen.hidden=6", "--set", "training.epochs=1")
    for order in (settings, settings[2:] + settings[:2]):
        assert "1 done, 0 to run" in done("run", "3d-blocks", *OPTIONS, *order, "--dry-run").stdout
    # Its data is the preset's own, and it met neither its run nor its rows.
    assert [path.name for path in Path("data").iterdir()] == ["tiny"]
    runs = pd.read_csv("results/runs.csv")
    assert set(runs["run_id"]) == {OWN, VARIANT}
    assert set(runs["preset"]) == {"tiny", "tiny+models.sen.hidden=6+epochs=1"}
    means = sb.leaderboard("results")
    assert means.groupby("preset")["runs"].max().tolist() == [1, 1]
    assert _own().scores.equals(own.scores)


def test_what_the_preset_says_anyway_is_its_own_run() -> None:
    assert (
        _run(
            seed=np.int64(0), epochs=np.int64(2), settings={"models.sen.hidden": 4, "data.eval.episodes": 5}
        ).name
        == OWN
    )


def test_a_variant_opens_from_its_folder_again() -> None:
    _run(settings={"models.sen.hidden": 6}, epochs=1)
    config = json.loads((Path("runs") / VARIANT / "config.json").read_text())
    assert (config["preset"], config["data_name"]) == ("tiny+models.sen.hidden=6+epochs=1", "tiny")
    assert "data_name" not in json.loads((Path("runs") / OWN / "config.json").read_text())
    done("figures", f"runs/{VARIANT}", "--out", "figures", "--format", "png", "--device", "cpu")
    assert list(Path("figures").glob("*.png"))
    done("evaluate", "3d-blocks", *OPTIONS, "--set", "training.epochs=1", "--set", "models.sen.hidden=6")


def test_other_sizes_have_data_of_their_own() -> None:
    result = _run(settings={"data.eval.episodes": 4, "evaluation.horizons": [1]}, results="sized")
    assert result.name.split("/")[3] == "tiny+data.eval.episodes=4+evaluation.horizons=1"
    assert Path("data/tiny+data.eval.episodes=4/3d-blocks/train.zarr").is_dir()
    assert result.scores["eval_episodes"].tolist() == [4]


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        ({"epoch": 2}, ("--set", "training.epoch=2"), "training: unknown setting 'epoch'; did you mean"),
        ({"epochs": "three"}, ("--set", "training.epochs=three"), "training.epochs: Input should be a valid"),
        ({"settings": {"epochs": 2}}, ("--set", "epochs=2"), "unknown setting 'epochs'; did you mean"),
        (
            {"settings": {"models.sin.hidden": 2}},
            ("--set", "models.sin.hidden=2"),
            "unknown model of 3d-blocks 'sin'; did you mean 'sen'?",
        ),
        (
            {"settings": {"models.sen.hiden": 2}},
            ("--set", "models.sen.hiden=2"),
            "model 'sen' of 3d-blocks: got an unexpected keyword argument 'hiden'",
        ),
        (
            {"settings": {"data.tran.episodes": 2}},
            ("--set", "data.tran.episodes=2"),
            "unknown split of 3d-blocks 'tran'; did you mean 'train'?",
        ),
        (
            {"settings": {"models.none.hidden": 2}},
            ("--set", "models.none.hidden=2"),
            "settings of model 'none' change nothing: the run has model sen",
        ),
        (
            {"settings": {'models."keypoint:Keypoints".channels': 4}},
            ("--set", 'models."keypoint:Keypoints".channels=4'),
            "settings of model 'keypoint:Keypoints' change nothing: the run has model sen",
        ),
        (
            {"settings": {"data.train-limited.episodes": 4}, "train_split": "train"},
            ("--set", "data.train-limited.episodes=4", "--train-split", "train"),
            "settings of split 'train-limited' change nothing: only splits train, eval are used",
        ),
        ({"train_split": "trian"}, ("--train-split", "trian"), "unknown training split of 3d-blocks 'trian'"),
        ({"preset": "smok"}, ("--preset", "smok"), "unknown preset 'smok'; did you mean 'smoke'?"),
        ({"device": "gpu"}, ("--device", "gpu"), "gpu"),
        ({"model": "sin"}, ("--model", "sin"), "unknown model of 3d-blocks 'sin'; did you mean 'sen'?"),
        ({"data_memory": "1KiB"}, ("--data-memory", "1KiB"), "--data-memory 1.0 KiB is too little"),
    ],
)
def test_what_the_command_line_refuses_python_refuses_too(
    given: dict[str, Any], options: tuple[str, ...], message: str
) -> None:
    line = refused("run", "3d-blocks", *OPTIONS, *options, "--dry-run").removeprefix("error: ")
    assert message in line
    with pytest.raises(sb.SenBenchError, match=re.escape(message)) as caught:
        _run(**given)
    assert str(caught.value) == line


def test_mistakes_of_python_alone_are_refused_in_one_line() -> None:
    class Local(Mean):
        pass

    for given, message in (
        ({"seed": -1}, "-1 is not a seed"),
        ({"seed": "0"}, "run: seed must be a whole number, not '0'"),
        ({"data_memory": "8 gigs"}, "'8 gigs' is not a size"),
        ({"workers": 0}, "workers must be at least 1, not 0"),
        ({"epochs": 2, "settings": {"training.epochs": 2}}, "training.epochs is given twice"),
        ({"model": Local}, "define it at the top level of a module"),
        ({"model": type("Mine", (Mean,), {"__module__": "__main__"})}, IN_MAIN),
        ({"model": "__main__:Mine"}, IN_MAIN),
        ({"results": "tiny.toml"}, "results='tiny.toml': tiny.toml is not a folder; name another one"),
        ({"runs": "tiny.toml/runs"}, "runs='tiny.toml/runs': tiny.toml is not a folder"),
        ({"data": Path("tiny.toml")}, "data='tiny.toml': tiny.toml is not a folder"),
    ):
        with pytest.raises(sb.SenBenchError, match=re.escape(message)):
            _run(**given)


def test_a_setting_as_an_option_is_answered_with_its_spelling() -> None:
    from tests.support.commands import invoke  # noqa: PLC0415

    for option, spelling in (
        (("--epochs", "3"), "no such option --epochs; write --set training.epochs=3"),
        (("--batch-size=4",), "no such option --batch-size; write --set training.batch_size=4"),
        (("--horizons",), "no such option --horizons; write --set evaluation.horizons=…"),
    ):
        result = invoke("run", "3d-blocks", *OPTIONS, *option)
        assert result.exit_code == 2
        assert spelling in result.stderr
    assert "No such option '--epoks'" in invoke("run", "3d-blocks", "--epoks", "3").stderr

"""The command line as a user meets it: what it writes, what it refuses, what a second time does."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from click.testing import Result

from sen_bench import __version__
from sen_bench.store import open_dataset
from tests.support.commands import done, invoke, refused
from tests.support.presets import TINY
from tests.support.threads import one_thread
from tests.support.waiting import wait_until
from tests.support.warm import WarmCommand


@pytest.fixture(autouse=True)
def _preset(here: Path) -> None:
    """Every test works in a folder with the preset tiny.toml."""
    (here / "tiny.toml").write_text(TINY)


def _run(*more: str) -> Result:
    return done("run", "3d-blocks", "--preset", "tiny.toml", "--device", "cpu", "--workers", "1", *more)


@pytest.mark.parametrize(
    "command", ["", "tasks", "generate", "info", "run", "train", "evaluate", "leaderboard"]
)
def test_help_explains_every_option(command: str) -> None:
    result = invoke(*command.split(), "--help")
    assert result.exit_code == 0
    assert "\b" not in result.output
    described = [line.strip() for line in result.output.splitlines() if line.strip().startswith("--")]
    assert all(len(line.split()) > 1 for line in described)


def test_version() -> None:
    assert __version__ in invoke("--version").output


def test_tasks_lists_worlds_splits_and_models() -> None:
    output = invoke("tasks").stdout
    for text in (
        "3d-blocks",
        "sen_bench/Blocks3D-v0",
        "C4 x S5",
        "sen, full, none",
        "train-limited",
        "100000",
    ):
        assert text in output


def test_generate_writes_train_and_eval_and_a_second_time_does_nothing(here: Path) -> None:
    command = ("generate", "3d-blocks", "--episodes", "3", "--horizon", "4", "--workers", "1")
    first = invoke(*command)
    assert first.exit_code == 0
    assert first.stdout.splitlines() == [f"data/3d-blocks/{s}.zarr: written" for s in ("train", "eval")]
    train, evaluation = (open_dataset(here / f"data/3d-blocks/{split}.zarr") for split in ("train", "eval"))
    assert (train.episodes, train.horizon, train.has_twin) == (3, 4, False)
    assert (evaluation.episodes, evaluation.horizon, evaluation.has_twin) == (3, 4, True)
    before = (here / "data/3d-blocks/train.zarr/manifest.json").stat().st_mtime_ns
    again = invoke(*command)
    assert again.exit_code == 0
    assert again.stdout.count("already there, nothing to do") == 2
    assert (here / "data/3d-blocks/train.zarr/manifest.json").stat().st_mtime_ns == before


def test_generate_refuses_other_settings_and_force_moves_the_old_aside(here: Path) -> None:
    command = ("generate", "3d-blocks", "--split", "train", "--horizon", "4", "--workers", "1")
    invoke(*command, "--episodes", "3")
    assert "episodes 3 instead of 2" in refused(*command, "--episodes", "2")
    assert "seed 0 instead of 1" in refused(*command, "--episodes", "3", "--seed", "1")
    assert open_dataset(here / "data/3d-blocks/train.zarr").episodes == 3
    forced = invoke(*command, "--episodes", "2", "--force")
    assert forced.exit_code == 0
    assert open_dataset(here / "data/3d-blocks/train.zarr").episodes == 2
    assert open_dataset(here / "data/3d-blocks/train.zarr.old-1").episodes == 3


def test_the_limited_split_never_moves_left(here: Path) -> None:
    invoke("generate", "3d-blocks", "--split", "train-limited", "--episodes", "400", "--workers", "1")
    dataset = open_dataset(here / "data/3d-blocks/train-limited.zarr")
    actions = dataset.load("action")
    assert dataset.horizon == 1
    assert set(actions.ravel().tolist()) == {action for action in range(20) if action % 4 != 3}


def test_info_describes_a_dataset(here: Path) -> None:
    invoke("generate", "3d-blocks", "--split", "eval", "--episodes", "3", "--horizon", "4", "--workers", "1")
    store = here / "data/3d-blocks/eval.zarr"
    output = invoke("info", str(store)).stdout
    dataset = open_dataset(store)
    for text in ("3 episodes of 4 steps", "C4 x S5, order 480", dataset.content_digest, "twin/observation"):
        assert text in output
    attributes = json.loads(invoke("info", str(store), "--json").stdout)
    assert attributes["recipe"]["episodes"] == 3


@pytest.mark.parametrize(
    ("task", "split", "policy"),
    [
        ("3d-blocks", "train", "uniform over all actions"),
        ("2d-shapes", "train-limited", "uniform over the actions 0, 4, 8, 12, 16"),
        (
            "reacher",
            "train-limited",
            "uniform over all actions, absolute values of the entries 1, after 50 steps of warm-up that are",
        ),
    ],
)
def test_info_says_how_actions_were_chosen(here: Path, task: str, split: str, policy: str) -> None:
    invoke("generate", task, "--split", split, "--episodes", "2", "--horizon", "2", "--workers", "1")
    assert policy in invoke("info", str(here / f"data/{task}/{split}.zarr")).stdout


def test_run_does_everything_and_a_second_time_nothing(here: Path) -> None:
    first = _run("--seeds", "0-1")
    runs = pd.read_csv(here / "results/runs.csv")
    assert len(runs) == 3 * 2 * 2
    assert set(runs["model"]) == {"sen", "full", "none"}
    assert set(runs["seed"]) == {0, 1}
    assert set(runs["horizon"]) == {1, 3}
    assert runs["preset"].eq("tiny").all()
    assert runs["epochs"].eq(2).all()
    assert runs["transitions_seen"].eq(40).all()
    assert runs["eval_episodes"].eq(5).all()
    train = open_dataset(here / "data/tiny/3d-blocks/train.zarr")
    assert runs["train_dataset_digest"].eq(f"sha256:{train.content_digest}").all()
    assert runs["config_digest"].nunique() == 3
    leaderboard = pd.read_csv(here / "results/leaderboard.csv")
    assert len(leaderboard) == 3 * 2
    assert leaderboard["seeds"].eq(2).all()
    curves = pd.read_csv(here / "results/curves.csv")
    assert set(curves["run_id"]) == set(runs["run_id"])
    assert curves.groupby("run_id")["transitions"].max().eq(40).all()
    files = {
        path: path.stat().st_mtime_ns for path in here.rglob("*") if path.is_file() and path.suffix != ".lock"
    }
    second = _run("--seeds", "0-1")
    assert second.stdout == first.stdout
    assert second.stderr.count("already in results/runs.csv") == 6
    assert files == {p: p.stat().st_mtime_ns for p in here.rglob("*") if p.is_file() and p.suffix != ".lock"}
    assert invoke("leaderboard").stdout == first.stdout


def test_train_then_evaluate_equals_run(here: Path) -> None:
    options = ("3d-blocks", "--preset", "tiny.toml", "--device", "cpu", "--model", "sen")
    _run("--model", "sen")
    expected = pd.read_csv(here / "results/runs.csv")
    steps = (*options, "--runs", "other-runs", "--results", "other-results")
    assert invoke("train", *steps).exit_code == 0
    assert invoke("evaluate", *steps).exit_code == 0
    got = pd.read_csv(here / "other-results/runs.csv")
    times = ["train_seconds", "eval_seconds"]
    pd.testing.assert_frame_equal(got.drop(columns=times), expected.drop(columns=times))
    curves = [(here / f"{name}/curves.csv").read_bytes() for name in ("results", "other-results")]
    assert curves[0] == curves[1]
    logs = [next((here / name).rglob("run.log")).read_text() for name in ("runs", "other-runs")]
    # What was said, without what differs from run to run: when, how fast, how much memory was free.
    said = [
        re.sub(r"(?m)^\S+ |, \d+ transitions/s|, of which .* free$", "", log).splitlines() for log in logs
    ]
    assert any(line.startswith("epoch 1/") for line in said[1])
    assert said[0] == [*said[1], "evaluate sen", "evaluate sen, local ranking"]


def test_training_on_another_split_is_a_result_of_its_own(here: Path) -> None:
    _run("--model", "sen")
    _run("--model", "sen", "--train-split", "train-limited")
    leaderboard = pd.read_csv(here / "results/leaderboard.csv")
    assert set(leaderboard["train_split"]) == {"train", "train-limited"}
    assert leaderboard["seeds"].eq(1).all()


def test_evaluate_refuses_a_run_that_is_not_finished(here: Path) -> None:
    _run("--model", "sen")
    (here / "tiny.toml").write_text(TINY.replace("epochs = 2", "epochs = 3"))
    message = refused("evaluate", "3d-blocks", "--preset", "tiny.toml", "--device", "cpu", "--model", "sen")
    assert "trained for 2 epochs, the settings say 3" in message


def test_more_epochs_go_on_and_make_a_row_of_their_own(here: Path) -> None:
    _run("--model", "sen")
    (here / "tiny.toml").write_text(TINY.replace("epochs = 2", "epochs = 3"))
    _run("--model", "sen")
    runs = pd.read_csv(here / "results/runs.csv")
    assert sorted(runs["epochs"]) == [2, 2, 3, 3]
    assert runs["config_digest"].nunique() == 2


def test_other_settings_are_refused_and_force_trains_anew(here: Path) -> None:
    _run("--model", "sen")
    options = (
        "run",
        "3d-blocks",
        "--preset",
        "tiny.toml",
        "--device",
        "cpu",
        "--model",
        "sen",
        "--precision",
        "bfloat16",
    )
    assert "is of another run, with settings" in refused(*options)
    assert "tf32 is arithmetic of GPUs" in refused(*options[:-1], "tf32")
    assert "--cuda-graph is for GPUs, and the device is cpu" in refused(*options, "--cuda-graph")
    assert invoke(*options, "--force").exit_code == 0
    assert (here / "runs/3d-blocks/train/sen/tiny/seed-0.old-1/checkpoint.pt").exists()
    assert set(pd.read_csv(here / "results/runs.csv")["precision"]) == {"float32", "bfloat16"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("generate", "3d-bloks"), "unknown task '3d-bloks'; did you mean '3d-blocks'?"),
        (
            ("generate", "3d-blocks", "--split", "evil"),
            "unknown split of 3d-blocks 'evil'; did you mean 'eval'?",
        ),
        (("generate", "3d-blocks", "--episodes", "0"), "--episodes must be at least 1, not 0"),
        (("generate", "3d-blocks", "--horizon", "-3"), "--horizon must be at least 1, not -3"),
        (("generate", "3d-blocks", "--seed", "-1"), "seed must be at least 0"),
        (("run", "3d-blocks", "--preset", "smok"), "unknown preset 'smok'; did you mean 'smoke'?"),
        (("run", "3d-blocks", "--preset", "none.toml"), "cannot read the preset none.toml"),
        (("run", "3d-blocks", "--model", "nune", "--preset", "smoke"), "did you mean 'none'?"),
        (("run", "3d-blocks", "--train-split", "trian", "--preset", "smoke"), "did you mean 'train'?"),
        (("run", "3d-blocks", "--train-split", "eval", "--preset", "tiny.toml"), "unknown training split"),
        (("run", "3d-blocks", "--device", "gpu9", "--preset", "smoke"), "'gpu9' is not a device"),
        (("train", "3d-blocks", "--preset", "smoke"), "there is no dataset data/smoke/3d-blocks/train.zarr"),
        (("leaderboard",), "no results at results/runs.csv"),
        (("info", "nowhere.zarr"), "there is no dataset at nowhere.zarr"),
        (("info", "tiny.toml"), "tiny.toml is not a directory"),
        (("info", "."), "is not a Zarr v3 group"),
    ],
)
def test_mistakes_end_in_one_line(here: Path, arguments: tuple[str, ...], message: str) -> None:
    assert message in refused(*arguments)
    assert sorted(path.name for path in here.iterdir() if not path.name.startswith(".")) == ["tiny.toml"]


def test_a_device_that_is_not_there_is_refused() -> None:
    device = f"cuda:{torch.cuda.device_count()}"
    message = refused("run", "3d-blocks", "--preset", "smoke", "--device", device)
    assert f"there is no device '{device}'" in message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("epochs = 2", "epochs = 0"), "tasks.3d-blocks.training.epochs"),
        (("epochs = 2", "epochs = true"), "tasks.3d-blocks.training.epochs"),
        (("epochs = 2", "hinge = inf"), "tasks.3d-blocks.training.hinge"),
        (
            ("epochs = 2", "epoch = 2"),
            "training: unknown setting 'epoch'; did you mean 'epochs'?",
        ),
        (("batch_size = 10", "batch_size = 1"), "training.batch_size"),
        (("batch_size = 10", "batch_size_from_epoch = { 1 = 10 }"), "training.batch_size_from_epoch.1"),
        (("[1, 3]", "[1, 1]"), "evaluation.horizons: each may stand there once"),
        (("[1, 3] }", f"[1, 3], seed = {2**63} }}"), "tasks.3d-blocks.evaluation.seed"),
        (("description", 'name = "paper"\ndescription'), "name: it is that of the file"),
        (("[1, 3]", "[1, 4]"), "evaluated 4 steps ahead, but its eval episodes have 3"),
        (("models.none", "models.nine"), "unknown model of 3d-blocks 'nine'"),
        (("hidden = 4 }\nmodels.none", "depth = 4 }\nmodels.none"), "model 'sen' of 3d-blocks"),
        (("[tasks.3d-blocks]", "[tasks.3d-blocks"), "is not TOML"),
        (("3d-blocks]", "4d-blocks]"), "give it a section [tasks.3d-blocks]"),
    ],
)
def test_presets_with_mistakes_are_refused_by_key(here: Path, change: tuple[str, str], message: str) -> None:
    text = TINY.replace(*change)
    assert text != TINY
    (here / "tiny.toml").write_text(text)
    command = ("run", "3d-blocks", "--preset", "tiny.toml", "--device", "cpu", "--workers", "1")
    assert message in refused(*command)
    assert not (here / "results").exists()


def test_a_preset_that_is_not_for_a_task_says_which_are(here: Path) -> None:
    assert refused("run", "2d-shapes", "--preset", "motion") == (
        "error: preset 'motion' is not for 2d-shapes, only for reacher, rush-hour;"
        " use preset cpu or narrow or paper or smoke"
    )
    assert [path.name for path in here.iterdir()] == ["tiny.toml"]


def test_a_preset_cannot_pass_for_one_of_ours(here: Path) -> None:
    (here / "paper.toml").write_text(TINY)
    assert "paper is a preset of sen-bench" in refused("run", "3d-blocks", "--preset", "paper.toml")


@pytest.mark.parametrize("seeds", ["a", "2-1", "", "1,,2", "-1"])
def test_seeds_that_are_none_are_refused(seeds: str) -> None:
    result = invoke("run", "3d-blocks", "--preset", "tiny.toml", "--seeds", seeds)
    assert result.exit_code == 2
    assert "is not a seed or range of seeds" in result.stderr


def test_more_seeds_than_anybody_means_are_refused_at_once() -> None:
    result = invoke("run", "3d-blocks", "--preset", "tiny.toml", "--seeds", "0-999999999999")
    assert result.exit_code == 2
    assert "too many seeds; at most 10000" in result.stderr


def test_a_store_of_another_format_version_is_refused(here: Path) -> None:
    invoke("generate", "3d-blocks", "--split", "train", "--episodes", "2", "--horizon", "2", "--workers", "1")
    path = here / "data/3d-blocks/train.zarr/zarr.json"
    metadata = json.loads(path.read_text())
    metadata["attributes"]["format_version"] = 99
    path.write_text(json.dumps(metadata))
    assert "format version 99" in refused("info", str(path.parent))


def test_a_truncated_store_is_refused_before_training(here: Path) -> None:
    _run("--model", "sen")
    shard = next((here / "data/tiny/3d-blocks/train.zarr/observation/c").rglob("0"))
    while shard.is_dir():
        shard = next(shard.iterdir())
    shard.write_bytes(shard.read_bytes()[:-1])
    message = refused("train", "3d-blocks", "--preset", "tiny.toml", "--device", "cpu", "--model", "none")
    assert "is not whole: observation/c/0" in message


def _start(here: Path, *arguments: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    # A shell may have told its background jobs, and so these tests, to ignore Ctrl-C.
    heed = "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    program = f"{heed}; runpy.run_module('sen_bench', run_name='__main__', alter_sys=True)"
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.Popen(
        command,
        cwd=here,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def _alive(process: subprocess.Popen[bytes]) -> None:
    assert process.poll() is None, process.communicate()


@pytest.mark.slow
def test_a_run_that_is_ended_goes_on_to_the_same_rows(here: Path) -> None:
    """Ended after an epoch by Ctrl-C, after another by kill -9, it has the scores of an undisturbed one."""
    (here / "tiny.toml").write_text(TINY.replace("epochs = 2", "epochs = 40"))
    settings = ("--preset", "tiny.toml", "--device", "cpu", "--model", "sen", "--workers", "1")
    options = ("run", "3d-blocks", *settings)
    checkpoint = here / "runs/3d-blocks/train/sen/tiny/seed-0/checkpoint.pt"
    process = _start(here, *options)
    wait_until(checkpoint.exists, lambda: _alive(process))
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate()
    assert process.returncode == 130
    assert b"interrupted" in stderr
    assert b"Traceback" not in stderr
    assert not (here / "results/runs.csv").exists()
    before = checkpoint.stat().st_mtime_ns
    command = WarmCommand(here, *options)
    wait_until(lambda: command.ended() or checkpoint.stat().st_mtime_ns != before)
    command.kill()
    assert command.exit_code() == -signal.SIGKILL, command.said.read_text()
    assert not (here / "results/runs.csv").exists()
    with one_thread():
        assert invoke(*options).exit_code == 0
        assert invoke(*options, "--runs", "runs2", "--results", "results2").exit_code == 0
    times = ["train_seconds", "eval_seconds"]
    got, expected = (
        pd.read_csv(here / f"{name}/runs.csv").drop(columns=times) for name in ("results", "results2")
    )
    pd.testing.assert_frame_equal(got, expected)


@pytest.mark.slow
def test_worker_processes_have_no_use_for_torch(here: Path) -> None:
    """Workers of `generate` import the main module again; PyTorch would cost each of them 300 MB."""
    modules = "sen_bench.__main__, sen_bench.generators.workers"
    code = f"import sys; import {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=here, check=False).returncode == 0

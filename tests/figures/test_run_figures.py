"""`sen-bench figures` and `sen-bench decode`: what they write, what they refuse, what a second time does."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from sen_bench.baselines.decoder import Decoder
from sen_bench.figures.run_figures import _decode_twins, distinct_elements
from sen_bench.runs import open_run, trained_model
from sen_bench.training import Checkpoint, weights_digest
from tests.support.commands import done, invoke, refused
from tests.support.presets import TINY

CPU = torch.device("cpu")


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data and with finished runs of `sen` and `none`."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "tiny.toml").write_text(TINY)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        command = (
            "run",
            "3d-blocks",
            "--preset",
            "tiny.toml",
            "--device",
            "cpu",
            "--workers",
            "1",
            "--quiet",
        )
        done(*command, "--model", "sen", "--model", "none")
    return folder


@pytest.fixture
def workspace(trained: Path, here: Path) -> Path:
    """A copy of that folder, which the test works in."""
    shutil.copytree(trained, here, dirs_exist_ok=True)
    return here


SEN = "runs/3d-blocks/train/sen/tiny/seed-0"
NONE = "runs/3d-blocks/train/none/tiny/seed-0"
QUICK = ("--device", "cpu", "--quiet", "--epochs", "1")


def test_a_folder_is_the_run_that_wrote_it(workspace: Path) -> None:
    run = open_run(Path(SEN), data=Path("data"), device=CPU)
    assert (run.name, run.seed, run.folder) == ("3d-blocks/train/sen/tiny/seed-0", 0, workspace / SEN)
    assert run.data.open("eval").episodes == 5
    model, checkpoint = trained_model(run)
    assert not model.training
    assert checkpoint.epoch == 2


def test_figures_are_written_and_are_the_same_a_second_time(workspace: Path) -> None:
    names = [f"{name}.{kind}" for name in ("learning-curve", "latents") for kind in ("png", "svg")]
    first = done("figures", SEN, "--device", "cpu")
    assert first.stdout.splitlines() == [f"{SEN}/figures/{name}" for name in names]
    done("figures", SEN, "--device", "cpu", "--out", "again")
    for name in names:
        assert (workspace / SEN / "figures" / name).read_bytes() == (workspace / "again" / name).read_bytes()


def test_decode_trains_once_and_leaves_the_model_as_it_is(workspace: Path) -> None:
    before = (workspace / SEN / "checkpoint.pt").read_bytes()
    first = done("decode", SEN, *QUICK)
    lines = first.stdout.splitlines()
    assert lines[0].startswith("decoder: 1 epoch,")
    assert lines[1].startswith("mean squared error of frames: 0.")
    assert lines[2].startswith("mean squared error of twins, from transformed latents: 0.")
    assert lines[3:] == [f"{SEN}/figures/reconstructions.{kind}" for kind in ("png", "svg")]
    decoder = workspace / SEN / "decoder" / "checkpoint.pt"
    trained, picture = decoder.read_bytes(), (workspace / lines[3]).read_bytes()
    assert done("decode", SEN, *QUICK).stdout == first.stdout
    assert (decoder.read_bytes(), (workspace / lines[3]).read_bytes()) == (trained, picture)
    assert (workspace / SEN / "checkpoint.pt").read_bytes() == before
    forced = done("decode", SEN, *QUICK, "--force", "--format", "svg")
    assert forced.stdout.splitlines()[3:] == [f"{SEN}/figures/reconstructions.svg"]
    assert (workspace / SEN / "decoder.old-1" / "checkpoint.pt").read_bytes() == trained
    again, old = (
        Checkpoint.load(path, CPU).model
        for path in (decoder, workspace / SEN / "decoder.old-1/checkpoint.pt")
    )
    assert all(torch.equal(value, old[name]) for name, value in again.items())


def test_a_decoder_of_other_frames_is_refused(workspace: Path) -> None:
    done("decode", SEN, *QUICK, "--frames", "7")
    trained = (workspace / SEN / "decoder" / "checkpoint.pt").read_bytes()
    assert "with frames 7, not 8" in refused("decode", SEN, *QUICK, "--frames", "8")
    assert (workspace / SEN / "decoder" / "checkpoint.pt").read_bytes() == trained


def test_a_model_without_a_group_gets_reconstructions_only_and_it_is_said(workspace: Path) -> None:
    result = done("decode", NONE, *QUICK, "--format", "png")
    assert "the group does not act on the latents of this model" in result.stderr
    assert "twins" not in result.stdout
    assert [path.name for path in (workspace / NONE / "figures").iterdir()] == ["reconstructions.png"]


@pytest.mark.parametrize("command", ["figures", "decode"])
def test_what_is_no_finished_run_is_refused_in_one_line(workspace: Path, command: str) -> None:
    assert "there is no device" in refused(command, SEN, "--device", "cuda:99")
    assert "nowhere is not a run's folder" in refused(command, "nowhere", "--device", "cpu")
    shutil.copytree(SEN, "moved")
    assert "moved is not where its run belongs" in refused(command, "moved", "--device", "cpu")

    config = workspace / SEN / "config.json"
    settings = json.loads(config.read_text())
    changes = {
        "trained for 2 epochs, the settings say 3; train it to the end first": ("epochs", 3),
        "is of another run, with settings": ("learning_rate", 0.1),
        "training.batch_size: Input should be": ("batch_size", 0),
    }
    for message, (key, value) in changes.items():
        config.write_text(json.dumps({**settings, "training": {**settings["training"], key: value}}))
        assert message in refused(command, SEN, "--device", "cpu")
    config.write_text(json.dumps({key: value for key, value in settings.items() if key != "data"}))
    assert "lacks 'data'" in refused(command, SEN, "--device", "cpu")
    config.write_text("{")
    assert "cannot be read" in refused(command, SEN, "--device", "cpu")
    config.write_text(json.dumps({**settings, "data": {"train": {"episodes": 3}}}))
    assert "generated with other settings" in refused(command, SEN, "--device", "cpu")

    config.write_text(json.dumps(settings))
    (workspace / SEN / "checkpoint.pt").unlink()
    assert "there is no checkpoint" in refused(command, SEN, "--device", "cpu")
    assert not (workspace / SEN / "figures").exists()
    assert not (workspace / SEN / "decoder").exists()


def test_the_decoder_of_a_run_that_was_trained_on_is_refused(workspace: Path) -> None:
    done("decode", SEN, *QUICK)
    (workspace / "tiny.toml").write_text(TINY.replace("epochs = 2", "epochs = 3"))
    done("train", "3d-blocks", "--preset", "tiny.toml", "--model", "sen", "--device", "cpu", "--quiet")
    message = refused("decode", SEN, *QUICK)
    assert "is of another run, with weights " in message
    assert "--force moves it aside" in message


def test_digests_of_weights_tell_them_apart() -> None:
    network = torch.nn.Linear(2, 2)
    before = weights_digest(network)
    assert weights_digest(network) == before
    with torch.no_grad():
        network.bias[0] += 1e-6
    assert weights_digest(network) != before


def test_rows_show_each_element_once() -> None:
    assert distinct_elements(np.array([240, 120, 240, 360, 120]), 6) == [1, 0, 3]
    assert distinct_elements(np.array([240, 120, 240, 360, 120]), 2) == [1, 0]
    assert distinct_elements(np.random.default_rng(0).normal(size=(9, 3, 3)), 4) == [0, 1, 2, 3]


@pytest.mark.usefixtures("workspace")
def test_rows_show_their_episodes_in_whatever_chunks_these_are_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = [3, 0, 4]
    monkeypatch.setattr("sen_bench.figures.run_figures.CHUNK", 2)
    monkeypatch.setattr("sen_bench.figures.run_figures.distinct_elements", lambda *_: rows)
    run = open_run(Path(SEN), data=Path("data"), device=CPU)
    model, _ = trained_model(run)
    dataset = run.data.open("eval")
    columns = _decode_twins(model, Decoder(model.latent_shape, (50, 50, 3)).eval(), dataset, run).columns
    for column, array in (("frame", "observation"), ("twin frame", "twin/observation")):
        np.testing.assert_allclose(columns[column], dataset.load(array)[rows, 0] / 255, atol=1e-6)


def test_decode_where_nothing_can_be_written_ends_in_one_line(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    for what in ("sen_bench.training.log.write_atomically", "sen_bench.runs.folder.FileLock.acquire"):
        with monkeypatch.context() as patch:
            patch.setattr(what, refuse)
            result = invoke("decode", SEN, *QUICK)
        assert result.exit_code == 2
        assert result.stderr.count("\n") == 1
        assert result.stderr.startswith("error: cannot ")
        assert "Read-only file system" in result.stderr
    assert not list((workspace / SEN / "decoder").glob("*"))


@pytest.mark.usefixtures("workspace")
def test_a_log_that_no_training_wrote_is_refused_before_anything_is_scored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = Path(SEN) / "metrics.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join([*lines, lines[0]]))

    def scored(*_: object, **__: object) -> None:
        raise AssertionError("scored before the log was read")

    monkeypatch.setattr("sen_bench.runs.scoring.evaluate", scored)
    options = ("--model", "sen", "--preset", "tiny.toml", "--seeds", "0", "--device", "cpu")
    for command in ("evaluate", "run"):
        result = invoke(command, "3d-blocks", *options, "--results", "elsewhere")
        assert result.exit_code == 2, result.output
        assert "line 5, or one before it was changed" in result.stderr

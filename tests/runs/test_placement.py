"""Where training data is held: what fits, what is said, and that a run goes on as it was begun."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path

import click
import pandas as pd
import pytest
import torch

from sen_bench.cli.options import MemorySize
from sen_bench.config.presets import TaskPreset, load_preset
from sen_bench.config.settings import TrainingConfig
from sen_bench.data.streaming import READER, StreamedTransitions
from sen_bench.envs import make_world
from sen_bench.errors import CheckpointError, ConfigError
from sen_bench.generators import Recipe
from sen_bench.generators.shards import plan_shards
from sen_bench.runs import Run, Workspace, place_data, placement
from sen_bench.runs.placement import STREAMED_BYTES, Footprint, Placement
from sen_bench.runs.settings import begun_training
from sen_bench.store import EpisodeBlocks, open_dataset
from sen_bench.system import device
from sen_bench.system.device import free_memory
from sen_bench.tasks.registry import get_task
from tests.support.commands import invoke
from tests.support.configs import config_of
from tests.support.datasets import SHARDED, SMALL, TALL

CPU = torch.device("cpu")
MIB, GIB = 1 << 20, 1 << 30
# 50 files of 30 episodes of 1 MiB, and 512 bytes of actions an episode.
LARGE = Footprint(EpisodeBlocks(1500, per_chunk=1, per_shard=30), steps=100, frames=MIB, actions=512)


@pytest.mark.parametrize("recipe", [TALL, SHARDED, SMALL])
def test_the_footprint_is_that_of_the_dataset(recipe: Recipe) -> None:
    world = make_world(recipe.world_id, **recipe.world_options)
    footprint = Footprint.of(world, recipe)
    observation, action = plan_shards(recipe, world).arrays[:2]
    assert footprint.whole == observation.nbytes + action.nbytes
    assert footprint.blocks.per_shard == observation.shard_rows
    assert footprint.steps == action.shape[1]


@pytest.mark.parametrize(
    ("task", "size"),
    [
        ("3d-blocks", 1000 * 101 * 50 * 50 * 3 + 1000 * 100 * 8),
        ("reacher", 2000 * 12 * 128 * 128 * 3 + 2000 * 10 * 2 * 4),  # a model is shown two frames
        ("teapot-large", 100_000 * 2 * 64 * 64 + 100_000 * 9 * 8),
    ],
)
def test_the_papers_data_takes_about_a_gigabyte(task: str, size: int) -> None:
    assert Footprint.of(get_task(task).world(), get_task(task).recipe("train")).whole == size


@pytest.mark.parametrize("memory", [61 * MIB, 100 * MIB, 500 * MIB, GIB])
def test_two_windows_and_all_actions_stay_within_the_memory(memory: int) -> None:
    windows = LARGE.shuffle_buffer(memory) // LARGE.steps
    assert windows % 30 == 0
    taken = 2 * windows * LARGE.frames + 1500 * LARGE.actions
    assert taken <= memory < taken + 2 * 30 * MIB


def test_data_that_fits_is_held_whole_and_other_data_streamed() -> None:
    whole = Placement.within(LARGE, 2 * GIB)
    assert whole.shuffle_buffer is None
    assert whole.reason == "training data: all 1.5 GiB in memory, as --data-memory 2.0 GiB allows"
    streamed = Placement.within(LARGE, GIB)
    assert streamed.shuffle_buffer == 17 * 30 * 100
    assert streamed.reason == (
        "training data: streamed, 51,000 transitions shuffled at a time, because its 1.5 GiB are more than"
        " --data-memory 1.0 GiB"
    )
    with pytest.raises(ConfigError, match=r"--data-memory 50.0 MiB is too little .* takes 60.7 MiB at least"):
        Placement.within(LARGE, 50 * MIB)


@pytest.mark.parametrize(("free", "streamed"), [(4 * GIB, False), (2 * GIB, True)])
def test_by_default_half_of_what_is_free_is_left(
    monkeypatch: pytest.MonkeyPatch,
    free: int,
    streamed: bool,  # noqa: FBT001
) -> None:
    monkeypatch.setattr(placement, "free_memory", lambda _device: free)
    chosen = Placement.automatic(LARGE, CPU)
    assert (chosen.shuffle_buffer is not None) == streamed
    if streamed:
        assert chosen.shuffle_buffer == LARGE.shuffle_buffer(STREAMED_BYTES)
        assert "1.5 GiB are more than half of the free memory, 2.0 GiB" in chosen.reason
    else:
        assert chosen.reason == "training data: all 1.5 GiB in memory, of which 4.0 GiB are free"


def test_on_a_gpu_its_memory_and_that_of_the_host_count(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = torch.device("cuda", 0)
    for on_host, on_gpu, name in ((64 * GIB, 2 * GIB, "GPU memory"), (2 * GIB, 64 * GIB, "memory")):
        free = {"cpu": on_host, "cuda": on_gpu}
        monkeypatch.setattr(placement, "free_memory", lambda where, free=free: free[where.type])
        chosen = Placement.automatic(LARGE, gpu)
        assert chosen.shuffle_buffer is not None
        assert f"half of the free {name}, 2.0 GiB" in chosen.reason


def test_what_pytorch_keeps_of_a_gpu_and_does_not_use_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = torch.device("cuda", 0)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (2 * GIB, 8 * GIB))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _device: 5 * GIB)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _device: 1 * GIB)
    assert free_memory(gpu) == 6 * GIB


def test_free_memory_heeds_the_limits_of_cgroups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An inner group without a limit, and a job's of 1 GiB: 700 MiB are used, 200 of them for files."""
    job = tmp_path / "groups" / "slurm" / "job_7"
    (job / "step_0").mkdir(parents=True)
    for folder, limit in ((job / "step_0", "max"), (job, str(GIB))):
        (folder / "memory.max").write_text(f"{limit}\n")
        (folder / "memory.current").write_text(f"{700 * MIB}\n")
        (folder / "memory.stat").write_text(f"anon 5\ninactive_file {150 * MIB}\nactive_file {50 * MIB}\n")
    (tmp_path / "membership").write_text("4:memory:/elsewhere\n0::/slurm/job_7/step_0\n")
    unlimited = free_memory(CPU)
    assert unlimited > 524 * MIB
    monkeypatch.setattr(device, "_PROC_CGROUP", tmp_path / "membership")
    monkeypatch.setattr(device, "_CGROUPS", tmp_path / "groups")
    assert free_memory(CPU) == (1024 - 700 + 200) * MIB
    monkeypatch.setattr(device, "_PROC_CGROUP", tmp_path / "none")
    assert free_memory(CPU) > 524 * MIB


@pytest.mark.parametrize(
    ("text", "size"),
    [("8GiB", 8 * GIB), ("1.5 gb", 1_500_000_000), (" 512MiB ", 512 * MIB), ("64kb", 64_000), ("auto", None)],
)
def test_sizes_are_read_as_people_write_them(text: str, size: int | None) -> None:
    assert MemorySize().convert(text, None, None) == size


@pytest.mark.parametrize("text", ["8", "8 gigs", "-1GiB", "GiB", "8GiB 3", "9kbit", "many", "1e9B", ""])
def test_what_is_no_size_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(click.BadParameter, match=re.escape(f"{text!r} is not a size; write 512MiB, 8GiB")):
        MemorySize().convert(text, None, None)


# Eight files of one episode of 1 MB each.
PRESET = """
description = "as small as can be streamed"
[tasks.2d-shapes]
data.train = { episodes = 8, horizon = 130 }
data.eval = { episodes = 5, horizon = 1 }
training = { epochs = 1, batch_size = 128 }
evaluation = { horizons = [1] }
models.none = { embedding_channels = 2, hidden = 4 }
"""


def test_a_run_goes_on_as_it_was_begun_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tiny.toml").write_text(PRESET)
    run = ("run", "2d-shapes", "--preset", "tiny.toml", "--model", "none", "--device", "cpu")
    first = invoke(*run, "--data-memory", "5MiB")
    assert first.exit_code == 0, first.output
    assert "training data: streamed, 260 transitions shuffled at a time, because its 7.5 MiB" in first.stderr
    settings = Path("runs/2d-shapes/train/none/tiny/seed-0/config.json")
    assert json.loads(settings.read_text())["training"]["shuffle_buffer"] == 260
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(READER)]

    # More epochs, and nothing said of memory.
    Path("tiny.toml").write_text(PRESET.replace("epochs = 1", "epochs = 2"))
    longer = invoke(*run)
    assert longer.exit_code == 0, longer.output
    assert "streamed, 260 transitions shuffled at a time, as in the run that is continued" in longer.stderr
    assert "already in" in invoke(*run).stderr

    # Another memory means another order.
    before = settings.read_text()
    for memory in ("1GiB", "7MiB"):
        other = invoke(*run, "--data-memory", memory)
        assert other.exit_code == 2
        assert "is of another run, with settings" in other.stderr
    assert settings.read_text() == before
    assert invoke(*run, "--data-memory", "1GiB", "--force").exit_code == 0
    assert "training data: all in memory, as in the run that is continued" in invoke("train", *run[1:]).stderr
    rows = pd.read_csv("results/runs.csv")
    assert rows["config_digest"].nunique() == 3
    assert rows["transitions_seen"].tolist() == [1040, 2080, 2080]

    # What was begun does not decide about a new beginning.
    for command in (run, ("train", *run[1:])):
        anew = invoke(*command, "--force")
        assert anew.exit_code == 0, anew.output
        assert "training data: all 7.5 MiB in memory, of which" in anew.stderr
        assert json.loads(settings.read_text())["training"]["shuffle_buffer"] is None
        streamed = invoke("train", *run[1:], "--data-memory", "5MiB", "--force")
        assert streamed.exit_code == 0, streamed.output
        assert json.loads(settings.read_text())["training"]["shuffle_buffer"] == 260

    too_little = invoke(*run, "--data-memory", "1MiB")
    assert too_little.exit_code == 2
    assert "error: --data-memory 1.0 MiB is too little to stream" in too_little.stderr
    with StreamedTransitions(open_dataset("data/tiny/2d-shapes/train.zarr"), CPU, buffer=260) as stream:
        assert sum(slot.frames.nbytes for slot in stream._slots) + stream._actions.nbytes <= 5 * MIB


def test_a_preset_may_ask_for_streaming(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    asking = PRESET.replace("batch_size = 128", "batch_size = 128, shuffle_buffer = 390")
    Path("asking.toml").write_text(asking)
    of_task = load_preset("asking.toml").for_task("2d-shapes")
    assert config_of("2d-shapes", "none", "train", of_task).training.shuffle_buffer == 390


@pytest.mark.parametrize(
    ("text", "buffer"),
    [
        ('{"training": {"epochs": 3}}', None),  # older than streaming
        ('{"training": {"shuffle_buffer": null}}', None),
        ('{"training": {"shuffle_buffer": 4000}}', 4000),
    ],
)
def test_settings_of_a_run_say_how_it_was_begun(tmp_path: Path, text: str, buffer: int | None) -> None:
    (tmp_path / "config.json").write_text(text)
    assert begun_training(tmp_path).shuffle_buffer == buffer


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"training": 3}', "cut o"])
def test_settings_that_cannot_be_read_decide_nothing_and_that_is_said(tmp_path: Path, text: str) -> None:
    task, workspace = get_task("2d-shapes"), Workspace(tmp_path, tmp_path)
    preset = load_preset("smoke")
    config = config_of(task.name, "sen", "train", preset.for_task(task.name))
    run = Run(task, preset, config, 0, workspace, CPU)
    run.folder.mkdir(parents=True)
    run.checkpoint.touch()
    (run.folder / "config.json").write_text(text)
    with pytest.raises(ConfigError, match=r"config\.json.*writes it anew"):
        begun_training(run.folder)
    placed = place_data(run, None).placement
    assert placed is not None
    assert placed.shuffle_buffer is None
    assert "config.json" in placed.reason


def test_a_folder_without_settings_is_no_folder_of_a_run(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"it has no config\.json"):
        begun_training(tmp_path / "nowhere")


def test_all_in_memory_leaves_digests_as_they_were() -> None:
    # As the preset cpu was when the first rows were recorded, with this digest.
    then = TrainingConfig(epochs=2, batch_size=128, learning_rate=5e-4)
    config = config_of("2d-shapes", "sen", "train-limited", TaskPreset(training=then))
    assert config.digest == "c9820645c8e78e8e"
    streamed = config.model_copy(
        update={"training": config.training.model_copy(update={"shuffle_buffer": 5000})}
    )
    assert streamed.digest != config.digest
    assert streamed.weights_digest != config.weights_digest

"""Stored episodes as evaluation sees them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from sen_bench.config import SplitSize
from sen_bench.data.episodes import Episodes
from sen_bench.generators import Recipe, generate
from sen_bench.store import Dataset, open_dataset
from sen_bench.tasks.registry import get_task
from tests.paths import ROOT
from tests.support.fake_worlds import WIDE


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Several files of episodes with their twins."""
    recipe = Recipe(task="drift", split="eval", world_id=WIDE, episodes=130, horizon=4, seed=3, twin=True)
    return generate(recipe, tmp_path_factory.mktemp("stored") / "eval.zarr").dataset


DEVICES = [
    torch.device("cpu"),
    pytest.param(
        torch.device("cuda", 0),
        marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU"),
    ),
]


@pytest.mark.parametrize("device", DEVICES, ids=str)
@pytest.mark.parametrize("memory", [0, None])
def test_episodes_are_shown_as_they_are_stored_wherever_their_frames_are(
    stored: Dataset, device: torch.device, memory: int | None
) -> None:
    some = Episodes(stored, device, times=(0, 3), memory=memory)
    index = torch.tensor([129, 0, 57, 57], device=device)
    for twin, name in ((False, "observation"), (True, "twin/observation")):
        frames = stored.load(name)
        for time in (0, 3):
            shown = some.observations(index, time, twin=twin)
            assert shown.device == device
            expected = frames[index.cpu().numpy(), time].transpose(0, 3, 1, 2) / np.float32(255)
            np.testing.assert_allclose(shown.cpu().numpy(), expected, rtol=0, atol=1e-7)
    later = some.later_observations(slice(3, 60))
    assert later.device == device
    expected = stored.load("observation")[3:60, 1:].transpose(0, 1, 4, 2, 3) / np.float32(255)
    np.testing.assert_allclose(later.cpu().numpy(), expected, rtol=0, atol=1e-7)
    kept = [frames.shape[1] for frames in some._frames.values()]
    assert kept == [2, 2]


def _assert_later_frames_are_those_stored(dataset: Dataset) -> int:
    """Checks frames and repeats of some episodes; how many repeats there are."""
    some = Episodes(dataset, torch.device("cpu"), times=(0, 1))
    stack, horizon, index = dataset.frame_stack, dataset.horizon, slice(1, min(7, dataset.episodes))
    frames = dataset.load("observation")[index].transpose(0, 1, 4, 2, 3) / np.float32(255)
    states = dataset.load("state")[index, stack - 1 :]
    later = some.later_observations(index)
    repeats = {other: some.repeats(index, other) for other in range(1, horizon + 1)}
    found = 0
    for episode, time in np.ndindex(len(states), horizon + 1):
        if time > 0:
            shown = np.concatenate(frames[episode, time : time + stack])
            np.testing.assert_allclose(later[episode, time - 1].numpy(), shown, rtol=0, atol=1e-7)
        for other, marked in repeats.items():
            same = np.array_equal(states[episode, time], states[episode, other])
            assert bool(marked[episode, time]) == same
            found += same and other != time
    return found


def test_later_frames_and_repeated_states_are_those_stored(tmp_path: Path) -> None:
    recipe = get_task("2d-shapes").recipe("eval", SplitSize(episodes=9))
    assert _assert_later_frames_are_those_stored(generate(recipe, tmp_path / "eval.zarr").dataset) > 0


def test_where_several_frames_are_shown_a_time_has_the_state_of_the_last() -> None:
    reacher = open_dataset(ROOT / "tests" / "golden" / "format-1" / "reacher" / "eval.zarr")
    assert reacher.frame_stack == 2
    assert _assert_later_frames_are_those_stored(reacher) == 0


TEAPOT = ROOT / "tests" / "golden" / "format-1" / "teapot-small" / "eval.zarr"


def test_frames_after_the_rotations_of_twins_are_those_of_the_twins() -> None:
    some = Episodes(open_dataset(TEAPOT), torch.device("cpu"))
    index = torch.tensor([1, 0, 1])
    assert some.can_turn
    for time in (0, 1):
        turned = some.turned(index, time, some.elements(slice(None))[index])
        assert torch.equal(turned, some.observations(index, time, twin=True))
        as_before = some.turned(index, time, torch.eye(3, dtype=torch.float64).expand(3, 3, 3))
        assert torch.equal(as_before, some.observations(index, time, twin=False))


def test_where_the_group_is_finite_nothing_can_be_turned_at_will(stored: Dataset) -> None:
    assert not Episodes(stored, torch.device("cpu")).can_turn


def test_one_negative_of_small_turns_is_the_first_state_and_looks_like_it() -> None:
    teapot = open_dataset(TEAPOT)
    some, index = Episodes(teapot, torch.device("cpu")), torch.arange(teapot.episodes).flip(0)
    again = some.negatives_like_first(index, 1)
    assert again.sum(dim=1).tolist() == [1] * teapot.episodes
    alike = some.negatives(index, 1) == some.observations(index, 0, twin=False).unsqueeze(1)
    assert torch.equal(alike.flatten(2).all(dim=2), again)

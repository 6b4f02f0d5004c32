"""The check of worlds passes a sound world, and names each fault of a faulty one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import gymnasium
import pytest

from sen_bench.checks import WorldReport, check_world
from sen_bench.envs import WORLDS, World, register_world
from sen_bench.errors import ConfigError
from tests.support import faulty_worlds as faulty
from tests.support.commands import invoke, refused


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Callable[[type[World]], type[World]]:
    """Registers a world for as long as a test takes."""
    monkeypatch.setattr(gymnasium.envs.registration, "registry", dict(gymnasium.registry))
    monkeypatch.setattr(gymnasium, "registry", gymnasium.envs.registration.registry)
    before = dict(WORLDS)
    monkeypatch.setattr("sen_bench.envs.registration.WORLDS", before)
    monkeypatch.setattr("sen_bench.checks.world_interface.WORLDS", before)

    def register(kind: type[World]) -> type[World]:
        before.pop(kind.world_id, None)
        gymnasium.registry.pop(kind.world_id, None)
        register_world(kind.world_id, f"{kind.__module__}:{kind.__name__}")
        return kind

    return register


def _failures(report: WorldReport) -> dict[str, str]:
    return {finding.name: finding.detail for finding in report.failures}


def test_a_sound_world_passes(register: Callable[[type[World]], type[World]]) -> None:
    register(faulty.Ring)
    report = check_world(faulty.Ring(shade=200))
    assert report.passed, str(report)
    assert {f.name for f in report.findings if f.state == "skipped"} == {"hard negatives", "slice"}
    assert "4 products of elements act as one element after the other" in str(report)
    assert "for all 4 elements and 16 states" in str(report)


@pytest.mark.parametrize(
    ("kind", "check", "detail"),
    [
        (faulty.MoreNames, "names", "state_names has 2 names for axis 'bead', which has 1 entries"),
        (faulty.Large, "spaces", "the frame of state 0 [3], uint8 [6, 12, 1], is not in observation_space"),
        (faulty.Restless, "sampling", "sample_state draws different values from equal generators"),
        (faulty.Restless, "seeds", "two episodes from reset(seed=5) with equal actions differ"),
        (faulty.Overwriting, "purity of stepping", "step_states writes into its arguments: state"),
        (faulty.Flickering, "purity of rendering", "another result when it is called again"),
        (faulty.Sharing, "purity of rendering", "render_states returns memory of the world's own"),
        (faulty.OneByOne, "batches of rendering", "another result in a batch of [16] than alone"),
        (faulty.Uncounting, "identity", "the identity moves state"),
        (faulty.Squaring, "composition", "does not act on states as their product: state"),
        (faulty.Uneven, "equivariance", "for element 1 (r), state"),
        (faulty.Unturned, "action on images", "does not act on images as it says: state"),
        (faulty.Forgetful, "symmetry", "another after to_json and from_json"),
        (faulty.Blind, "difference of states", "0 between states that differ"),
        (faulty.FlatNegatives, "hard negatives", "negative_states gives the shape [16, 1] for [16, 1]"),
        (faulty.Missing, "slice", "draws a transition that is 90 degrees from the slice, not 0"),
        (faulty.Narrow, "slice", "says that twins of transitions of the slice are beyond its orbit"),
        (faulty.Rooted, "pickling", "cannot be sent to another process"),
        (faulty.Seedless, "seeds", "the same episode for all seeds from 5 to 12"),
        (faulty.Rewarding, "episodes", "step gives a reward"),
        (faulty.Strict, "gymnasium", "options"),
        (faulty.Undrawable, "purity of rendering", "raised KeyError: ('no such\\nsprite', "),
        (faulty.Unborn, "states and actions", "raised ZeroDivisionError: nothing to draw from Generator ("),
        (faulty.Stubborn, "equivariance", "for the rotation by "),
    ],
)
def test_each_fault_is_named(
    register: Callable[[type[World]], type[World]], kind: type[World], check: str, detail: str
) -> None:
    found = _failures(check_world(register(kind)()))
    assert detail in found[check]
    assert all("\n" not in line for line in found.values())


def test_faults_that_touch_one_thing_fail_one_check(
    register: Callable[[type[World]], type[World]],
) -> None:
    for kind, check in ((faulty.Uneven, "equivariance"), (faulty.Squaring, "composition")):
        assert set(_failures(check_world(register(kind)()))) - {"action on images"} == {check}


def test_how_far_it_is_off_is_said(register: Callable[[type[World]], type[World]]) -> None:
    detail = _failures(check_world(register(faulty.Uneven)()))["equivariance"]
    assert "action " in detail
    assert "they differ by " in detail
    assert " other cases of 64" in detail


def test_a_sound_slice_passes(register: Callable[[type[World]], type[World]]) -> None:
    report = check_world(register(faulty.Sliced)())
    assert report.passed, str(report)
    assert "16 transitions of the slice are in it, and their twins in its orbit" in str(report)


def test_options_that_do_not_rebuild_it_are_found(register: Callable[[type[World]], type[World]]) -> None:
    lost: Any = register(faulty.Optionless)
    assert "gives a world that behaves differently" in _failures(check_world(lost(shade=7)))["options"]


def test_a_world_that_is_not_registered_is_told_how() -> None:
    found = _failures(check_world(faulty.Ring()))
    assert list(found) == ["options"]
    call = "register_world('sen_bench_tests/Ring-v0', 'tests.support.faulty_worlds:Ring')"
    assert call in found["options"]


def test_what_cannot_be_checked_is_refused() -> None:
    with pytest.raises(ConfigError, match="check_world: world must be a World, not"):
        check_world(faulty.Ring)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="states must be at least 4, not 3"):
        check_world(faulty.Ring(), states=3)


def test_the_command_checks_a_registered_world_with_options() -> None:
    done = invoke("check-world", "sen_bench/Teapot-v0", "--option", "actions=small", "--states", "4")
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1] == "sen_bench/Teapot-v0: keeps the contract"
    assert "passed  equivariance: step(g·s, g·a) = g·step(s, a) for random 100 elements" in done.stdout


def test_the_command_ends_with_1_for_a_faulty_world() -> None:
    done = invoke("check-world", "tests.support.faulty_worlds:Uneven", "--option", "shade=9", "--json")
    assert done.exit_code == 1
    report = json.loads(done.stdout)
    assert not report["passed"]
    failed = {finding["name"] for finding in report["findings"] if finding["state"] == "failed"}
    assert failed == {"equivariance", "options"}  # it is not registered either


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tests.support.faulty_worlds:Nobody"], "has no 'Nobody'"),
        (["tests.support.faulty_worlds:GROUP"], "is not a subclass of sen_bench.envs.World"),
        (["sen_bench/Teapots-v0"], "did you mean 'sen_bench/Teapot-v0'?"),
        (["sen_bench/Teapot-v0", "--option", "small"], "write --option KEY=VALUE"),
        (["sen_bench/Teapot-v0", "--option", "size=3"], "'size'"),
        (["sen_bench/Teapot-v0", "--option", "actions=tiny"], "actions must be 'small' or 'large'"),
    ],
)
def test_mistakes_end_in_one_line(arguments: list[str], message: str) -> None:
    assert message in refused("check-world", *arguments)

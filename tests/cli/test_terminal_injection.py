"""What datasets, plugins and tables say reaches the terminal as text: no orders to it, no lines of ours."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sen_bench.checks.world import WorldFinding, WorldReport
from sen_bench.cli.describe import describe_models
from sen_bench.cli.leaderboard_table import format_table
from sen_bench.generators import Recipe, generate
from sen_bench.store import FileRecord, Manifest
from sen_bench.store.canonical import canonical_digest
from sen_bench.system import Terminal, WorkStatus, plugins
from tests.support.commands import done, refused
from tests.support.fake_worlds import DRIFT
from tests.support.plugins import TASK, forget, install
from tests.support.rows import leaderboard_rows, make_seed

# Sets the title, clears the screen, writes in red; and forges a line and hides the rest of one.
ORDERS = "\x1b]0;owned\x07\x1b[2J\x1b[31m"
FORGED = f"{ORDERS}x\nerror: forged\r\x9b2K"
RECIPE = Recipe(task="drift", split="eval", world_id=DRIFT, episodes=3, horizon=2)


def harmless(text: str) -> None:
    for line in text.splitlines():
        assert line.isprintable(), line
        assert not line.startswith("error: forged")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return generate(RECIPE, tmp_path / "eval.zarr").path


def edited(store: Path, change: Callable[[Any], object]) -> None:
    """Changes the root's attributes as a stranger would: digests agree afterwards."""
    root = json.loads((store / "zarr.json").read_bytes())
    attributes = root["attributes"]
    change(attributes)
    attributes["recipe_digest"] = canonical_digest(attributes["recipe"])
    (store / "zarr.json").write_text(json.dumps(root))
    manifest = Manifest.read(store)
    files = {**manifest.files, "zarr.json": FileRecord.of((store / "zarr.json").read_bytes())}
    Manifest(manifest.content_digest, files).write(store)


def test_info_of_a_dataset(store: Path) -> None:
    def poison(attributes: Any) -> None:
        attributes["task"] = attributes["recipe"]["task"] = FORGED
        attributes["world_options"] = {FORGED: FORGED}
        attributes["library_versions"] = {FORGED: "[bold red]1[/]"}
        attributes["recipe"]["policy"]["kind"] = FORGED
        attributes["inexact"] = [FORGED]
        attributes["symmetry"]["description"] = FORGED

    edited(store, poison)
    result = done("info", str(store))
    harmless(result.output)
    assert r"\x1b[31mx\nerror: forged\r\x9b2K [bold red]1[/]" in result.output
    harmless(done("info", str(store), "--json").output)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a["recipe"].pop("policy"), "the recipe does not say seed and policy as it should"),
        (lambda a: a["recipe"].pop("seed"), "the recipe does not say seed and policy as it should"),
        (lambda a: a["recipe"].update(policy=3), "the recipe does not say seed and policy as it should"),
        (lambda a: a.update(renderer=FORGED), "not exact or backend"),
    ],
)
def test_info_of_what_it_cannot_describe_is_one_line(
    store: Path, change: Callable[[Any], object], message: str
) -> None:
    edited(store, change)
    line = refused("info", str(store))
    assert message in line
    assert line.isprintable()


@pytest.mark.parametrize("command", ["info", "verify", "view"])
def test_names_in_a_manifest(store: Path, command: str) -> None:
    manifest = json.loads((store / "manifest.json").read_bytes())
    manifest["files"][FORGED] = {"size": 1, "sha256": "0" * 64}
    (store / "manifest.json").write_text(json.dumps(manifest))
    assert refused(command, str(store)).isprintable()


def test_titles_and_errors_of_plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points = {plugins.TASKS: {"drift": "titled_task:drift", "other": "raising_task:other"}}
    modules = {
        "titled_task": TASK.replace('title="Drift"', f"title={FORGED!r}"),
        "raising_task": f"raise RuntimeError({FORGED!r})",
    }
    monkeypatch.syspath_prepend(install(tmp_path / "site", "plug", points, modules))
    output = done("tasks").output
    forget(tmp_path)
    harmless(output)
    assert output.count(r"\x1b[31mx") == 2


def test_models() -> None:
    parameters = dict.fromkeys(("embedding", "encoder", "transition", "total"), 1)
    claims = {"image_equivariance": None, "equivariant": True, "on_request": False}
    good = {"parameters": parameters, "class": FORGED, **claims}
    output = describe_models(
        [
            {"task": FORGED, "model": "[red]m", **good},
            {"task": FORGED, "model": "n", **good},
            {"task": "t", "model": FORGED, "error": FORGED},
        ]
    )
    harmless(output)
    assert "[red]m" in output


def test_findings_about_a_world() -> None:
    harmless(str(WorldReport("own/World-v0", (WorldFinding("step", "failed", FORGED),))))


def test_free_text_of_tables() -> None:
    leaderboard = leaderboard_rows([make_seed(0), make_seed(1, model="none")])
    for row, device in zip(leaderboard, (ORDERS, FORGED), strict=True):
        row |= {"devices": device, "model": FORGED}
    harmless(format_table(leaderboard, iqm=False))


def test_messages_and_progress(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal()
    terminal.message(FORGED)
    with terminal.work(FORGED, "files") as advance:
        advance(1, 1)
    with terminal.job(FORGED) as job:
        job(WorkStatus(FORGED, 1, 1, "files"))
    lines = capsys.readouterr().err
    harmless(lines)
    assert lines.count("\n") == 2

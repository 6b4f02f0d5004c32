"""What is published is whole, verified and described, as the reference libraries read it."""

from __future__ import annotations

import hashlib
import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import DatasetCard, ModelCard

from sen_bench.generators import generate
from sen_bench.publishing import folder
from sen_bench.publishing.publication import CHECKSUMS, PublishedFile
from sen_bench.store import open_dataset
from sen_bench.tasks import get_task
from tests.support.commands import done, invoke, refused
from tests.support.plugins import run_drift
from tests.support.presets import OF_DRIFT

SAID = (
    "--license", "CC-BY-4.0", "--creator", "Ada Lovelace", "--creator", "Emmy Noether",
    "--url", "https://example.org/drift", "--date", "2026-11-29",
)  # fmt: skip
RESPONSIBLE = (
    "dataBiases", "dataLimitations", "dataUseCases", "dataSocialImpact", "personalSensitiveInformation",
    "dataCollection", "dataCollectionType", "dataAnnotationProtocol",
)  # fmt: skip


@pytest.fixture
def stores(store: Path) -> list[str]:
    """Both splits of the fake task."""
    return [str(store), str(generate(get_task("drift").recipe("train"), store.with_name("train.zarr")).path)]


def _check_sums(folder: Path) -> set[str]:
    """The files that the checksums name, all of which must be as they say."""
    names = set()
    for line in (folder / CHECKSUMS).read_text().splitlines():
        digest, _, name = line.partition("  ")
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
        names.add(name)
    return names


def _problems(croissant: Path) -> dict[str, Any]:
    """What the reference library finds wrong; it reads no records of Zarr, and says so."""
    issues = _read(croissant).ctx.issues
    return {"errors": issues.errors, "warnings": issues.warnings}


def _read(croissant: Path) -> Any:
    """The metadata as mlcroissant reads it, whose own use of deprecated libraries is not our matter."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlcroissant  # noqa: PLC0415

        return mlcroissant.Dataset(str(croissant)).metadata


@pytest.mark.usefixtures("here")
def test_datasets_are_published_whole(stores: list[str]) -> None:
    result = done("publish", *stores, "--to", "out/drift", *SAID, "--strict")
    place = Path("out/drift").absolute()
    assert result.stdout == f"{place}\n"
    assert not [path for path in place.parent.iterdir() if path != place and ".lock" not in path.name]
    files = {path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()}
    assert _check_sums(place) == files - {CHECKSUMS}
    for store in stores:
        published = open_dataset(place / "drift" / Path(store).name)
        assert published.files_digest == open_dataset(store).files_digest
    croissant = place / "croissant.json"
    assert _problems(croissant) == {"errors": set(), "warnings": set()}
    said = json.loads(croissant.read_text())
    assert said["license"] == "https://spdx.org/licenses/CC-BY-4.0.html"
    assert [creator["name"] for creator in said["creator"]] == ["Ada Lovelace", "Emmy Noether"]
    assert (said["url"], said["datePublished"]) == ("https://example.org/drift", "2026-11-29")
    assert all(said[f"rai:{name}"] for name in RESPONSIBLE)
    metadata = _read(croissant)
    assert metadata.personal_sensitive_information
    assert {record.uuid for record in metadata.record_sets} >= {"drift/eval/episode", "drift/train/episode"}
    card = DatasetCard.load(place / "README.md")
    assert card.data.license == "cc-by-4.0"
    assert card.data.pretty_name == "drift"
    assert "| `drift/eval.zarr` | Drift-v0 | C2 | 6 × 2 steps | yes |" in card.text


@pytest.mark.usefixtures("here")
def test_what_the_publisher_does_not_say_is_named(stores: list[str]) -> None:
    line = "nothing says --license, --creator, --url, --date, which venues such as NeurIPS ask for"
    assert refused("publish", *stores, "--to", "out", "--strict").startswith(
        f"error: {line}; give the options"
    )
    assert not Path("out").exists()
    assert f"{line}; going on without" in done("publish", *stores, "--to", "out").stderr
    assert "license" not in json.loads(Path("out/croissant.json").read_text())
    assert refused("publish", *stores, "--to", "out").endswith(
        "is there already; name another one, or give --force"
    )
    assert "moved the old folder to" in done("publish", *stores, "--to", "out", "--force").stderr
    assert Path("out.old-1").is_dir()


@pytest.mark.usefixtures("here")
def test_a_file_says_more_and_options_hold_first(store: Path) -> None:
    Path("info.toml").write_text(
        'title = "Points that drift"\nlicense = "https://example.org/licence"\ncreators = ["Ada Lovelace"]\n'
        'date = 2026-01-01\nkeywords = ["toy"]\n[rai]\ndataReleaseMaintenancePlan = "none"\n'
    )
    done("publish", str(store), "--to", "out", "--info", "info.toml", "--date", "2026-02-02", "--quiet")
    said = json.loads(Path("out/croissant.json").read_text())
    assert said["rai:dataReleaseMaintenancePlan"] == "none"
    assert said["datePublished"] == "2026-02-02"
    assert "toy" in said["keywords"]
    matter = yaml.safe_load(Path("out/README.md").read_text().split("---\n")[1])
    assert matter["license"] == "other"
    assert matter["license_link"] == "https://example.org/licence"
    Path("info.toml").write_text('colour = "red"')
    assert "info.toml: colour: Extra inputs are not permitted" in refused(
        "publish", str(store), "--to", "x", "--info", "info.toml"
    )
    assert "write a day, such as 2026-11-29" in refused("publish", str(store), "--to", "x", "--date", "soon")


@pytest.mark.usefixtures("here")
def test_what_is_broken_is_not_published(store: Path) -> None:
    file = next((store / "action").rglob("0"))
    file = file if file.is_file() else next(path for path in file.rglob("*") if path.is_file())
    file.write_bytes(bytes(file.stat().st_size))
    assert "sha256" in refused("publish", str(store), "--to", "out")
    assert not Path("out").exists()


@pytest.mark.usefixtures("drift")
def test_runs_are_published_with_their_scores(here: Path, store: Path) -> None:
    (here / "small.toml").write_text(OF_DRIFT)
    run_drift("--seeds", "0,1")
    name = "drift/train/mean/small"
    runs = [f"runs/{name}/seed-{seed}" for seed in (0, 1)]
    both = refused("publish", runs[0], str(store), "--to", "out")
    assert "give datasets or runs, not both" in both
    done("publish", *runs, "--to", "out", "--license", "MIT", "--creator", "Ada Lovelace")
    published = Path("out")
    files = _check_sums(published)
    assert {f"{name}/seed-{seed}/checkpoint.pt" for seed in (0, 1)} < files
    assert {"runs.csv", "README.md"} < files
    card = ModelCard.load(published / "README.md")
    assert card.data.library_name == "sen-bench"
    assert card.data.license == "mit"
    assert len(card.data.eval_results or []) == 2 * 2 * 2
    # In place of the folder of runs it holds trained models.
    command = ("evaluate", "drift", "--preset", "small.toml", "--seeds", "0", "--device", "cpu", "--quiet")
    done(*command, "--runs", "out", "--results", "again")
    assert Path("again/runs.csv").exists()
    checkpoint = Path(runs[1]) / "checkpoint.pt"
    checkpoint.unlink()
    assert "checkpoint" in refused("publish", *runs, "--to", "other")
    assert not Path("other").exists()


@pytest.mark.usefixtures("here")
def test_what_is_interrupted_is_not_there_and_resumed(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    write = folder._write

    def interrupted(path: Path, file: PublishedFile) -> None:
        if len(written) == 8:
            raise KeyboardInterrupt
        write(path, file)
        written.append(path.name)

    with monkeypatch.context() as patch:
        patch.setattr(folder, "_write", interrupted)
        assert invoke("publish", str(store), "--to", "out").exit_code == 130
    assert not Path("out").exists()
    draft = Path(".out.partial")
    (draft / "stray").write_text("of an earlier version")
    damaged = next(path for path in draft.rglob("*") if path.is_file() and path.name != "stray")
    damaged.write_bytes(b"")
    done("publish", str(store), "--to", "out")
    files = {path.relative_to("out").as_posix() for path in Path("out").rglob("*") if path.is_file()}
    assert _check_sums(Path("out")) == files - {CHECKSUMS}
    assert not draft.exists()

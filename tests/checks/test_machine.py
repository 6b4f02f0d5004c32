"""The doctor tells what works, survives what does not, and says what to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from sen_bench.checks import machine as doctor
from sen_bench.checks.machine import Finding, Trial
from sen_bench.cli.main import main
from tests.paths import ROOT
from tests.support.trials import absent, complains, dies, hangs, raises, well


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trials run in processes that import `tests.support.trials`."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def found(trial: Trial) -> Finding:
    return doctor._find_out(trial)


def test_what_works() -> None:
    assert found(Trial("core", "x", well, "r")) == Finding("core", "x", "works", "fine")


def test_what_kills_the_process() -> None:
    expected = Finding("optional", "x", "broken", "the process died of SIGSEGV", "install it")
    assert found(Trial("optional", "x", dies, "install it")) == expected


def test_what_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_PATIENCE", 0.5)
    assert found(Trial("optional", "x", hangs, "r")).detail == "no answer within 0.5 s"


def test_what_raises() -> None:
    finding = found(Trial("optional", "x", raises, "install it"))
    assert finding.state == "broken"
    assert finding.detail == "ModuleNotFoundError: No module named 'sen_bench_no_such_module'"
    assert finding.remedy == "install it"


def test_what_says_itself_what_to_do() -> None:
    expected = Finding("optional", "x", "broken", "it is broken", "mend it")
    assert found(Trial("optional", "x", complains, "r")) == expected


def test_what_is_not_there() -> None:
    assert found(Trial("optional", "x", absent, "r")) == Finding(
        "optional", "x", "missing", "there is none", "buy one"
    )
    assert found(Trial("optional", "x", well, "pip install y", ("sen_bench_no_such_module",))) == Finding(
        "optional", "x", "missing", "sen_bench_no_such_module not installed", "pip install y"
    )


def test_every_extra_is_tried() -> None:
    text = " ".join(trial.remedy for trial in doctor.TRIALS)
    for extra in (
        "cluster",
        "hdf5",
        "remote",
        "pybullet",
        "tensorboard",
        "wandb",
        "trackio",
        "mlflow",
        "hub",
    ):
        assert f"pip install 'sen-bench[{extra}]'" in text


def test_links_that_git_wrote_as_files(tmp_path: Path) -> None:
    (tmp_path / "envs").mkdir()
    (tmp_path / "generators").symlink_to(tmp_path / "envs")
    assert list(doctor._clone(tmp_path)) == []
    (tmp_path / "baselines").write_text("../baselines")
    (finding,) = doctor._clone(tmp_path)
    assert (finding.section, finding.state) == ("core", "broken")
    assert finding.detail.startswith("sen_bench/baselines: ")
    assert "core.symlinks" in finding.remedy
    assert not doctor.core_works([finding])


class TestCommand:
    @pytest.fixture
    def short(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(
            doctor, "TRIALS", (Trial("core", "well", well, ""), Trial("optional", "gone", absent, ""))
        )

    @pytest.mark.usefixtures("short")
    def test_words(self, tmp_path: Path) -> None:
        result = CliRunner().invoke(main, ["doctor", "--data", str(tmp_path / "not" / "yet"), "--quiet"])
        assert result.exit_code == 0, result.output
        assert "ok well" in result.stdout
        assert "-- gone" in result.stdout
        assert "-> buy one" in result.stdout
        assert result.stdout.endswith("the core works\n")
        assert not result.stderr

    @pytest.mark.usefixtures("short")
    def test_json(self, tmp_path: Path) -> None:
        result = CliRunner().invoke(main, ["doctor", "--json", "--data", str(tmp_path)])
        data = json.loads(result.stdout)
        assert data["core_works"] is True
        facts = {(finding["section"], finding["name"]): finding for finding in data["findings"]}
        assert facts["core", "well"]["state"] == "works"
        assert facts["versions", "torch"]["detail"].startswith("2.")
        assert {"processor", "cores", "disk"} <= {name for section, name in facts if section == "machine"}

    def test_a_core_that_does_not_work(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(doctor, "TRIALS", (Trial("core", "x", complains, "r"),))
        result = CliRunner().invoke(main, ["doctor", "--data", str(tmp_path)])
        assert result.exit_code == 1
        assert "the core does not work" in result.stdout


@pytest.mark.slow
def test_here_everything_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONPATH")
    findings = doctor.examine(tmp_path)
    assert doctor.core_works(findings)
    states = {finding.name: finding.state for finding in findings if finding.section == "optional"}
    # What the extra dev installs works. Graphics depend on the machine, and two trackers cannot be in dev.
    assert {name for name, state in states.items() if state != "works"} <= {
        "GPU",
        "OpenGL",
        "MLflow",
        "Trackio",
    }

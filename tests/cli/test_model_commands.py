"""The commands `models` and `check`, and the counts of parameters that they print."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from sen_bench.baselines.model import parameter_count
from sen_bench.checks.budget import budget_ratio, count_parameters
from sen_bench.config import load_preset
from sen_bench.envs import make_world
from sen_bench.runs import model_so_far, open_run
from sen_bench.system import plugins
from sen_bench.tasks.registry import get_task
from tests.support.commands import invoke, refused
from tests.support.fake_worlds import DRIFT
from tests.support.own_models import Mean
from tests.support.plugins import TASK, install
from tests.support.presets import OF_DRIFT

SHIFTED = "tests.support.own_models:ShiftedTransition"


@pytest.fixture(autouse=True)
def _drift(here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test works in a folder with the preset small.toml, and has the task drift by a plugin."""
    site = install(
        tmp_path / "site",
        "plug",
        {plugins.TASKS: {"drift": "drift_task_of_commands:drift"}},
        {"drift_task_of_commands": TASK},
    )
    monkeypatch.syspath_prepend(site)
    (here / "small.toml").write_text(OF_DRIFT)


class TestCounts:
    @pytest.mark.parametrize(
        ("model", "parts", "total"),
        [
            ("sen", (21_029, 905_218, 1_060_098), 1_986_345),
            ("none", (21_029, 1_545_218, 1_059_330), 2_625_577),
        ],
    )
    def test_parts_have_the_parameters_of_the_paper(
        self, model: str, parts: tuple[int, ...], total: int
    ) -> None:
        task = get_task("3d-blocks")
        counts = count_parameters(task.build_model(model, {}), task.world())
        assert (counts.embedding, counts.encoder, counts.transition) == parts
        assert counts.total == total == sum(parts)

    def test_shared_parameters_count_once_and_unused_ones_in_the_total_only(self) -> None:
        world = make_world(DRIFT)
        symmetry: Any = world.symmetry
        model = Mean(symmetry=symmetry, observation_shape=(6, 7, 1))
        model.weight = model.gain
        model.spare = torch.nn.Linear(3, 1)
        model.offset.requires_grad = False
        counts = count_parameters(model, world)
        assert (counts.embedding, counts.encoder, counts.transition, counts.total) == (0, 1, 0, 5)
        assert counts.total == parameter_count(model)
        assert model.training

    def test_the_ratio_of_budgets_is_of_largest_to_smallest(self) -> None:
        assert budget_ratio([110, 100, 105]) == pytest.approx(1.1)
        assert budget_ratio([7]) == budget_ratio([0, 0]) == 1
        assert budget_ratio([0, 5]) == float("inf")


class TestCosts:
    def test_costs_are_listed_for_the_batch_and_precision_of_the_preset_or_those_given(self) -> None:
        command = ("models", "2d-shapes", "--model", "none", "--cost", "--quiet")
        (row,) = json.loads(invoke(*command, "--json").stdout)
        assert (row["cost"]["batch"], row["cost"]["precision"]) == (1024, "float32")
        (small,) = json.loads(
            invoke(*command, "--json", "--batch", "16", "--precision", "bfloat16", "--preset", "smoke").stdout
        )
        assert (small["cost"]["batch"], small["cost"]["precision"]) == (16, "bfloat16")
        assert small["options"] == load_preset("smoke").for_task("2d-shapes").models.get("none", {})
        heading, line = invoke(*command).stdout.splitlines()[:2]
        cells = dict(zip(re.split(r"  +", heading), re.split(r"  +", line), strict=True))
        assert float(cells["GFLOP"]) == round(row["cost"]["flops"] / 1024 / 1e9, 3)
        assert float(cells["MB eager"]) == round(row["cost"]["eager_bytes"] / 1024 / 1e6, 1)

    def test_what_to_count_needs_cost(self) -> None:
        assert "give --cost too" in refused("models", "2d-shapes", "--batch", "16")


class TestModels:
    def test_parameters_of_each_part_and_the_budget_are_listed(self) -> None:
        result = invoke("models", "3d-blocks", "--preset", "smoke", "--model", "sen", "--model", "none")
        assert result.exit_code == 0
        rows = json.loads(
            invoke("models", "3d-blocks", "--preset", "smoke", "--model", "sen", "--json", "--quiet").stdout
        )
        counts = rows[0]["parameters"]
        assert counts["total"] == counts["embedding"] + counts["encoder"] + counts["transition"]
        assert rows[0]["options"] == {"embedding_channels": 8, "hidden": 32}
        for part in counts.values():
            assert f"{part:,}" in result.stdout
        assert "3d-blocks: " in result.stdout
        assert "budget; the largest has" in result.stdout

    def test_a_model_of_ones_own_is_listed_beside_the_tasks(self) -> None:
        output = invoke("models", "drift", "--model", "mean", "--model", SHIFTED, "--quiet").stdout
        assert "ShiftedTransition" in output
        assert "drift: the same budget; the largest has 1.00 ×" in output

    def test_progress_goes_to_stderr(self) -> None:
        result = invoke("models", "drift")
        assert "build: 1/1 models" in result.stderr
        assert "build" not in result.stdout

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("drifd",), "unknown task 'drifd'; did you mean 'drift'?"),
            (("drift", "--model", "maen"), "unknown model of drift 'maen'; did you mean 'mean'?"),
            (("--model", "mean"), "name the task too"),
            (("drift", "--preset", "smoke"), "preset 'smoke' is not for drift, only for 2d-shapes, "),
        ],
    )
    def test_mistakes_end_in_one_line(self, arguments: tuple[str, ...], message: str) -> None:
        result = invoke("models", *arguments)
        assert result.exit_code == 2
        assert message in result.stderr


class TestCheck:
    def test_a_model_that_keeps_its_claims_passes(self) -> None:
        result = invoke("check", "drift", "--model", "mean")
        assert result.exit_code == 0
        assert "drift, mean, untrained" in result.stdout
        assert [line.split()[0] for line in result.stdout.splitlines()[3:5]] == ["1", "r"]
        assert "NOT EQUIVARIANT" not in result.output

    def test_a_model_that_does_not_fails_by_a_line(self) -> None:
        result = invoke("check", "drift", "--model", "mean", "--model", SHIFTED, "--quiet")
        assert result.exit_code == 1
        (line,) = result.stderr.splitlines()
        assert line.startswith(f"NOT EQUIVARIANT: {SHIFTED}: T of ShiftedTransition is not equivariant")
        assert invoke("check", "drift", "--model", SHIFTED, "--tolerance", "10").exit_code == 0

    def test_json_has_every_element_and_what_is_undefined_as_null(self) -> None:
        result = invoke("check", "drift", "--model", SHIFTED, "--json", "--quiet")
        assert result.exit_code == 1
        (report,) = json.loads(result.stdout)
        assert (report["task"], report["model"], report["trained_epochs"]) == ("drift", SHIFTED, 0)
        assert [entry["element"] for entry in report["elements"]] == ["1", "r"]
        assert report["elements"][1]["transition"] > 0.01
        assert report["elements"][1]["image"] is None
        assert len(report["broken"]) == 1
        unknown = invoke("check", "drift", "--model", "tests.support.own_models:Unknown", "--json", "--quiet")
        assert json.loads(unknown.stdout)[0]["elements"][1]["embedding"] is None

    def test_of_a_product_rows_stand_for_the_first_factor(self) -> None:
        options = ("3d-blocks", "--model", "sen", "--preset", "smoke", "--states", "1", "--quiet")
        lines = invoke("check", *options).stdout.splitlines()
        assert lines[0] == "3d-blocks, sen, untrained"
        names = [line.split("  ")[0].strip() for line in lines[3:11]]
        assert names[:4] == ["(1, 1)", "(1, 5 others)", "(r, 1)", "(r, 5 others)"]
        assert len(names) == 8

    @pytest.mark.slow
    def test_all_elements_are_all(self) -> None:
        options = ("3d-blocks", "--model", "sen", "--preset", "smoke", "--states", "1", "--quiet")
        result = invoke("check", *options, "--all-elements", "--json")
        assert result.exit_code == 0
        assert len(json.loads(result.stdout)[0]["elements"]) == 480

    def test_settings_are_options_of_the_models(self) -> None:
        options = ("3d-blocks", "--model", "sen", "--preset", "smoke", "--states", "1", "--quiet", "--json")
        own, wider = (
            json.loads(invoke("check", *options, *settings).stdout)[0]["elements"]
            for settings in ((), ("--set", "models.sen.hidden=40"))
        )
        same = json.loads(invoke("check", *options, "--set", "models.sen.hidden=32").stdout)[0]["elements"]
        assert own == same != wider

    def test_a_trained_model_is_checked_without_its_data(self, here: Path) -> None:
        run = ("run", "drift", "--preset", "small.toml", "--device", "cpu", "--workers", "1", "--quiet")
        assert invoke(*run).exit_code == 0
        (here / "data").rename(here / "elsewhere")
        folder = here / "runs/drift/train/mean/small/seed-0"
        result = invoke("check", "--run", str(folder))
        assert result.exit_code == 0, result.output
        assert "drift, mean, trained for 1 epoch" in result.stdout
        saved = torch.load(folder / "checkpoint.pt", weights_only=True)["model"]
        model, _ = model_so_far(open_run(folder, data=here, device=torch.device("cpu")))
        assert not model.training
        assert all(torch.equal(value, saved[name]) for name, value in model.state_dict().items())

    def test_a_folder_that_is_no_run_or_of_other_code_is_refused(self, here: Path) -> None:
        (here / "my_checked.py").write_text(
            "from tests.support.own_models import Mean\nclass Mine(Mean): ...\n"
        )
        run = ("run", "drift", "--preset", "small.toml", "--device", "cpu", "--workers", "1", "--quiet")
        assert invoke(*run, "--model", "my_checked:Mine").exit_code == 0
        folder = here / "runs/drift/train/my_checked-Mine/small/seed-0"
        (here / "my_checked.py").write_text(
            "from tests.support.own_models import Mean\nclass Mine(Mean): pass\n"
        )
        settings = (folder / "config.json").read_text()
        for text, message in (
            (settings, "the code of model my_checked:Mine has changed since"),
            (settings.replace('"batch_size": 4', '"batch_size": 5'), "is of another run, with settings"),
            (settings.replace('"batch_size": 4', '"batch_size": 0'), "training.batch_size: "),
            ("{", "cannot be read"),
        ):
            (folder / "config.json").write_text(text)
            result = invoke("check", "--run", str(folder))
            assert result.exit_code == 2
            assert message in result.stderr

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ((), "name a task, or a run by --run FOLDER; tasks: 2d-shapes,"),
            (("drift", "--run", "x"), "--run says which task, model and widths to check"),
            (("--run", "nowhere"), "nowhere is not a run's folder: it has no config.json"),
            (("drift", "--model", "no_such:Model"), "No module named 'no_such'"),
            (("drift", "--preset", "smoke"), "; write a preset with a section [tasks.drift]"),
            (("drift", "--set", "models.meen.gain=2"), "unknown model of drift 'meen'; did you mean 'mean'?"),
            (("drift", "--set", "training.epochs=2"), "check accepts only settings of models"),
            (("drift", "--set", "training.epoch=3"), "as models.sen.hidden=64"),
            (("drift", "--set", "epoch=3"), "--set epoch: check accepts only settings of models"),
            (("--run", "x", "--set", "models.mean.gain=2"), "--run says which task, model and widths"),
            (("drift", "--epochs", "2"), "no such option --epochs; write --set training.epochs=2"),
        ],
    )
    def test_mistakes_end_in_one_line(self, arguments: tuple[str, ...], message: str) -> None:
        result = invoke("check", *arguments)
        assert result.exit_code == 2
        assert message in result.stderr
        assert "Traceback" not in result.output


class TestModelsWithoutAction:
    def test_a_class_that_lacks_methods_is_refused_in_one_line(self) -> None:
        line = refused("check", "drift", "--model", "tests.support.own_models:Lacking")
        assert "does not define distance, embed, encode, transform_embedding, transition" in line
        assert "transform_embedding returns torch.full_like(embedding, math.nan)" in line

    def test_an_action_that_is_not_implemented_is_refused_in_one_line(self) -> None:
        line = refused("check", "drift", "--model", "tests.support.own_models:Unsaid")
        assert "Unsaid.transform_embedding is not implemented; return torch.full_like(embedding" in line

    def test_a_model_of_which_nothing_can_be_measured_gets_a_sentence_instead_of_dashes(self) -> None:
        output = invoke("check", "drift", "--model", "tests.support.own_models:Unknown").stdout
        assert "nothing to measure under 2 elements of" in output
        assert "element " not in output

"""Tasks and models of others: found, used like our own, refused by one line, and never in the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from sen_bench.baselines.objects import build_object_model
from sen_bench.cli.data_commands import _chosen_tasks
from sen_bench.config.presets import TaskPreset, load_preset
from sen_bench.config.settings import RunConfig
from sen_bench.errors import ConfigError, ExtensionError, UnknownNameError
from sen_bench.report import usable_tasks
from sen_bench.results.leaderboard import aggregate
from sen_bench.results.rows import append_rows
from sen_bench.system import plugins
from sen_bench.tasks.models import choose_models, model_names, resolve_model
from sen_bench.tasks.registry import get_task, reference_model, task_names
from tests.paths import ROOT
from tests.support.commands import invoke, refused
from tests.support.configs import config_of
from tests.support.own_models import Mean
from tests.support.plugins import TASK, Install, install, run_drift
from tests.support.presets import OF_DRIFT
from tests.support.recorder import Recorder
from tests.support.rows import make_seed

BUILT_IN = ["2d-shapes", "3d-blocks", "rush-hour", "reacher", "teapot-small", "teapot-large"]
OWN = ROOT / "tests/support/own_models.py"
RUSH_HOUR = """
data.train = { episodes = 4, horizon = 5 }
data.eval = { episodes = 5, horizon = 2 }
training = { epochs = 1, batch_size = 10 }
evaluation = { horizons = [1] }
models.none = { embedding_channels = 2, hidden = 4 }
"""


class TestImports:
    def test_an_object_is_found_by_its_name(self) -> None:
        assert plugins.import_object("tests.support.own_models:Mean", "model") is Mean

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("Mean", "model 'Mean' cannot be imported: write package.module:Class"),
            ("tests/support/own_models.py:Mean", "write package.module:Class"),
            ("no_such_module:Mean", "ModuleNotFoundError: No module named 'no_such_module'$"),
            ("tests.support.own_models:Median", r"own_models\.py has no 'Median'"),
            ("broken_code:A", r"SyntaxError: .*broken_code\.py, line 2"),
            ("raising_code:A", r"ZeroDivisionError: division by zero \(.*raising_code\.py, line 1\)$"),
            ("needing_code:A", r"No module named 'no_such_package' \(.*needing_code\.py, line 2\)$"),
        ],
    )
    def test_what_cannot_be_imported_says_why_and_where_in_one_line(
        self, plug: Install, name: str, message: str
    ) -> None:
        plug(
            {},
            broken_code="\ndef",
            raising_code="1 / 0",
            needing_code="\nimport no_such_package",
        )
        with pytest.raises(ExtensionError, match=message) as caught:
            plugins.import_object(name, "model")
        assert "\n" not in str(caught.value)

    def test_code_is_told_apart_by_its_file_and_ours_by_its_version(self, plug: Install) -> None:
        plug({}, one="def f(): ...\ndef g(): ...\n", two="def f(): ...\n")
        one, two = (plugins.import_object(f"{name}:f", "model") for name in ("one", "two"))
        assert plugins.source_digest(one) != plugins.source_digest(two)
        assert plugins.source_digest(one) == plugins.source_digest(sys.modules["one"].g)
        assert plugins.source_digest(build_object_model) is None
        nowhere: dict[str, Any] = {"__name__": "nowhere"}
        exec("def f(): ...", nowhere)  # noqa: S102 - a function that no file defines
        with pytest.raises(ExtensionError, match="not defined in a file"):
            plugins.source_digest(nowhere["f"])


class TestTasksOfOthers:
    @pytest.mark.parametrize("point", ["drift", "make_drift"])
    def test_a_task_or_a_function_that_makes_it_is_used_like_our_own(
        self, plug: Install, here: Path, point: str
    ) -> None:
        plug({plugins.TASKS: {"drift": f"drift_task:{point}"}}, drift_task=TASK)
        assert task_names() == [*BUILT_IN, "drift"]
        assert "drift   Drift" in invoke("tasks").stdout
        run_drift()
        rows = pd.read_csv(here / "results/runs.csv")
        assert rows["task"].eq("drift").all()
        assert rows["model"].eq("mean").all()
        assert rows["horizon"].tolist() == [1, 2]

    def test_a_task_without_models_of_its_own_runs_others_and_says_so(
        self, plug: Install, here: Path
    ) -> None:
        bare = TASK.replace('models={"mean": Mean}', "models={}")
        plug({plugins.TASKS: {"drift": "drift_task:drift"}}, drift_task=bare)
        assert "models  none of its own" in invoke("tasks").stdout
        small = ("--preset", "small.toml")
        for command in (("run", *small), ("train", *small), ("evaluate", *small), ("check",), ("models",)):
            name, *rest = command
            assert refused(name, "drift", *rest) == (
                "error: drift has no models of its own; name one by --model, as package.module:Class"
            )
        assert "unknown model of drift 'sen'" in refused("train", "drift", *small, "--model", "sen")
        assert [path.name for path in here.iterdir()] == ["small.toml"]
        run_drift("--model", "tests.support.own_models:Mean")
        assert pd.read_csv(here / "results/runs.csv")["model"].eq("tests.support.own_models:Mean").all()

    @pytest.mark.usefixtures("drift")
    def test_the_nearest_name_may_be_a_plugins(self) -> None:
        with pytest.raises(UnknownNameError, match="did you mean 'drift'"):
            get_task("drifd")

    def test_without_plugins_there_are_ours_only(self) -> None:
        assert task_names() == BUILT_IN

    @pytest.mark.parametrize(
        ("source", "message"),
        [
            ("1 / 0", r"'drift' of plug 1.0 cannot be imported: ZeroDivisionError"),
            ("drift = 3", "task 'drift' of plug 1.0 is a int"),
            ("def drift(): return 3", "task 'drift' of plug 1.0 is a int"),
            ("def drift(): 1 / 0", r"task 'drift' of plug 1.0 failed: ZeroDivisionError.*line 1"),
            (TASK.replace('name="drift"', 'name="draft"'), "calls itself 'draft'"),
        ],
    )
    def test_a_broken_one_is_refused_by_one_line_and_breaks_nothing_else(
        self, plug: Install, source: str, message: str
    ) -> None:
        plug({plugins.TASKS: {"drift": "drift_task:drift"}}, drift_task=source)
        with pytest.raises(ExtensionError, match=message):
            get_task("drift")
        assert "drift" in refused("generate", "drift")
        listed = invoke("tasks")
        assert listed.exit_code == 0
        assert "drift   cannot be used: " in listed.stdout
        assert "teapot-large" in listed.stdout
        recorder = Recorder()
        everything = _chosen_tasks((), recorder, everything=True)
        assert [task.name for task in everything] == BUILT_IN
        assert any(line.startswith("drift is skipped: ") for line in recorder.messages)
        rows = [make_seed(0, task="drift"), make_seed(0)]
        table = aggregate(pd.DataFrame([row.model_dump() for row in rows]), reference_model)
        assert table["task"].tolist() == ["3d-blocks", "drift"]
        assert [task.name for task in usable_tasks()] == BUILT_IN

    def test_one_whose_world_cannot_be_imported_breaks_nothing_else(self, plug: Install, here: Path) -> None:
        source = TASK.replace("world_id=DRIFT", 'world_id="drift_world:plug/Drift-v0"')
        plug({plugins.TASKS: {"drift": "drift_task:drift"}}, drift_task=source, drift_world="import no_such")
        why = "importing drift_world failed: ModuleNotFoundError: No module named 'no_such'"
        assert why in refused("generate", "drift")
        assert f"drift   cannot be used: {why}" in invoke("tasks").stdout
        assert f"drift mean cannot be used: {why}" in invoke("models", "--quiet").stdout
        append_rows(here / "results/runs.csv", [make_seed(0)])
        made = invoke("report", "--quiet")
        assert made.exit_code == 0, made.output
        assert f"no picture of drift: {why}" in made.stderr
        (here / "both.toml").write_text(f"{OF_DRIFT}[tasks.rush-hour]\n{RUSH_HOUR}")
        both = ("run", "--all", "--preset", "both.toml", "--device", "cpu", "--models", "none,mean")
        # Which run sees more bytes decides their order where there are several jobs.
        planned = invoke(*both, "--dry-run", "--jobs", "2")
        assert planned.exit_code == 0, planned.output
        ran = invoke(*both)
        assert ran.exit_code == 1
        assert f"drift/train/mean/both/seed-0: {why}" in ran.stderr
        assert "rush-hour" in set(pd.read_csv(here / "results/runs.csv")["task"]), "the other one was run"

    @pytest.mark.parametrize("name", ["1e5", "nan", "a/b", "Drift", "two words"])
    def test_names_that_no_folder_or_table_can_have_are_refused(self, plug: Install, name: str) -> None:
        plug({plugins.TASKS: {name: "drift_task:drift"}}, drift_task=TASK)
        with pytest.raises(ExtensionError, match="a name there has the form TASK"):
            get_task(name)

    def test_a_name_of_ours_is_refused_when_asked_for(self, plug: Install) -> None:
        plug({plugins.TASKS: {"3d-blocks": "drift_task:drift"}}, drift_task=TASK)
        assert task_names() == BUILT_IN
        with pytest.raises(ExtensionError, match=r"sen-bench's own, and plug 1\.0 offers another"):
            get_task("3d-blocks")
        assert get_task("2d-shapes").name == "2d-shapes"

    @pytest.mark.usefixtures("drift")
    def test_a_name_of_two_plugins_is_refused(self, plug: Install) -> None:
        plug({plugins.TASKS: {"drift": "drift_task:drift"}}, name="other")
        with pytest.raises(
            ExtensionError, match=r"offered by other 1\.0 and plug 1\.0; uninstall all but one"
        ):
            get_task("drift")


class TestModelsOfOthers:
    @pytest.mark.usefixtures("drift")
    def test_a_plugins_model_is_listed_and_used_by_its_name(self, plug: Install, here: Path) -> None:
        plug({plugins.MODELS: {"drift.shifted": "tests.support.own_models:ShiftedEncoder"}}, name="more")
        task = get_task("drift")
        assert model_names(task) == ["mean", "shifted"]
        # Installing something does not change what a command without --model trains.
        assert choose_models(task, []) == ["mean"]
        with pytest.raises(UnknownNameError, match="did you mean 'shifted'"):
            choose_models(task, ["shiftet"])
        assert "mean, shifted" in invoke("tasks").stdout
        run_drift("--model", "shifted")
        assert pd.read_csv(here / "results/runs.csv")["model"].eq("shifted").all()

    def test_a_name_of_the_tasks_own_is_refused_when_asked_for(self, plug: Install) -> None:
        plug({plugins.MODELS: {"3d-blocks.sen": "tests.support.own_models:Mean"}})
        task = get_task("3d-blocks")
        with pytest.raises(
            ExtensionError, match=r"'sen' of 3d-blocks is one of the task's own, and plug 1\.0"
        ):
            resolve_model(task, "sen", {})
        assert resolve_model(task, "none", {}).name == "none"

    @pytest.mark.usefixtures("drift", "here")
    def test_a_broken_one_breaks_nothing_else(self, plug: Install) -> None:
        plug({plugins.MODELS: {"drift.raising": "raising:Model"}}, name="more", raising="1 / 0")
        with pytest.raises(ExtensionError, match=r"'drift.raising' of more 1.0 cannot be imported"):
            resolve_model(get_task("drift"), "raising", {})
        listed = invoke("models", "--preset", "small.toml", "--quiet")
        assert listed.exit_code == 0
        assert "Mean" in listed.stdout
        assert "drift raising cannot be used: " in listed.stdout
        of_task = invoke("models", "drift", "--preset", "small.toml", "--quiet")
        assert of_task.exit_code == 0
        assert of_task.stdout.splitlines()[:3] == listed.stdout.splitlines()[:3]
        assert "drift raising cannot be used: " in of_task.stdout
        assert "raising" in refused("models", "drift", "--model", "raising")

    @pytest.mark.usefixtures("drift")
    @pytest.mark.parametrize(
        ("source", "options", "message"),
        [
            ("import sys\nsys.exit(3)", {}, r"cannot be imported: SystemExit: 3 .*line 2"),
            ("def Model(**given): ...", {"symmetry": 1}, "symmetry is the world's, and no option"),
        ],
    )
    def test_one_of_the_users_own_that_cannot_be_used_is_refused_in_one_line(
        self, plug: Install, source: str, options: dict[str, int], message: str
    ) -> None:
        plug({}, name="own", own=source)
        with pytest.raises(ConfigError, match=message) as caught:
            get_task("drift").build_model("own:Model", options)
        assert "\n" not in str(caught.value)

    @pytest.mark.usefixtures("drift")
    def test_a_name_of_another_form_is_refused(self, plug: Install) -> None:
        plug({plugins.MODELS: {"drift.1e5": "tests.support.own_models:Mean"}}, name="more")
        with pytest.raises(ExtensionError, match=r"form TASK\.MODEL"):
            resolve_model(get_task("drift"), "1e5", {})


def test_digests_of_our_own_models_are_those_of_the_committed_results() -> None:
    row = pd.read_csv(ROOT / "results/runs.csv").iloc[0]
    config = config_of(
        row["task"], row["model"], row["train_split"], load_preset(row["preset"]).for_task(row["task"])
    )
    assert f"sha256:{config.digest}" == row["config_digest"]
    other: RunConfig = config.model_copy(update={"model_code": "sha256:0"})
    assert other.digest != config.digest
    assert other.weights_digest != config.weights_digest
    assert TaskPreset().models == {}


def test_an_installed_distribution_is_found_by_the_command_line(tmp_path: Path) -> None:
    install(
        tmp_path,
        "plug",
        {
            plugins.TASKS: {"drift": "drift_task:drift"},
            plugins.MODELS: {"drift.shifted": "tests.support.own_models:ShiftedEncoder"},
        },
        {"drift_task": TASK},
    )
    root = ROOT
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{root}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "sen_bench", "models", "drift", "--json", "--quiet"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    rows = json.loads(done.stdout)
    assert [(row["model"], row["class"]) for row in rows] == [("mean", "Mean"), ("shifted", "ShiftedEncoder")]
    assert rows[0]["parameters"] == {"embedding": 1, "encoder": 1, "transition": 1, "total": 3}

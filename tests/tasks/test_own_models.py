"""Models of a user's own, by package.module:Class."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pandas as pd
import pytest

from sen_bench.config.presets import load_preset
from sen_bench.errors import ConfigError, UnknownNameError
from sen_bench.system import plugins
from sen_bench.tasks.registry import get_task
from tests.paths import ROOT
from tests.support.commands import invoke, refused
from tests.support.plugins import Install, run_drift
from tests.support.presets import OF_DRIFT

OWN = ROOT / "tests/support/own_models.py"


@pytest.mark.usefixtures("drift")
class TestOwnModels:
    def test_a_class_is_trained_scored_and_recorded_by_its_name(self, here: Path) -> None:
        (here / "my_own.py").write_text(OWN.read_text())
        preset = f'{OF_DRIFT}[tasks.drift.models."my_own:Mean"]\ngain = 0.5\n'
        (here / "small.toml").write_text(preset)
        path = list(sys.path)
        run_drift("--model", "my_own:Mean")
        assert sys.path == path
        rows = pd.read_csv(here / "results/runs.csv")
        assert rows["model"].eq("my_own:Mean").all()
        assert rows["run_id"].eq("drift/train/my_own-Mean/small/seed-0").all()
        settings = json.loads((here / "runs/drift/train/my_own-Mean/small/seed-0/config.json").read_text())
        assert settings["model_options"] == {"gain": 0.5}
        assert settings["model_code"] == plugins.source_digest(plugins.import_object("my_own:Mean", "model"))
        # Evaluated alone, it gives the rows that it gave.
        again = invoke(
            "evaluate", "drift", "--preset", "small.toml", "--device", "cpu", "--model", "my_own:Mean"
        )
        assert again.exit_code == 0, again.output
        assert len(pd.read_csv(here / "results/runs.csv")) == 2

    @pytest.mark.parametrize(
        ("name", "option", "message"),
        [
            ("my_own:Meen", "gain", "model 'my_own:Meen' cannot be imported: .*my_own.py has no 'Meen'"),
            ("my_onw:Mean", "gain", "'my_onw:Mean' cannot be imported: .*No module named 'my_onw'"),
            (
                "my_own:Mean",
                "gian",
                "model 'my_own:Mean' of drift: got an unexpected keyword argument 'gian'",
            ),
        ],
    )
    def test_a_misspelled_one_in_a_preset_is_refused_with_the_plan(
        self, here: Path, name: str, option: str, message: str
    ) -> None:
        """Also if another model is run: its options would be meant, and change nothing."""
        (here / "my_own.py").write_text(OWN.read_text())
        (here / "small.toml").write_text(f'{OF_DRIFT}[tasks.drift.models."{name}"]\n{option} = 0.5\n')
        run = ("run", "drift", "--preset", "small.toml", "--device", "cpu")
        for model in ("my_own:Mean", "tests.support.own_models:Unknown"):
            assert re.search(message, refused(*run, "--model", model, "--dry-run"))

    def test_edited_code_is_another_model(self, here: Path) -> None:
        (here / "my_edited.py").write_text(OWN.read_text())
        run_drift("--model", "my_edited:Mean")
        (here / "my_edited.py").write_text(OWN.read_text() + "\n")
        train = ("train", "drift", "--preset", "small.toml", "--device", "cpu", "--model", "my_edited:Mean")
        assert "is of another run, with settings" in refused(*train)
        run_drift("--model", "my_edited:Mean", "--force")
        rows = pd.read_csv(here / "results/runs.csv")
        assert len(rows) == 4
        assert rows["config_digest"].nunique() == 2

    def test_a_model_that_knows_no_action_has_no_equivariance_error(self, here: Path) -> None:
        run_drift("--model", "tests.support.own_models:Unknown")
        assert pd.read_csv(here / "results/runs.csv")["ee_embedding"].isna().all()

    @pytest.mark.usefixtures("here")
    @pytest.mark.parametrize(
        ("model", "message"),
        [
            ("tests.support.own_models:Median", "has no 'Median'"),
            ("no_such_module:Mean", "No module named 'no_such_module'"),
            ("tests.support.own_models:NUMBER", "is neither a class nor a function"),
            ("tests.support.own_models:not_a_model", "is a Linear; it must be a subclass of"),
            (
                "tests.support.own_models:Mean:Mean",
                "unknown model of drift 'tests.support.own_models:Mean:Mean'",
            ),
        ],
    )
    def test_what_is_no_model_is_refused_before_any_work(self, model: str, message: str) -> None:
        with pytest.raises(ConfigError if "unknown" not in message else UnknownNameError, match=message):
            get_task("drift").build_model(model, {})
        assert message in refused("models", "drift", "--model", model)

    def test_an_option_it_does_not_have_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="unexpected keyword argument 'gian'"):
            get_task("drift").build_model("tests.support.own_models:Mean", {"gian": 0.5})

    def test_an_option_it_does_not_have_is_refused_before_anything_is_generated(self, here: Path) -> None:
        (here / "small.toml").write_text(f"{OF_DRIFT}[tasks.drift.models]\nmean = {{ gian = 1 }}\n")
        message = refused("run", "drift", "--preset", "small.toml", "--device", "cpu")
        assert "model 'mean' of drift: got an unexpected keyword argument 'gian'" in message
        assert [path.name for path in here.iterdir()] == ["small.toml"]

    def test_options_of_our_models_are_whole_numbers(self) -> None:
        for value in (2.5, True, "8", [8]):
            with pytest.raises(ConfigError, match="model 'sen' of 3d-blocks: hidden must be a whole number"):
                get_task("3d-blocks").build_model("sen", {"hidden": value})  # type: ignore[dict-item]

    def test_an_option_of_our_models_that_is_a_word_is_no_number(self) -> None:
        model = get_task("reacher").build_model("none", {"networks": "perceptrons", "hidden": 2})
        assert model.embedding_shape == (8, 9, 9)
        for value in (1, True, ["perceptrons"]):
            with pytest.raises(ConfigError, match="model 'none' of reacher: networks must be a word, not "):
                get_task("reacher").build_model("none", {"networks": value})  # type: ignore[dict-item]

    def test_a_mistake_in_its_code_is_not_taken_for_one_in_its_options(self, plug: Install) -> None:
        plug({}, name="more", mistaken="def build(symmetry, observation_shape):\n    return len(3)\n")
        with pytest.raises(TypeError, match="has no len"):
            get_task("3d-blocks").build_model("mistaken:build", {})

    def test_options_keep_the_types_they_have_in_a_preset(self, here: Path) -> None:
        (here / "types.toml").write_text(
            'description = "x"\n[tasks.drift.models."a:B"]\n'
            'whole = 2\nreal = 2.0\nflag = true\nword = "x"\nlist = [1, 0.5]\n'
        )
        options = load_preset("types.toml").for_task("drift").models["a:B"]
        assert [(value, type(value)) for value in options.values()] == [
            (2, int),
            (2.0, float),
            (True, bool),
            ("x", str),
            ([1, 0.5], list),
        ]

"""Settings beside a preset: how they are read, what they are called, and what is refused."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sen_bench.config.presets import Preset, TaskPreset, load_preset
from sen_bench.config.settings import NegativeSampling, TrainingConfig
from sen_bench.config.values import check_seeds, parse_memory, parse_seeds
from sen_bench.config.variants import change_training, make_variant, parse_setting, setting_path
from sen_bench.errors import ConfigError, SenBenchError

SMOKE = load_preset("smoke")
BLOCKS = "3d-blocks"


def name_of(**changes: Any) -> str:
    return make_variant(SMOKE, BLOCKS, {key.replace("__", "."): v for key, v in changes.items()}).name


class TestReading:
    @pytest.mark.parametrize(
        ("text", "key", "value"),
        [
            ("training.epochs=3", "training.epochs", 3),
            (" training.learning_rate = 1e-3 ", "training.learning_rate", 0.001),
            ("training.schedule=cosine", "training.schedule", "cosine"),
            ('training.schedule="cosine"', "training.schedule", "cosine"),
            ("evaluation.horizons=[1, 5]", "evaluation.horizons", [1, 5]),
            ("models.sen.bias=true", "models.sen.bias", True),
            ('models."my.models:Own".gain=2.5', 'models."my.models:Own".gain', 2.5),
        ],
    )
    def test_settings_are_read_as_people_write_them(self, text: str, key: str, value: object) -> None:
        assert parse_setting(text) == (key, value)
        assert type(parse_setting(text)[1]) is type(value)

    @pytest.mark.parametrize("text", ["", "training.epochs", "=3", "a=", "a=1 2", "a=[1", "a=.5", "a=1\nb=2"])
    def test_other_text_is_refused(self, text: str) -> None:
        with pytest.raises(ConfigError, match=r"write (KEY=VALUE|for example)"):
            parse_setting(text)

    def test_keys_with_dots_are_quoted(self) -> None:
        assert setting_path('models."my.models:Own".gain') == ("models", "my.models:Own", "gain")
        with pytest.raises(ConfigError, match="in quotes where it has a colon"):
            setting_path("models.my.models:Own.gain")

    @pytest.mark.parametrize(
        ("key", "message"),
        [
            ("epochs", "unknown setting 'epochs'; did you mean 'training.epochs'?"),
            ("epoch", "unknown setting 'epoch'; did you mean 'training.epochs'?"),
            ("horizons", "unknown setting 'horizons'; did you mean 'evaluation.horizons'?"),
            ("trainig.epochs", "unknown setting 'trainig.epochs'; did you mean 'training.epochs'?"),
            ("zzz", "unknown setting 'zzz'; settings begin with training., evaluation., models., data."),
            ("training", "'training' is a section of settings, not a setting"),
            ("seeds", "seeds make no variant; say which seeds are to run by --seeds"),
            ("a b", "'a b' is not the name of a setting"),
            ("training.epochs = 1\nx", "is not the name of a setting"),
        ],
    )
    def test_what_is_no_setting_is_refused_with_what_may_be_meant(self, key: str, message: str) -> None:
        with pytest.raises(ConfigError, match=re.escape(message)):
            setting_path(key)


class TestNames:
    def test_they_say_the_settings(self) -> None:
        assert name_of(training__epochs=3) == "smoke+epochs=3"
        several = {"training.epochs": 3, "models.sen.hidden": 64, "data.train.episodes": 50}
        expected = "smoke+data.train.episodes=50+models.sen.hidden=64+epochs=3"
        for order in itertools.permutations(several.items()):
            assert make_variant(SMOKE, BLOCKS, dict(order)).name == expected
        assert name_of(evaluation__horizons=[1, 5]) == "smoke+evaluation.horizons=1_5"
        assert name_of(evaluation__horizons=(5, 1)) == "smoke+evaluation.horizons=1_5"
        assert name_of(evaluation__horizons=[5]) == "smoke+evaluation.horizons=5"
        assert name_of(training__schedule="cosine") == "smoke+schedule=cosine"
        assert name_of(training__learning_rate=1e-5) == "smoke+learning_rate=1e-05"

    def test_what_the_preset_says_anyway_makes_no_variant(self) -> None:
        own = SMOKE.for_task(BLOCKS)
        same = {
            "training.epochs": own.training.epochs,
            "evaluation.horizons": list(reversed(own.evaluation.horizons)),
            "models.sen.hidden": own.models["sen"]["hidden"],
            "data.train.episodes": own.data["train"].episodes,
            "training.schedule": "constant",
        }
        assert make_variant(SMOKE, BLOCKS, same) is SMOKE
        assert make_variant(SMOKE, BLOCKS, {}) is SMOKE
        assert make_variant(SMOKE, BLOCKS, {**same, "training.epochs": 9}).name == "smoke+epochs=9"

    def test_values_that_look_alike_have_different_names(self) -> None:
        alike: list[Any] = [3, 3.5, True, "true", "3", "a", "A", "nan", "a_b", ["a", "b"], [3], [3, 4]]
        alike += ["3_4", 34, "a,b", "3,4", [1, 5], 1.5, [-1, 5], -1.5, [True, 1], "true_1"]
        alike += [[float("inf"), 1], "inf_1", [float("nan"), 1], "nan_1", [1e-5, 1], [0.5, 1], [5, 1]]
        alike += ["none", float("inf"), "inf", 1e16, 10**16, "a+epochs=3", "x" * 200, "x" * 201, "é", "[3]"]
        names = [name_of(models__sen__option=value) for value in alike]
        # Of file systems that ignore case, too.
        assert len({name.lower() for name in names}) == len(names)
        assert all(re.fullmatch(r"smoke\+[A-Za-z0-9_.+=-]{1,120}", name) for name in names)
        assert not [name for name in names if name.endswith(".")]

    def test_keys_that_look_alike_have_different_names(self) -> None:
        keys = ['models."a.b".c', 'models.a."b.c"', 'models."a-b".c', 'models."a:b".c', 'models.A."b.c"']
        keys += ['models.a."b=1+models.a.c"']
        names = {make_variant(SMOKE, BLOCKS, {key: 1}).name.lower() for key in keys}
        assert len(names) == len(keys)

    @settings(max_examples=60, deadline=None)
    @given(
        st.dictionaries(
            st.sampled_from(["models.sen.a", "models.sen.b", "models.none.a"]),
            st.one_of(
                st.integers(-(2**63) + 1, 2**63 - 1),
                st.booleans(),
                st.text(max_size=4),
                st.floats(allow_nan=False),
            ),
            min_size=2,
            max_size=3,
        )
    )
    def test_they_are_names_of_presets(self, given_settings: dict[str, Any]) -> None:
        variant = make_variant(SMOKE, BLOCKS, given_settings)
        assert variant.is_variant
        assert Preset.model_validate(variant.model_dump()) == variant
        reverse = dict(reversed(given_settings.items()))
        assert make_variant(SMOKE, BLOCKS, reverse) == variant

    def test_numbers_of_numpy_are_numbers(self) -> None:
        numbers: dict[str, Any] = {"training.epochs": np.int64(9), "training.learning_rate": np.float64(0.25)}
        numbers |= {"evaluation.horizons": [np.int32(1)], "models.sen.hidden": np.int64(3)}
        plain: dict[str, Any] = {"training.epochs": 9, "training.learning_rate": 0.25}
        plain |= {"evaluation.horizons": [1], "models.sen.hidden": 3}
        assert make_variant(SMOKE, BLOCKS, numbers) == make_variant(SMOKE, BLOCKS, plain)

    def test_what_is_asked_for_can_be_left_out_by_a_name_that_reads_back(self) -> None:
        motion, name = load_preset("motion"), "training.negatives.per_object"
        assert motion.for_task("rush-hour").training.negatives.per_object
        for value in ("false", "true"):
            variant = make_variant(motion, "rush-hour", dict([parse_setting(f"{name}={value}")]))
            assert variant.for_task("rush-hour").training.negatives.per_object is (value == "true")
            assert variant.name == "motion" + ("+negatives.per_object=false" if value == "false" else "")
        whole = make_variant(motion, "rush-hour", {"training.negatives": {"same_episode": 0.5}})
        assert whole.name == "motion+negatives.per_object=false"

    def test_the_table_of_batch_sizes_is_replaced_as_a_whole(self) -> None:
        cpu, table = load_preset("cpu"), "training.batch_size_from_epoch"
        own = cpu.for_task(BLOCKS).training.batch_size_from_epoch
        assert own == {5: 128}
        for sizes in ({2: 20}, {np.int64(2): np.int64(20)}, parse_setting(f"{table}={{2=20}}")[1]):
            variant = make_variant(cpu, BLOCKS, {table: sizes})
            assert variant.for_task(BLOCKS).training.batch_size_from_epoch == {2: 20}
            assert variant.name == "cpu+batch_size_from_epoch.2=20+batch_size_from_epoch.5=none"
        cleared = make_variant(cpu, BLOCKS, dict([parse_setting(f"{table}={{}}")]))
        assert cleared.for_task(BLOCKS).training.batch_size_from_epoch == {}
        assert make_variant(cpu, BLOCKS, {table: own}) is cpu
        # Set inside the table, whichever comes first.
        both = {f"{table}.3": 30, table: {2: 20}}
        for order in (both, dict(reversed(both.items()))):
            changed = make_variant(cpu, BLOCKS, order).for_task(BLOCKS)
            assert changed.training.batch_size_from_epoch == {2: 20, 3: 30}

    def test_tables_within_tables_too(self) -> None:
        smoke, name = load_preset("smoke"), "training.negatives_from_epoch"
        expected = "smoke+negatives_from_epoch.2.margin_other=8.0+negatives_from_epoch.2.same_episode=0.5"
        table = {2: {"same_episode": 0.5, "margin_other": 8}}
        for changes in (
            {name: table},
            dict([parse_setting(f"{name}={{2={{same_episode=0.5, margin_other=8}}}}")]),
            {f"{name}.2.same_episode": 0.5, f"{name}.2.margin_other": 8},
        ):
            variant = make_variant(smoke, BLOCKS, changes)
            assert variant.name == expected
            training = variant.for_task(BLOCKS).training
            assert training.negatives_in(1) == NegativeSampling()
            assert training.negatives_in(2) == NegativeSampling(same_episode=0.5, margin_other=8)
        rates = {"training.learning_rate_of": {"embedding": 0.3}}
        assert make_variant(smoke, BLOCKS, rates).name == "smoke+learning_rate_of.embedding=0.3"
        assert make_variant(smoke, BLOCKS, {"training.negatives": {"same_episode": 0}}) is smoke

    def test_names_with_commas_are_still_read(self) -> None:
        assert Preset(name="smoke+evaluation.horizons=1,5", description="", tasks={}).is_variant

    def test_no_file_has_the_name_of_a_variant(self, tmp_path: Path) -> None:
        path = tmp_path / "smoke+epochs=3.toml"
        path.write_text('description = "x"')
        with pytest.raises(ConfigError, match="'\\+' is for variants; give the file another name"):
            load_preset(str(path))


class TestData:
    def test_only_other_sizes_have_other_data(self) -> None:
        trained = make_variant(SMOKE, BLOCKS, {"training.epochs": 3})
        assert trained.data_name == "smoke"
        resized = make_variant(SMOKE, BLOCKS, {"training.epochs": 3, "data.train.episodes": 50})
        assert resized.data_name == "smoke+data.train.episodes=50"

    def test_the_rest_is_the_presets(self) -> None:
        variant = make_variant(SMOKE, BLOCKS, {"models.sen.hidden": 64})
        own, changed = SMOKE.for_task(BLOCKS), variant.for_task(BLOCKS)
        assert list(variant.tasks) == [BLOCKS]
        assert changed.models["sen"] == {**own.models["sen"], "hidden": 64}
        assert changed == own.model_copy(update={"models": changed.models})
        with pytest.raises(ConfigError, match="is a variant; give all settings beside the preset itself"):
            make_variant(variant, BLOCKS, {"training.epochs": 3})


class TestRefusals:
    @pytest.mark.parametrize(
        ("key", "value", "message"),
        [
            ("training.epoch", 3, "training: unknown setting 'epoch'; did you mean 'epochs'?"),
            ("data.train.episode", 3, "data.train: unknown setting 'episode'; did you mean 'episodes'?"),
            ("training.epochs", "three", "training.epochs: Input should be a valid integer (got 'three')"),
            ("training.epochs", True, "training.epochs: Input should be a valid integer (got True)"),
            ("training.epochs", 0, "training.epochs: Input should be greater than 0 (got 0)"),
            ("training.precision", "float23", "precision: Input should be 'float32', 'tf32' or 'bfloat16'"),
            ("training.epochs.x", 3, "'training.epochs.x': 'epochs' is a setting and has none inside"),
            ("models.sen", 3, "'models.sen' is a section of settings, not a setting"),
            ("models.sen.hidden", {"a": 1}, "'models.sen.hidden' is a section of settings, not a setting"),
            ("evaluation.horizons", 1, "evaluation.horizons: write a list such as [1, 5] (got 1)"),
            ("evaluation.horizons", [2**31], "Input should be less than or equal to 2147483647"),
            ("training.epochs", 2**31, "training.epochs: Input should be less than or equal to 2147483647"),
            ("training.batch_size", 2**31, "training.batch_size: Input should be less than or equal to"),
            ("training.batch_size_from_epoch", {2**31: 2}, "Input should be less than or equal to"),
            ("training.batch_size_from_epoch", {1: 8}, "training.batch_size_from_epoch.1"),
            ("training.batch_size_from_epoch", 8, "write a table such as {8=1024}"),
            ("training.negatives", 0.5, "write a table such as {same_episode=0.5, per_object=true}"),
            ("training.negatives", {"same": 1}, "training.negatives: unknown setting 'same'; did you mean"),
            ("training.negatives.same_episode", 1.5, "negatives.same_episode: Input should be less than or"),
            ("training.negatives", {"margin_other": 8}, "margin_other needs a same_episode between 0 and 1"),
            (
                "training.negatives",
                {"same_episode": 1, "per_object": True},
                "per_object is for other samples, and with same_episode = 1 there are none",
            ),
            ("training.negatives_from_epoch", {1: {}}, "training.negatives_from_epoch.1"),
            (
                "training.learning_rate_of",
                {"embedding": -1},
                "learning_rate_of.embedding: Input should be gr",
            ),
            ("training.learning_rate_of", {"transition": 1}, "unknown setting 'transition'"),
            ("training.loss", "mse", "training.loss: Input should be 'public' or 'text'"),
            ("training.epochs", 10**20, "training.epochs: 100000000000000000000 is too large a number"),
            ("models.sen.hidden", 10**20, "models.sen.hidden: 100000000000000000000 is too large a number"),
            ("models.sen.widths", [1, -(10**20)], "is too large a number"),
            ("evaluation.horizons", [1, 1], "evaluation.horizons: each may stand there once"),
        ],
    )
    def test_settings_are_validated_as_a_preset_is(self, key: str, value: object, message: str) -> None:
        with pytest.raises(ConfigError, match=re.escape(message)):
            make_variant(SMOKE, BLOCKS, {key: value})

    @pytest.mark.parametrize("value", ["9" * 5000, "[" * 5000, f"[{'9' * 5000}]", f"{{2={'9' * 5000}}}"])
    def test_what_python_cannot_read_is_refused_in_one_line(self, value: str, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"^models\.sen\.hidden: .* is not a value") as caught:
            parse_setting(f"models.sen.hidden={value}")
        assert len(str(caught.value)) < 200
        with pytest.raises(ConfigError, match="is not the name of a setting"):
            setting_path(f"models.sen = {value}\nx")
        path = tmp_path / "mine.toml"
        path.write_text(f'description = "x"\n[tasks.x.models]\nsen.hidden = {value}')
        with pytest.raises(ConfigError, match="is not TOML"):
            load_preset(str(path))

    def test_one_setting_in_two_spellings_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="are one setting; give it once"):
            make_variant(SMOKE, BLOCKS, {"training.epochs": 3, 'training."epochs"': 4})

    def test_presets_say_what_may_be_meant_too(self, tmp_path: Path) -> None:
        path = tmp_path / "mine.toml"
        for text, message in (
            (
                "[tasks.x.training]\nepoch = 3",
                "tasks.x.training: unknown setting 'epoch'; did you mean 'epochs'",
            ),
            ("[tasks.x]\ntrainings = 3", "tasks.x: unknown setting 'trainings'; did you mean 'training'"),
            ("discription = 3", "unknown setting 'discription'; did you mean 'description'"),
            ('data_name = "x"', "data_name: it is that of the file; remove the key"),
        ):
            path.write_text(f'description = "x"\n{text}' if "discription" not in text else text)
            with pytest.raises(ConfigError, match=re.escape(f"preset {path}: {message}")):
                load_preset(str(path))

    def test_training_is_changed_under_the_same_name_only_by_what_it_can_be(self) -> None:
        own = TaskPreset(training=TrainingConfig(epochs=3, batch_size_from_epoch={2: 64}))
        changed = change_training(own, {"precision": "bfloat16"})
        assert changed.training == own.training.model_copy(update={"precision": "bfloat16"})
        for training in ({"precision": "float23", "epochs": "three"}, {"on_colapse": "stop"}):
            with pytest.raises(ConfigError, match=r"training"):
                change_training(own, training)


class TestSeedsAndMemory:
    def test_seeds_of_text(self) -> None:
        assert parse_seeds("7-9,0, 3") == (0, 3, 7, 8, 9)
        many = ",".join(map(str, range(10_001)))
        for text in ("9" * 5000, "", "-1", "2-1", "0-10000", "a", str(2**63), many):
            with pytest.raises(SenBenchError, match="seed"):
                parse_seeds(text)

    @pytest.mark.parametrize("seeds", [(), (-1,), (2**63,), ("0",), (0.5,), (True,), tuple(range(10_001))])
    def test_seeds_of_python(self, seeds: tuple[Any, ...]) -> None:
        with pytest.raises(ConfigError, match="seed"):
            check_seeds(seeds)
        assert check_seeds([3, 0, 3]) == (3, 0)
        numbers: list[Any] = [np.int64(3), 0]
        assert [type(seed) for seed in check_seeds(numbers)] == [int, int]

    def test_memory(self) -> None:
        assert [parse_memory(value) for value in (None, "auto", 7, "2KiB")] == [None, None, 7, 2048]
        for value in (-1, True, "7", 1.5, "9" * 5000 + "GiB"):
            with pytest.raises(ConfigError, match=r"size|memory"):
                parse_memory(value)  # type: ignore[arg-type]

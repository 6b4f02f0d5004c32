"""Names of presets and plugins: what folders can be called and tables give back."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pytest
from pydantic import TypeAdapter, ValidationError

from sen_bench.config.known import preset_names
from sen_bench.config.presets import load_preset
from sen_bench.errors import ConfigError
from sen_bench.results.csv_tables import Text
from sen_bench.system.names import is_plain_name
from sen_bench.tasks.registry import get_task, task_names

GOOD = ["paper", "mine-2", "v1.5b", "A_b", "3d-blocks", "none", "e3", "x1e3", "9.1.2"]
BAD = [
    "",
    "2024",
    "1e3",
    "1_000",
    "nan",
    "NaN",
    "inf",
    "-inf",
    "Infinity",
    "true",
    "False",
    "None",
    "NA",
    "NULL",
]
BAD += ["null", "a b", "a/b", "..", ".hidden", "-x", "ä", "a\nb", "N/A", "1.5"]


@pytest.mark.parametrize("name", GOOD)
def test_a_good_name_comes_back_from_a_table(name: str) -> None:
    assert is_plain_name(name)
    assert TypeAdapter(Text).validate_python(name) == name
    assert pd.read_csv(io.StringIO(f"preset\n{name}\n"))["preset"].tolist() == [name]


@pytest.mark.parametrize("name", BAD)
def test_others_are_refused(name: str) -> None:
    assert not is_plain_name(name)


@pytest.mark.parametrize("name", [name for name in [*BAD, "NONE", "Null", "TRUE", "n", "na"] if name])
def test_what_a_table_does_not_give_back_is_refused(name: str) -> None:
    try:
        TypeAdapter(Text).validate_python(name)
        comes_back = pd.read_csv(io.StringIO(f"preset\n{name}\n"))["preset"].tolist() == [name]
    except (ValidationError, pd.errors.ParserError):
        comes_back = False
    assert comes_back or not is_plain_name(name)


def test_ours_are_good() -> None:
    for name in (
        *preset_names(),
        *task_names(),
        *(model for task in task_names() for model in get_task(task).models),
    ):
        assert is_plain_name(name)


@pytest.mark.parametrize(
    ("file", "inside", "message"),
    [
        ("2024.toml", "", r"name: rows and folders need a name of letters.*\(got '"),
        ("ok.toml", 'name = "../up"\n', r"ok\.toml: name: it is that of the file; remove the key"),
    ],
)
def test_a_preset_that_cannot_be_recorded_is_refused_before_anything_is_done(
    tmp_path: Path, file: str, inside: str, message: str
) -> None:
    path = tmp_path / file
    path.write_text(f'{inside}description = "mine"\n[tasks.3d-blocks]\n')
    with pytest.raises(ConfigError, match=message) as error:
        load_preset(str(path))
    assert "\n" not in str(error.value)
    path.rename(tmp_path / "mine.toml").write_text('description = "mine"\n[tasks.3d-blocks]\n')
    assert load_preset(str(tmp_path / "mine.toml")).name == "mine"

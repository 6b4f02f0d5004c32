"""Variants of a preset: settings in addition to it, and the name that folders and tables give them.

The name consists of the settings of a task that differ from the preset's own, in alphabetical order:
``smoke+epochs=3+models.sen.hidden=64``. No preset has a ``+`` or ``=`` in its name, so a variant never
collides with the runs of a preset, or of another variant.
"""

from __future__ import annotations

import difflib
import math
import re
import reprlib
import tomllib
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from sen_bench.config.presets import Preset, TaskPreset
from sen_bench.config.problems import setting_problem
from sen_bench.config.settings import EvaluationConfig, TrainingConfig, digest_of
from sen_bench.errors import ConfigError

#: The parts of a preset that a variant may change.
_PARTS: Final = ("training", "evaluation", "models", "data")
# The most characters that settings take in a name: file systems have limits, and people too.
_LONGEST: Final = 80
_KEY: Final = re.compile(r"[a-z0-9_-]+")
_WORD: Final = re.compile(r"[a-z][a-z0-9_]*")
# Settings that are tables, which may be given as a whole, and how one is written.
_TABLES: Final = {
    ("training", "batch_size_from_epoch"): "{8=1024}, with numbers of epochs as keys",
    ("training", "learning_rate_of"): "{embedding=0.3, encoder=0.3}",
    ("training", "learning_rate_of_from_epoch"): "{8={embedding=0.3}}, with numbers of epochs as keys",
    ("training", "negatives"): "{same_episode=0.5, per_object=true}",
    ("training", "negatives_from_epoch"): "{8={same_episode=0.5}}, with numbers of epochs as keys",
}
_NO_WORDS: Final = frozenset({"true", "false", "none", "nan", "inf"})

Settings = Mapping[str, Any]
"""Values by their dotted names, such as ``{"training.epochs": 3, "models.sen.hidden": 64}``."""

_Path = tuple[str, ...]


def parse_setting(text: str) -> tuple[str, Any]:
    """Reads ``KEY=VALUE``, as people write settings on a command line.

    Args:
        text: Such as ``training.epochs=3``. The value is a number, a truth value, a list or a text in TOML's
            notation; a word needs no quotes.

    Returns:
        The dotted name and the value.

    Raises:
        ConfigError: If it has another form.
    """
    key, equals, value = (part.strip() for part in text.partition("="))
    if not equals or not key:
        raise ConfigError(f"{text!r} sets nothing; write KEY=VALUE, such as training.epochs=3")
    if re.fullmatch(r"[A-Za-z][\w:.-]*", value) and value not in {"true", "false", "nan", "inf"}:
        return key, value
    try:
        parsed = tomllib.loads(f"value = {value}")
    except (ValueError, RecursionError):  # also of numbers too long and lists too deep to be read
        parsed = {}
    if parsed.keys() != {"value"}:
        raise ConfigError(
            f"{key}: {reprlib.repr(value)} is not a value; write for example 3, 0.001, true, [1, 5] or a word"
        )
    return key, parsed["value"]


def setting_path(name: str) -> _Path:
    """The keys of a dotted name: ``("models", "sen", "hidden")``.

    Raises:
        ConfigError: If it has another form, or names no setting of a variant.
    """
    try:
        keys = _keys(tomllib.loads(f"{name} = 0"))
    except (ValueError, RecursionError):
        keys = ()
    if not keys:
        raise ConfigError(
            f"{reprlib.repr(name)} is not the name of a setting; write for example training.epochs, or"
            ' models."module:Class".width in quotes where it has a colon'
        )
    if keys[0] == "seeds":
        raise ConfigError(
            "seeds make no variant; say which seeds are to run by --seeds, or by seed= in Python"
        )
    if keys[0] not in _PARTS:
        raise ConfigError(f"unknown setting {name!r}; {_meant(keys)}")
    if len(keys) < 2:
        raise ConfigError(f"{name!r} is a section of settings, not a setting; name one, such as {name}.…")
    return keys


def _meant(keys: _Path) -> str:
    """What may be meant by a name that does not begin with a section, which may be missing or misspelt."""
    known = {field: f"training.{field}" for field in TrainingConfig.model_fields}
    known |= {field: f"evaluation.{field}" for field in EvaluationConfig.model_fields}
    known |= {part: ".".join((part, *keys[1:])) for part in _PARTS}
    close = difflib.get_close_matches(keys[0], known, n=1, cutoff=0.6)
    if close:
        return f"did you mean {known[close[0]]!r}?"
    return f"settings begin with {', '.join(f'{part}.' for part in _PARTS)}"


def make_variant(preset: Preset, task: str, settings: Settings) -> Preset:
    """A preset with other settings for a task.

    Args:
        preset: The preset, which is not a variant.
        task: The name of the task.
        settings: What is to be different.

    Returns:
        A preset of this task only, under a name of its own; the preset itself if nothing differs. Its
        datasets are those of the preset unless it has other sizes.

    Raises:
        ConfigError: If the preset says nothing about the task, or there is no such setting or value.
    """
    own = preset.for_task(task)
    if preset.is_variant:
        raise ConfigError(f"preset {preset.name} is a variant; give all settings beside the preset itself")
    tree = _tree(own)
    names: dict[_Path, str] = {}
    for name in settings:
        if (path := setting_path(name)) in names:
            raise ConfigError(f"{name!r} and {names[path]!r} are one setting; give it once")
        names[path] = name
    # In alphabetical order a table comes before what is set inside it.
    for path, name in sorted(names.items()):
        _put(tree, path, _plain(settings[name], name), name)
    try:
        changed = TaskPreset.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(setting_problem(TaskPreset, error)) from error
    changed = _in_order(own, changed)
    differences = _differences(own, changed)
    if not differences:
        return preset
    sizes = {path: value for path, value in differences.items() if path[0] == "data"}
    return Preset(
        name=_variant_name(preset.name, differences),
        description=preset.description,
        tasks={task: changed},
        data_name=_variant_name(preset.name, sizes) if sizes else preset.name,
    )


def change_training(preset: TaskPreset, training: Settings) -> TaskPreset:
    """What a preset says about a task, with other settings of training: no variant, but the same preset.

    Args:
        preset: What it says.
        training: What is to be different, by the names of `TrainingConfig`.

    Raises:
        ConfigError: If there is no such setting or value.
    """
    changed = {**preset.training.model_dump(), **training}
    try:
        return TaskPreset.model_validate({**preset.model_dump(), "training": changed})
    except ValidationError as error:
        raise ConfigError(setting_problem(TaskPreset, error)) from error


def _plain(value: Any, name: str) -> Any:  # noqa: ANN401 — checked later
    """A value with Python's own numbers in place of NumPy's, and keys of text.

    Raises:
        ConfigError: If a number has more than 64 bits, which no setting can use.
    """
    if isinstance(value, Mapping):
        return {str(key): _plain(inner, name) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner, name) for inner in value]
    if isinstance(value, bool) or not isinstance(value, Real):
        return value
    if not isinstance(value, Integral):
        return float(value)
    number = int(value)
    if number.bit_length() > 63:
        raise ConfigError(f"{name}: {reprlib.repr(number)} is too large a number")
    return number


def _in_order(own: TaskPreset, changed: TaskPreset) -> TaskPreset:
    """Settings with horizons in the preset's order, or else ascending: no score depends on the order."""
    before, after = own.evaluation.horizons, tuple(sorted(changed.evaluation.horizons))
    if after == tuple(sorted(before)):
        after = before
    return changed.model_copy(
        update={"evaluation": changed.evaluation.model_copy(update={"horizons": after})}
    )


def _keys(tree: Mapping[str, Any]) -> _Path:
    """The keys of a tree with one leaf; none if it has several."""
    if len(tree) != 1:
        return ()
    ((key, inner),) = tree.items()
    return (key, *_keys(inner)) if isinstance(inner, Mapping) else (key,)


def _tree(settings: BaseModel) -> dict[str, Any]:
    """Settings as nested tables with keys of text; what is not given is left out."""

    def with_text(value: Any) -> Any:  # noqa: ANN401 — whatever settings hold
        if not isinstance(value, Mapping):
            return value
        return {str(key): with_text(inner) for key, inner in value.items() if inner is not None}

    tree: dict[str, Any] = with_text(settings.model_dump())
    return tree


def _put(tree: dict[str, Any], path: _Path, value: Any, name: str) -> None:  # noqa: ANN401 — checked later
    """Sets a leaf of a tree.

    Raises:
        ConfigError: If there is a table at that place, or would have to be.
    """
    *sections, last = path
    for section in sections:
        tree = tree.setdefault(section, {})
        if not isinstance(tree, dict):
            raise ConfigError(f"{name!r}: {section!r} is a setting and has none inside")
    if path in _TABLES:
        if not isinstance(value, Mapping):
            raise ConfigError(f"{name}: write a table such as {_TABLES[path]}")
    elif isinstance(value, Mapping) or isinstance(tree.get(last), dict):
        raise ConfigError(f"{name!r} is a section of settings, not a setting; set each by its own name")
    tree[last] = value


def _differences(own: TaskPreset, changed: TaskPreset) -> dict[_Path, Any]:
    """The settings in which a variant differs, by their paths in alphabetical order."""
    before, after = dict(_leaves(_tree(own), ())), dict(_leaves(_tree(changed), ()))
    paths = sorted(before.keys() | after.keys())
    return {
        # What is asked for or left out, and no longer asked for, is false.
        path: after.get(path, False if before.get(path) is True else None)
        for path in paths
        # Not by ==, for which 1 and True are the same.
        if (path in before, repr(before.get(path))) != (path in after, repr(after.get(path)))
    }


def _leaves(tree: Mapping[str, Any], path: _Path) -> list[tuple[_Path, Any]]:
    return [
        leaf
        for key, value in tree.items()
        for leaf in (_leaves(value, (*path, key)) if isinstance(value, Mapping) else [((*path, key), value)])
    ]


def _variant_name(base: str, differences: Mapping[_Path, Any]) -> str:
    """The name of a variant; other settings give other names, even on file systems that ignore case."""
    pieces = [f"{_key(path)}={_text(value)}" for path, value in differences.items()]
    text = "+".join(pieces)
    readable = (
        len(text) <= _LONGEST
        and all(_KEY.fullmatch(key) for path in differences for key in path)
        and all(map(_is_readable, differences.values()))
    )
    if not readable:
        # The digest, which has no "=", tells it from names that are written out.
        digest = digest_of([(path, repr(value)) for path, value in differences.items()])
        text = f"{re.sub(r'[^A-Za-z0-9_.+=-]+', '-', text)[:_LONGEST]}+{digest}"
    return f"{base}+{text}"


def _key(path: _Path) -> str:
    """The dotted name of a setting; training settings are written without their section."""
    return ".".join(path[1:] if path[0] == "training" else path)


def _is_readable(value: Any) -> bool:  # noqa: ANN401 — of any setting
    """Whether no other value has the same text."""
    if isinstance(value, str):
        return _WORD.fullmatch(value) is not None and value not in _NO_WORDS
    if isinstance(value, list | tuple):
        # A list is an option of a model, which may have a number instead of a list of one. Words, such as
        # true and inf too, may have the separator in them.
        return len(value) > (1 if isinstance(value, list) else 0) and all(
            type(inner) is int or (type(inner) is float and math.isfinite(inner)) for inner in value
        )
    return True


def _text(value: Any) -> str:  # noqa: ANN401 — of any setting
    """A value as written in names: 3, 0.001, true, cosine, 1_5_10; without commas, which separate names."""
    if isinstance(value, list | tuple):
        return "_".join(map(_text, value)) if _is_readable(value) else repr(list(value))
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(value).replace("e+", "e")
    return value if isinstance(value, str) else repr(value)

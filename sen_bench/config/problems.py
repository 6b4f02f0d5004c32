"""What is wrong with settings, in one line a person can act on."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from sen_bench.errors import UnknownNameError, first_problem


def setting_problem(model: type[BaseModel], error: ValidationError) -> str:
    """The first complaint about settings, in one line.

    Args:
        model: What they were validated as.
        error: What pydantic said.

    Returns:
        For a setting that does not exist, which one may have been meant: "training: unknown setting 'epoch';
        did you mean 'epochs'?". Otherwise what `first_problem` says.
    """
    # First of all, because what is missing may only be misspelt.
    unknown_ones = [problem["loc"] for problem in error.errors() if problem["type"] == "extra_forbidden"]
    if not unknown_ones:
        return first_problem(error)
    *path, name = unknown_ones[0]
    unknown = UnknownNameError("setting", str(name), _known(model, path))
    return ": ".join([*([".".join(map(str, path))] if path else []), str(unknown)])


def _known(model: type[BaseModel], path: list[int | str]) -> list[str]:
    """The settings that exist at a place."""
    places: list[Any] = [model]
    for key in path:
        places = [inner for place in places for inner in _inside(place, key)]
    return [name for place in places if _is_model(place) for name in place.model_fields]


def _inside(place: Any, key: int | str) -> Iterator[Any]:  # noqa: ANN401 - the type of a field
    """The types that a key of a type may have; several if it is a union."""
    if _is_model(place):
        if key in place.model_fields:
            yield from _alternatives(place.model_fields[key].annotation)
    elif isinstance(get_origin(place), type) and issubclass(get_origin(place), Mapping):
        yield from _alternatives(get_args(place)[1])


def _alternatives(place: Any) -> Iterator[Any]:  # noqa: ANN401 - the type of a field
    """A type without its annotations; of a union, each."""
    if get_origin(place) is Annotated:
        yield from _alternatives(get_args(place)[0])
    elif get_origin(place) in {Union, types.UnionType}:
        for one in get_args(place):
            yield from _alternatives(one)
    else:
        yield place


def _is_model(place: Any) -> bool:  # noqa: ANN401 - the type of a field
    return isinstance(place, type) and issubclass(place, BaseModel)

"""Arguments of the functions that people call from Python: refused in one line where their type is wrong."""

from __future__ import annotations

import functools
import inspect
import numbers
import operator
import reprlib
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, ParamSpec, TypeVar

from sen_bench.errors import ConfigError
from sen_bench.system.text import shown

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")

_WORDS: Final[Mapping[object, str]] = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "True or False",
    Path: "a path",
    type(None): "None",
}
_SEVERAL: Final[Mapping[object, str]] = {int: "whole numbers", str: "texts"}


def plain_values(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Has a function refuse arguments that are not of the types it is annotated with.

    Nothing is converted but numbers: what has ``__index__``, such as ``np.int64(3)``, becomes an int, and a
    real number a float. Truth values are no numbers. No text has a null character in it, which no path and no
    name can have.

    Args:
        function: A function, or a constructor. Its annotations are looked up when it is first called, so they
            must name what its module imports.

    Returns:
        The function, with the same signature and documentation. It raises `ConfigError`: "get_task: name must
        be text, not None".
    """
    signature = inspect.signature(function)
    name = function.__qualname__.removesuffix(".__init__")

    @functools.cache
    def hints() -> Mapping[str, Any]:
        return typing.get_type_hints(function)

    @functools.cache
    def adapter(parameter: str) -> TypeAdapter[Any]:
        return _adapter(hints()[parameter])

    @functools.wraps(function)
    def checked(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        try:
            bound = signature.bind(*args, **kwargs)
        except (
            TypeError
        ):  # too many, too few or unknown ones, for which Python's own message names the function
            bound = None
        if bound is None:
            return function(*args, **kwargs)
        for parameter, value in bound.arguments.items():
            if parameter not in hints():
                continue
            check = functools.partial(
                _checked, hint=hints()[parameter], adapter=functools.partial(adapter, parameter)
            )
            kind = signature.parameters[parameter].kind
            if kind is inspect.Parameter.VAR_POSITIONAL:
                given: Any = tuple(check(f"{name}: {parameter}", one) for one in value)
            elif kind is inspect.Parameter.VAR_KEYWORD:
                given = {key: check(f"{name}: {key}", one) for key, one in value.items()}
            else:
                given = check(f"{name}: {parameter}", value)
            bound.arguments[parameter] = given
        return function(*bound.args, **bound.kwargs)

    return checked


def _checked(what: str, value: object, *, hint: object, adapter: Callable[[], TypeAdapter[Any]]) -> Any:  # noqa: ANN401
    """The value, of the type that is wanted.

    Raises:
        ConfigError: It is of another.
    """
    if _is_plain(value, hint):
        return value
    from pydantic import ValidationError  # noqa: PLC0415 — `import sen_bench` and its simple commands are light

    try:
        return adapter().validate_python(value)
    except ValidationError:
        pass
    inner = getattr(value, "unwrapped", None)
    way_out = "; give its .unwrapped" if isinstance(hint, type) and isinstance(inner, hint) else ""
    null = isinstance(value, str | Path) and "\0" in str(value)
    wanted = "free of null characters" if null else _described(hint)
    raise ConfigError(f"{what} must be {wanted}, not {_given(value)}{way_out}") from None


def _is_plain(value: object, hint: Any) -> bool:  # noqa: ANN401 — a type
    """Whether a value is what is wanted and needs no conversion, as far as that is told without pydantic."""
    if hint in {Any, object}:
        return True
    if typing.get_origin(hint) in {typing.Union, types.UnionType}:
        return any(_is_plain(value, one) for one in typing.get_args(hint))
    if hint is str:
        return type(value) is str and "\0" not in value
    return hint in {bool, int, float, type(None)} and type(value) is hint


def _adapter(hint: object) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter  # noqa: PLC0415 — as above

    return TypeAdapter(_schema(hint))


def _schema(hint: Any) -> Any:  # noqa: ANN401 — types, as they are written in annotations
    """What pydantic is to accept for an annotation: instances of classes as they are, and plain values."""
    from pydantic import AfterValidator, BeforeValidator, Strict  # noqa: PLC0415 — as above

    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in {typing.Union, types.UnionType}:
        return typing.Union[tuple(map(_schema, inner))]  # noqa: UP007 — of what is only known now
    if origin is Sequence or origin is Mapping:
        return types.GenericAlias(origin, tuple(map(_schema, inner)))
    plain = {
        int: Annotated[int, Strict(), BeforeValidator(_whole)],
        float: Annotated[float, Strict(), BeforeValidator(_real)],
        str: Annotated[str, Strict(), AfterValidator(_without_null)],
        bool: Annotated[bool, Strict()],
        type(None): None,
        object: Any,
        Any: Any,
    }
    if hint in plain:
        return plain[hint]
    if origin is Callable:
        return Callable
    instance = Annotated[Any, AfterValidator(functools.partial(_instance, hint))]
    return Annotated[instance, AfterValidator(_without_null)] if hint is Path else instance


def _instance(kind: type, value: object) -> object:
    # pydantic takes no TypeError for a complaint about a value.
    if not isinstance(value, kind):
        raise ValueError(f"no {kind.__name__}")  # noqa: TRY004
    return value


def _whole(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("a truth value")  # noqa: TRY004 — as above
    try:
        return operator.index(value)  # type: ignore[arg-type] # that is the question
    except TypeError:
        return value


def _real(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("a truth value")  # noqa: TRY004 — as above
    return float(value) if isinstance(value, numbers.Real) else value


def _without_null(value: Any) -> Any:  # noqa: ANN401 — text or a path
    if "\0" in str(value):
        raise ValueError("a null character")
    return value


def _described(hint: Any) -> str:  # noqa: ANN401 — a type
    """A type in words: "a Dataset, a path or text"."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint in _WORDS:
        return _WORDS[hint]
    if origin in {typing.Union, types.UnionType}:
        parts = [_described(one) for one in inner if one is not bool]
        *first, last = [*parts, "True", "False"] if bool in inner else parts
        return f"{', '.join(first)} or {last}"
    if origin is Callable:
        return "a class or function"
    if origin is Mapping:
        return "a mapping such as a dict"
    if origin is Sequence:
        return f"a sequence of {_SEVERAL.get(inner[0], 'values, each ' + _described(inner[0]))}"
    return _one(hint)


def _given(value: object) -> str:
    """A value in a few words: itself if it is a plain one, otherwise what it is."""
    if value is None or isinstance(value, str | int | float | Path | list | tuple | dict | set):
        return shown(reprlib.repr(value))
    return f"the class {value.__name__}" if isinstance(value, type) else _one(type(value))


def _one(kind: type) -> str:
    """An instance of a class in words: "a Dataset"."""
    return f"{'an' if kind.__name__[0] in 'AEIOU' else 'a'} {kind.__name__}"

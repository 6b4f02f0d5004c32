"""What the contents of a checkpoint must be: types that can be read back, numbers in their ranges."""

from __future__ import annotations

import io
import math
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from sen_bench.system import number_of

_TYPES: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("identity", "optimizer"), (dict,)),
    "model": (dict, OrderedDict),
    **dict.fromkeys(("epoch", "attempt", "step", "transitions_seen", "streak"), (int,)),
    "seconds": (int, float),
    **dict.fromkeys(("collapsed", "stopped", "compiled"), (bool,)),
}
_COUNTS = tuple(name for name, types in _TYPES.items() if types == (int,))

# What PyTorch reads back with weights_only; of any other type that is tried.
_LEAVES = (type(None), bool, int, float, complex, str, bytes, Tensor, nn.Parameter, torch.Size, torch.dtype)
_TABLES = (dict, OrderedDict)
_LISTS = (list, tuple)


def problem(contents: Mapping[str, Any]) -> str | None:
    """What is wrong with the contents of a checkpoint, as the rest of a sentence; None if nothing is.

    Args:
        contents: The fields of a checkpoint.
    """
    if set(contents) != set(_TYPES):
        return "is not a checkpoint of sen-bench"
    for name, types in _TYPES.items():
        if type(contents[name]) not in types:
            return (
                f"is not a checkpoint of sen-bench: its {name} is of the type {type(contents[name]).__name__}"
            )
    if not all(isinstance(text, str) for entry in contents["identity"].items() for text in entry):
        return "has an identity that is not text"
    return _number_problem(contents) or _tensor_problem(contents)


def _number_problem(contents: Mapping[str, Any]) -> str | None:
    """Which count or time is out of its range, or contradicts another."""
    for name in _COUNTS:
        if contents[name] < 0:
            return f"has a negative {name}, {contents[name]}"
    epoch, step, seen = contents["epoch"], contents["step"], contents["transitions_seen"]
    seconds, stopped, collapsed = contents["seconds"], contents["stopped"], contents["collapsed"]
    rules = (
        (math.isfinite(seconds) and seconds >= 0, f"has taken {seconds} seconds"),
        (step >= epoch, f"has {number_of(step, 'step')} in {number_of(epoch, 'epoch')}"),
        (seen >= step, f"has seen {number_of(seen, 'transition')} in {number_of(step, 'step')}"),
        (contents["streak"] or not collapsed, "is collapsed without a collapsed step"),
        (collapsed or not stopped, "was stopped without a collapse"),
        (epoch or contents["attempt"] or stopped, "is of a training that has not finished an epoch"),
    )
    return next((what for holds, what in rules if not holds), None)


def _tensor_problem(contents: Mapping[str, Any]) -> str | None:
    """Which tensor of the model or of the optimiser has an entry that is not a number."""
    for part in ("model", "optimizer"):
        for where, value in leaves(contents[part]):
            tensor = isinstance(value, Tensor) and _has_nan(value)
            if tensor or (isinstance(value, float) and math.isnan(value)):
                return f"has NaN in the {part}'s {where}"
    return None


def _has_nan(values: Tensor) -> bool:
    """Whether an entry of a tensor is NaN."""
    if not (values.is_floating_point() or values.is_complex()):
        return False
    # A sum takes less time, and is a number if all entries are; infinities may cancel to NaN.
    return bool(values.sum().isnan()) and bool(values.isnan().any())


def unreadable(contents: Mapping[str, Any]) -> tuple[str, str] | None:
    """The first entry that could be written, but not read back; None if there is none.

    Args:
        contents: The fields of a checkpoint.

    Returns:
        Where it stands, "model: norm._extra_state", and its type.
    """
    for name, value in contents.items():
        for where, leaf in leaves(value):
            if type(leaf) not in _LEAVES and not _survives(leaf):
                return (
                    f"{name}: {where}" if where else name,
                    f"{type(leaf).__module__}.{type(leaf).__qualname__}",
                )
    return None


def leaves(value: object, where: str = "") -> Iterator[tuple[str, Any]]:
    """Every value inside dictionaries and lists, with the keys that lead to it."""
    if type(value) in _TABLES:
        for key, inner in value.items():  # type: ignore[attr-defined]
            yield from leaves(key, where)
            yield from leaves(inner, f"{where}.{key}" if where else str(key))
    elif type(value) in _LISTS:
        for number, inner in enumerate(value):  # type: ignore[arg-type]
            yield from leaves(inner, f"{where}[{number}]")
    else:
        yield where, value


def _survives(value: object) -> bool:
    """Whether a value is read back as one of the same type."""
    buffer = io.BytesIO()
    try:
        torch.save(value, buffer)
        buffer.seek(0)
        return type(torch.load(buffer, weights_only=True)) is type(value)
    # Whatever a type of somebody else's does while it is written or read, it is not to be relied on.
    except Exception:  # noqa: BLE001
        return False


def misfit(stored: Mapping[str, Any], model: nn.Module) -> str | None:
    """Which tensor of a state dict has another type than the model's; PyTorch would round it in silence.

    Args:
        stored: The state dict.
        model: The model that it is meant for.

    Returns:
        The first difference in words, or None.
    """
    for name, value in model.state_dict().items():
        other = stored.get(name)
        if isinstance(value, Tensor) and isinstance(other, Tensor) and value.dtype != other.dtype:
            return f"{name} is {other.dtype} instead of {value.dtype}"
    return None


def optimizer_misfit(stored: Mapping[str, Any], optimizer: torch.optim.Optimizer) -> str | None:
    """Which state of an optimiser has another type than its parameter, likewise.

    Args:
        stored: The state dict of the optimiser.
        optimizer: The optimiser that it is meant for.

    Returns:
        The first difference in words, or None.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    numbers = [number for group in stored["param_groups"] for number in group["params"]]
    for number, parameter in zip(numbers, parameters, strict=False):
        for name, value in stored["state"].get(number, {}).items():
            if isinstance(value, Tensor) and name != "step" and value.dtype != parameter.dtype:
                return f"the optimiser's {name} is {value.dtype} instead of {parameter.dtype}"
    return None

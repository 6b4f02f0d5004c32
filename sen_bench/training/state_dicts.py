"""Weights that were trained elsewhere: a state dict in a file, and whether it fits a model."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

import torch
from torch import Tensor, nn

from sen_bench.errors import CheckpointError
from sen_bench.system import shown

_PARTS: Final = ("model", "state_dict")
"""Where the state dict is in files that hold more than that: checkpoints of sen-bench, of Lightning."""

_NAMED: Final = 3
"""How many names of a kind a message lists."""


@dataclass(frozen=True)
class StateDict:
    """A state dict as it was read from a file.

    Attributes:
        path: The file.
        entries: Its entries by name, tensors on the CPU and what else `torch.load` reads as plain values.
    """

    path: Path
    entries: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """Reads a file that `torch.save` wrote; no code in it is run.

        Args:
            path: The file. It holds a state dict, or a dictionary with one under ``model`` or
                ``state_dict``.

        Raises:
            CheckpointError: It cannot be read, or holds no state dict.
        """
        path = Path(path)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
        try:
            contents = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        except MemoryError:
            raise
        # A file of another kind is read as a different program, which may raise anything.
        except Exception as error:
            # PyTorch says what is wrong with its own files; of others its reader trips over some byte.
            why = (
                next(iter(str(error).splitlines()), type(error).__name__)
                if isinstance(error, RuntimeError)
                else "it is no file of torch.save, or holds more than tensors and plain values"
            )
            raise CheckpointError(
                f"{path} cannot be read ({shown(why)}); write it by torch.save(model.state_dict(), path)"
            ) from error
        state = contents
        if isinstance(contents, Mapping):
            state = next((contents[part] for part in _PARTS if _is_state(contents.get(part))), contents)
        if not _is_state(state):
            raise CheckpointError(
                f"{path} holds no state dict, tensors by name, neither by itself nor under"
                f" {' or '.join(map(repr, _PARTS))}; write it by torch.save(model.state_dict(), path)"
            )
        return cls(path, dict(state))

    def renamed(self, entries: Mapping[str, Any]) -> Self:
        """The same file, with its entries as another reading has them."""
        return replace(self, entries=entries)

    def put_into(self, model: nn.Module, what: str, *, remedy: str) -> None:
        """Gives a model these weights, all of them, and nothing is left of its own.

        Tensors of a narrower floating-point type than the model's are widened, which is exact.

        Args:
            model: The model; it stays as it is if they do not fit.
            what: What it is called in messages: "model sen of 3d-blocks".
            remedy: What to do if they do not fit, except where they only had to be rounded.

        Raises:
            CheckpointError: An entry is missing, is none of the model's, or has another shape or type.
        """
        own = model.state_dict()
        missing = [name for name in own if name not in self.entries]
        unexpected = [name for name in self.entries if name not in own]
        misfits = [
            misfit
            for name, value in own.items()
            if name in self.entries and (misfit := _misfit(name, self.entries[name], value)) is not None
        ]
        found = [
            f"{kind} {_listed(names)}"
            for kind, names in (("it lacks", missing), ("the model has no", unexpected))
            if names
        ]
        if misfits:
            found.append(_listed(misfits))
        wide = [own[name].dtype for name in own if _would_be_rounded(self.entries.get(name), own[name])]
        if wide and len(misfits) == len(wide) and len(found) == 1:
            kind = str(wide[0]).removeprefix("torch.")
            remedy = f"they would be rounded; if that is wanted, save model.to(torch.{kind}).state_dict()"
        if found:
            raise CheckpointError(f"{self.path} does not fit {what}: {'; '.join(found)}; {remedy}")
        model.load_state_dict(dict(self.entries))


def weights_digest(network: nn.Module) -> str:
    """The SHA-256, in hexadecimal, of all parameters and buffers of a network that are saved."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        if isinstance(value, Tensor):
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
            digest.update(value.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
        else:  # extra state, which only the model itself understands
            digest.update(f"{name} {value!r}\n".encode())
    return digest.hexdigest()


def _is_state(value: object) -> bool:
    """Whether it is a state dict: entries by name, with a tensor among them."""
    return (
        isinstance(value, Mapping)
        and all(isinstance(name, str) for name in value)
        and any(isinstance(entry, Tensor) for entry in value.values())
    )


def _misfit(name: str, given: object, own: object) -> str | None:
    """In words, why an entry cannot take the place of the model's; None if it can."""
    if not isinstance(own, Tensor):
        return None  # extra state, which only the model itself understands
    if not isinstance(given, Tensor):
        return f"{name} is a {type(given).__name__} instead of a tensor"
    if given.shape != own.shape:
        return f"{name} is {list(given.shape)} instead of {list(own.shape)}"
    widened = given.is_floating_point() and torch.promote_types(given.dtype, own.dtype) == own.dtype
    if given.dtype != own.dtype and not widened:
        kinds = (str(tensor.dtype).removeprefix("torch.") for tensor in (given, own))
        return f"{name} is {' instead of '.join(kinds)}"
    return None


def _would_be_rounded(given: object, own: object) -> bool:
    """Whether an entry fits, but has a wider floating-point type than the model's."""
    if not (isinstance(given, Tensor) and isinstance(own, Tensor) and given.shape == own.shape):
        return False
    both = given.is_floating_point() and own.is_floating_point()
    return both and torch.promote_types(given.dtype, own.dtype) != own.dtype


def _listed(names: Sequence[str]) -> str:
    """The first few of some names, and how many there are besides."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return shown(", ".join(names[:_NAMED])) + more

"""The state of a training run between two epochs, on disk."""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sen_bench.errors import CheckpointError, NonFiniteError
from sen_bench.system import shown, write_atomically
from sen_bench.training.checkpoint_contents import misfit, optimizer_misfit, problem, unreadable
from sen_bench.training.sealing import check_seal, write_sealed

#: The name of the file, in the folder of a run or of a decoder.
CHECKPOINT_FILE = "checkpoint.pt"
#: Increased when the contents change; a checkpoint of another version is refused.
FORMAT_VERSION = 1

# The names that fields have in the file where they are not their own.
_KEYS = {"samples_seen": "transitions_seen"}


@dataclass
class Checkpoint:
    """Everything an epoch starts from. All randomness derives from the seed, so no generator is stored.

    Attributes:
        identity: What the run is (task, model, seed, digests); a checkpoint of another run is refused.
        epoch: Epochs finished in this attempt.
        attempt: How often training was restarted after a collapse.
        step: Optimiser steps in this attempt.
        samples_seen: Samples trained on in all attempts: transitions, or a decoder's frames.
        seconds: Wall time of all attempts.
        stopped: Whether training ended early because of a collapse.
        model: State dict.
        optimizer: State dict.
        streak: Collapsed steps in a row; 0 where nobody watches for a collapse.
        collapsed: Whether the model is collapsed.
        compiled: Whether any of it was trained with compiled code.
    """

    identity: dict[str, str]
    epoch: int
    attempt: int
    step: int
    samples_seen: int
    seconds: float
    stopped: bool
    model: dict[str, Any]
    optimizer: dict[str, Any]
    streak: int = 0
    collapsed: bool = False
    compiled: bool = False

    def save(self, path: Path) -> None:
        """Writes the checkpoint, replacing the last one in one step.

        Raises:
            CheckpointError: If the disk is full, the folder cannot be written, or an entry of the model's or
                the optimiser's state could not be read back.
            NonFiniteError: If a weight is NaN.
        """
        values = {_KEYS.get(f.name, f.name): getattr(self, f.name) for f in fields(self)}
        if (entry := unreadable(values)) is not None:
            where, kind = entry
            raise CheckpointError(
                f"the checkpoint {path} is not written: {shown(where)} is a {shown(kind)}, which could not be"
                " read back; a model's extra state may be tensors, numbers, text, lists and dictionaries"
            )
        if (what := problem(values)) is not None:
            raise NonFiniteError(f"the checkpoint {path} is not written, because it {shown(what)}")
        # Through memory, because torch hides what the file system says ("no space left") from its caller. And
        # through no class of ours: an interrupt in Python's write would come out of torch as a RuntimeError.
        archive = io.BytesIO()
        torch.save({"format_version": FORMAT_VERSION, **values}, archive)
        try:
            write_atomically(path, lambda draft: write_sealed(draft, archive.getbuffer()))
        except OSError as error:
            raise CheckpointError(
                f"cannot write the checkpoint {path}: {error.strerror or error}; the last one is kept"
            ) from error

    @classmethod
    def load(cls, path: Path, device: torch.device) -> Checkpoint:
        """Reads a checkpoint, after its content was proven by its digest.

        Raises:
            CheckpointError: If there is no checkpoint, or it is damaged or of another version.
        """
        try:
            data = path.read_bytes()
            check_seal(data)
            contents = torch.load(io.BytesIO(data), map_location=device, weights_only=True)
        except FileNotFoundError:
            raise CheckpointError(f"there is no checkpoint {path}; train first") from None
        except (MemoryError, torch.OutOfMemoryError):
            raise
        # A damaged file is read as a different program, which may raise anything.
        except Exception as error:
            # For a file with code in it, torch's message explains how to run that code after all.
            why = (
                "it is damaged, or holds more than tensors and plain values"
                if isinstance(error, pickle.UnpicklingError)
                else next(iter(str(error).splitlines()), type(error).__name__)
            )
            raise CheckpointError(
                f"the checkpoint {path} cannot be read ({shown(why)}); move it away to train again"
            ) from error
        version = contents.pop("format_version", None) if isinstance(contents, dict) else None
        if version != FORMAT_VERSION:
            raise CheckpointError(f"the checkpoint {path} has format {shown(version)}, not {FORMAT_VERSION}")
        contents.setdefault("compiled", False)  # in checkpoints older than --compile
        if (what := problem(contents)) is not None:
            raise CheckpointError(f"the checkpoint {path} {shown(what)}; move it away to train again")
        return cls(**{f.name: contents[_KEYS.get(f.name, f.name)] for f in fields(cls)})

    def put_into(self, model: nn.Module, path: Path, optimizer: torch.optim.Optimizer | None = None) -> None:
        """Puts the stored state into a model and into what trains it.

        Args:
            model: A model built with the settings of the run.
            path: Where the checkpoint is.
            optimizer: What trains it.

        Raises:
            CheckpointError: If the state belongs to another model.
        """
        try:
            found = misfit(self.model, model)
            model.load_state_dict(self.model)
            if optimizer is not None:
                found = found or optimizer_misfit(self.optimizer, optimizer)
                optimizer.load_state_dict(self.optimizer)
        except (MemoryError, torch.OutOfMemoryError):
            raise
        # Somebody changed the file; each kind of wrong value fails in its own way.
        except Exception as error:
            why = " ".join(str(error).split())[:200] or type(error).__name__
            raise CheckpointError(
                f"the checkpoint {path} does not fit its model ({shown(why)}); move it away to train again"
            ) from error
        if found is not None:
            raise CheckpointError(
                f"the checkpoint {path} does not fit its model ({shown(found)}); move it away to train again"
            )

    def check_identity(self, identity: dict[str, str], path: Path, *, remedy: str) -> None:
        """Refuses to go on with a different run.

        Args:
            identity: What the run must be.
            path: Where the checkpoint is.
            remedy: What the user can do about it.

        Raises:
            CheckpointError: Naming the first difference.
        """
        for key in sorted(identity.keys() | self.identity.keys()):
            mine, wanted = self.identity.get(key), identity.get(key)
            if mine != wanted:
                raise CheckpointError(f"{path} is of another run, with {key} {mine}, not {wanted}; {remedy}")

"""A sign that somebody is waiting for the workers: a file that all machines see for as long as that is so."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sen_bench.errors import ClusterError


@dataclass(frozen=True)
class Token:
    """The file, as workers are told of it.

    Attributes:
        path: Where it is.
        text: What is in it; no other token has the same.
        work: What is being waited for, as in "the generation was stopped".
    """

    path: Path
    text: str
    work: str

    def check(self) -> None:
        """Makes sure that somebody is still waiting.

        Raises:
            ClusterError: Nobody is, or this is another file system than the client's.
        """
        try:
            wanted = self.path.read_text() == self.text
        except FileNotFoundError:
            wanted = False
        if not wanted:
            raise ClusterError(
                f"the worker on {socket.gethostname()} does not see {self.path}: the {self.work} was stopped,"
                " or the machines do not share that folder"
            )


@contextmanager
def new_token(folder: Path, work: str) -> Iterator[Token]:
    """Puts a token into a folder, and removes it at the end.

    Args:
        folder: An existing folder.
        work: What is being waited for.
    """
    text = uuid.uuid4().hex
    token = Token(folder / f"cluster-{text}", text, work)
    token.path.write_text(text)
    try:
        yield token
    finally:
        # Running tasks notice that it is gone, and stop.
        token.path.unlink(missing_ok=True)

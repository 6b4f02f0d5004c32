"""The digest beside a table: what sen-bench wrote, so that a change by anything else is noticed.

``runs.csv.sha256`` holds one line, as ``sha256sum`` writes it, and ``sha256sum --check`` checks it. To
replace a table takes three steps, after each of which a process may be killed:

1. ``.runs.csv.sha256.next`` is written, the digest of the new table;
2. the table is replaced;
3. ``.runs.csv.sha256.next`` is renamed to ``runs.csv.sha256``.

After the first, the table is still the old one and has its digest; an announcement that came to nothing does
no harm. After the second, it has the digest that was announced, so that this is not taken for damage.
"""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

from sen_bench.system import sweep_drafts, sync, write_atomically

# Longer than a digest with any name of a file; what is larger is something else.
_LONGEST = 1024


def digest_file(table: Path) -> Path:
    """Where the digest of a table is kept."""
    table = Path(os.path.realpath(table))
    return table.with_name(f"{table.name}.sha256")


def _announcement(table: Path) -> Path:
    return table.with_name(f".{table.name}.sha256.next")


def write_with_digest(table: Path, contents: bytes) -> None:
    """Replaces a table and its digest. The caller holds the lock of the table.

    Args:
        table: The table; if it is a symbolic link, what it points to is replaced.
        contents: All of it.

    Raises:
        OSError: It cannot be written.
    """
    table = Path(os.path.realpath(table))
    announcement = _announcement(table)
    line = f"{_sha256(contents)}  {table.name}\n".encode()
    write_atomically(announcement, lambda draft: draft.write_bytes(line))
    write_atomically(table, lambda draft: draft.write_bytes(contents))
    announcement.replace(digest_file(table))
    sync(table.parent)


def sweep_table_drafts(table: Path) -> None:
    """Removes what killed processes left half written. The caller holds the lock of the table."""
    table = Path(os.path.realpath(table))
    for path in (table, _announcement(table)):
        sweep_drafts(path)


def read_with_remark(table: Path) -> tuple[bytes, str]:
    """The contents of a table, and what its digest says about them.

    Line ends do not matter, as Git may convert them: a table whose line ends are all those of Windows is
    taken for the one with line feeds.

    Args:
        table: The table.

    Returns:
        The contents; and, in one line, that something else has changed them, that a process was killed before
        it wrote their digest, or that the digest is none. Empty if they are as they were written, or if there
        is no digest: earlier versions wrote none.

    Raises:
        OSError: The table cannot be read.
    """
    recorded, announced = digest_file(table), _announcement(Path(os.path.realpath(table)))
    if table.exists() and not (table.is_file() or table.is_dir()):
        raise OSError(errno.EINVAL, "it is not a regular file")  # reading a pipe might never end
    contents = table.read_bytes()
    lines = [_line(path) for path in (recorded, announced)]
    if lines == [None, None]:
        return contents, ""
    digests = [
        None if line is None else _digest_in(line, recorded.name.removesuffix(".sha256")) for line in lines
    ]
    found = {_sha256(contents), _sha256(_with_line_feeds(contents))}
    if digests[0] in found or (lines[0] is None and digests[1] in found):
        return contents, ""
    if digests[1] in found:
        return contents, (
            f"{table} is whole, but {recorded.name} has the digest of the table before: a process was killed"
            " between writing the two"
        )
    if lines[0] is not None and digests[0] is None:
        return contents, (
            f"{table} cannot be checked, as {recorded.name} does not hold its SHA-256 as sha256sum writes it"
        )
    return contents, (
        f"{table} is not as sen-bench wrote it: something else has changed it, as its SHA-256 is not the one"
        f" in {recorded.name}"
    )


def _line(path: Path) -> bytes | None:
    """The beginning of a file of a digest; None if there is no such file."""
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file:
            return file.read(_LONGEST)
    except FileNotFoundError:  # a writer has renamed its announcement meanwhile
        return None


def _digest_in(line: bytes, name: str) -> str | None:
    """The digest in a line of ``sha256sum``; None if it is no such line, or about another file."""
    fields = line.decode("utf-8", "replace").removesuffix("\n").removesuffix("\r").partition(" ")
    digest, blank, named = fields
    whole = len(digest) == 64 and not digest.strip("0123456789abcdef")
    return digest if whole and blank and named in {f" {name}", f"*{name}"} else None


def _with_line_feeds(contents: bytes) -> bytes:
    """The contents as they were before Git, or an editor, converted all line ends to those of Windows."""
    converted = contents.count(b"\r\n") == contents.count(b"\n")
    return contents.replace(b"\r\n", b"\n") if converted else contents


def _sha256(contents: bytes) -> str:
    return hashlib.sha256(contents).hexdigest()

"""Publications in folders of this machine: written beside their place, and renamed when they are whole."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from sen_bench.errors import PublishingError
from sen_bench.system import Progress, move_aside, sync, sync_all

if TYPE_CHECKING:
    from sen_bench.publishing.publication import Publication, PublishedFile


def write_folder(publication: Publication, folder: Path, *, force: bool, progress: Progress) -> Path:
    """Writes a publication into a folder. A call that was interrupted is resumed by the same call.

    Args:
        publication: What to write.
        folder: Where; there must be nothing yet.
        force: Move what is there aside.
        progress: Is told how much is written.

    Returns:
        The folder.

    Raises:
        PublishingError: Something is there, another process is writing it, it cannot be written, or a file
            changed since it was checked.
    """
    folder = folder.absolute()
    draft = folder.with_name(f".{folder.name}.partial")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f".{folder.name}.lock"), timeout=0):
            if folder.exists() and not force:
                raise PublishingError(f"{folder} is there already; name another one, or give --force")
            _fill(draft, publication, progress)
            if folder.exists():
                progress.message(f"moved the old folder to {move_aside(folder)}")
            draft.rename(folder)
            sync(folder.parent)
    except Timeout:
        raise PublishingError(f"another process is writing {folder}; wait until it is done") from None
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise PublishingError(f"{folder} cannot be written: {error.strerror or error}") from error
    return folder


def _fill(draft: Path, publication: Publication, progress: Progress) -> None:
    """Has a draft hold just the files of a publication, on the disk."""
    for path in sorted(draft.rglob("*")) if draft.exists() else ():
        if not path.is_dir() and path.relative_to(draft).as_posix() not in publication.files:
            path.unlink()
    done = 0
    with progress.work(f"writing {draft.name}", "bytes") as advance:
        for name, file in publication.files.items():
            if not file.record.describes(draft / name):
                _write(draft / name, file)
            done += file.record.size
            advance(done, publication.size)
    paths = [draft / name for name in publication.files]
    sync_all([*paths, *dict.fromkeys(path.parent for path in paths)])


def _write(path: Path, file: PublishedFile) -> None:
    """Writes a file.

    Raises:
        PublishingError: It is not what was checked.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(file.source, bytes):
        path.write_bytes(file.source)
    else:
        shutil.copyfile(file.source, path)
    if not file.record.describes(path):
        raise PublishingError(f"{file.source!s:.200} changed while it was published; give the command again")

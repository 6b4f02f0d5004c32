"""File systems that lack what others have: locks, and fsync of folders."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from sen_bench.errors import DatasetError
from sen_bench.generators import generate
from sen_bench.system import sync
from tests.support.datasets import SMALL, tree


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP, errno.EIO])
def test_folders_that_cannot_be_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(code, os.strerror(code))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    if code == errno.EIO:
        with pytest.raises(DatasetError, match="could not be written: Input/output error"):
            generate(SMALL, tmp_path / "a.zarr")
    else:
        assert generate(SMALL, tmp_path / "a.zarr").created


def test_files_that_cannot_be_synced_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(_descriptor: int) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    (tmp_path / "file").write_text("x")
    monkeypatch.setattr(os, "fsync", fsync)
    sync(tmp_path)
    with pytest.raises(OSError, match="Invalid argument"):
        sync(tmp_path / "file")


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def test_where_there_are_no_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    finished = generate(SMALL, tmp_path / "a.zarr").path
    before = tree(tmp_path)

    def flock(*_: Any) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", flock)
    # The empty lock file of the first generation is nobody's; what is finished is taken without a lock.
    assert not generate(SMALL, finished).created
    assert tree(tmp_path) == before
    for target in (tmp_path / "b.zarr", finished):
        with pytest.raises(DatasetError, match=rf"the file system of {tmp_path} has no locks") as error:
            generate(SMALL, target, force=True)
        assert "another process" not in str(error.value)

"""The digest at the end of a checkpoint, by which damage is told from content.

PyTorch writes a zip archive. Its last field is a comment, which PyTorch ignores: there stands the SHA-256 of
the archive as it was before it had a comment. So every bit of the file is covered, and any version of PyTorch
reads it as before.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

_MARK = b"sha256:"
_SEAL_BYTES = len(_MARK) + 64
# The last record of a zip archive without a comment: a signature, offsets and counts, the comment's length.
_END = b"PK\x05\x06"
_END_BYTES = 22
_LENGTH_BYTES = 2
_NO_COMMENT = bytes(_LENGTH_BYTES)


def write_sealed(path: Path, archive: memoryview) -> None:
    """Writes an archive and its seal.

    Args:
        path: The file.
        archive: What `torch.save` wrote, without a comment.

    Raises:
        OSError: As the file system raises it.
        ValueError: The archive does not end as it should.
    """
    end = bytes(archive[-_END_BYTES:])
    if not end.startswith(_END) or not end.endswith(_NO_COMMENT):
        raise ValueError("PyTorch wrote something that is not a zip archive")
    # Not in a thread beside the writing: an interrupt while the two speak to each other can leave a lock
    # held, for which both then wait for ever.
    seal = _MARK + hashlib.sha256(archive).hexdigest().encode()
    with path.open("wb") as file:
        file.write(archive[:-_LENGTH_BYTES])
        file.write(len(seal).to_bytes(_LENGTH_BYTES, "little") + seal)


def check_seal(data: bytes) -> None:
    """Proves the content of a file.

    Archives of earlier versions have no seal. For these the checksums of the zip format are compared, which
    PyTorch itself does not do: CRC-32 of each part.

    Args:
        data: The contents of the file.

    Raises:
        ValueError: They are damaged.
        zipfile.BadZipFile: They are not an archive at all.
    """
    if data[-_END_BYTES:].startswith(_END) and data.endswith(_NO_COMMENT):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if (damaged := archive.testzip()) is not None:
                raise ValueError(f"the CRC-32 of its part {damaged} is wrong")
        return
    end, seal = data[-_SEAL_BYTES - _END_BYTES : -_SEAL_BYTES], data[-_SEAL_BYTES:]
    if not end.startswith(_END) or not seal.startswith(_MARK):
        raise ValueError("it is truncated, or not a checkpoint")
    # Without a copy of what may be hundreds of megabytes.
    digest = hashlib.sha256(memoryview(data)[: -_SEAL_BYTES - _LENGTH_BYTES])
    digest.update(_NO_COMMENT)
    length = _SEAL_BYTES.to_bytes(_LENGTH_BYTES, "little")
    if not end.endswith(length) or seal[len(_MARK) :] != digest.hexdigest().encode():
        raise ValueError("its content does not have the SHA-256 that it was saved with")

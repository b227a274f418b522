"""Small file helpers shared by all writers."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Numbers of the errors that mean that there is no room for a file."""


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path that replaces `path` once the block ends without an error.

    The temporary file lies in the same folder, so the final rename is atomic: a reader sees
    the old file or the whole new one. After an error the temporary file is removed and `path`
    is left as it was.

    Parameters
    ----------
    path : path-like
        The file to write; missing parent folders are created.

    Yields
    ------
    Path
        Where to write. It does not exist yet.

    Raises
    ------
    RuntimeError
        If the disk is full.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with open(temporary, "rb") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, target)
    except OSError as error:
        if error.errno not in FULL_DISK:
            raise
        raise RuntimeError(
            f"The disk of {target} is full ({error.strerror}), so it was not written, and an older "
            "file of that name is as it was; free some space and run the same command again."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_npz(path: str | os.PathLike[str], **arrays: Any) -> None:
    """Write arrays (or numbers, or text) to an .npz file, atomically."""
    with atomic_path(path) as temporary, open(temporary, "wb") as handle:
        np.savez(handle, **arrays)

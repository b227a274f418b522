"""Small file helpers shared by all writers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np


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
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with open(temporary, "rb") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def write_npz(path: str | os.PathLike[str], **arrays: Any) -> None:
    """Write arrays (or numbers, or text) to an .npz file, atomically."""
    with atomic_path(path) as temporary, open(temporary, "wb") as handle:
        np.savez(handle, **arrays)

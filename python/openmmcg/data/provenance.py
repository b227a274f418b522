"""Where a dataset comes from: versions and input files."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


def versions(*distributions: str) -> dict[str, str]:
    """Return the versions of installed distributions, ours among them."""
    found = {}
    for name in ("openmm-cg", *distributions):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def input_file(path: Path) -> dict[str, Any]:
    """Return what tells an input file: path, size in bytes and time of the last change."""
    status = path.stat()
    return {"path": str(path), "bytes": status.st_size, "modified": status.st_mtime}

"""What the tools share: files by patterns, outputs, provenance."""

from __future__ import annotations

import glob
import json
from pathlib import Path
from typing import Any

from openmmcg.data.dataset import Dataset


def expand(given: str | list[str], what: str) -> list[str]:
    """Return files by name or pattern, those of a pattern sorted.

    Raises
    ------
    FileNotFoundError
        If a pattern matches no file.
    ValueError
        If no file is given.
    """
    result: list[str] = []
    for entry in [given] if isinstance(given, str) else given:
        found = sorted(glob.glob(entry)) if glob.has_magic(entry) else [entry]
        if not found:
            raise FileNotFoundError(f"No file matches {entry} ({what}).")
        result += found
    if not result:
        raise ValueError(f"No file is given ({what}).")
    return result


def new_output(path: str) -> Path:
    """Return a path to write to; raise ValueError if there is a file already."""
    if Path(path).exists():
        raise ValueError(f"{path} exists already; remove it or choose another output.")
    return Path(path)


def derived(dataset: Dataset, step: str, **settings: Any) -> str:
    """Return the provenance (JSON) of a dataset made from another: its own and one more step.

    The source's other entries stay where they are, so that later stages find them.
    """
    source = dict(dataset.source)
    steps = [*source.pop("steps", []), {"step": step, "input": str(dataset.path), **settings}]
    return json.dumps({**source, "steps": steps})

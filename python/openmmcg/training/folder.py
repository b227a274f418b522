"""The output folder of a training: names of its files, and how they are written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from openmmcg.files import FULL_DISK, atomic_path

RECIPE, PRIORS, SUMMARY = "training.json", "priors.json", "summary.json"
METRICS, LAST, BEST = "metrics.csv", "last.ckpt", "best.ckpt"
CROSS_VALIDATION, PRIOR_PLOTS, TENSORBOARD = "cross-validation.json", "priors.png", "tensorboard"
CACHE = "cache"


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file in one step."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1) + "\n")


@contextmanager
def room_on(folder: Path) -> Iterator[None]:
    """Turn the error of a full disk into a sentence.

    Raises
    ------
    RuntimeError
        If something within the block could not be written for lack of room.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in FULL_DISK:
            raise
        raise RuntimeError(
            f"The disk of {folder} is full ({error.strerror}), so the training stopped; free some "
            f"space and run the same command again to continue from {folder / LAST}."
        ) from error

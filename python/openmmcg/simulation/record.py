"""What a run folder says about its run, and whether new settings continue it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

from openmmcg.export import read_card
from openmmcg.files import atomic_path
from openmmcg.simulation.config import RunConfig

RECORD = "run.json"
# Settings that may differ when a run is continued.
_FREE = ("output", "length", "platform", "threads")
_FILES = ("model", "bias", "dataset")


def describe(config: RunConfig) -> dict[str, Any]:
    """Settings of a run, with files named by their content.

    Raises
    ------
    FileNotFoundError
        If the model, dataset or bias file is missing.
    """
    settings = asdict(config)
    for name in _FILES:
        if settings[name] is not None:
            path = Path(settings[name])
            if not path.is_file():
                raise FileNotFoundError(f"There is no {name} file {path}; check the path.")
            # The archive of a model has dates in it, its card knows what matters.
            content = read_card(path)["sha256"] if name == "model" else _sha256(path)
            settings[f"{name}_sha256"] = content
    return settings


def _sha256(path: Path) -> str:
    digest = sha256()
    with open(path, "rb") as handle:
        while chunk := handle.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def claim(folder: Path, settings: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Make a run folder, or check that the one found may be continued with these settings.

    Parameters
    ----------
    folder : Path
        The run folder.
    settings : mapping
        Of `describe`.
    facts : mapping
        Provenance to keep beside the settings.

    Raises
    ------
    ValueError
        If the folder belongs to a run with other settings.
    """
    path = folder / RECORD
    if path.exists():
        found = read_record(folder)["settings"]
        _check_same(found, settings, folder)
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps({"settings": settings, **facts}, indent=1))


def read_record(folder: Path) -> dict[str, Any]:
    """Read the settings and provenance of a run.

    Raises
    ------
    FileNotFoundError
        If the folder holds no run.
    """
    path = folder / RECORD
    if not path.is_file():
        raise FileNotFoundError(f"{folder} is not a run folder: {RECORD} is missing.")
    return dict(json.loads(path.read_text()))


def _check_same(found: Mapping[str, Any], expected: Mapping[str, Any], folder: Path) -> None:
    # Files are the same when their content is, wherever they lie.
    ignored = {*_FREE, *(name for name in _FILES if found.get(name) and expected.get(name))}
    different = [
        f"{key} {found.get(key)!r} instead of {expected.get(key)!r}"
        for key in sorted({*found, *expected} - ignored)
        if found.get(key) != expected.get(key)
    ]
    if different:
        raise ValueError(
            f"{folder} holds a run with other settings ({', '.join(different)}); remove it or "
            "choose another output."
        )
    if expected.get("ramp") and expected["length"] != found["length"]:
        raise ValueError(
            f"{folder} holds a run that passes through {expected['ramp']} K within "
            f"{found['length']:g} ns, so it cannot be made {expected['length']:g} ns long; choose "
            "another output."
        )
    if expected["length"] < found["length"] * (1 - 1e-9):
        raise ValueError(
            f"{folder} holds a run of {found['length']:g} ns per replica, which is longer than "
            f"the {expected['length']:g} ns asked for; remove it or choose another output."
        )

"""Checks of values read from YAML or JSON, with errors that name the place and the remedy."""

from __future__ import annotations

import difflib
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml


def read_yaml(path: str | os.PathLike[str]) -> Any:
    """Return the content of a mapping's YAML file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not YAML.
    """
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"No mapping file {file}.")
    try:
        return yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} is not a readable YAML file: {error}") from error


def closest(word: Any, known: Collection[str]) -> str:
    """Return " (did you mean 'x'?)" for the known word most like `word`, or nothing."""
    found = difflib.get_close_matches(str(word), list(known), n=1)
    return f" (did you mean {found[0]!r}?)" if found else ""


def check_keys(entry: Any, required: set[str], optional: set[str], where: str) -> None:
    """Raise ValueError unless `entry` is a dict with the required and no unknown keys."""
    expected = f"expected {', '.join(sorted(required))}" if required else "expected keys"
    if optional:
        expected += f" (optional: {', '.join(sorted(optional))})"
    if not isinstance(entry, Mapping):
        raise ValueError(f"{where} is {type(entry).__name__}, not a set of keys; {expected}.")
    if unknown := set(entry) - required - optional:
        names = ", ".join(
            f"{k}{closest(k, required | optional)}" for k in sorted(map(str, unknown))
        )
        raise ValueError(f"{where} has the unknown key {names}; {expected}.")
    if missing := required - set(entry):
        raise ValueError(f"{where} lacks {', '.join(sorted(missing))}; {expected}.")


def text(entry: Mapping[str, Any], key: str, where: str) -> str:
    """Return a value that must be text."""
    # YAML reads an unquoted N as text but no or on as a boolean: say so instead of guessing.
    value = entry[key]
    if not isinstance(value, str) or not value:
        raise ValueError(f"{where}: {key!r} is {value!r}, expected text (put it in quotes).")
    return value


def flag(entry: Mapping[str, Any], key: str, where: str) -> bool:
    """Return a value that must be true or false; false if it is missing."""
    value = entry.get(key, False)
    if not isinstance(value, bool):
        raise ValueError(f"{where}: {key!r} is {value!r}, expected true or false.")
    return value


def whole(value: Any, key: str, where: str, least: int | None = None) -> int:
    """Return a value that must be a whole number, and at least `least`."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int)
        or (least is not None and value < least)
    ):
        bound = "" if least is None else f" of at least {least}"
        raise ValueError(f"{where}: {key!r} is {value!r}, expected a whole number{bound}.")
    return value


def numbers(value: Any, key: str, where: str) -> tuple[float, ...]:
    """Return a value that must be a list of numbers."""
    if not isinstance(value, list | tuple) or not all(
        isinstance(v, int | float) and not isinstance(v, bool) for v in value
    ):
        raise ValueError(f"{where}: {key!r} is {value!r}, expected numbers.")
    return tuple(float(v) for v in value)


def entries(entry: Mapping[str, Any], key: str, where: str) -> list[Any]:
    """Return a value that must be a list with at least one entry."""
    value = entry[key]
    if not isinstance(value, list | tuple) or not value:
        raise ValueError(f"{where}: {key!r} is {value!r}, expected a list with entries.")
    return list(value)

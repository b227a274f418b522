"""Facts as rows of text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Write a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in line) + " |"
        for line in lines
    )


def flat(
    facts: Mapping[str, Any], without: Sequence[str] = (), prefix: str = ""
) -> list[tuple[str, str]]:
    """Write nested facts as rows of a name and a text; None is left out."""
    rows: list[tuple[str, str]] = []
    for name, value in facts.items():
        if value is None or name in without:
            continue
        if isinstance(value, Mapping):
            rows += flat(value, (), f"{prefix}{name}.")
        elif isinstance(value, list | tuple):
            rows.append((prefix + name, ", ".join(str(entry) for entry in value)))
        else:
            rows.append((prefix + name, str(value)))
    return rows

"""Type tuples with wildcards, and the most specific one that fits a term."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, TypeVar

Key = tuple[str, ...]
WILDCARD = "*"

Entry = TypeVar("Entry")


class Lookup(Generic[Entry]):
    """Entries by type names, of which some may be wildcards.

    An entry for exactly the types of a term wins, then the one with the fewest wildcards.

    Parameters
    ----------
    entries : mapping of tuple of str to Entry
        By type names or ``"*"``.
    reversible : bool
        Whether a term may be read backwards.
    """

    def __init__(self, entries: Mapping[Key, Entry], reversible: bool) -> None:
        self._entries = entries
        self._reversible = reversible
        self._found: dict[Key, Key | None] = {}

    def key(self, types: Key) -> Key | None:
        """Key of the entry for the types of a term, None if there is none.

        Raises
        ------
        ValueError
            If two equally specific entries fit and differ.
        """
        if types not in self._found:
            self._found[types] = self._search(types)
        return self._found[types]

    def _search(self, types: Key) -> Key | None:
        readings = (types, types[::-1]) if self._reversible else (types,)
        for reading in readings:
            if reading in self._entries:
                return reading
        fitting = [key for key in self._entries if any(_fits(key, read) for read in readings)]
        if not fitting:
            return None
        fewest = min(key.count(WILDCARD) for key in fitting)
        best = [key for key in fitting if key.count(WILDCARD) == fewest]
        if any(self._entries[key] != self._entries[best[0]] for key in best):
            raise ValueError(
                f"The priors for {' and '.join(map(label, best))} fit {label(types)} equally well "
                f"and differ; add one for {label(types)}."
            )
        return best[0]


def label(key: Key) -> str:
    """Type names joined by dashes."""
    return "-".join(key)


def _fits(pattern: Key, types: Key) -> bool:
    return len(pattern) == len(types) and all(
        p in (WILDCARD, t) for p, t in zip(pattern, types, strict=True)
    )

"""Bead types: which beads a model treats as the same species."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Encoding = str | Mapping[str, Sequence[str | int]]
"""One of `ENCODINGS`, or ``{"list": [...]}`` with one label per bead."""


@dataclass(frozen=True)
class BeadIdentity:
    """What an encoding may look at: the bead's name, its residue and its atoms' elements."""

    name: str
    residue: str
    residue_id: int
    elements: tuple[str, ...]


def _formula(bead: BeadIdentity) -> str:
    """Return the sum formula of the bead's atoms in Hill order, for example "C" or "CH3"."""
    counts = Counter(bead.elements)
    order = sorted(counts, key=lambda symbol: ({"C": 0, "H": 1}.get(symbol, 2), symbol))
    return "".join(s + (str(counts[s]) if counts[s] > 1 else "") for s in order)


ENCODINGS: dict[str, Callable[[BeadIdentity], str]] = {
    "element": _formula,
    "name": lambda bead: bead.name,
    "residue-name": lambda bead: f"{bead.residue}-{bead.name}",
    "unique": lambda bead: f"{bead.residue}{bead.residue_id}-{bead.name}",
    "one": lambda bead: "bead",
}
"""Named encodings: sum formula of the bead, bead name, residue and bead name, every bead its
own type, all beads one type."""


def check_encoding(encoding: Encoding) -> None:
    """Raise ValueError unless `encoding` is a known name or ``{"list": [...]}``."""
    if isinstance(encoding, str):
        if encoding in ENCODINGS:
            return
    elif set(encoding) == {"list"} and isinstance(encoding["list"], Sequence):
        return
    raise ValueError(
        f"Unknown bead-type encoding {encoding!r}; use one of {', '.join(ENCODINGS)} "
        "or {list: [one label per bead]}."
    )


def encode(beads: Sequence[BeadIdentity], encoding: Encoding) -> tuple[np.ndarray, tuple[str, ...]]:
    """Give every bead a type.

    Parameters
    ----------
    beads : sequence of BeadIdentity
    encoding : str or dict
        One of `ENCODINGS`, or ``{"list": [...]}`` with one label per bead.

    Returns
    -------
    types : (n_beads,) int64
        0-based index into `type_names`.
    type_names : tuple of str
        Names in order of first appearance.

    Raises
    ------
    ValueError
        If the encoding is unknown or a list has the wrong length.
    """
    check_encoding(encoding)
    if isinstance(encoding, str):
        labels = [ENCODINGS[encoding](bead) for bead in beads]
        if encoding == "unique" and len(set(labels)) < len(labels):
            # Several chains may number their residues alike.
            labels = [f"{label}#{index}" for index, label in enumerate(labels)]
    else:
        labels = [str(label) for label in encoding["list"]]
        if len(labels) != len(beads):
            raise ValueError(
                f"The bead-type list has {len(labels)} labels for {len(beads)} beads; "
                "give one label per bead."
            )
    type_names = tuple(dict.fromkeys(labels))
    index = {label: i for i, label in enumerate(type_names)}
    return np.array([index[label] for label in labels], dtype=np.int64), type_names

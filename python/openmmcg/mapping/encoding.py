"""Bead types: which beads a model treats as the same species."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from openmmcg.mapping.molecules import MoleculeGroup
from openmmcg.mapping.schema import closest

Encoding = str | Mapping[str, Any]
"""One of `ENCODINGS`, ``{"list": [...]}`` with labels, or ``{encoding: {"ALA-CA": label, ...}}``."""


@dataclass(frozen=True)
class BeadIdentity:
    """What an encoding may look at.

    Attributes
    ----------
    name : str
        Bead name.
    residue, residue_id : str, int
        Name and number of the residue of the bead's first atom.
    elements : tuple of str
        Elements of the bead's atoms.
    united : tuple of str
        The same with the hydrogens that are bonded to them.
    type : str
        Label that the template gives; empty if none.
    """

    name: str
    residue: str
    residue_id: int
    elements: tuple[str, ...]
    united: tuple[str, ...] = ()
    type: str = ""

    @property
    def place(self) -> str:
        """Residue and bead name, for example "ALA-CA"."""
        return f"{self.residue}-{self.name}"


def formula(elements: Sequence[str]) -> str:
    """Return the sum formula of elements in Hill order, for example "C" or "CH3"."""
    counts = Counter(elements)
    order = sorted(counts, key=lambda symbol: ({"C": 0, "H": 1}.get(symbol, 2), symbol))
    return "".join(s + (str(counts[s]) if counts[s] > 1 else "") for s in order)


ENCODINGS: dict[str, str] = {
    "element": "sum formula of the bead's atoms",
    "united": "sum formula of the bead's atoms and the hydrogens bonded to them",
    "name": "bead name",
    "residue-name": "residue and bead name",
    "type": "the type that the mapping gives each bead, else its name",
    "one": "all beads one type",
    "unique": "every bead of a molecule its own type",
    "palindromic": "beads i and n-1-i of a molecule of n share a type",
    "alternating": "even and odd beads of a molecule",
}
"""Named encodings and what makes a type. The last three number the beads of a molecule; molecules
that are alike share their types."""

_LABELS: dict[str, Callable[[BeadIdentity], str]] = {
    "element": lambda bead: formula(bead.elements),
    "united": lambda bead: formula(bead.united),
    "name": lambda bead: bead.name,
    "residue-name": lambda bead: bead.place,
    "type": lambda bead: bead.type or bead.name,
    "one": lambda bead: "bead",
}
_PLACES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "unique": lambda place: place,
    "palindromic": lambda place: np.minimum(place, place[::-1]),
    "alternating": lambda place: place % 2,
}
"""The bead of a molecule after which each one, by its place 0 .. n - 1, is called."""


def check_encoding(encoding: Encoding) -> None:
    """Raise ValueError unless `encoding` is an `Encoding`."""
    if isinstance(encoding, str):
        if encoding in ENCODINGS:
            return
        hint = closest(encoding, ENCODINGS)
    else:
        (key, value), *more = encoding.items() if encoding else [("", None)]
        listed = key == "list" and isinstance(value, Sequence) and not isinstance(value, str)
        if not more and (listed or (key in ENCODINGS and isinstance(value, Mapping) and value)):
            return
        hint = ""
    raise ValueError(
        f"Unknown bead-type encoding {encoding!r}{hint}; use one of {', '.join(ENCODINGS)}, "
        "{list: [one label per bead]} or {encoding: {RESIDUE-BEAD: label, ...}}."
    )


def encoding_to_dict(encoding: Encoding) -> Any:
    """Return an encoding as JSON-able values."""
    if isinstance(encoding, str):
        return encoding
    ((key, value),) = encoding.items()
    return {key: dict(value) if isinstance(value, Mapping) else list(value)}


def encode(
    beads: Sequence[BeadIdentity], encoding: Encoding, groups: Sequence[MoleculeGroup]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Give every bead a type.

    Parameters
    ----------
    beads : sequence of BeadIdentity
    encoding : str or dict
        One of `ENCODINGS`; ``{"list": [...]}`` with one label per bead, or per bead of a molecule
        if all molecules are alike; or ``{name: {"ALA-CA": label, ...}}``, the encoding `name`
        with exceptions by residue and bead name.
    groups : sequence of MoleculeGroup
        Molecules that are alike, of all beads.

    Returns
    -------
    types : (n_beads,) int64
        0-based index into `type_names`.
    type_names : tuple of str
        Names in order of first appearance.

    Raises
    ------
    ValueError
        If the encoding is unknown, a list has the wrong length, or an exception names no bead.
    """
    check_encoding(encoding)
    if isinstance(encoding, str):
        labels = _named(beads, encoding, groups)
    elif "list" in encoding:
        labels = _listed(encoding["list"], len(beads), groups)
    else:
        labels = _with_exceptions(beads, encoding, groups)
    type_names = tuple(dict.fromkeys(labels))
    index = {label: i for i, label in enumerate(type_names)}
    return np.array([index[label] for label in labels], dtype=np.int64), type_names


def _named(
    beads: Sequence[BeadIdentity], encoding: str, groups: Sequence[MoleculeGroup]
) -> list[str]:
    if encoding in _LABELS:
        return [_LABELS[encoding](bead) for bead in beads]
    first = np.empty(len(beads), dtype=np.int64)
    for group in groups:
        place = _PLACES[encoding](np.arange(group.beads.shape[1]))
        first[group.beads] = group.beads[0][place]
    called = {
        index: f"{beads[index].residue}{beads[index].residue_id}-{beads[index].name}"
        for index in sorted(set(first.tolist()))
    }
    if len(set(called.values())) < len(called):
        # Several chains may number their residues alike.
        called = {index: f"{label}#{index}" for index, label in called.items()}
    return [called[int(index)] for index in first]


def _listed(labels: Sequence[Any], n_beads: int, groups: Sequence[MoleculeGroup]) -> list[str]:
    alike = len(groups) == 1 and len(labels) == groups[0].beads.shape[1]
    if len(labels) != n_beads and not alike:
        per_molecule = f" ({groups[0].beads.shape[1]} per molecule)" if len(groups) == 1 else ""
        raise ValueError(
            f"The bead-type list has {len(labels)} labels for {n_beads} beads{per_molecule}; "
            "give one label per bead."
        )
    if len(labels) == n_beads:
        return [str(label) for label in labels]
    result = [""] * n_beads
    for beads in groups[0].beads:
        for bead, label in zip(beads, labels, strict=True):
            result[bead] = str(label)
    return result


def _with_exceptions(
    beads: Sequence[BeadIdentity], encoding: Mapping[str, Any], groups: Sequence[MoleculeGroup]
) -> list[str]:
    ((base, exceptions),) = encoding.items()
    places = {bead.place for bead in beads}
    if unknown := [place for place in exceptions if place not in places]:
        raise ValueError(
            f"The encoding names the bead {unknown[0]}{closest(unknown[0], places)}, which this "
            f"mapping has not; beads are {', '.join(sorted(places))}."
        )
    labels = _named(beads, base, groups)
    return [
        str(exceptions.get(bead.place, label)) for bead, label in zip(beads, labels, strict=True)
    ]

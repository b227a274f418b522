"""Symmetries that the beads have and the molecule has not.

A network sees types and bonds. If they stay as they are when beads change places, it gives both
arrangements the same energy, although the molecule need not: with one type for all beads, the
N and C termini of a peptide look alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from openmmcg.mapping.linting.automorphisms import (
    ColouredGraph,
    TooLargeError,
    are_isomorphic,
    cycles,
    generators,
    refine,
)
from openmmcg.mapping.linting.finding import INFO, WARNING, Finding
from openmmcg.mapping.linting.system import MoleculeKind

_SHOWN = 6


@dataclass(frozen=True)
class GraphPlot:
    """Beads of a molecule with groups of beads to be coloured."""

    kind: MoleculeKind
    groups: list[list[int]]
    arrows: bool


def check_symmetry(kinds: Sequence[MoleculeKind]) -> list[Finding]:
    """Compare the symmetries of the typed bead graph with those of the molecule.

    Returns
    -------
    list of Finding
        For each kind of molecule, a warning if beads can change places that cannot in the
        molecule; an info if types tell beads apart that are alike in the molecule, or if the
        symmetries could not be found.
    """
    findings = []
    for kind in kinds:
        try:
            foreign = foreign_symmetries(kind, kind.types)
        except TooLargeError as error:
            findings.append(_not_checked(kind, error))
            continue
        if foreign:
            findings.append(_exchange(kind, foreign))
        alike = broken_symmetries(kind)
        if alike:
            findings.append(_told_apart(kind, alike))
    return findings


def foreign_symmetries(kind: MoleculeKind, types: np.ndarray) -> list[np.ndarray]:
    """Return symmetries of the bead graph that the molecule does not have.

    Parameters
    ----------
    kind : MoleculeKind
    types : (n_beads,) int64
        Bead types.

    Returns
    -------
    list of (n_beads,) int64
        Bead that takes the place of each bead. They are those generators of the typed graph's
        automorphism group that are not brought about by an exchange of equal atoms; as such
        exchanges form a group, an empty list means that there is no such symmetry at all.

    Raises
    ------
    TooLargeError
        If the symmetries cannot be found.
    """
    found = generators(ColouredGraph.plain(types, kind.bead_bonds))
    in_place = kind.atomistic(np.arange(len(types)))
    return [move for move in found if not are_isomorphic(kind.atomistic(move), in_place)]


def broken_symmetries(kind: MoleculeKind) -> list[list[int]]:
    """Return sets of beads that are alike in the molecule but have different types."""
    n_beads = len(kind.types)
    colours = refine(kind.atomistic(np.zeros(n_beads, dtype=np.int64)))[-n_beads:]
    sets = [np.flatnonzero(colours == colour) for colour in np.unique(colours)]
    return [beads.tolist() for beads in sets if len(set(kind.types[beads].tolist())) > 1]


def _exchange(kind: MoleculeKind, foreign: list[np.ndarray]) -> Finding:
    exchanges = [[[kind.bead_labels[b] for b in c] for c in cycles(move)] for move in foreign]
    shown = "; or ".join(
        ", ".join(" ↔ ".join(names) for names in exchange[:_SHOWN])
        + (f" and {len(exchange) - _SHOWN} more" if len(exchange) > _SHOWN else "")
        for exchange in exchanges[:_SHOWN]
    )
    if len(exchanges) > _SHOWN:
        shown += f"; and {len(exchanges) - _SHOWN} more"
    moved = sorted({b for move in foreign for cycle in cycles(move) for b in cycle})
    encoding = _sufficient_encoding(kind)
    cure = "Give beads that must not change places different types"
    if encoding:
        cure += f", for example by the encoding {encoding!r}"
    numbers: dict[str, Any] = {
        "molecule": kind.name,
        "molecules": kind.n_molecules,
        "exchanges": exchanges,
        "encoding": encoding,
    }
    return Finding(
        WARNING,
        "symmetry",
        f"Beads of {kind.name} can change places",
        f"Types and bonds stay the same under {shown}, but the molecule has no such symmetry: "
        "a network gives both arrangements the same energy.",
        f"{cure}.",
        numbers,
        tuple(kind.beads[moved].tolist()),
        plot=GraphPlot(kind, cycles(foreign[0]), arrows=True),
    )


def _told_apart(kind: MoleculeKind, alike: list[list[int]]) -> Finding:
    sets = [[kind.bead_labels[b] for b in beads] for beads in alike]
    shown = "; ".join(" ~ ".join(names) for names in sets[:_SHOWN])
    more = f"; and {len(sets) - _SHOWN} more" if len(sets) > _SHOWN else ""
    return Finding(
        INFO,
        "symmetry",
        f"Types tell apart beads of {kind.name} that are alike",
        f"The molecule has a symmetry that the types do not have: {shown}{more}. A network has "
        "to learn the same energy several times.",
        "Where the data are few, give these beads one type.",
        {"molecule": kind.name, "molecules": kind.n_molecules, "alike": sets},
        tuple(kind.beads[sorted(b for beads in alike for b in beads)].tolist()),
        plot=GraphPlot(kind, alike, arrows=False),
    )


def _not_checked(kind: MoleculeKind, error: TooLargeError) -> Finding:
    return Finding(
        INFO,
        "symmetry",
        f"Symmetries of {kind.name} were not found",
        f"Its bead graph has {len(kind.types)} beads, and {error}.",
        "Give the beads more types if you want them checked.",
        {"molecule": kind.name, "molecules": kind.n_molecules},
    )


def _sufficient_encoding(kind: MoleculeKind) -> str | None:
    """Return the coarsest built-in encoding that leaves no foreign symmetry."""
    labels: dict[str, list[Any]] = {
        "name": [name for name, _ in kind.bead_names],
        "residue-name": list(kind.bead_names),
        "unique": list(range(len(kind.types))),
    }
    for encoding, values in labels.items():
        index = {value: i for i, value in enumerate(dict.fromkeys(values))}
        types = np.array([index[value] for value in values], dtype=np.int64)
        try:
            if not foreign_symmetries(kind, types):
                return encoding
        except TooLargeError:
            continue
    return None

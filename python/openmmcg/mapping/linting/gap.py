"""The gap between bonded and intermolecular distances: can bonds be exchanged?

A network that knows types and distances alone must give a pair of beads of two molecules at a
bonded distance the energy of a bond. Where such pairs occur (gap ≤ 0), bonds can change partners
along a path without a barrier; a gap leaves a region without data, which acts as a wall.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from openmmcg.mapping.linting.distances import GapTable, Key, measure_gap
from openmmcg.mapping.linting.finding import INFO, WARNING, Finding
from openmmcg.mapping.linting.system import BeadSystem


def check_gap(
    system: BeadSystem, positions: np.ndarray, boxes: np.ndarray | None = None
) -> list[Finding]:
    """Compare intermolecular with bonded distances.

    Parameters
    ----------
    system : BeadSystem
    positions : (F, n_beads, 3)
        nm.
    boxes : (F, 3, 3), optional
        Box vectors as rows in reduced form, nm.

    Returns
    -------
    list of Finding
        One: a warning if a gap is not positive, else an info.
    """
    molecules = len(np.unique(system.molecules))
    if molecules < 2 or len(system.bonds) == 0:
        lack = "one molecule only" if molecules < 2 else "no bonds"
        return [
            Finding(INFO, "gap", "Not applicable", f"The system has {lack}.", numbers={"gap": None})
        ]
    return [_finding(system, measure_gap(system, positions, boxes))]


def _finding(system: BeadSystem, table: GapTable) -> Finding:
    names = system.type_names
    open_pairs = {key: pair.gap for key, pair in table.pairs.items() if pair.gap is not None}
    worst = min(open_pairs, key=lambda key: open_pairs[key], default=None)
    numbers: dict[str, Any] = {
        **table.overall.numbers(),
        "foreign_neighbour_fraction": table.foreign,
        "frames": table.frames,
        "cutoff": table.cutoff,
        "pairs": [
            {"types": [names[a], names[b]], **pair.numbers()}
            for (a, b), pair in sorted(table.pairs.items())
        ],
    }
    if worst is None:
        return Finding(
            INFO,
            "gap",
            "Bonds cannot permute",
            "No two beads of different molecules with the types of a bond come closer than "
            f"{table.cutoff:.3f} nm; the longest bond is {table.overall.bond_max:.3f} nm.",
            numbers=numbers,
            plot=table,
        )
    pair, gap = table.pairs[worst], open_pairs[worst]
    types = f"{names[worst[0]]}-{names[worst[1]]}"
    message = (
        f"Between molecules, beads {types} come as close as {pair.inter_min:.3f} nm, and such "
        f"bonds reach {pair.bond_max:.3f} nm: gap {gap:+.3f} nm; {100 * table.foreign:.3g} % of "
        f"the beads have their nearest neighbour in another molecule ({table.frames} frames)."
    )
    if gap > 0:
        return Finding(INFO, "gap", "Bonds cannot permute", message, numbers=numbers, plot=table)
    return Finding(
        WARNING,
        "gap",
        "Bonds can permute",
        message,
        "Train with edge types (this package's networks are told which pairs are bonded) and "
        "with a prior on the bonds, or choose a map whose bonds are shorter than the distance "
        "between molecules.",
        numbers,
        tuple(_beads_of(system, worst)),
        plot=table,
    )


def _beads_of(system: BeadSystem, key: Key) -> list[int]:
    """Return the beads of the first molecule that has a bond between these types."""
    types = np.asarray(system.types)
    bonds = np.asarray(system.bonds)
    matching = bonds[(np.sort(types[bonds], axis=1) == key).all(axis=1)]
    molecule = system.molecules[matching[0, 0]]
    return sorted(set(matching[system.molecules[matching[:, 0]] == molecule].ravel().tolist()))

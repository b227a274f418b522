"""Stereocentres: can the beads, and the energy of a model, tell a molecule from its mirror image?

The energies of most networks do not change under reflection. A molecule whose hand the beads do
not show is then mixed with its mirror image; one whose hand they show is kept apart from it by a
barrier that was never sampled, unless a signed prior favours the right hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from openmmcg.mapping.linting.centres import (
    ALIKE,
    FLAT,
    LOST,
    NETWORK,
    SHELTERED,
    TOLD,
    UNSIGNED,
    Centre,
    find_centres,
)
from openmmcg.mapping.linting.finding import INFO, WARNING, Finding
from openmmcg.mapping.linting.system import MoleculeKind

_SHOWN = 6


@dataclass(frozen=True)
class StereoPlot:
    """Stereocentres to be drawn."""

    kind: MoleculeKind
    centres: list[Centre]


def check_stereo(
    kinds: Sequence[MoleculeKind],
    positions: np.ndarray | None = None,
    boxes: np.ndarray | None = None,
    signed_priors: bool = True,
    chiral_network: bool = False,
) -> list[Finding]:
    """Check every stereocentre of the atomistic molecules.

    Parameters
    ----------
    kinds : sequence of MoleculeKind
    positions : (F, n_beads, 3), optional
        nm; with them the hand that the beads show is measured.
    boxes : (F, 3, 3), optional
        nm.
    signed_priors : bool
        Whether the model gets a signed improper on every bead that allows one.
    chiral_network : bool
        Whether the network's energy tells mirror images of all beads apart.

    Returns
    -------
    list of Finding
        For each kind of molecule and status one finding.
    """
    findings = []
    for kind in kinds:
        if 1 not in kind.elements and 6 in kind.elements:
            findings.append(_no_hydrogens(kind))
            continue
        centres = find_centres(kind, positions, boxes, signed_priors, chiral_network)
        for status in _TEXT:
            chosen = [centre for centre in centres if centre.status == status]
            if chosen:
                findings.append(_finding(kind, chosen, status))
    return findings


def _finding(kind: MoleculeKind, centres: list[Centre], status: str) -> Finding:
    names = [kind.atom_labels[centre.atom] for centre in centres]
    shown = ", ".join(names[:_SHOWN]) + (" ..." if len(names) > _SHOWN else "")
    severity, title, message, cure = _TEXT[status]
    beads = sorted({bead for centre in centres for bead in centre.points})
    numbers = {
        "molecule": kind.name,
        "molecules": kind.n_molecules,
        "status": status,
        "centres": [_numbers(kind, centre) for centre in centres],
    }
    count = f"{len(centres)} stereocentre{'s' if len(centres) > 1 else ''} ({shown})"
    return Finding(
        severity,
        "stereo",
        title,
        f"{count} of {kind.name}: {message}{_detail(kind, centres[0], status)}.",
        cure.format(missing=_missing(kind, centres[0])),
        numbers,
        tuple(kind.beads[beads].tolist()),
        plot=StereoPlot(kind, centres),
    )


_TEXT = {
    LOST: (
        WARNING,
        "The beads do not show a stereocentre",
        "the beads around it can take the shape of the mirror image",
        "Map its neighbours too (for example {missing}; in peptides, core-beta instead of core), "
        "or train a chiral network.",
    ),
    ALIKE: (
        WARNING,
        "No signed prior can tell a stereocentre",
        "the beads show its hand, but beads bonded to its bead have equal types, or the same types "
        "mean the other hand elsewhere, so no signed improper can keep it",
        "Give the beads around it different types, for example by the encoding 'name', or train "
        "a chiral network.",
    ),
    UNSIGNED: (
        WARNING,
        "Nothing in the energy tells a stereocentre",
        "the beads show its hand, but an energy that reflection leaves unchanged does not know "
        "it: only a barrier that was never sampled keeps it",
        "Add a signed improper prior or train a chiral network.",
    ),
    SHELTERED: (
        INFO,
        "The beads do not show a stereocentre beside one that is told",
        "the beads do not show its hand, but that of a bonded bead is told, so mirror images of "
        "its surroundings differ",
        "",
    ),
    FLAT: (
        INFO,
        "Stereocentres leave no trace in the beads",
        "up to three beads are their own mirror image, so there is no hand to keep",
        "",
    ),
    NETWORK: (
        INFO,
        "The network tells mirror images apart",
        "a chiral network learns which hand of the beads the molecule has",
        "",
    ),
    TOLD: (
        INFO,
        "Beads and a signed improper tell the stereocentres",
        "the beads show the hand, and a signed improper prior keeps it",
        "",
    ),
}


def _detail(kind: MoleculeKind, centre: Centre, status: str) -> str:
    if status == LOST and len(centre.points) < 4:
        beads = ", ".join(kind.bead_labels[bead] for bead in centre.points) or "none"
        return f"; mapped there: {beads} ({len(centre.points)} of the 4 points needed)"
    if centre.minority is not None:
        return f"; {100 * centre.minority:.2g} % of the frames have the rarer hand"
    if status not in (TOLD, UNSIGNED, ALIKE):
        return ""
    far = max((arm.steps for arm in centre.arms if arm.bead in centre.points), default=0)
    reach = f" up to {far} bonds away" if far else ""
    return f"; judged from the beads{reach} and their types, without frames"


def _missing(kind: MoleculeKind, centre: Centre) -> str:
    """Name an unmapped neighbour, preferably not a hydrogen."""
    open_arms = [arm.atom for arm in centre.arms if not kind.beads_of_atom[arm.atom]]
    heavy = [atom for atom in open_arms if kind.elements[atom] > 1] or open_arms
    unshown = [arm.atom for arm in centre.arms if arm.bead is None and arm.atom in heavy]
    return kind.atom_labels[(unshown or heavy or [centre.arms[0].atom])[0]]


def _numbers(kind: MoleculeKind, centre: Centre) -> dict[str, Any]:
    def name(bead: int | None) -> str | None:
        return None if bead is None else kind.bead_labels[bead]

    return {
        "centre": kind.atom_labels[centre.atom],
        "bead": name(centre.own),
        "neighbours": [
            {"atom": kind.atom_labels[a.atom], "bead": name(a.bead), "bonds_away": a.steps}
            for a in centre.arms
        ],
        "mapped_points": len(centre.points),
        "rarer_hand": centre.minority,
        "status": centre.status,
    }


def _no_hydrogens(kind: MoleculeKind) -> Finding:
    return Finding(
        INFO,
        "stereo",
        f"Stereocentres of {kind.name} were not looked for",
        "Its topology has no hydrogens, so atoms with four different neighbours cannot be told.",
        "Use the topology with all atoms.",
        {"molecule": kind.name, "molecules": kind.n_molecules},
    )

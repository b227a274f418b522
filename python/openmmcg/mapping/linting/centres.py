"""Stereocentres of a molecule, and what its beads and their types show of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from openmmcg.mapping.linting.automorphisms import ColouredGraph, refine
from openmmcg.mapping.linting.distances import minimum_image
from openmmcg.mapping.linting.system import MoleculeKind
from openmmcg.mapping.stereocentres import stereocentre_terms

TETRAHEDRAL = (6, 7, 14, 15, 16, 32)
"""Atomic numbers whose four bonds point to the corners of a tetrahedron: C, N, Si, P, S, Ge."""
TOLERANCE = 0.01
"""Fraction of frames of the other sign up to which the beads are said to show the hand."""
TOLD, UNSIGNED, ALIKE, LOST = "told", "unsigned", "alike", "lost"
SHELTERED, NETWORK, FLAT = "sheltered", "network", "flat"
_MOLECULES = 50


@dataclass(frozen=True)
class Arm:
    """A bond of a stereocentre and the nearest bead on its side.

    Attributes
    ----------
    atom : int
        The neighbour.
    bead : int or None
        Nearest bead behind the bond, other than the centre's own.
    steps : int
        Bonds between the neighbour and the bead's nearest atom; 0 if the neighbour is in it.
    """

    atom: int
    bead: int | None
    steps: int


@dataclass(frozen=True)
class Centre:
    """A stereocentre of a molecule.

    Attributes
    ----------
    atom : int
    own : int or None
        Bead that the centre is part of.
    arms : tuple of Arm
    points : tuple of int
        Beads that may show the hand: the own one and the nearest ones, at most four.
    minority : float or None
        Fraction of the frames in which the points have the rarer hand; None if not measured.
    status : str
        "told": beads and a signed prior tell the mirror image. "unsigned": beads alone do.
        "alike": types do not let a signed prior keep the hand.
        "lost": the beads do not. "sheltered": neither, but the hand of a bonded bead is told.
        "network": the network tells mirror images apart, whatever the beads. "flat": three beads
        or fewer are their own mirror image.
    """

    atom: int
    own: int | None
    arms: tuple[Arm, ...]
    points: tuple[int, ...]
    minority: float | None
    status: str


def find_centres(
    kind: MoleculeKind,
    positions: np.ndarray | None = None,
    boxes: np.ndarray | None = None,
    signed_priors: bool = True,
    chiral_network: bool = False,
) -> list[Centre]:
    """Find the stereocentres of a molecule and what the beads show of them.

    Parameters
    ----------
    kind : MoleculeKind
    positions : (F, n_beads, 3), optional
        Of all beads of the mapping, nm; with them the hand that the beads show is measured.
    boxes : (F, 3, 3), optional
        nm.
    signed_priors : bool
        Whether the model gets a signed improper on every bead that allows one.
    chiral_network : bool
        Whether the network's energy tells mirror images of all beads apart.
    """
    signed = _signed_beads(kind, positions, boxes)
    centres = [_placed(kind, atom) for atom in stereocentres(kind)]
    shown = [centre for centre in centres if len(centre.points) == 4]
    shares = _right_handed(kind, [centre.points for centre in shown], positions, boxes)
    rarer = {c.atom: min(x, 1.0 - x) for c, x in zip(shown, shares, strict=False)}
    judged = []
    for centre in centres:
        minority = rarer.get(centre.atom)
        if len(kind.types) < 4:
            status = FLAT
        elif chiral_network:
            status = NETWORK
        elif len(centre.points) < 4 or (minority is not None and minority > TOLERANCE):
            status = LOST
        elif centre.own not in signed:
            status = ALIKE
        else:
            status = TOLD if signed_priors else UNSIGNED
        judged.append(replace(centre, minority=minority, status=status))
    told = {centre.own for centre in judged if centre.status == TOLD}
    return [_sheltered(kind, centre, told) for centre in judged]


def stereocentres(kind: MoleculeKind) -> list[int]:
    """Return the atoms with four neighbours of which no two are alike.

    Neighbours are alike if refinement of the molecular graph by elements gives them one colour:
    the test is constitutional, so a centre whose neighbours differ in their own hand alone is
    not found.
    """
    colours = refine(ColouredGraph.plain(kind.elements, kind.bonds))
    return [
        atom
        for atom, neighbours in kind.atom_graph.adjacency()
        if kind.elements[atom] in TETRAHEDRAL
        and len(neighbours) == 4
        and len({int(colours[n]) for n in neighbours}) == 4
    ]


def _placed(kind: MoleculeKind, atom: int) -> Centre:
    """Return a stereocentre with the beads around it, not judged yet."""
    held = kind.beads_of_atom[atom]
    own = held[0] if held else None
    arms = tuple(_arm(kind, atom, neighbour, own) for neighbour in kind.atom_graph[atom])
    near = sorted((arm.steps, arm.bead) for arm in arms if arm.bead is not None)
    beads = list(dict.fromkeys(bead for _, bead in near))
    return Centre(atom, own, arms, tuple(([] if own is None else [own]) + beads)[:4], None, "")


def _arm(kind: MoleculeKind, centre: int, neighbour: int, own: int | None) -> Arm:
    seen, layer, steps = {centre, neighbour}, [neighbour], 0
    while layer:
        reached = {bead for atom in layer for bead in kind.beads_of_atom[atom]} - {own}
        if reached:
            return Arm(neighbour, min(reached), steps)
        layer = list({n for atom in layer for n in kind.atom_graph[atom]} - seen)
        seen.update(layer)
        steps += 1
    return Arm(neighbour, None, 0)


def _signed_beads(
    kind: MoleculeKind, positions: np.ndarray | None, boxes: np.ndarray | None
) -> set[int]:
    """Return the beads on which a signed improper can keep the hand.

    Impropers between the same types share their parameters. Where these types mean one hand at
    one place and the other hand, or a plane, at another (as along a chain whose beads all have
    one type), they keep neither; that shows in frames only.
    """
    terms = stereocentre_terms(kind.bead_graph).tolist()
    keys = [tuple(kind.type_names[bead] for bead in term) for term in terms]
    shares: dict[tuple[str, ...], list[float]] = {}
    for key, share in zip(keys, _right_handed(kind, terms, positions, boxes), strict=False):
        shares.setdefault(key, []).append(share)
    mixed = {k for k, s in shares.items() if max(s) > TOLERANCE and min(s) < 1.0 - TOLERANCE}
    return {term[1] for key, term in zip(keys, terms, strict=True) if key not in mixed}


def _right_handed(
    kind: MoleculeKind,
    points: Sequence[Sequence[int]],
    positions: np.ndarray | None,
    boxes: np.ndarray | None,
) -> list[float]:
    """Return for each four beads the share of frames and molecules where they are right-handed.

    That is, where the vectors from the first bead to the others, in this order, are a
    right-handed system. Empty without positions.
    """
    if positions is None or len(points) == 0:
        return []
    chosen = kind.instances[:_MOLECULES][:, np.asarray(points)]
    positive = np.zeros(len(points))
    for number, frame in enumerate(positions):
        box = None if boxes is None else np.asarray(boxes[number], dtype=np.float64)
        beads = np.asarray(frame, dtype=np.float64)[chosen]
        a, b, c = np.moveaxis(minimum_image(beads[..., 1:, :] - beads[..., :1, :], box), -2, 0)
        positive += np.mean(np.sum(a * np.cross(b, c), axis=-1) > 0, axis=0)
    return (positive / len(positions)).tolist()


def _sheltered(kind: MoleculeKind, centre: Centre, told: set[int | None]) -> Centre:
    """Mark a lost centre beside one that is told: the surroundings then show the hand."""
    if centre.status != LOST or centre.own is None:
        return centre
    near = {centre.own, *kind.bead_graph[centre.own]}
    if not near & told:
        return centre
    return replace(centre, status=SHELTERED)

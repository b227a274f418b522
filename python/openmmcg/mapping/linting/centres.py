"""Stereocentres of a molecule, and what its beads and their types show of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import networkx as nx
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
SHELTERED, NETWORK = "sheltered", "network"
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
        "alike": the neighbours' types are alike, so that no signed prior can be defined.
        "lost": the beads do not. "sheltered": neither, but the hand of a bonded bead is told.
        "network": the network tells mirror images apart, whatever the beads.
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
    signed = {int(term[1]) for term in stereocentre_terms(kind.bead_graph)}
    centres = []
    for atom in stereocentres(kind):
        held = kind.beads_of_atom[atom]
        own = held[0] if held else None
        arms = tuple(_arm(kind, atom, neighbour, own) for neighbour in kind.atom_graph[atom])
        near = sorted((arm.steps, arm.bead) for arm in arms if arm.bead is not None)
        beads = list(dict.fromkeys(bead for _, bead in near))
        points = tuple(([] if own is None else [own]) + beads)[:4]
        minority = None
        if positions is not None and len(points) == 4:
            minority = _minority(positions, boxes, kind.instances[:_MOLECULES, list(points)])
        if chiral_network:
            status = NETWORK
        elif len(points) < 4 or (minority is not None and minority > TOLERANCE):
            status = LOST
        elif own not in signed:
            status = ALIKE
        else:
            status = TOLD if signed_priors else UNSIGNED
        centres.append(Centre(atom, own, arms, points, minority, status))
    told = {centre.own for centre in centres if centre.status == TOLD}
    return [_sheltered(kind, centre, told) for centre in centres]


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


def _arm(kind: MoleculeKind, centre: int, neighbour: int, own: int | None) -> Arm:
    behind = nx.restricted_view(kind.atom_graph, [centre], [])
    for steps, layer in enumerate(nx.bfs_layers(behind, [neighbour])):
        reached = {bead for atom in layer for bead in kind.beads_of_atom[atom]} - {own}
        if reached:
            return Arm(neighbour, min(reached), steps)
    return Arm(neighbour, None, 0)


def _minority(positions: np.ndarray, boxes: np.ndarray | None, points: np.ndarray) -> float:
    """Return how often four points (of each molecule, (n, 4)) have the rarer hand."""
    positive = total = 0
    for number, frame in enumerate(positions):
        box = None if boxes is None else np.asarray(boxes[number], dtype=np.float64)
        beads = np.asarray(frame, dtype=np.float64)[points]
        a, b, c = np.moveaxis(minimum_image(beads[:, 1:] - beads[:, :1], box), 1, 0)
        volumes = np.sum(a * np.cross(b, c), axis=-1)
        positive += int(np.count_nonzero(volumes > 0))
        total += len(volumes)
    return min(positive, total - positive) / total


def _sheltered(kind: MoleculeKind, centre: Centre, told: set[int | None]) -> Centre:
    """Mark a lost centre beside one that is told: the surroundings then show the hand."""
    if centre.status != LOST or centre.own is None:
        return centre
    near = {centre.own, *kind.bead_graph[centre.own]}
    if not near & told:
        return centre
    return replace(centre, status=SHELTERED)

"""Internal coordinates of coarse-grained frames, and which of them to compare.

Values come from MDTraj; positions are whole molecules (no box) of shape (F, N, 3) in nm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import mdtraj as md
import numpy as np

from openmmcg.priors.topology import angle_terms, bead_graph, bond_terms, stereocentre_terms


@dataclass(frozen=True, eq=False)
class Coordinate:
    """One kind of internal coordinate: all bonds, angles or impropers of the same bead types.

    Attributes
    ----------
    label : str
        Bead type names joined by dashes, for example ``N-CA-C``.
    indices : ndarray, (n, 2), (n, 3) or (n, 4)
        Beads of each member.
    unit : str
        ``nm`` or ``deg``.
    """

    label: str
    indices: np.ndarray
    unit: str

    @property
    def kind(self) -> str:
        """``bond``, ``angle`` or ``improper``, by the number of beads."""
        return {2: "bond", 3: "angle", 4: "improper"}[self.indices.shape[1]]

    def values(self, positions: np.ndarray) -> np.ndarray:
        """Values of shape (F, n) for positions of shape (F, N, 3) in nm."""
        function = {2: distances, 3: angles, 4: torsions}[self.indices.shape[1]]
        return function(positions, self.indices)


def distances(positions: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Bead distances in nm, shape (F, n), for pairs of shape (n, 2)."""
    return md.compute_distances(_trajectory(positions), pairs, periodic=False)


def angles(positions: np.ndarray, triples: np.ndarray) -> np.ndarray:
    """Angles in degrees, shape (F, n), for triples of shape (n, 3)."""
    return np.degrees(md.compute_angles(_trajectory(positions), triples, periodic=False))


def torsions(positions: np.ndarray, quadruples: np.ndarray) -> np.ndarray:
    """Signed torsions in degrees within [-180, 180], shape (F, n); quadruples are (n, 4)."""
    return np.degrees(md.compute_dihedrals(_trajectory(positions), quadruples, periodic=False))


def _trajectory(positions: np.ndarray) -> md.Trajectory:
    return md.Trajectory(np.asarray(positions, dtype=np.float32), None)


def backbone_torsions(topology: md.Topology) -> np.ndarray:
    """Find the (phi, psi) pairs whose atoms are all beads of a CG topology.

    Parameters
    ----------
    topology : mdtraj.Topology
        Topology of one molecule; beads keep the atom names C, N, CA.

    Returns
    -------
    ndarray, (K, 2, 4)
        Bead indices of phi and psi for each residue that has both; K may be 0.
    """
    from mdtraj.geometry.dihedral import indices_phi, indices_psi

    phis = np.reshape(indices_phi(topology), (-1, 4))
    psis = np.reshape(indices_psi(topology), (-1, 4))
    pairs = [(phi, psi) for phi in phis for psi in psis if np.array_equal(phi[1:], psi[:3])]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2, 4)


def bonded_coordinates(bonds: np.ndarray, names: Sequence[str]) -> list[Coordinate]:
    """Group the bonds, angles and impropers of a bond graph by their bead types.

    Parameters
    ----------
    bonds : ndarray, (n_bonds, 2)
        Bonded bead pairs.
    names : sequence of str
        Bead type name of each bead.

    Returns
    -------
    list of Coordinate
        Bonds first, then angles, then one signed improper for each stereocentre, whose sign
        tells the two mirror images apart. Terms are those of the priors.
    """
    graph = bead_graph(names, bonds)
    coordinates = []
    for terms in (bond_terms(graph), angle_terms(graph), stereocentre_terms(graph)):
        groups: dict[str, list[list[int]]] = {}
        for beads in terms.tolist():
            groups.setdefault("-".join(names[bead] for bead in beads), []).append(beads)
        unit = "nm" if terms.shape[1] == 2 else "deg"
        coordinates += [
            Coordinate(label, np.array(members), unit) for label, members in groups.items()
        ]
    return coordinates

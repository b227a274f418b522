"""Placed beads turned into the matrix M, owners of atoms, and what an encoding looks at."""

from __future__ import annotations

import mdtraj as md
import networkx as nx
import numpy as np
from scipy import sparse

from openmmcg.mapping.chains import with_hydrogens
from openmmcg.mapping.checks import check_force_weights
from openmmcg.mapping.encoding import BeadIdentity
from openmmcg.mapping.placement import PlacedBead


def bead_matrix(rows: list[tuple[np.ndarray, np.ndarray]], n_atoms: int) -> sparse.csr_array:
    """Return rows of (atoms, weights) as a sparse matrix without zeros."""
    beads = np.repeat(np.arange(len(rows)), [len(atoms) for atoms, _ in rows])
    atoms = np.concatenate([atoms for atoms, _ in rows])
    weights = np.concatenate([weights for _, weights in rows])
    matrix = sparse.csr_array((weights, (beads, atoms)), shape=(len(rows), n_atoms))
    matrix.eliminate_zeros()
    return matrix


def claims(beads: list[PlacedBead], topology: md.Topology) -> dict[int, int]:
    """Return the bead of each mapped atom, of shared atoms the first.

    Raises
    ------
    ValueError
        If an atom lies in two beads that are not both shared.
    """
    owners: dict[int, int] = {}
    for index, bead in enumerate(beads):
        for atom in bead.atoms.tolist():
            other = beads[owners.setdefault(atom, index)]
            if other is not bead and not (bead.shared and other.shared):
                raise ValueError(
                    f"Atom {topology.atom(atom)} is claimed by the beads {other.name!r} and "
                    f"{bead.name!r}; each atom may belong to one bead only, unless both are "
                    "marked 'shared: true'."
                )
    return owners


def identities(
    beads: list[PlacedBead], topology: md.Topology, graph: nx.Graph
) -> list[BeadIdentity]:
    """Return what an encoding may look at; virtual sites do not count as elements of a bead."""
    symbols = [atom.element.symbol for atom in topology.atoms]
    virtual = md.element.virtual.symbol
    result = []
    for bead in beads:
        residue = topology.atom(int(bead.atoms[0])).residue
        atoms = [a for a in bead.atoms.tolist() if symbols[a] != virtual] or bead.atoms.tolist()
        united = with_hydrogens(graph, symbols, atoms)
        result.append(
            BeadIdentity(
                bead.name,
                residue.name,
                residue.resSeq,
                tuple(symbols[a] for a in atoms),
                tuple(symbols[a] for a in united),
                bead.type,
            )
        )
    return result


def force_weights(
    beads: list[PlacedBead], matrix: sparse.csr_array, topology: md.Topology
) -> sparse.csr_array | None:
    """Return the force weights that a definition lists as a matrix, None if it lists none."""
    listed = [bead.force_weights for bead in beads]
    if any(weights is None for weights in listed):
        return None
    rows = [
        (np.array(list(weights), dtype=np.int64), np.array(list(weights.values())))
        for weights in listed
        if weights is not None
    ]
    result = bead_matrix(rows, matrix.shape[1])
    check_force_weights(result, matrix, [str(bead) for bead in topology.atoms])
    return result


def atom_masses(topology: md.Topology) -> np.ndarray:
    """Return the masses (n_atoms,) in Da; virtual sites have none."""
    return np.array([atom.element.mass for atom in topology.atoms], dtype=np.float64)

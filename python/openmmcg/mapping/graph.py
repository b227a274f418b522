"""The molecular graph: its contraction onto beads, and molecules made whole across a box."""

from __future__ import annotations

from collections.abc import Mapping

import mdtraj as md
import networkx as nx
import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components


def bonds(topology: md.Topology) -> np.ndarray:
    """Return the bonded atoms (n_bonds, 2) int64 of a topology."""
    pairs = [(a.index, b.index) for a, b in topology.bonds]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def components(topology: md.Topology) -> np.ndarray:
    """Return the 0-based molecule (connected part) of every atom, (n_atoms,) int64."""
    ends = bonds(topology)
    size = topology.n_atoms
    graph = sparse.coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(size, size))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def molecular_graph(topology: md.Topology) -> nx.Graph:
    """Return the graph of atoms (0-based indices) and bonds.

    Raises
    ------
    ValueError
        If residues of several atoms come without any bond: beads could not be connected.
    """
    graph = nx.Graph()
    graph.add_nodes_from(range(topology.n_atoms))
    graph.add_edges_from((a.index, b.index) for a, b in topology.bonds)
    if graph.number_of_edges() == 0 and topology.n_atoms > topology.n_residues:
        raise ValueError(
            "The topology has no bonds, so CG bonds and molecules cannot be derived; load it "
            "from a file with bonds or call its create_standard_bonds()."
        )
    return graph


def nearest_bead(graph: nx.Graph, beads: Mapping[int, int]) -> np.ndarray:
    """Assign every atom to the bead that is nearest along bonds.

    Parameters
    ----------
    graph : networkx.Graph
        Molecular graph.
    beads : dict
        Bead index of each mapped atom.

    Returns
    -------
    owner : (n_atoms,) int64
        Bead index; -1 in molecules without a bead. Of equally near beads the one with the
        lowest index wins, so that the result does not depend on the order of bonds.
    """
    owner = np.full(graph.number_of_nodes(), -1, dtype=np.int64)
    layer = dict(beads)
    while layer:
        for atom, bead in layer.items():
            owner[atom] = bead
        reached: dict[int, int] = {}
        for atom, bead in layer.items():
            for neighbour in graph[atom]:
                if owner[neighbour] < 0:
                    reached[neighbour] = min(bead, reached.get(neighbour, bead))
        layer = reached
    return owner


def contracted_bonds(graph: nx.Graph, owner: np.ndarray, matrix: sparse.csr_array) -> np.ndarray:
    """Return bonds (n_bonds, 2), i < j, sorted, between beads.

    Beads are bonded if they own bonded atoms, or if an atom lies in both.
    """
    pairs = {
        (min(owner[a], owner[b]), max(owner[a], owner[b]))
        for a, b in graph.edges
        if owner[a] != owner[b]
    }
    pairs.update(map(tuple, shared_pairs(matrix)))
    return np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)


def shared_pairs(matrix: sparse.csr_array) -> np.ndarray:
    """Return the pairs of beads (n, 2), i < j, that have an atom in common."""
    if len(np.unique(matrix.indices)) == matrix.nnz:
        return np.empty((0, 2), dtype=np.int64)
    overlap = sparse.triu(matrix @ matrix.T, k=1).tocoo()
    return np.stack([overlap.row, overlap.col], axis=1).astype(np.int64)


def bead_molecules(matrix: sparse.csr_array, atom_molecules: np.ndarray) -> np.ndarray:
    """Return the 0-based molecule of every bead, counted in the order of their first beads.

    Raises
    ------
    ValueError
        If the atoms of one bead lie in two molecules.
    """
    part = atom_molecules[matrix.indices]
    first = part[matrix.indptr[:-1]]
    astray = part != np.repeat(first, np.diff(matrix.indptr))
    if astray.any():
        bead = int(np.searchsorted(matrix.indptr, astray.argmax(), side="right")) - 1
        raise ValueError(
            f"Bead {bead} has atoms in two molecules; a bead must lie within one. "
            "Are bonds missing in the topology?"
        )
    _, place, inverse = np.unique(first, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(place))[inverse].astype(np.int64)


def bead_masses(matrix: sparse.csr_array, owner: np.ndarray, atom_masses: np.ndarray) -> np.ndarray:
    """Return the mass of every bead: of the atoms it owns, its share of those in several beads.

    Parameters
    ----------
    matrix : (n_beads, n_atoms) csr_array
        An atom in several beads is divided by its weights in them.
    owner : (n_atoms,) int64
        From `nearest_bead`.
    atom_masses : (n_atoms,) float64

    Returns
    -------
    (n_beads,) float64
        Their sum is the mass of all molecules that have beads.
    """
    beads_of_atom = np.bincount(matrix.indices, minlength=len(owner))
    whole = (owner >= 0) & (beads_of_atom < 2)
    masses = np.bincount(owner[whole], weights=atom_masses[whole], minlength=matrix.shape[0])
    if not (beads_of_atom > 1).any():
        return masses
    divided = np.where(beads_of_atom > 1, atom_masses, 0.0) / np.maximum(matrix.sum(axis=0), 1e-300)
    return masses + matrix @ divided

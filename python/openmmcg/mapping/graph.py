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


def contracted_bonds(graph: nx.Graph, owner: np.ndarray) -> np.ndarray:
    """Return bonds (n_bonds, 2), i < j, sorted, between beads that own bonded atoms."""
    pairs = {
        (min(owner[a], owner[b]), max(owner[a], owner[b]))
        for a, b in graph.edges
        if owner[a] != owner[b]
    }
    return np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)


def bead_molecules(graph: nx.Graph, owner: np.ndarray, n_beads: int) -> np.ndarray:
    """Return the 0-based molecule (connected part of the atomistic graph) of every bead.

    Molecules are counted in the order of their first bead.

    Raises
    ------
    ValueError
        If the atoms of one bead lie in two molecules.
    """
    part = np.full(n_beads, -1, dtype=np.int64)
    for number, atoms in enumerate(nx.connected_components(graph)):
        for bead in {int(owner[atom]) for atom in atoms} - {-1}:
            if part[bead] >= 0:
                raise ValueError(
                    f"Bead {bead} has atoms in two molecules; a bead must lie within one. "
                    "Are bonds missing in the topology?"
                )
            part[bead] = number
    _, first, inverse = np.unique(part, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype(np.int64)

"""The molecular graph: its contraction onto beads, and molecules made whole across a box."""

from __future__ import annotations

from collections.abc import Mapping

import mdtraj as md
import networkx as nx
import numpy as np


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


Layers = list[tuple[np.ndarray, np.ndarray]]


def spanning_layers(graph: nx.Graph) -> Layers:
    """Return (parents, children) of a spanning forest, one pair of arrays per depth."""
    layers: list[tuple[list[int], list[int]]] = []
    for atoms in nx.connected_components(graph):
        depth = {min(atoms): 0}
        for parent, child in nx.bfs_edges(graph, min(atoms)):
            depth[child] = depth[parent] + 1
            if depth[child] > len(layers):
                layers.append(([], []))
            layers[depth[child] - 1][0].append(parent)
            layers[depth[child] - 1][1].append(child)
    return [(np.array(p, dtype=np.int64), np.array(c, dtype=np.int64)) for p, c in layers]


def make_whole(positions: np.ndarray, box: np.ndarray, layers: Layers) -> np.ndarray:
    """Move atoms by box vectors so that bonded atoms are nearest images of each other.

    Parameters
    ----------
    positions : (..., n_atoms, 3)
        Positions in nm.
    box : (..., 3, 3)
        Box vectors as rows in OpenMM's reduced form (lower triangular), nm.
    layers : list
        From `spanning_layers`.

    Returns
    -------
    (..., n_atoms, 3) array
        A copy with whole molecules; the first atom of each molecule stays where it is.
    """
    whole = np.array(positions, dtype=np.float64)
    vectors = np.asarray(box, dtype=np.float64)
    for parents, children in layers:
        step = whole[..., children, :] - whole[..., parents, :]
        for k in (2, 1, 0):
            vector = vectors[..., None, k, :]
            step = step - np.round(step[..., k : k + 1] / vector[..., k : k + 1]) * vector
        whole[..., children, :] = whole[..., parents, :] + step
    return whole

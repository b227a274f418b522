"""Bonds, angles, torsions and stereocentres of a bead graph, in an order that relabelling keeps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import ArrayLike

from openmmcg.mapping.stereocentres import stereocentre_terms

__all__ = [
    "angle_terms",
    "bead_graph",
    "bond_terms",
    "close_pairs",
    "stereocentre_terms",
    "torsion_terms",
]


def bead_graph(names: Sequence[str], bonds: ArrayLike) -> nx.Graph:
    """Graph of beads with their type names as attribute ``name``.

    Parameters
    ----------
    names : sequence of str
        Type name of every bead.
    bonds : array_like of int, shape (n_bonds, 2)
        Bonded beads.

    Returns
    -------
    networkx.Graph

    Raises
    ------
    ValueError
        If a bond names a bead that does not exist, or a bead twice.
    """
    graph = nx.Graph()
    graph.add_nodes_from((bead, {"name": name}) for bead, name in enumerate(names))
    for i, j in np.asarray(bonds, dtype=np.int64).reshape(-1, 2).tolist():
        if i == j or i not in graph or j not in graph:
            raise ValueError(
                f"Bond {i}-{j} must join two different beads of 0 to {len(names) - 1}; check the "
                "topology."
            )
        graph.add_edge(i, j)
    return graph


def bond_terms(graph: nx.Graph) -> np.ndarray:
    """All bonds, shape (n, 2), ends ordered by type name."""
    return _rows((_by_name(graph, (i, j)) for i, j in graph.edges), 2)


def angle_terms(graph: nx.Graph) -> np.ndarray:
    """All pairs of bonds that share a bead, shape (n, 3), ends ordered by type name."""
    found = []
    for centre in graph:
        neighbours = sorted(graph[centre])
        for rank, i in enumerate(neighbours):
            for k in neighbours[rank + 1 :]:
                first, last = _by_name(graph, (i, k))
                found.append((first, centre, last))
    return _rows(found, 3)


def torsion_terms(graph: nx.Graph) -> np.ndarray:
    """All paths along three bonds, shape (n, 4), in the direction that type names sort first."""
    names = graph.nodes
    found = []
    for second, third in graph.edges:
        for first in graph[second]:
            for fourth in graph[third]:
                path = (first, second, third, fourth)
                if len(set(path)) == 4:
                    found.append(min(path, path[::-1], key=lambda p: _sort_key(names, p)))
    return _rows(found, 4)


def close_pairs(graph: nx.Graph, bonds: int) -> np.ndarray:
    """All pairs of beads at most so many bonds apart, shape (n, 2), the smaller index first."""
    reached = nx.all_pairs_shortest_path_length(graph, cutoff=bonds)
    return _rows(((i, j) for i, others in reached for j in others if i < j), 2)


def _sort_key(names: Any, path: Sequence[int]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    return tuple(names[bead]["name"] for bead in path), tuple(path)


def _by_name(graph: nx.Graph, ends: tuple[int, int]) -> tuple[int, int]:
    i, j = ends
    names = graph.nodes
    return (i, j) if (names[i]["name"], i) <= (names[j]["name"], j) else (j, i)


def _rows(terms: object, size: int) -> np.ndarray:
    array = np.array(sorted(terms), dtype=np.int64)  # type: ignore[call-overload]
    return array.reshape(-1, size)

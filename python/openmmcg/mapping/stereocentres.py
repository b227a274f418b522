"""Stereocentres of a bead graph, in an order that relabelling keeps."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import networkx as nx
import numpy as np

Layers = list[tuple[str, ...]]


def stereocentre_terms(graph: nx.Graph) -> np.ndarray:
    """One signed improper for each stereocentre, shape (n, 4).

    A stereocentre is a bead with three or more neighbours of which no two are alike. Neighbours
    are compared, in the manner of the Cahn-Ingold-Prelog rules, by their type name, then by the
    sorted names of the beads one bond further away from the centre, and so on. The torsion runs
    over the first neighbour, the centre, and the second and third neighbour. So the order, and
    with it the sign of the torsion, depends on the surroundings and not on how beads are
    numbered. One improper fixes the handedness also of a bead with four neighbours.

    Parameters
    ----------
    graph : networkx.Graph
        Beads with their type names as attribute ``name``.
    """
    found = []
    for centre in graph:
        ranked = _ranked_neighbours(graph, centre) if len(graph[centre]) >= 3 else []
        if ranked:
            first, second, third = ranked[:3]
            found.append((first, centre, second, third))
    return np.array(sorted(found), dtype=np.int64).reshape(-1, 4)


def _ranked_neighbours(graph: nx.Graph, centre: int) -> list[int]:
    """Return the neighbours in their order, or nothing if two of them are alike.

    Branches grow by one layer at a time until all differ: in a long chain that is soon.
    """
    walks = {neighbour: _layers(graph, centre, neighbour) for neighbour in graph[centre]}
    branches: dict[int, Layers] = {neighbour: [] for neighbour in walks}
    complete: set[int] = set()
    while True:
        for neighbour in walks.keys() - complete:
            layer = next(walks[neighbour], None)
            if layer is None:
                complete.add(neighbour)
            else:
                branches[neighbour].append(layer)
        order = sorted(branches, key=lambda neighbour: (branches[neighbour], neighbour))
        alike = [pair for pair in pairwise(order) if branches[pair[0]] == branches[pair[1]]]
        if not alike:
            return order
        if any(complete.issuperset(pair) for pair in alike):
            return []


def _layers(graph: nx.Graph, centre: int, neighbour: int) -> Iterator[tuple[str, ...]]:
    """Yield the sorted names of the beads at each distance behind a neighbour."""
    seen, layer = {centre, neighbour}, [neighbour]
    while layer:
        yield tuple(sorted(graph.nodes[bead]["name"] for bead in layer))
        layer = list(dict.fromkeys(b for bead in layer for b in graph[bead] if b not in seen))
        seen.update(layer)

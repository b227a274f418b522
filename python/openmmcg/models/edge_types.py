"""Edge types: the topological class of a pair of beads."""

from __future__ import annotations

from collections.abc import Iterable

import networkx as nx
import numpy as np
from numpy.typing import ArrayLike

EDGE_TYPE_SCHEME = "bonds-3"
"""Name of the scheme in model files: bonds are followed up to three steps."""

EDGE_TYPE_COUNT = 5
"""Number of edge types of the scheme."""

OTHER_MOLECULE, SAME_MOLECULE = 0, 1


def edge_types(bonds: ArrayLike, molecules: ArrayLike, pairs: ArrayLike) -> np.ndarray:
    """Classify pairs of beads by the bonds between them.

    Parameters
    ----------
    bonds : array_like of int, shape (n_bonds, 2)
        Bonded beads.
    molecules : array_like of int, shape (n_beads,)
        Molecule index of every bead.
    pairs : array_like of int, shape (2, n_pairs)
        Pairs to classify.

    Returns
    -------
    numpy.ndarray of int64, shape (n_pairs,)
        0: other molecule; 1: same molecule, four bonds away or more (or not connected);
        2, 3, 4: one, two, three bonds away (1-2, 1-3, 1-4 pairs).

    Raises
    ------
    ValueError
        If a bond or a pair names a bead that does not exist.
    """
    molecule = np.asarray(molecules, dtype=np.int64)
    bond_array = np.asarray(bonds, dtype=np.int64).reshape(-1, 2)
    pair_array = np.asarray(pairs, dtype=np.int64).reshape(2, -1)
    for what, array in (("bond", bond_array), ("pair", pair_array)):
        if array.size and not 0 <= array.min() <= array.max() < len(molecule):
            raise ValueError(
                f"A {what} names bead {array.max() if array.min() >= 0 else array.min()}, but "
                f"there are {len(molecule)} beads (0 to {len(molecule) - 1}); check the topology."
            )
    steps = _bond_steps(len(molecule), bond_array)
    first, second = pair_array
    types = np.where(molecule[first] == molecule[second], SAME_MOLECULE, OTHER_MOLECULE)
    near = [steps[i].get(j, 0) for i, j in zip(first.tolist(), second.tolist(), strict=True)]
    near_steps = np.asarray(near, dtype=np.int64)
    return np.where(near_steps > 0, near_steps + 1, types)


def _bond_steps(n_beads: int, bonds: Iterable[Iterable[int]]) -> list[dict[int, int]]:
    graph = nx.Graph()
    graph.add_nodes_from(range(n_beads))
    graph.add_edges_from((int(i), int(j)) for i, j in bonds)
    return [nx.single_source_shortest_path_length(graph, bead, cutoff=3) for bead in range(n_beads)]

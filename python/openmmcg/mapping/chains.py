"""Unbranched carbon chains: n-alkanes and the tails of lipids, found without atom names."""

from __future__ import annotations

import networkx as nx

SHORTEST_TAIL = 4
"""Carbons of the shortest chain that counts as one if it hangs on something else."""


def carbon_chains(graph: nx.Graph, elements: list[str]) -> list[list[int]]:
    """Return the unbranched carbon chains of a molecular graph.

    A chain is a run of carbons that are bonded to at most two carbons and otherwise to hydrogen
    alone, with a free end, so that it is either all of a molecule's carbons or a tail of at least
    `SHORTEST_TAIL` carbons. Carbon in rings, carbonyl groups and beside hetero atoms is not part
    of one. Names are not looked at, and united-atom models without hydrogens work as well.

    Parameters
    ----------
    graph : networkx.Graph
        Molecular graph, see `openmmcg.mapping.graph.molecular_graph`.
    elements : list of str
        Element symbol of every atom.

    Returns
    -------
    list of list of int
        Carbon atoms of every chain in order: a tail from the end where it is attached, a free
        molecule from the end with the lower atom index. Chains are in order of their first atoms.
    """
    heavy = {
        atom: [b for b in graph[atom] if elements[b] != "H"]
        for atom in graph
        if elements[atom] == "C"
    }
    links = {
        atom: near
        for atom, near in heavy.items()
        if len(near) <= 2 and all(elements[b] == "C" for b in near)
    }
    runs = nx.Graph()
    runs.add_nodes_from(links)
    runs.add_edges_from((a, b) for a, near in links.items() for b in near if b in links)
    chains = []
    for part in nx.connected_components(runs):
        ends = sorted(atom for atom in part if runs.degree[atom] < 2)
        attached = [atom for atom in ends if len(heavy[atom]) > runs.degree[atom]]
        free = [atom for atom in ends if atom not in attached]
        if not free or (attached and len(part) < SHORTEST_TAIL):
            continue
        start = attached[0] if attached else free[0]
        chains.append([start, *(b for _, b in nx.bfs_edges(runs, start))])
    return sorted(chains)


def with_hydrogens(graph: nx.Graph, elements: list[str], atoms: list[int]) -> list[int]:
    """Return atoms and the hydrogens bonded to them, sorted."""
    bonded = {b for atom in atoms for b in graph[atom] if elements[b] == "H"}
    return sorted({*atoms, *bonded})

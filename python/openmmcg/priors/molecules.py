"""Molecules of a bead graph, and templates that recognise them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import networkx as nx
import numpy as np
from networkx.algorithms.isomorphism import categorical_node_match

from openmmcg.priors.keys import Key
from openmmcg.priors.topology import bead_graph

Parameterised = Mapping[str, Mapping[Key, Any]]
"""Parameters by kind and type names."""


@dataclass(frozen=True)
class MoleculePriors:
    """Priors of one molecule, which go before those for all molecules.

    A molecule is recognised by its types and bonds, whatever the numbering of its beads.

    Attributes
    ----------
    name : str
        For messages and plots.
    types : tuple of str
        Type name of every bead.
    bonds : tuple of (int, int)
        Bonded beads.
    parameters : mapping of str to mapping of tuple of str to parameters
        For kinds that act within a molecule, not on pairs.
    """

    name: str
    types: tuple[str, ...]
    bonds: tuple[tuple[int, int], ...]
    parameters: Parameterised = field(default_factory=dict)

    def graph(self) -> nx.Graph:
        """Bead graph of the molecule."""
        return bead_graph(self.types, np.array(self.bonds, dtype=np.int64).reshape(-1, 2))


def molecule_beads(
    graph: nx.Graph, molecules: Sequence[int] | np.ndarray | None
) -> list[list[int]]:
    """Beads of every molecule in ascending order.

    Parameters
    ----------
    graph : networkx.Graph
        Beads and bonds.
    molecules : sequence of int, optional
        Molecule of every bead. Default: the connected parts.

    Raises
    ------
    ValueError
        If there is not one number for each bead, or a bond joins two molecules.
    """
    if molecules is None:
        return [sorted(part) for part in nx.connected_components(graph)]
    numbers = np.asarray(molecules, dtype=np.int64)
    if numbers.shape != (len(graph),):
        raise ValueError(
            f"There are {len(graph)} beads, but molecule numbers of shape {numbers.shape}; give "
            "one for each bead."
        )
    for i, j in graph.edges:
        if numbers[i] != numbers[j]:
            raise ValueError(
                f"Bond {i}-{j} joins the molecules {numbers[i]} and {numbers[j]}; bonded beads "
                "must have one number."
            )
    return [np.flatnonzero(numbers == number).tolist() for number in np.unique(numbers)]


def describe_molecules(graph: nx.Graph, molecules: list[list[int]]) -> list[MoleculePriors]:
    """Give the different molecules of a graph, each once, without parameters.

    They are named by their composition, such as ``C2-CA-CB-N2``.
    """
    found: list[MoleculePriors] = []
    graphs: list[nx.Graph] = []
    seen: set[Any] = set()
    for beads in molecules:
        types, bonds = _layout(graph, beads)
        if (types, bonds) in seen:
            continue
        seen.add((types, bonds))
        candidate = MoleculePriors(_composition(types), types, bonds)
        own = candidate.graph()
        if not any(_same(own, other) for other in graphs):
            found.append(candidate)
            graphs.append(own)
    return found


def recognise(
    graph: nx.Graph, molecules: list[list[int]], templates: Sequence[MoleculePriors]
) -> np.ndarray:
    """Template of every bead, -1 where none fits, shape (n_beads,)."""
    result = np.full(len(graph), -1, dtype=np.int64)
    if not templates:
        return result
    graphs = [template.graph() for template in templates]
    known: dict[Any, int] = {}
    for beads in molecules:
        layout = _layout(graph, beads)
        if layout not in known:
            own = MoleculePriors("", *layout).graph()
            fits = (index for index, other in enumerate(graphs) if _same(own, other))
            known[layout] = next(fits, -1)
        result[beads] = known[layout]
    return result


def _layout(
    graph: nx.Graph, beads: list[int]
) -> tuple[tuple[str, ...], tuple[tuple[int, int], ...]]:
    place = {bead: index for index, bead in enumerate(beads)}
    bonds = sorted(
        (place[bead], place[other]) for bead in beads for other in graph[bead] if bead < other
    )
    return tuple(graph.nodes[bead]["name"] for bead in beads), tuple(bonds)


def _composition(types: Sequence[str]) -> str:
    counts = ((name, types.count(name)) for name in sorted(set(types)))
    return "-".join(f"{name}{count}" if count > 1 else name for name, count in counts)


def _same(one: nx.Graph, other: nx.Graph) -> bool:
    def names(graph: nx.Graph) -> list[str]:
        return sorted(graph.nodes[bead]["name"] for bead in graph)

    if one.number_of_edges() != other.number_of_edges() or names(one) != names(other):
        return False
    return nx.is_isomorphic(one, other, node_match=categorical_node_match("name", None))

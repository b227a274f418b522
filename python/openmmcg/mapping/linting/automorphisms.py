"""Symmetries of coloured graphs: colour refinement, isomorphisms, generators of the group.

Molecules of thousands of atoms are no problem, since nothing is enumerated: refinement leaves
small parts (a methyl group, a ring that can flip), each of which is searched by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import networkx as nx
import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

LARGEST_SEARCH = 2000
"""Vertices of a part that refinement cannot take apart and that is still searched."""


class TooLargeError(ValueError):
    """A part of the graph is too large or too symmetric to be searched."""


@dataclass(frozen=True, eq=False)
class ColouredGraph:
    """A graph with coloured vertices and edges.

    Attributes
    ----------
    colours : (n,) int64
        Of the vertices.
    edges : (m, 2) int64
    tags : (m,) int64
        Colours of the edges.
    """

    colours: np.ndarray
    edges: np.ndarray
    tags: np.ndarray

    @classmethod
    def plain(cls, colours: np.ndarray, edges: np.ndarray) -> ColouredGraph:
        """Return a graph whose edges are all of one colour."""
        return cls(np.asarray(colours), edges, np.zeros(len(edges), dtype=np.int64))

    @property
    def n(self) -> int:
        """Number of vertices."""
        return len(self.colours)

    def part(self, vertices: np.ndarray) -> ColouredGraph:
        """Return the graph of some vertices, renumbered in their order."""
        local = np.full(self.n, -1, dtype=np.int64)
        local[vertices] = np.arange(len(vertices))
        edges = local[self.edges]
        inside = (edges >= 0).all(axis=1)
        return ColouredGraph(self.colours[vertices], edges[inside], self.tags[inside])

    def single_out(self, vertex: int) -> ColouredGraph:
        """Return the graph with a colour of its own for one vertex."""
        colours = self.colours.copy()
        colours[vertex] = colours.max() + 1
        return replace(self, colours=colours)

    def part_numbers(self) -> tuple[int, np.ndarray]:
        """Return the number of connected parts, and the part (n,) of each vertex."""
        ones = np.ones(len(self.edges), dtype=np.int8)
        adjacency = sparse.csr_array(
            (ones, (self.edges[:, 0], self.edges[:, 1])), shape=(self.n, self.n)
        )
        count, part_of = connected_components(adjacency, directed=False)
        return int(count), part_of

    def components(self) -> list[np.ndarray]:
        """Return the vertices of each connected part."""
        count, part_of = self.part_numbers()
        order = np.argsort(part_of, kind="stable")
        return np.split(order, np.cumsum(np.bincount(part_of, minlength=count))[:-1])

    def to_networkx(self) -> nx.Graph:
        """Return it with the attributes ``colour`` and ``tag``."""
        graph = nx.Graph()
        graph.add_nodes_from((v, {"colour": c}) for v, c in enumerate(self.colours.tolist()))
        ends = zip(self.edges.tolist(), self.tags.tolist(), strict=True)
        graph.add_edges_from((i, j, {"tag": tag}) for (i, j), tag in ends)
        return graph


def refine(graph: ColouredGraph) -> np.ndarray:
    """Split colours until vertices of one colour have equally coloured neighbours.

    Returns
    -------
    (n,) int64
        Colours 0, 1, ...; vertices that an automorphism exchanges have the same one.
    """
    first, second = np.concatenate([graph.edges, graph.edges[:, ::-1]]).T
    tags = np.concatenate([graph.tags, graph.tags])
    colours = _dense(graph.colours)
    while True:
        arriving = np.zeros(graph.n, dtype=np.uint64)
        np.add.at(arriving, first, _mix(_mix(colours[second]) + tags.astype(np.uint64)))
        finer = _dense(_mix(_mix(colours) + arriving))
        if finer.max(initial=0) == colours.max(initial=0):
            return colours
        colours = finer


def isomorphism(a: ColouredGraph, b: ColouredGraph) -> np.ndarray | None:
    """Return a map (n,) of the vertices of `a` to those of `b` that keeps all, or None.

    Raises
    ------
    TooLargeError
        If more than `LARGEST_SEARCH` vertices would have to be searched.
    """
    pair = _refine_both(a, b)
    if pair is None:
        return None
    a, b = pair
    if a.n and a.colours.max() + 1 == a.n:
        found = np.empty(a.n, dtype=np.int64)
        found[np.argsort(a.colours)] = np.argsort(b.colours)
        return found
    if a.n > LARGEST_SEARCH:
        raise TooLargeError(f"{a.n} vertices cannot be told apart and are too many to search")
    matcher = nx.isomorphism.GraphMatcher(
        a.to_networkx(),
        b.to_networkx(),
        node_match=nx.isomorphism.categorical_node_match("colour", None),
        edge_match=nx.isomorphism.categorical_edge_match("tag", None),
    )
    mapping = next(matcher.isomorphisms_iter(), None)
    return None if mapping is None else np.array([mapping[v] for v in range(a.n)], dtype=np.int64)


def are_isomorphic(a: ColouredGraph, b: ColouredGraph) -> bool:
    """Tell whether there is a map as `isomorphism` finds, without making it.

    Vertices with a colour of their own are clear, and the parts that remain without them are
    compared one by one. Refinement decides trees (most of what remains: hydrogens, sides of a
    ring); parts with cycles are searched.

    Raises
    ------
    TooLargeError
        As `isomorphism`.
    """
    pair = _refine_both(a, b)
    if pair is None:
        return False
    sides = [_part_signatures(graph) for graph in pair]
    if not np.array_equal(sides[0].trees, sides[1].trees):
        return False
    others = list(sides[1].rest)
    for piece in sides[0].rest:
        match = next((i for i, o in enumerate(others) if isomorphism(piece, o) is not None), None)
        if match is None:
            return False
        del others[match]
    return not others


def generators(graph: ColouredGraph, limit: int = 1000) -> list[np.ndarray]:
    """Return permutations (n,) that generate the automorphism group.

    Raises
    ------
    TooLargeError
        As `isomorphism`, or if there are more than `limit` generators.
    """
    found: list[np.ndarray] = []
    open_parts = [(np.arange(graph.n), refine(graph))]
    while open_parts:
        vertices, colours = open_parts.pop()
        whole = replace(graph.part(vertices), colours=colours)
        parts = list(_unclear_parts(whole, np.arange(whole.n)))
        if len(parts) == 1 and len(parts[0]) == whole.n:
            fixed, moves = _around_a_vertex(whole)
            found += [_embedded(graph.n, vertices, vertices[move]) for move in moves]
            open_parts.append((vertices, refine(whole.single_out(fixed))))
        else:
            different: dict[bytes, list[np.ndarray]] = {}
            for part in parts:
                piece = whole.part(part)
                alike = different.setdefault(np.sort(piece.colours).tobytes(), [])
                for other in alike:
                    match = isomorphism(whole.part(other), piece)
                    if match is not None:
                        found.append(_swap(graph.n, vertices[other], vertices[part[match]]))
                        break
                else:
                    alike.append(part)
                    open_parts.append((vertices[part], piece.colours))
        if len(found) > limit:
            raise TooLargeError(f"it has more than {limit} independent symmetries")
    return found


def cycles(permutation: np.ndarray) -> list[list[int]]:
    """Return the cycles of two or more vertices."""
    seen: set[int] = set()
    result = []
    for start in np.flatnonzero(permutation != np.arange(len(permutation))).tolist():
        cycle = []
        while start not in seen:
            seen.add(start)
            cycle.append(start)
            start = int(permutation[start])
        if cycle:
            result.append(cycle)
    return result


def _refine_both(a: ColouredGraph, b: ColouredGraph) -> tuple[ColouredGraph, ColouredGraph] | None:
    """Give both graphs refined colours of the same meaning; None if these do not agree."""
    if a.n != b.n or len(a.edges) != len(b.edges):
        return None
    both = ColouredGraph(
        np.concatenate([a.colours, b.colours]),
        np.concatenate([a.edges, b.edges + a.n]),
        np.concatenate([a.tags, b.tags]),
    )
    colours = refine(both)
    if not np.array_equal(np.sort(colours[: a.n]), np.sort(colours[a.n :])):
        return None
    return replace(a, colours=colours[: a.n]), replace(b, colours=colours[a.n :])


def _unclear_parts(graph: ColouredGraph, vertices: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the connected parts of the vertices that share their (refined) colour."""
    shared = vertices[np.bincount(graph.colours)[graph.colours] > 1]
    if len(shared):
        for part in graph.part(shared).components():
            yield shared[part]


@dataclass(frozen=True, eq=False)
class _Signatures:
    """The parts that refinement leaves unclear: of trees one sorted number each, and the rest."""

    trees: np.ndarray
    rest: list[ColouredGraph]


def _part_signatures(graph: ColouredGraph) -> _Signatures:
    shared = np.flatnonzero(np.bincount(graph.colours)[graph.colours] > 1)
    unclear = graph.part(shared)
    count, part_of = unclear.part_numbers()
    sums = np.zeros(count, dtype=np.uint64)
    np.add.at(sums, part_of, _mix(unclear.colours))
    edges = np.bincount(part_of[unclear.edges[:, 0]], minlength=count)
    is_tree = edges == np.bincount(part_of, minlength=count) - 1
    rest = [unclear.part(np.flatnonzero(part_of == number)) for number in np.flatnonzero(~is_tree)]
    return _Signatures(np.sort(sums[is_tree]), rest)


def _around_a_vertex(graph: ColouredGraph) -> tuple[int, list[np.ndarray]]:
    """Choose a vertex and return it with an automorphism to each place that it can take."""
    counts = np.bincount(graph.colours)
    cell = np.flatnonzero(graph.colours == np.argmin(np.where(counts > 0, counts, graph.n + 1)))
    fixed, orbit = int(cell[0]), {int(cell[0])}
    moves: list[np.ndarray] = []
    for vertex in cell[1:].tolist():
        if vertex in orbit:
            continue
        move = isomorphism(graph.single_out(fixed), graph.single_out(vertex))
        if move is not None:
            moves.append(move)
            while not (reached := {int(m[v]) for m in moves for v in orbit}) <= orbit:
                orbit |= reached
    return fixed, moves


def _embedded(n: int, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    permutation = np.arange(n)
    permutation[source] = target
    return permutation


def _swap(n: int, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    permutation = _embedded(n, one, other)
    permutation[other] = one
    return permutation


def _dense(values: np.ndarray) -> np.ndarray:
    return np.unique(values, return_inverse=True)[1].reshape(-1)


def _mix(values: np.ndarray) -> np.ndarray:
    """Scramble integers to 64 bits (SplitMix64), so that sums of them tell multisets apart."""
    x = values.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))

"""Symmetries of bead graphs against brute force, and on peptides and alkanes."""

from __future__ import annotations

import itertools

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lint_molecules import RESIDUES, chains, halves, mapped, peptide
from openmmcg.mapping import Mapping, lint
from openmmcg.mapping.linting import check_symmetry
from openmmcg.mapping.linting.automorphisms import (
    ColouredGraph,
    TooLargeError,
    are_isomorphic,
    cycles,
    generators,
    isomorphism,
)
from openmmcg.mapping.linting.symmetry import foreign_symmetries
from openmmcg.mapping.linting.system import molecule_kinds


def random_graph(seed, most=7):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, most + 1))
    pairs = np.array(list(itertools.combinations(range(n), 2)), dtype=np.int64).reshape(-1, 2)
    edges = pairs[rng.random(len(pairs)) < rng.uniform(0.1, 0.9)]
    tags = rng.integers(0, rng.integers(1, 3), size=len(edges))
    return ColouredGraph(rng.integers(0, rng.integers(1, 3), size=n), edges, tags)


def keeps(move, a, b):
    """Whether a permutation turns one graph into the other."""

    def tagged(graph, names):
        ends = np.sort(names[graph.edges], axis=1).tolist()
        return {(*end, tag) for end, tag in zip(ends, graph.tags.tolist(), strict=True)}

    same_colours = np.array_equal(b.colours[move], a.colours)
    return same_colours and tagged(a, move) == tagged(b, np.arange(b.n))


def group_size(moves, n):
    """Number of permutations that some permutations generate."""
    known = {tuple(range(n))}
    new = known
    while new:
        new = {tuple(np.array(old)[move]) for old in new for move in moves} - known
        known |= new
    return len(known)


@settings(max_examples=150)
@given(seed=st.integers(0, 10**9))
def test_generators_make_the_whole_group(seed):
    graph = random_graph(seed)
    moves = generators(graph)
    assert all(keeps(move, graph, graph) for move in moves)
    everything = sum(
        keeps(np.array(p), graph, graph) for p in itertools.permutations(range(graph.n))
    )
    assert group_size(moves, graph.n) == everything


@settings(max_examples=150)
@given(seed=st.integers(0, 10**9), swapped=st.booleans())
def test_isomorphism_is_found_if_there_is_one(seed, swapped):
    graph = random_graph(seed)
    rng = np.random.default_rng(seed)
    order = rng.permutation(graph.n)
    colours = np.empty_like(graph.colours)
    colours[order] = graph.colours
    other = ColouredGraph(colours, order[graph.edges], graph.tags)
    if swapped and len(graph.edges):
        edges = other.edges.copy()
        edges[0] = rng.choice(graph.n, size=2, replace=False)
        others = {tuple(sorted(edge)) for edge in edges[1:].tolist()}
        if tuple(sorted(edges[0].tolist())) not in others:
            other = ColouredGraph(colours, edges, graph.tags)
    exists = any(keeps(np.array(p), graph, other) for p in itertools.permutations(range(graph.n)))
    found = isomorphism(graph, other)
    assert (found is not None) == exists
    assert are_isomorphic(graph, other) == exists
    if found is not None:
        assert keeps(found, graph, other)


def test_rings_that_refinement_cannot_tell_apart():
    """Two triangles and a hexagon have the same refined colours."""
    triangles = np.array([[0, 1], [1, 2], [0, 2], [3, 4], [4, 5], [3, 5]])
    hexagon = np.array([[0, 1], [1, 2], [2, 3], [3, 4], [4, 5], [0, 5]])
    a, b = (ColouredGraph.plain(np.zeros(6, np.int64), e) for e in (triangles, hexagon))
    assert not are_isomorphic(a, b)
    assert isomorphism(a, b) is None
    assert group_size(generators(a), 6) == 72
    assert group_size(generators(b), 6) == 12


def test_too_symmetric_graphs_are_refused():
    with pytest.raises(TooLargeError, match="more than 10 independent"):
        generators(ColouredGraph.plain(np.zeros(50, np.int64), np.zeros((0, 2), np.int64)), 10)


def test_cycles():
    assert cycles(np.array([1, 0, 2, 4, 5, 3])) == [[0, 1], [3, 4, 5]]


@pytest.mark.parametrize(
    ("residues", "beads", "encoding"),
    [
        (("ALA",), {"C": "name C", "N": "name N", "CA": "name CA"}, "one"),
        (("ASP",), {f: f"name {f}" for f in RESIDUES["ASP"]}, "element"),
        (("GLY",), {"heavy": "name CA C N", "O": "name O"}, "one"),
        ((), {"C": "name C CH3 O", "N": "name N"}, "one"),
    ],
)
def test_foreign_symmetries_against_brute_force(residues, beads, encoding):
    """All automorphisms of the bead graph, each looked up among those of the molecule."""
    topology = peptide(*residues, hydrogens=False)
    mapping = mapped(topology, beads, encoding)
    atoms = nx.Graph()
    atoms.add_nodes_from((a.index, {"element": a.element.symbol}) for a in topology.atoms)
    atoms.add_edges_from((a.index, b.index) for a, b in topology.bonds)
    graph = nx.Graph()
    graph.add_nodes_from((i, {"type": int(t)}) for i, t in enumerate(mapping.types))
    graph.add_edges_from(mapping.bonds.tolist())

    def automorphisms(graph, name):
        match = nx.isomorphism.categorical_node_match(name, None)
        found = nx.isomorphism.GraphMatcher(graph, graph, node_match=match).isomorphisms_iter()
        return [np.array([move[v] for v in range(len(graph))]) for move in found]

    matrix = mapping.matrix
    own = [
        tuple(move)
        for move in automorphisms(graph, "type")
        for turn in automorphisms(atoms, "element")
        if np.allclose(matrix[move][:, turn], matrix)
    ]
    every = {tuple(move) for move in automorphisms(graph, "type")}
    (kind,) = molecule_kinds(mapping)
    foreign = foreign_symmetries(kind, kind.types)
    assert {tuple(move) for move in foreign} <= every - set(own)
    assert bool(foreign) == (every != set(own))


def exchanges(findings):
    """The exchanged pairs of the only warning on symmetry, as sets of names."""
    (finding,) = (f for f in findings if f.kind == "symmetry" and f.severity == "warning")
    return [{frozenset(names) for names in move} for move in finding.numbers["exchanges"]]


@pytest.mark.parametrize(
    ("name", "encoding", "reversible"),
    [
        ("core", "one", True),
        ("core", "element", False),
        ("core", "unique", False),
        ("core-beta", "one", True),
        ("core-beta", {"list": [1, 2, 3, 3, 2, 1]}, True),
        ("core-beta", {"list": [1, 2, 3, 3, 2, 4]}, False),
        ("core-beta", "element", False),
    ],
)
def test_reversal_of_capped_alanine(name, encoding, reversible):
    """With one type, or palindromic ones, the termini of a peptide look alike."""
    findings = lint(Mapping.builtin(name, peptide("ALA"), encoding))
    if not reversible:
        assert not [f for f in findings if f.kind == "symmetry"]
        return
    assert exchanges(findings) == [
        {frozenset({"ACE1:C", "NME3:N"}), frozenset({"ALA2:N", "ALA2:C"})}
    ]
    (finding,) = (f for f in findings if f.kind == "symmetry")
    assert finding.numbers["encoding"] == "name"
    assert "'name'" in finding.cure
    assert len(finding.beads) == 4


def test_polyalanine_names_every_bead():
    findings = lint(Mapping.builtin("core", peptide(*["ALA"] * 15), "one"))
    (move,) = exchanges(findings)
    assert len(move) == 23  # 47 beads, the middle CA stays
    assert frozenset({"ALA2:CA", "ALA16:CA"}) in move


def test_symmetries_of_the_molecule_are_no_finding():
    assert check_symmetry(molecule_kinds(halves(chains(3)))) == []
    ring = mapped(peptide("PHE"), {f: f"name {f}" for f in RESIDUES["PHE"]}, "element")
    assert check_symmetry(molecule_kinds(ring)) == []


def test_types_that_break_a_symmetry_are_an_info():
    findings = check_symmetry(molecule_kinds(halves(chains(3), {"list": ["A", "B"] * 3})))
    assert [(f.severity, f.numbers["molecules"]) for f in findings] == [("info", 3)]
    assert findings[0].numbers["alike"] == [["HEX1:A", "HEX1:B"]]


def test_molecules_with_other_types_are_other_kinds():
    mapping = halves(chains(3), {"list": ["A", "B", "C", "C", "D", "D"]})
    kinds = molecule_kinds(mapping)
    assert sorted(kind.n_molecules for kind in kinds) == [1, 2]
    assert [kind.instances.tolist() for kind in kinds if kind.n_molecules == 2] == [
        [[2, 3], [4, 5]]
    ]


def test_weights_count():
    """Beads of the same atoms with other weights are not alike."""
    weights = {"name": "A", "select": "name C1 C2 C3", "weights": [1, 1, 2]}
    other = {"name": "B", "select": "name C4 C5 C6", "weights": [1, 1, 2]}
    template = {"residues": "all", "beads": [weights, other]}
    definition = {"format": 1, "name": "t", "encoding": "one", "templates": [template]}
    findings = lint(Mapping.from_dict(definition, chains(1)))
    assert exchanges(findings) == [{frozenset({"HEX1:A", "HEX1:B"})}]
    weights["weights"] = [2, 1, 1]
    assert lint(Mapping.from_dict(definition, chains(1))) == []


def test_a_large_protein_is_quick_enough():
    """600 atoms of side chains that can turn, nothing enumerated."""
    topology = peptide(*["ALA", "PHE", "ASP", "THR"] * 8)
    names = dict.fromkeys(a.name for a in topology.atoms if a.element.symbol != "H")
    mapping = mapped(topology, {name: f"name {name}" for name in names}, "element")
    assert check_symmetry(molecule_kinds(mapping)) == []

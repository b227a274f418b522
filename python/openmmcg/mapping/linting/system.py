"""Views of a mapping that the checks share: bead names, and one molecule of each kind."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import mdtraj as md
import networkx as nx
import numpy as np
from scipy import sparse

from openmmcg.mapping.linting.automorphisms import ColouredGraph

if TYPE_CHECKING:
    from openmmcg.mapping.mapping import Mapping


class BeadSystem(Protocol):
    """Beads as a `Mapping` and a dataset describe them alike."""

    @property
    def types(self) -> np.ndarray: ...
    @property
    def type_names(self) -> tuple[str, ...]: ...
    @property
    def bonds(self) -> np.ndarray: ...
    @property
    def molecules(self) -> np.ndarray: ...
    @property
    def topology(self) -> md.Topology: ...


def label(atom: md.core.topology.Atom) -> str:
    """Return the name of an atom or bead with its residue, for example "ALA2:CB"."""
    return f"{atom.residue.name}{atom.residue.resSeq}:{atom.name}"


@dataclass(frozen=True, eq=False)
class MoleculeKind:
    """Molecules that are alike in atoms, beads and the pattern of bead types.

    All indices but `instances` count within the molecule.

    Attributes
    ----------
    name : str
        Residue names.
    instances : (n_molecules, n_beads) int64
        Beads of every such molecule, as indices of the mapping.
    elements : (n_atoms,) int64
        Atomic numbers.
    bonds : (n_bonds, 2) int64
        Bonded atoms.
    matrix : (n_beads, n_atoms) csr_array
        Weights.
    types : (n_beads,) int64
        Bead types of the first molecule.
    type_names : list of str
        Name of the type of every bead.
    bead_bonds : (n_bead_bonds, 2) int64
    atom_labels, bead_labels : list of str
        As `label` gives them, of the first molecule.
    bead_names : list of tuple of str
        (name, residue name) of every bead.
    """

    name: str
    instances: np.ndarray
    elements: np.ndarray
    bonds: np.ndarray
    matrix: sparse.csr_array
    types: np.ndarray
    type_names: list[str]
    bead_bonds: np.ndarray
    atom_labels: list[str]
    bead_labels: list[str]
    bead_names: list[tuple[str, str]]

    @property
    def beads(self) -> np.ndarray:
        """Beads of the first molecule, as indices of the mapping."""
        return np.asarray(self.instances[0])

    @property
    def n_molecules(self) -> int:
        """Number of such molecules."""
        return len(self.instances)

    @cached_property
    def atom_graph(self) -> nx.Graph:
        """Atoms and bonds."""
        graph = nx.Graph()
        graph.add_nodes_from(range(len(self.elements)))
        graph.add_edges_from(self.bonds.tolist())
        return graph

    @cached_property
    def bead_graph(self) -> nx.Graph:
        """Beads and their bonds, with the type names as attribute ``name``."""
        graph = nx.Graph()
        graph.add_nodes_from((i, {"name": name}) for i, name in enumerate(self.type_names))
        graph.add_edges_from(self.bead_bonds.tolist())
        return graph

    @cached_property
    def beads_of_atom(self) -> list[list[int]]:
        """Beads that each atom has a weight in."""
        columns = sparse.csc_array(self.matrix)
        return [
            columns.indices[columns.indptr[a] : columns.indptr[a + 1]].tolist()
            for a in range(columns.shape[1])
        ]

    def atomistic(self, bead_colours: np.ndarray) -> ColouredGraph:
        """Return the graph of atoms by element and, after them, beads tied to their atoms.

        Its automorphisms are those of the molecule that turn beads into beads.
        """
        n_atoms = len(self.elements)
        members = self.matrix.tocoo()
        # Weights of equal beads differ by rounding only.
        _, weight_class = np.unique(np.round(members.data, 9), return_inverse=True)
        ties = np.stack([members.col, members.row + n_atoms], axis=1).astype(np.int64)
        return ColouredGraph(
            colours=np.concatenate([self.elements, bead_colours + self.elements.max() + 1]),
            edges=np.concatenate([self.bonds, ties]),
            tags=np.concatenate([np.zeros(len(self.bonds), np.int64), 1 + weight_class]),
        )


def molecule_kinds(mapping: Mapping) -> list[MoleculeKind]:
    """Sort the molecules of a mapping into kinds, in the order of `Mapping.molecule_groups`.

    The groups may hold molecules with other types (a list of types may name any): these are
    other kinds.
    """
    atoms = list(mapping.atomistic.atoms)
    beads = list(mapping.topology.atoms)
    bonds = np.array(
        [(a.index, b.index) for a, b in mapping.atomistic.bonds], dtype=np.int64
    ).reshape(-1, 2)
    kinds = []
    for group in mapping.molecule_groups:
        patterns = np.array([_pattern(mapping.types[row]) for row in group.beads])
        _, first, which = np.unique(patterns, axis=0, return_index=True, return_inverse=True)
        for number, row in enumerate(first):
            own_atoms, own_beads = group.atoms[row], group.beads[row]
            kinds.append(
                MoleculeKind(
                    name=group.name,
                    instances=group.beads[which.reshape(-1) == number],
                    elements=np.array(
                        [getattr(atoms[a].element, "number", 0) for a in own_atoms], np.int64
                    ),
                    bonds=_within(bonds, own_atoms, len(atoms)),
                    matrix=sparse.csr_array(mapping.sparse[own_beads][:, own_atoms]),
                    types=mapping.types[own_beads],
                    type_names=[mapping.type_names[t] for t in mapping.types[own_beads]],
                    bead_bonds=_within(mapping.bonds, own_beads, len(beads)),
                    atom_labels=[label(atoms[a]) for a in own_atoms],
                    bead_labels=[label(beads[b]) for b in own_beads],
                    bead_names=[(beads[b].name, beads[b].residue.name) for b in own_beads],
                )
            )
    return kinds


def _pattern(types: np.ndarray) -> np.ndarray:
    """Number types by first appearance: equal for molecules that differ in names alone."""
    _, first, inverse = np.unique(types, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse.reshape(-1)]


def _within(pairs: np.ndarray, members: np.ndarray, total: int) -> np.ndarray:
    """Return the pairs among `members` in local indices."""
    local = np.full(total, -1, dtype=np.int64)
    local[members] = np.arange(len(members))
    renamed = local[pairs.reshape(-1, 2)]
    return renamed[(renamed >= 0).all(axis=1)]

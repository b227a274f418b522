"""Molecules that share one force map: the same atoms, beads, weights and constraints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import coo_array, csr_array

from openmmcg.data.force_maps.constraints import cluster_roots
from openmmcg.mapping import Mapping


@dataclass(frozen=True, eq=False)
class Template:
    """Like molecules and what they have in common.

    Attributes
    ----------
    name : str
    atoms : (n_molecules, n_atoms_per_molecule) int64
    beads : (n_molecules, n_beads_per_molecule) int64
    matrix : (n_beads_per_molecule, n_atoms_per_molecule) float64
        The molecule's block of M.
    clusters : (n_atoms_per_molecule,) int64
        Constraint cluster of every atom, 0-based; a free atom is a cluster of its own.
    given : (n_beads_per_molecule, n_atoms_per_molecule) float64 or None
        The first molecule's block of the force map that the mapping itself lists.
    """

    name: str
    atoms: np.ndarray
    beads: np.ndarray
    matrix: np.ndarray
    clusters: np.ndarray
    given: np.ndarray | None = None

    @cached_property
    def spread(self) -> np.ndarray:
        """The matrix C (atoms, clusters) that gives all atoms of a cluster its weight."""
        return np.eye(int(self.clusters.max()) + 1)[self.clusters]


def molecule_templates(mapping: Mapping, constraints: np.ndarray | None = None) -> list[Template]:
    """Return the templates of all molecules that have beads.

    Raises
    ------
    ValueError
        If a constraint names an atom that does not exist or ties two molecules together.
    """
    roots = cluster_roots(mapping.n_atoms, constraints)
    molecule = np.full(mapping.n_atoms, -1, dtype=np.int64)
    place = np.zeros(mapping.n_atoms, dtype=np.int64)
    for group in mapping.molecule_groups:
        molecule[group.atoms] = group.atoms[:, :1]
        place[group.atoms] = np.arange(group.atoms.shape[1])
    crossing = np.flatnonzero(molecule[roots] != molecule)
    if len(crossing):
        raise ValueError(
            f"A constraint ties atoms {roots[crossing[0]]} and {crossing[0]}, which bonds do not "
            "connect; add the missing bonds to the topology."
        )
    templates = []
    listed = mapping.force_weights
    for group in mapping.molecule_groups:
        local, kind = np.unique(place[roots[group.atoms]], axis=0, return_inverse=True)
        kind = kind.ravel()  # NumPy 2.0 alone gives it two axes
        for index, row in enumerate(local):
            atoms = group.atoms[kind == index]
            beads = group.beads[kind == index]
            templates.append(
                Template(
                    group.name,
                    atoms,
                    beads,
                    mapping.sparse[beads[0]][:, atoms[0]].toarray(),
                    np.unique(row, return_inverse=True)[1],
                    None if listed is None else listed[beads[0]][:, atoms[0]].toarray(),
                )
            )
    return templates


def assemble(
    mapping: Mapping, templates: Sequence[Template], blocks: Sequence[np.ndarray]
) -> csr_array:
    """Repeat each template's block (beads, atoms) for all its molecules: (n_beads, n_atoms)."""
    shape = (mapping.n_beads, mapping.n_atoms)
    return _repeat(shape, [(t.beads, t.atoms, b) for t, b in zip(templates, blocks, strict=True)])


def assemble_square(
    mapping: Mapping, templates: Sequence[Template], blocks: Sequence[np.ndarray]
) -> csr_array:
    """Repeat each template's block (beads, beads) for all its molecules: (n_beads, n_beads)."""
    shape = (mapping.n_beads, mapping.n_beads)
    return _repeat(shape, [(t.beads, t.beads, b) for t, b in zip(templates, blocks, strict=True)])


def _repeat(
    shape: tuple[int, int], parts: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]
) -> csr_array:
    rows, columns, values = [], [], []
    for first, second, block in parts:
        row, column = np.nonzero(block)
        rows.append(first[:, row].ravel())
        columns.append(second[:, column].ravel())
        values.append(np.tile(block[row, column], len(first)))
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    result = coo_array(entries, shape=shape).tocsr()
    result.sort_indices()
    return result

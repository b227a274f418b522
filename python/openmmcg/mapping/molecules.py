"""Molecules that are alike: what an encoding or a force map may treat as copies of each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import mdtraj as md
import numpy as np
from scipy import sparse


@dataclass(frozen=True, eq=False)
class MoleculeGroup:
    """Molecules with the same elements, bonds, beads and weights.

    Attributes
    ----------
    name : str
        Residue names of the molecule, for example "HEX" or "ACE-ALA-NME".
    atoms : (n_molecules, n_atoms_per_molecule) int64
        Atoms of every molecule, in the same order.
    beads : (n_molecules, n_beads_per_molecule) int64
        Beads of every molecule, in the same order.
    """

    name: str
    atoms: np.ndarray
    beads: np.ndarray


def group_molecules(
    topology: md.Topology,
    components: np.ndarray,
    matrix: sparse.csr_array,
    names: Sequence[str],
) -> list[MoleculeGroup]:
    """Sort the molecules that have beads into groups of equal ones.

    Parameters
    ----------
    topology : mdtraj.Topology
        Atoms and bonds.
    components : (n_atoms,) int64
        Molecule of every atom.
    matrix : (n_beads, n_atoms) csr_array
    names : sequence of str
        Bead names: molecules whose beads are called differently are not alike.

    Returns
    -------
    list of MoleculeGroup
        In the order of their first molecules; molecules without beads are left out.
    """
    bead_component = components[matrix.indices[matrix.indptr[:-1]]]
    beads_of = _members(bead_component)
    atoms_of = {part: atoms for part, atoms in _members(components).items() if part in beads_of}
    local = np.zeros(topology.n_atoms, dtype=np.int64)
    for atoms in atoms_of.values():
        local[atoms] = np.arange(len(atoms))
    bonds_of: dict[int, list[tuple[int, int]]] = {part: [] for part in atoms_of}
    for first, second in topology.bonds:
        part = int(components[first.index])
        if part in bonds_of:
            i, j = local[first.index], local[second.index]
            bonds_of[part].append((int(min(i, j)), int(max(i, j))))
    elements = [atom.element.symbol for atom in topology.atoms]
    alike: dict[tuple, list[int]] = {}
    for part, atoms in atoms_of.items():
        rows = tuple(
            (
                names[bead],
                local[matrix.indices[matrix.indptr[bead] : matrix.indptr[bead + 1]]].tobytes(),
                matrix.data[matrix.indptr[bead] : matrix.indptr[bead + 1]].tobytes(),
            )
            for bead in beads_of[part]
        )
        key = (tuple(elements[a] for a in atoms), tuple(sorted(bonds_of[part])), rows)
        alike.setdefault(key, []).append(part)
    ordered = sorted(alike.values(), key=lambda parts: atoms_of[parts[0]][0])
    labels = _distinct([_name(topology, atoms_of[parts[0]]) for parts in ordered])
    return [
        MoleculeGroup(
            label,
            np.array([atoms_of[part] for part in parts], dtype=np.int64),
            np.array([beads_of[part] for part in parts], dtype=np.int64),
        )
        for label, parts in zip(labels, ordered, strict=True)
    ]


def _members(labels: np.ndarray) -> dict[int, np.ndarray]:
    """Return the indices that carry each label, in the order of their first ones."""
    order = np.argsort(labels, kind="stable")
    values, starts = np.unique(labels[order], return_index=True)
    parts = np.split(order, starts[1:]) if len(values) else []
    by_label = {int(value): part for value, part in zip(values, parts, strict=True)}
    return dict(sorted(by_label.items(), key=lambda item: item[1][0]))


def _name(topology: md.Topology, atoms: np.ndarray) -> str:
    residues = dict.fromkeys(topology.atom(int(atom)).residue for atom in atoms)
    names = [residue.name for residue in residues]
    if len(names) <= 5:
        return "-".join(names)
    return f"{names[0]}-...-{names[-1]} ({len(names)} residues)"


def _distinct(names: list[str]) -> list[str]:
    """Number names that occur several times: "ALA", "ALA #2"."""
    seen: dict[str, int] = {}
    result = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        result.append(name if seen[name] == 1 else f"{name} #{seen[name]}")
    return result

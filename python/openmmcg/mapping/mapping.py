"""A mapping on a topology: the matrix M of R = M r, bead types, bonds, molecules and masses."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping as MappingABC
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

import mdtraj as md
import numpy as np
from scipy import sparse as sp

from openmmcg.mapping import graph as graphs
from openmmcg.mapping.definition import BeadTemplate, MappingDefinition
from openmmcg.mapping.encoding import BeadIdentity, Encoding, encode
from openmmcg.mapping.molecules import MoleculeGroup, group_molecules
from openmmcg.mapping.topology import as_mdtraj, bead_topology
from openmmcg.mapping.transform import Product, check_box, unwrapped_product

_HASH_BLOCK = 1 << 22
"""Numbers of the dense matrix that are hashed at a time."""


@dataclass(frozen=True, eq=False)
class Mapping:
    """Beads of one system, linear in the atoms: R = M r.

    Attributes
    ----------
    name : str
        Name of the mapping's definition.
    sparse : (n_beads, n_atoms) scipy.sparse.csr_array
        Non-negative weights; every row sums to 1. `matrix` is the same as a dense array.
    types : (n_beads,) int64
        0-based index into `type_names`.
    type_names : tuple of str
        Vocabulary of bead types.
    bonds : (n_bonds, 2) int64
        i < j, sorted: the molecular graph contracted onto beads. An unmapped atom counts to
        the bead nearest along bonds (of equally near ones, the lowest index).
    molecules : (n_beads,) int64
        0-based molecule of every bead.
    masses : (n_beads,) float64
        Da. Mass of all atoms that count to the bead, unmapped ones by the rule of `bonds`, so
        that the total mass of a molecule is kept.
    topology : mdtraj.Topology
        Beads with the residues and chains of the atomistic topology.
    atomistic : mdtraj.Topology
        The atoms that the mapping was made for.
    definition : MappingDefinition
        The templates this mapping was made from.
    """

    name: str
    sparse: sp.csr_array
    types: np.ndarray
    type_names: tuple[str, ...]
    bonds: np.ndarray
    molecules: np.ndarray
    masses: np.ndarray
    topology: md.Topology
    atomistic: md.Topology = field(repr=False)
    definition: MappingDefinition

    @property
    def n_beads(self) -> int:
        """Number of beads."""
        return int(self.sparse.shape[0])

    @property
    def n_atoms(self) -> int:
        """Number of atoms of the atomistic topology."""
        return int(self.sparse.shape[1])

    @cached_property
    def matrix(self) -> np.ndarray:
        """The matrix M (n_beads, n_atoms) as a dense float64 array."""
        return self.sparse.toarray()

    @cached_property
    def slice_atoms(self) -> np.ndarray:
        """Atom index (n_beads,) of every bead that is one atom, -1 for beads of several."""
        first = self.sparse.indices[self.sparse.indptr[:-1]].astype(np.int64)
        return np.where(np.diff(self.sparse.indptr) == 1, first, -1)

    @cached_property
    def molecule_groups(self) -> list[MoleculeGroup]:
        """Molecules that are alike, with their atoms and beads; those without beads left out."""
        names = [bead.name for bead in self.topology.atoms]
        return group_molecules(self.atomistic, self._components, self.sparse, names)

    @cached_property
    def _components(self) -> np.ndarray:
        return graphs.components(self.atomistic)

    @cached_property
    def _product(self) -> Product:
        return unwrapped_product(self.sparse, graphs.bonds(self.atomistic), self._components)

    @cached_property
    def hash(self) -> str:
        """SHA-256 (hex) over matrix, types, type names and bonds."""
        digest = hashlib.sha256()
        digest.update(json.dumps([self.sparse.shape, self.type_names]).encode())
        rows = max(1, _HASH_BLOCK // self.n_atoms)
        for start in range(0, self.n_beads, rows):
            digest.update(self.sparse[start : start + rows].toarray().astype("<f8").tobytes())
        digest.update(self.types.astype("<i8").tobytes())
        digest.update(self.bonds.astype("<i8").tobytes())
        return digest.hexdigest()

    def apply(self, positions: np.ndarray, box: np.ndarray | None = None) -> np.ndarray:
        """Map atom positions to bead positions.

        Parameters
        ----------
        positions : (..., n_atoms, 3) float32 or float64
            Atom positions in nm.
        box : (..., 3, 3), optional
            Box vectors as rows in reduced form, nm. If given, molecules are made whole first;
            without it they must be whole already.

        Returns
        -------
        (..., n_beads, 3) float64 array
            Bead positions in nm.

        Raises
        ------
        ValueError
            If the number of atoms differs from the mapping's, or the box is none in reduced form.
        """
        atoms = np.asarray(positions)
        if atoms.ndim < 2 or atoms.shape[-2:] != (self.n_atoms, 3):
            raise ValueError(
                f"Positions have shape {atoms.shape}, the mapping {self.name!r} needs "
                f"(..., {self.n_atoms}, 3); pass the atoms of the topology it was made for."
            )
        boxes = None if box is None else check_box(box, atoms.shape[:-2])
        return self._product(atoms, boxes)

    def to_dict(self) -> dict[str, Any]:
        """Return the definition as JSON-able values, see `from_dict`."""
        return self.definition.to_dict()

    @classmethod
    def from_dict(cls, data: MappingABC[str, Any], topology: Any) -> Mapping:
        """Apply a definition (as from `to_dict`) to an MDTraj or OpenMM topology.

        Raises
        ------
        ValueError
            As `from_definition` and `MappingDefinition.from_dict`.
        """
        return cls.from_definition(MappingDefinition.from_dict(data), topology)

    @classmethod
    def from_yaml(
        cls, path: str | os.PathLike[str], topology: Any, encoding: Encoding | None = None
    ) -> Mapping:
        """Apply the definition in a YAML file to an MDTraj or OpenMM topology.

        `encoding` replaces the file's own. Raises as `from_definition` and
        `MappingDefinition.load`.
        """
        return cls.from_definition(MappingDefinition.load(path), topology, encoding)

    @classmethod
    def builtin(cls, name: str, topology: Any, encoding: Encoding | None = None) -> Mapping:
        """Apply a built-in mapping (see `builtins`) to an MDTraj or OpenMM topology.

        Parameters
        ----------
        name : str
            For example "core" or "core-beta".
        topology : mdtraj.Topology or openmm.app.Topology
        encoding : str or dict, optional
            Replaces the default "element", see `openmmcg.mapping.ENCODINGS`.

        Raises
        ------
        ValueError
            If there is no such mapping, or it does not fit the topology.
        """
        if name not in builtins():
            raise ValueError(
                f"Unknown mapping {name!r}; built-in mappings are {', '.join(builtins())}. "
                "Your own mapping is read from a YAML file."
            )
        return cls.from_yaml(_BUILTIN / f"{name}.yaml", topology, encoding)

    @classmethod
    def from_definition(
        cls, definition: MappingDefinition, topology: Any, encoding: Encoding | None = None
    ) -> Mapping:
        """Apply a definition to an MDTraj or OpenMM topology.

        Raises
        ------
        ValueError
            If a selection cannot be read or is empty (and not optional), an atom is claimed by
            two beads, no residue is covered, or the topology has no bonds.
        """
        if encoding is not None:
            definition = replace(definition, encoding=encoding)
        atomistic = as_mdtraj(topology)
        graph = graphs.molecular_graph(atomistic)
        names, members, weights = _place_beads(definition, atomistic)
        beads = np.repeat(np.arange(len(names)), [len(atoms) for atoms in members])
        matrix = sp.csr_array(
            (np.concatenate(weights), (beads, np.concatenate(members))),
            shape=(len(names), atomistic.n_atoms),
        )
        matrix.eliminate_zeros()
        owner = graphs.nearest_bead(graph, _claims(names, members, atomistic))
        bonds = graphs.contracted_bonds(graph, owner)
        types, type_names = encode(_identities(names, members, atomistic), definition.encoding)
        masses = np.bincount(
            owner[owner >= 0],
            weights=_atom_masses(atomistic)[owner >= 0],
            minlength=len(names),
        )
        return cls(
            name=definition.name,
            sparse=matrix,
            types=types,
            type_names=type_names,
            bonds=bonds,
            molecules=graphs.bead_molecules(graph, owner, len(names)),
            masses=masses,
            topology=bead_topology(atomistic, names, members, bonds),
            atomistic=atomistic,
            definition=definition,
        )


_BUILTIN = Path(str(files("openmmcg.mapping") / "builtin"))


def builtins() -> list[str]:
    """Return the names of the built-in mappings."""
    return sorted(path.stem for path in _BUILTIN.glob("*.yaml"))


def load_mapping(source: str, topology: Any, encoding: Encoding | None = None) -> Mapping:
    """Return a mapping by the name of a built-in one or the path of a YAML file.

    Raises
    ------
    ValueError
        If `source` is neither, or the mapping does not fit the topology.
    FileNotFoundError
        If `source` ends in .yaml or .yml and there is no such file.
    """
    if Path(source).suffix in {".yaml", ".yml"}:
        return Mapping.from_yaml(source, topology, encoding)
    return Mapping.builtin(source, topology, encoding)


def _place_beads(
    definition: MappingDefinition, topology: md.Topology
) -> tuple[list[str], list[np.ndarray], list[np.ndarray]]:
    """Return name, atom indices and weights of all beads in the order of residues."""
    chosen: dict[int, tuple[BeadTemplate, ...]] = {}
    selected: dict[str, np.ndarray] = {}
    for template in definition.templates:
        for atom in _select(topology, template.residues):
            chosen.setdefault(topology.atom(int(atom)).residue.index, template.beads)
        for bead in template.beads:
            if bead.select not in selected:
                selected[bead.select] = _select(topology, bead.select)
    names: list[str] = []
    members: list[np.ndarray] = []
    weights: list[np.ndarray] = []
    for index in sorted(chosen):
        residue = topology.residue(index)
        inside = np.array([atom.index for atom in residue.atoms])
        for bead in chosen[index]:
            atoms = np.intersect1d(inside, selected[bead.select])
            if len(atoms) == 0:
                if bead.optional:
                    continue
                raise ValueError(
                    f"Bead {bead.name!r} of residue {residue} selects no atom with "
                    f"{bead.select!r}; correct the selection or mark the bead optional."
                )
            names.append(bead.name)
            members.append(atoms)
            weights.append(_bead_weights(bead, atoms, topology))
    if not names:
        raise ValueError(
            f"The mapping {definition.name!r} makes no bead of this topology: its residue "
            "selections match nothing. Residues found: "
            + ", ".join(sorted({r.name for r in topology.residues}))
            + "."
        )
    return names, members, weights


def _select(topology: md.Topology, selection: str) -> np.ndarray:
    try:
        return np.asarray(topology.select(selection))
    except Exception as error:  # MDTraj raises whatever its parser met
        raise ValueError(
            f"MDTraj cannot read the selection {selection!r}: {str(error).splitlines()[0]}"
        ) from error


def _bead_weights(bead: BeadTemplate, atoms: np.ndarray, topology: md.Topology) -> np.ndarray:
    if len(atoms) == 1:
        return np.ones(1)
    if bead.weights == "mass":
        raw = _atom_masses(topology)[atoms]
    elif bead.weights == "geometric":
        raw = np.ones(len(atoms))
    else:
        raw = np.array(bead.weights, dtype=np.float64)
        if len(raw) != len(atoms):
            raise ValueError(
                f"Bead {bead.name!r} has {len(raw)} weights for the {len(atoms)} atoms of "
                f"{bead.select!r}; give one weight per atom."
            )
    if not np.all(raw >= 0) or not raw.sum() > 0:
        raise ValueError(
            f"Bead {bead.name!r} has weights {raw.tolist()}; weights must not be negative and "
            "their sum must be positive."
        )
    return np.asarray(raw / raw.sum())


def _claims(names: list[str], members: list[np.ndarray], topology: md.Topology) -> dict[int, int]:
    """Return the bead of each mapped atom; an atom of two beads is an error."""
    claims: dict[int, int] = {}
    for bead, atoms in enumerate(members):
        for atom in map(int, atoms):
            if atom in claims:
                raise ValueError(
                    f"Atom {topology.atom(atom)} is claimed by the beads "
                    f"{names[claims[atom]]!r} and {names[bead]!r}; each atom may belong to one "
                    "bead only."
                )
            claims[atom] = bead
    return claims


def _identities(
    names: list[str], members: list[np.ndarray], topology: md.Topology
) -> list[BeadIdentity]:
    result = []
    for name, atoms in zip(names, members, strict=True):
        residue = topology.atom(int(atoms[0])).residue
        elements = tuple(topology.atom(int(a)).element.symbol for a in atoms)
        result.append(BeadIdentity(name, residue.name, residue.resSeq, elements))
    return result


def _atom_masses(topology: md.Topology) -> np.ndarray:
    return np.array([atom.element.mass for atom in topology.atoms], dtype=np.float64)

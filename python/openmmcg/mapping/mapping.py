"""A mapping on a topology: the matrix M of R = M r, bead types, bonds, molecules and masses."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping as MappingABC
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mdtraj as md
import numpy as np
from scipy import sparse as sp

from openmmcg.mapping import assembly
from openmmcg.mapping import graph as graphs
from openmmcg.mapping.checks import check_matrix
from openmmcg.mapping.definition import MappingDefinition
from openmmcg.mapping.encoding import Encoding, encode
from openmmcg.mapping.library import builtin_definition
from openmmcg.mapping.molecules import MoleculeGroup, group_molecules
from openmmcg.mapping.openmscg_writer import write_openmscg
from openmmcg.mapping.placement import place_beads
from openmmcg.mapping.schema import read_yaml
from openmmcg.mapping.topology import as_mdtraj, bead_topology
from openmmcg.mapping.transform import Product, check_box, unwrapped_product

if TYPE_CHECKING:
    import openmm.app

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
    molecule_groups : list of MoleculeGroup
        Molecules that are alike, with their atoms and beads; those without beads are left out.
    force_weights : (n_beads, n_atoms) scipy.sparse.csr_array or None
        Force map B that the definition itself lists (``f-weight`` of OpenMSCG), B Mᵀ = 1.
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
    molecule_groups: list[MoleculeGroup] = field(repr=False)
    force_weights: sp.csr_array | None = field(default=None, repr=False)

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
    def _product(self) -> Product:
        return unwrapped_product(
            self.sparse, graphs.bonds(self.atomistic), graphs.components(self.atomistic)
        )

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

        A file of OpenMSCG is recognised by its ``site-types``, see `from_openmscg`. `encoding`
        replaces the file's own. Raises as `from_definition` and `MappingDefinition.load`.
        """
        return cls.from_definition(MappingDefinition.load(path), topology, encoding)

    @classmethod
    def builtin(cls, name: str, topology: Any, encoding: Encoding | None = None) -> Mapping:
        """Apply a built-in mapping (see `builtins`) to an MDTraj or OpenMM topology.

        Parameters
        ----------
        name : str
            For example "core-beta" or "hexane-three".
        topology : mdtraj.Topology or openmm.app.Topology
        encoding : str or dict, optional
            Replaces that of the built-in mapping, see `openmmcg.mapping.ENCODINGS`.

        Raises
        ------
        ValueError
            If there is no such mapping, or it does not fit the topology.
        """
        return cls.from_definition(builtin_definition(name), topology, encoding)

    @classmethod
    def from_openmscg(
        cls,
        path: str | os.PathLike[str],
        topology: Any,
        encoding: Encoding | None = None,
        shared: bool = False,
    ) -> Mapping:
        """Apply an OpenMSCG mapping file (``site-types``) to an MDTraj or OpenMM topology.

        Site names become bead names and types. Beads are in the order of residues, within a
        residue in that of the file. Force weights become `force_weights`.

        Parameters
        ----------
        path : path-like
        topology : mdtraj.Topology or openmm.app.Topology
            Its atoms are counted from 0 in the file.
        encoding : str or dict, optional
            Replaces the site names as types, see `openmmcg.mapping.ENCODINGS`.
        shared : bool
            Whether an atom may lie in several beads.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is malformed, names atoms outside the topology, or its force weights are
            not those of a force map.
        """
        definition = MappingDefinition.from_openmscg(
            read_yaml(path), Path(path).stem, where=str(path)
        )
        return cls.from_definition(replace(definition, shared=shared), topology, encoding)

    def to_openmscg(
        self, path: str | os.PathLike[str], force_map: sp.csr_array | np.ndarray | None = None
    ) -> None:
        """Write the mapping as an OpenMSCG mapping file.

        A bead type whose beads differ in their atoms' order or weights becomes several site
        types, "NAME", "NAME@2", ...; `from_openmscg` takes them as one bead type again. Bead
        names other than the type are lost.

        Parameters
        ----------
        path : path-like
            Written atomically.
        force_map : (n_beads, n_atoms), optional
            Becomes the force weights. Default: `force_weights`, or else 1 for each atom of a bead.
        """
        write_openmscg(path, self, force_map)

    def openmm_topology(self) -> openmm.app.Topology:
        """Return `topology` as an OpenMM topology; beads of several atoms have no element."""
        return self.topology.to_openmm()

    @classmethod
    def from_definition(
        cls, definition: MappingDefinition, topology: Any, encoding: Encoding | None = None
    ) -> Mapping:
        """Apply a definition to an MDTraj or OpenMM topology.

        Raises
        ------
        ValueError
            If a selection cannot be read or is empty (and not optional), weights do not fit, an
            atom is claimed by two beads that are not shared, a bead lies in two molecules, no
            bead comes out, or the topology has no bonds.
        """
        definition = definition.with_encoding(encoding)
        atomistic = as_mdtraj(topology)
        graph = graphs.molecular_graph(atomistic)
        components = graphs.components(atomistic)
        beads = place_beads(definition, atomistic, graph, components)
        matrix = assembly.bead_matrix(
            [(bead.atoms, bead.weights) for bead in beads], atomistic.n_atoms
        )
        owner = graphs.nearest_bead(graph, assembly.claims(beads, atomistic))
        bonds = graphs.contracted_bonds(graph, owner, matrix)
        masses = graphs.bead_masses(matrix, owner, assembly.atom_masses(atomistic))
        molecules = graphs.bead_molecules(matrix, components)
        cg_topology = bead_topology(atomistic, beads, bonds)
        check_matrix(matrix, masses, [str(bead) for bead in cg_topology.atoms])
        groups = group_molecules(atomistic, components, matrix, [bead.name for bead in beads])
        identities = assembly.identities(beads, atomistic, graph)
        types, type_names = encode(identities, definition.encoding, groups)
        return cls(
            name=definition.name,
            sparse=matrix,
            types=types,
            type_names=type_names,
            bonds=bonds,
            molecules=molecules,
            masses=masses,
            topology=cg_topology,
            atomistic=atomistic,
            definition=definition,
            molecule_groups=groups,
            force_weights=assembly.force_weights(beads, matrix, cg_topology),
        )


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

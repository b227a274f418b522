"""The CG topology of a model file as an OpenMM topology, and PDB files that keep its bonds."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import IO, Any

import numpy as np
from openmm.app import PDBFile, Topology

from openmmcg.files import atomic_path

LARGEST_SERIAL = 99999
"""PDB files hold five digits of an atom's number."""


def build_topology(template: Mapping[str, Any], replicas: int = 1) -> Topology:
    """Repeat a molecule template as an OpenMM topology.

    Parameters
    ----------
    template : mapping
        Entry ``topology`` of a model card.
    replicas : int
        Copies; beads of replica r are n r .. n (r + 1) - 1.

    Returns
    -------
    openmm.app.Topology
        One chain for each molecule of each replica; beads have no element.
    """
    result = Topology()
    molecules = template["molecules"]
    for replica in range(replicas):
        atoms = []
        previous: tuple[Any, ...] | None = None
        for bead, (name, residue) in enumerate(
            zip(template["names"], template["residues"], strict=True)
        ):
            molecule = molecules[bead]
            if previous is None or previous[0] != molecule:
                chain = result.addChain(chr(ord("A") + replica % 26))
                previous = None
            if previous != (molecule, *residue):
                current = result.addResidue(str(residue[0]), chain, id=str(residue[1]))
                previous = (molecule, *residue)
            atoms.append(result.addAtom(name, None, current))
        for first, second in template["bonds"]:
            result.addBond(atoms[first], atoms[second])
    return result


def write_pdb(path: str | os.PathLike[str], topology: Topology, positions: np.ndarray) -> None:
    """Write a PDB file with a CONECT record for every bond.

    OpenMM's own writer leaves out bonds within standard residues, as readers know those of
    atoms; beads have others. Beyond 99999 beads, where numbers no longer fit, the records are
    left out.

    Parameters
    ----------
    path : path-like
        Written atomically.
    topology : openmm.app.Topology
        Beads.
    positions : ndarray, (N, 3)
        nm.
    """
    with atomic_path(path) as temporary, open(temporary, "w") as handle:
        angstrom = np.asarray(positions) * 10.0
        PDBFile.writeModel(topology, angstrom, handle, keepIds=True, extraParticleIdentifier="")
        _write_bonds(topology, handle)
        print("END", file=handle)


def _write_bonds(topology: Topology, handle: IO[str]) -> None:
    serials: dict[Any, int] = {}
    for number, chain in enumerate(topology.chains()):
        for atom in chain.atoms():
            # Every chain before this one has ended with a TER record, which takes a number.
            serials[atom] = atom.index + 1 + number
    if not serials or max(serials.values()) > LARGEST_SERIAL:
        return
    partners: dict[int, list[int]] = {}
    for first, second in topology.bonds():
        for one, other in ((serials[first], serials[second]), (serials[second], serials[first])):
            partners.setdefault(one, []).append(other)
    for serial, others in sorted(partners.items()):
        for start in range(0, len(others), 4):
            numbers = "".join(f"{other:5d}" for other in others[start : start + 4])
            print(f"CONECT{serial:5d}{numbers}", file=handle)

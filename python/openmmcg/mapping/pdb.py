"""PDB files of beads that keep their bonds."""

from __future__ import annotations

import os
from typing import IO, TYPE_CHECKING, Any

import mdtraj as md
import numpy as np

from openmmcg.files import atomic_path
from openmmcg.mapping.transform import check_box

if TYPE_CHECKING:
    from openmm.app import Topology

    from openmmcg.mapping.mapping import Mapping

LARGEST_SERIAL = 99999
"""PDB files hold five digits of an atom's number."""


def write_pdb(
    mapping: Mapping,
    positions: np.ndarray,
    path: str | os.PathLike[str],
    box: np.ndarray | None = None,
) -> None:
    """Write the beads of a mapping as a PDB file with a CONECT record for every bond.

    Parameters
    ----------
    mapping : Mapping
    positions : (n_beads, 3) or (n_frames, n_beads, 3)
        Bead positions in nm, as from `Mapping.apply`; several frames become models.
    path : path-like
        Written atomically.
    box : (3, 3), optional
        Box vectors as rows in reduced form, nm; becomes the CRYST1 record.

    Raises
    ------
    ValueError
        If the number of beads differs from the mapping's, or the box is none in reduced form.
    """
    write_topology_pdb(path, mapping.openmm_topology(), positions, box)


def write_topology_pdb(
    path: str | os.PathLike[str],
    topology: Topology,
    positions: np.ndarray,
    box: np.ndarray | None = None,
) -> None:
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
    positions : ndarray, (N, 3) or (F, N, 3)
        nm; several frames become models.
    box : ndarray, (3, 3), optional
        Box vectors as rows in reduced form, nm; becomes the CRYST1 record.

    Raises
    ------
    ValueError
        If the positions' shape does not fit, or the box is none in reduced form.
    """
    from openmm.app import PDBFile

    angstrom = np.asarray(positions, dtype=np.float64) * 10.0
    n_beads = topology.getNumAtoms()
    if angstrom.ndim not in (2, 3) or angstrom.shape[-2:] != (n_beads, 3):
        raise ValueError(
            f"Positions have shape {angstrom.shape}, expected ({n_beads}, 3) or (frames, "
            f"{n_beads}, 3); pass those of the beads."
        )
    with atomic_path(path) as temporary, open(temporary, "w") as handle:
        if box is not None:
            _write_box(check_box(box, ()), handle)
        models = angstrom if angstrom.ndim == 3 else [angstrom]
        for number, model in enumerate(models, start=1):
            PDBFile.writeModel(
                topology,
                model,
                handle,
                modelIndex=number if angstrom.ndim == 3 else None,
                keepIds=True,
                extraParticleIdentifier="",
            )
        _write_bonds(topology, handle)
        print("END", file=handle)


def _write_box(box: np.ndarray, handle: IO[str]) -> None:
    a, b, c, *angles = md.utils.box_vectors_to_lengths_and_angles(*(box * 10.0))
    lengths = "".join(f"{float(x):9.3f}" for x in (a, b, c))
    print(
        f"CRYST1{lengths}{''.join(f'{float(x):7.2f}' for x in angles)} P 1           1 ",
        file=handle,
    )


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

"""Frames of all atoms in a file, whose beads are to be held."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import h5py
import mdtraj as md
import numpy as np

from openmmcg.data.sampling.all_atom import AtomFrames, topology_to_json


class StoredFrames:
    """Positions and boxes in a file of `atom_writer`, read in pieces.

    Parameters
    ----------
    path : path-like
    topology : mdtraj.Topology
        Of the system to be sampled; the file must hold the same atoms.

    Attributes
    ----------
    n_frames : int

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no such file, or holds other atoms.
    """

    def __init__(self, path: str | os.PathLike[str], topology: md.Topology) -> None:
        self._path = Path(path)
        if not self._path.is_file():
            raise FileNotFoundError(f"There is no file {path}; give frozen_frames another.")
        try:
            with h5py.File(self._path) as file:
                self.n_frames = len(file["coordinates"])
                stored = json.loads(file["topology"][0])
        except (OSError, KeyError, ValueError) as error:
            raise ValueError(
                f"{path} does not hold frames of all atoms ({error}); frozen_frames takes a file "
                "NAME.atoms.h5 that `openmm-cg sample --all_atom` wrote."
            ) from error
        if _names(stored) != _names(topology_to_json(topology)):
            raise ValueError(
                f"{path} holds frames of other atoms than the system; give the system that was "
                "sampled, or frames of this one."
            )

    def read(self, start: int, stop: int, walker: int, temperature: float) -> AtomFrames:
        """Return frames as those of a walker at a temperature; stored forces are not used."""
        rows = slice(start, stop)
        with h5py.File(self._path) as file:
            positions = file["coordinates"][rows].astype(np.float64)
            boxes = file["boxes"][rows] if "boxes" in file else None
            energies = file["potentialEnergy"][rows]
        count = len(positions)
        return AtomFrames(
            positions=positions,
            forces=np.zeros_like(positions),
            energies=energies,
            temperatures=np.full(count, temperature),
            walkers=np.full(count, walker),
            boxes=boxes,
        )


def _names(topology: Any) -> list[tuple[str, str, str]]:
    return [
        (residue["name"], atom["name"], atom["element"])
        for chain in topology["chains"]
        for residue in chain["residues"]
        for atom in residue["atoms"]
    ]

"""Structures: topology and positions from PDB and mmCIF files."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import openmm.app as app
from openmm import unit


def read_structure(path: str | os.PathLike[str]) -> tuple[app.Topology, np.ndarray]:
    """Return topology and positions (n_atoms, 3), nm, of the first model of a PDB or mmCIF file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it cannot be read or has no atoms.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f"There is no file {path}.")
    reader = app.PDBFile if Path(path).suffix.lower() == ".pdb" else app.PDBxFile
    try:
        found = reader(str(path))
        positions = np.array(found.getPositions(asNumpy=True).value_in_unit(unit.nanometer))
    except Exception as error:  # OpenMM's readers raise whatever they met
        raise ValueError(f"{path} is not a readable PDB or mmCIF file: {error}") from error
    if len(positions) == 0:
        raise ValueError(f"{path} has no atoms.")
    return found.topology, positions

"""Topologies and constraints that the user names by a file or a word."""

from __future__ import annotations

from pathlib import Path

import mdtraj as md
import numpy as np

from openmmcg.data.dataset import Dataset
from openmmcg.data.force_maps.constraints import constraint_pairs
from openmmcg.mapping.linting import hydrogen_constraints


def read_topology(path: str) -> md.Topology:
    """Read an atomistic topology with bonds.

    Parameters
    ----------
    path : str
        PDB, GRO, PRMTOP, PSF or another format that MDTraj reads; or a dataset, for the topology
        of the atoms that it was mapped from. Standard bonds are added to files that have none.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it cannot be read.
    """
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"There is no topology file {file}.")
    if file.suffix.lower() in {".h5", ".hdf5"}:
        with Dataset.open(file) as dataset:
            if dataset.atomistic is None:
                raise ValueError(
                    f"{file} does not hold the atomistic topology; give a PDB or PRMTOP file."
                )
            return dataset.atomistic
    try:
        topology = md.load_topology(str(file))
    except Exception as error:  # each of MDTraj's readers raises its own
        raise ValueError(
            f"MDTraj cannot read a topology from {file} ({str(error).splitlines()[0]}); give a "
            "PDB, GRO or PRMTOP file."
        ) from error
    if topology.n_bonds == 0:
        topology.create_standard_bonds()
    return topology


def read_constraints(source: str, topology: md.Topology) -> np.ndarray:
    """Return constraints (n_constraints, 2) by a word or a file.

    Parameters
    ----------
    source : str
        "none"; "hbonds" (all bonds of hydrogens, and rigid water); or the XML file of an OpenMM
        System.
    topology : mdtraj.Topology

    Raises
    ------
    FileNotFoundError
        If it is neither word and there is no such file.
    ValueError
        If the file is no System, or one of another topology.
    """
    if source == "none":
        return np.zeros((0, 2), dtype=np.int64)
    if source == "hbonds":
        return hydrogen_constraints(topology)
    if not Path(source).is_file():
        raise FileNotFoundError(
            f"constraints is {source!r}, expected none, hbonds, or the XML file of an OpenMM System."
        )
    import openmm

    try:
        system = openmm.XmlSerializer.deserialize(Path(source).read_text())
    except (openmm.OpenMMException, ValueError) as error:
        raise ValueError(f"{source} is not a System in OpenMM's XML ({error}).") from error
    if not isinstance(system, openmm.System):
        raise ValueError(f"{source} holds {type(system).__name__}, expected an OpenMM System.")
    if system.getNumParticles() != topology.n_atoms:
        raise ValueError(
            f"{source} has {system.getNumParticles()} particles, the topology {topology.n_atoms} "
            "atoms; both must be of the same system."
        )
    return constraint_pairs(system)

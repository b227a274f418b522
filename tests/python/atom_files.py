"""Trajectories of capped alanine with forces, in every format, for tests."""

from __future__ import annotations

import json

import h5py
import mdtraj as md
import numpy as np
import openmm
from mdtraj.formats import TRRTrajectoryFile
from openmmcg.data import MapConfig, Units, constraint_pairs, recipe
from scipy.io import netcdf_file

FRAMES = 60
KCAL = 4.184


class Alanine:
    """The molecule, and random frames of it with rigid hydrogens.

    Attributes
    ----------
    recipe : AtomisticSystem
    topology : mdtraj.Topology
    constraints : (12, 2) int
    frames : tuple
        Positions (nm), forces (kJ/mol/nm), boxes (nm) and energies (kJ/mol).
    """

    def __init__(self) -> None:
        self.recipe = recipe("capped-alanine")
        self.topology = md.Topology.from_openmm(self.recipe.topology)
        self.constraints = constraint_pairs(self.recipe.system)
        self.frames = _frames(self.recipe, self.constraints)

    def write_pdb(self, path):
        """Write the atoms with bonds; return the path."""
        with open(path, "w") as file:
            openmm.app.PDBFile.writeFile(self.recipe.topology, self.recipe.positions * 10, file)
        return path


def _frames(alanine, constraints):
    """Positions (nm), forces (kJ/mol/nm), boxes (nm), energies (kJ/mol); rigid hydrogens."""
    rng = np.random.default_rng(0)
    positions = alanine.positions + rng.normal(scale=0.01, size=(FRAMES, 22, 3))
    for i, j in constraints:
        heavy, hydrogen = (j, i) if 6 in (i, j) and i == 6 else (i, j)
        step = positions[:, hydrogen] - positions[:, heavy]
        length = np.linalg.norm(alanine.positions[i] - alanine.positions[j])
        positions[:, hydrogen] = (
            positions[:, heavy] + length * step / np.linalg.norm(step, axis=1)[:, None]
        )
    forces = rng.normal(scale=500, size=(FRAMES, 22, 3))
    boxes = np.tile(np.diag([3.0, 3.1, 3.2]), (FRAMES, 1, 1)) + rng.random((FRAMES, 1, 1)) * np.eye(
        3
    )
    energies = rng.normal(size=FRAMES) - 100
    return positions.astype("f4"), forces.astype("f4"), boxes.astype("f4"), energies


def write_trr(path, trajectory, box=True, forces=True, velocities=False):
    positions, atom_forces, boxes, _ = trajectory
    zeros = np.zeros(len(positions), "f4")
    with TRRTrajectoryFile(str(path), "w") as file:
        file._write(
            positions,
            zeros,
            zeros.astype("i4"),
            boxes if box else np.zeros_like(boxes),
            zeros,
            positions if velocities else None,
            atom_forces if forces else None,
        )
    return path


def write_npz(path, trajectory, save=np.savez, **extra):
    positions, forces, boxes, energies = trajectory
    save(
        path,
        coords=positions * 10,
        forces=forces / KCAL / 10,
        box=boxes * 10,
        energies=energies / KCAL,
        **extra,
    )
    return path


def write_hdf5(path, trajectory):
    positions, forces, boxes, energies = trajectory
    with h5py.File(path, "w") as file:
        arrays = {
            "positions": (positions * 10, "angstroms"),
            "forces": (forces, "kilojoules_per_mole/nanometer"),
            "boxes": (boxes * 10, "angstroms"),
            "energies": (energies / KCAL, "kcal/mol"),
        }
        for name, (array, unit) in arrays.items():
            file[name] = array
            file[name].attrs["units"] = unit
    return path


def write_mdtraj_hdf5(path, trajectory, topology):
    """The layout of MDTraj's HDF5 files, with forces beside the coordinates."""
    positions, forces, boxes, energies = trajectory
    chains = [
        {
            "index": c.index,
            "residues": [
                {
                    "index": r.index,
                    "name": r.name,
                    "resSeq": r.resSeq,
                    "segmentID": r.segment_id,
                    "atoms": [
                        {"index": a.index, "name": a.name, "element": a.element.symbol}
                        for a in r.atoms
                    ],
                }
                for r in c.residues
            ],
        }
        for c in topology.chains
    ]
    bonds = [[a.index, b.index] for a, b in topology.bonds]
    with h5py.File(path, "w") as file:
        for name, array, unit in [
            ("coordinates", positions, b"nanometers"),
            ("forces", forces, b"kilojoules_per_mole/nanometers"),
            ("cell_lengths", boxes[:, range(3), range(3)], b"nanometers"),
            ("cell_angles", np.full((FRAMES, 3), 90.0, "f4"), b"degrees"),
            ("potentialEnergy", energies, b"kilojoules_per_mole"),
        ]:
            file[name] = array
            file[name].attrs["units"] = unit
        text = json.dumps({"chains": chains, "bonds": bonds}).encode()
        file["topology"] = np.array([text])
    return path


def write_netcdf(path, trajectory, forces=True, positions=True):
    atom_positions, atom_forces, boxes, _ = trajectory
    with netcdf_file(str(path), "w", version=2) as file:
        file.Conventions = "AMBER"
        file.createDimension("frame", None)
        for name, size in (("atom", 22), ("spatial", 3), ("cell_spatial", 3)):
            file.createDimension(name, size)

        def add(name, dimensions, values, unit):
            variable = file.createVariable(name, "f4", dimensions)
            variable.units = unit
            variable[: len(values)] = values

        if positions:
            add("coordinates", ("frame", "atom", "spatial"), atom_positions * 10, "angstrom")
        if forces:
            values = atom_forces / KCAL / 10
            add("forces", ("frame", "atom", "spatial"), values, "kilocalorie/mole/angstrom")
        lengths = boxes[:, range(3), range(3)] * 10
        add("cell_lengths", ("frame", "cell_spatial"), lengths, "angstrom")
        add("cell_angles", ("frame", "cell_spatial"), np.full((FRAMES, 3), 90.0), "degree")
    return path


FORMATS = {
    "trr": lambda folder, t, top: write_trr(folder / "a.trr", t),
    "trr with velocities": lambda folder, t, top: write_trr(folder / "a.trr", t, velocities=True),
    "npz": lambda folder, t, top: write_npz(folder / "a.npz", t),
    "compressed npz": lambda folder, t, top: write_npz(folder / "a.npz", t, np.savez_compressed),
    "hdf5": lambda folder, t, top: write_hdf5(folder / "a.h5", t),
    "mdtraj hdf5": lambda folder, t, top: write_mdtraj_hdf5(folder / "a.h5", t, top),
    "netcdf": lambda folder, t, top: write_netcdf(folder / "a.nc", t),
}
NPZ_UNITS = Units("angstrom", "kcal/mol/angstrom", "kcal/mol")


def assert_close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-6)


def config_of(path, tmp_path, units=None, **options):
    units = units or Units()
    given = {
        "mapping": "core-beta",
        "temperature": 300.0,
        "output": str(tmp_path / "out.h5"),
        "force_map": "uniform",
        "length_unit": units.length,
        "force_unit": units.force,
        "energy_unit": units.energy,
    }
    return MapConfig(trajectory=str(path), **{**given, **options})

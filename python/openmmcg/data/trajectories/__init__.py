"""Readers of atomistic trajectories with forces, in pieces and in our units."""

from __future__ import annotations

import os
from pathlib import Path

from openmmcg.data.trajectories.arrays import ArrayTrajectory
from openmmcg.data.trajectories.base import AtomFrames, AtomTrajectory, Units
from openmmcg.data.trajectories.hdf5 import HDF5Trajectory
from openmmcg.data.trajectories.netcdf import NetCDFTrajectory
from openmmcg.data.trajectories.trr import TRRTrajectory

__all__ = ["AtomFrames", "AtomTrajectory", "Units", "open_trajectory"]

_HDF5 = b"\x89HDF"
_WITHOUT_FORCES = {
    ".xtc",
    ".dcd",
    ".pdb",
    ".gro",
    ".mdcrd",
    ".binpos",
    ".lammpstrj",
    ".tng",
    ".cif",
}


def open_trajectory(
    path: str | os.PathLike[str], units: Units | None = None, role: str = "positions"
) -> AtomTrajectory:
    """Open a trajectory of atoms by its suffix.

    Parameters
    ----------
    path : path-like
        .trr (GROMACS), .h5 or .hdf5, .npz or .npy (NumPy), .nc, .ncdf or .netcdf (AMBER).
    units : Units, optional
        Of files that do not state theirs.
    role : {"positions", "forces"}
        What an npy file holds.

    Returns
    -------
    AtomTrajectory
        It may hold positions only, or forces only; see `AtomTrajectory.holds`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the format is not known or holds no forces, the file is damaged, or units are missing.
    """
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"There is no trajectory {file}.")
    given = units or Units()
    suffix = file.suffix.lower()
    if suffix == ".trr":
        return TRRTrajectory(file, given)
    if suffix in {".npz", ".npy"}:
        return ArrayTrajectory(file, given, role)
    if suffix in {".h5", ".hdf5"} or (suffix in {".nc", ".ncdf", ".netcdf"} and _is_hdf5(file)):
        return HDF5Trajectory(file, given)
    if suffix in {".nc", ".ncdf", ".netcdf"}:
        return NetCDFTrajectory(file, given)
    reason = "that format holds no forces" if suffix in _WITHOUT_FORCES else "an unknown format"
    raise ValueError(
        f"{file}: {reason}; trajectories with forces are read from TRR, HDF5, npz, npy and AMBER "
        "NetCDF files."
    )


def _is_hdf5(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(len(_HDF5)) == _HDF5

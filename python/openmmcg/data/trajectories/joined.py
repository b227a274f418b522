"""Trajectories whose forces or energies lie in files of their own."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np

from openmmcg.data.trajectories.base import Arrays, AtomFrames, AtomTrajectory
from openmmcg.data.trajectories.units import energy_factor


class JoinedTrajectory(AtomTrajectory):
    """Positions of one trajectory, with forces of another or energies from a table.

    Parameters
    ----------
    main : AtomTrajectory
        Closed together with this one.
    forces : AtomTrajectory, optional
        Closed too.
    energies : (n_frames,), optional
        kJ/mol.

    Raises
    ------
    ValueError
        If frames or atoms differ.
    """

    def __init__(
        self,
        main: AtomTrajectory,
        forces: AtomTrajectory | None = None,
        energies: np.ndarray | None = None,
    ) -> None:
        self._main, self._forces, self._energies = main, forces, energies
        self.path = main.path
        self.n_frames, self.n_atoms = main.n_frames, main.n_atoms
        self.topology, self.constraints = main.topology, main.constraints
        self.damage, self.left_out = main.damage, main.left_out
        self.holds = main.holds
        if forces is not None:
            if "forces" not in forces.holds:
                raise ValueError(f"{forces.path} holds no forces.")
            if (forces.n_frames, forces.n_atoms) != (main.n_frames, main.n_atoms):
                raise ValueError(
                    f"{forces.path} has {forces.n_frames} frames of {forces.n_atoms} atoms, "
                    f"{main.path} {main.n_frames} of {main.n_atoms}; they do not belong together."
                )
            self.holds |= {"forces"}
        if energies is not None:
            if len(energies) != main.n_frames:
                raise ValueError(
                    f"There are {len(energies)} energies for the {main.n_frames} frames of "
                    f"{main.path}; give one for each frame."
                )
            self.holds |= {"energies"}

    def read(self, start: int, stop: int, stride: int = 1) -> AtomFrames:
        """Read some frames; see `AtomTrajectory.read`."""
        frames = self._main.read(start, stop, stride)
        if self._forces is not None:
            frames = replace(frames, forces=self._forces.read(start, stop, stride).forces)
        if self._energies is not None:
            frames = replace(frames, energies=self._energies[start:stop:stride])
        return frames

    def _read(self, start: int, stop: int, stride: int) -> Arrays:
        raise NotImplementedError("Joined trajectories are converted part by part.")

    def close(self) -> None:
        self._main.close()
        if self._forces is not None:
            self._forces.close()


def read_energies(path: str, unit: str | None) -> np.ndarray:
    """Read potential energies, one for each frame, in kJ/mol.

    Parameters
    ----------
    path : str
        .npy; .xvg of ``gmx energy`` (its last column, kJ/mol); or .csv of OpenMM's
        StateDataReporter (its column "Potential Energy (kJ/mole)").
    unit : str or None
        Of an npy file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it cannot be read or its unit is missing.
    """
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"There is no file of energies {file}.")
    try:
        if file.suffix == ".npy":
            values = np.load(file)
            if unit is None:
                raise ValueError("its unit is not known; give energy_unit, for example kJ/mol")
            values = values * energy_factor(unit)
        elif file.suffix == ".xvg":
            values = np.loadtxt(file, comments=["#", "@", "&"], ndmin=2)[:, -1]
        elif file.suffix == ".csv":
            values = _reporter_energies(file)
        else:
            raise ValueError("expected a .npy, .xvg or .csv file")
        if values.ndim != 1:
            raise ValueError(f"its shape is {values.shape}, expected one number for each frame")
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(f"Energies cannot be read from {file}: {error}.") from error
    return np.asarray(values, dtype=np.float64)


def _reporter_energies(path: Path) -> np.ndarray:
    with open(path, newline="") as file:
        rows = csv.reader(file)
        heads = [head.strip("#\"' ") for head in next(rows)]
        name = "Potential Energy (kJ/mole)"
        if name not in heads:
            raise ValueError(f"it has no column {name!r}")
        column = heads.index(name)
        return np.array([float(row[column]) for row in rows if row])

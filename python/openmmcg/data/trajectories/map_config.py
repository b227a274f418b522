"""Settings of `openmmcg.data.map_trajectories`."""

from __future__ import annotations

import glob
from dataclasses import asdict, dataclass
from typing import Any

from openmmcg.data.force_maps.fit import KINDS


@dataclass(frozen=True)
class MapConfig:
    """Settings for mapping atomistic trajectories with forces into a dataset.

    Attributes
    ----------
    trajectory : str or list of str
        Trajectories with positions and forces, such as run.trr, "run*.trr" or [a.npz, b.npz]:
        TRR, HDF5, npz, npy or AMBER NetCDF. Each is a walker of the dataset.
    mapping : str
        Name of a built-in mapping, or the path of a YAML file.
    temperature : float or None
        Of the simulation's thermostat, K; needed unless the file holds it.
    output : str
        The HDF5 dataset to write.
    topology : str or None
        Atoms with bonds (PDB, GRO, PRMTOP ...), or a dataset made of the same atoms; may be left
        out if the trajectory holds its topology.
    encoding : str or None
        How beads get their types, see `openmmcg.mapping.ENCODINGS`; None leaves it to the
        mapping.
    force_map : str
        Kind of the force map: "optimal" (least noise), "uniform" (the bead's atoms and those that
        constraints tie to them), "slice" (the bead's atoms alone; not allowed where that cuts a
        constraint), or "given" (force weights of an OpenMSCG mapping).
    constraints : str
        What the simulation kept rigid: "guess" (distances that do not vary), "none", "hbonds"
        (all bonds of hydrogens, and rigid water), or the XML file of the OpenMM System. A file
        that says so itself is believed instead of guessing.
    forces : str, list of str or None
        Files of forces that belong to the trajectories, such as mdfrc files of AMBER or npy.
    energies : str, list of str or None
        Files of potential energies: .npy, .xvg of gmx energy, or .csv of OpenMM's
        StateDataReporter.
    length_unit : str or None
        Of files that do not state it, such as angstrom.
    force_unit : str or None
        Of files that do not state it, such as kcal/mol/angstrom.
    energy_unit : str or None
        Of files that do not state it, such as kcal/mol.
    periodic : bool
        Whether to make molecules whole where the trajectory has a box, and to store it. Without,
        boxes are ignored and molecules must be whole.
    start : int
        First frame of each trajectory to map.
    stop : int or None
        First frame of each that is left out behind; None for all to the end.
    stride : int
        Map every n-th frame.
    fit_frames : int
        At most this many frames, evenly spaced, are used to fit and compare force maps.
    position_noise : float
        Standard deviation of noise to add to bead positions, nm; the labels then mix mapped forces
        with those of the noise (see docs/files.md).
    seed : int
        Of that noise.
    """

    trajectory: str | list[str]
    mapping: str
    temperature: float | None = None
    output: str = "dataset.h5"
    topology: str | None = None
    encoding: str | None = None
    force_map: str = "optimal"
    constraints: str = "guess"
    forces: str | list[str] | None = None
    energies: str | list[str] | None = None
    length_unit: str | None = None
    force_unit: str | None = None
    energy_unit: str | None = None
    periodic: bool = True
    start: int = 0
    stop: int | None = None
    stride: int = 1
    fit_frames: int = 2000
    position_noise: float = 0.0
    seed: int = 1

    def __post_init__(self) -> None:
        """Refuse settings that cannot be right; raise ValueError naming them."""
        if self.force_map not in KINDS:
            raise ValueError(f"Unknown force map {self.force_map!r}; there are {', '.join(KINDS)}.")
        if self.temperature is not None and not self.temperature > 0:
            raise ValueError(f"temperature is {self.temperature} K, expected more than 0.")
        for name, least in (("start", 0), ("stride", 1), ("fit_frames", 10), ("seed", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}, expected at least {least}.")
        if self.stop is not None and self.stop <= self.start:
            raise ValueError(f"stop is {self.stop}, expected more than start ({self.start}).")
        if not self.position_noise >= 0:
            raise ValueError(f"position_noise is {self.position_noise} nm, expected 0 or more.")

    def paths(self, name: str) -> list[str]:
        """Return the files that a setting names, patterns expanded and sorted.

        Raises
        ------
        FileNotFoundError
            If a pattern matches no file.
        """
        given = getattr(self, name) or []
        result: list[str] = []
        for entry in [given] if isinstance(given, str) else given:
            found = sorted(glob.glob(entry)) if glob.has_magic(entry) else [entry]
            if not found:
                raise FileNotFoundError(f"No file matches {entry} ({name}).")
            result += found
        return result

    def settings(self) -> dict[str, Any]:
        """Return all settings but the output, for the dataset's provenance."""
        settings = asdict(self)
        del settings["output"]
        return settings

"""Frames of a finished run, with the weights that undo its bias."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from openmmcg.files import atomic_path
from openmmcg.simulation.record import RECORD, read_record
from openmmcg.simulation.trajectory import read_dcd

TRAJECTORY = "trajectory.dcd"
WEIGHTS = "frames.h5"


@dataclass(frozen=True, eq=False)
class RunFrames:
    """What a run sampled.

    Attributes
    ----------
    positions : ndarray, (F, R, n_beads, 3)
        nm.
    weights : ndarray, (F, R)
        Thermodynamic weights, mean 1; all 1 without a bias.
    times : ndarray, (F,)
        ps.
    temperatures : ndarray, (F,)
        Of the thermostat and the model, K.
    frame_interval : float
        ps.
    box : ndarray, (3, 3), or None
        Periodic box vectors as rows, nm, of all frames; None without boundaries.
    exchanged : bool
        Whether replicas are exchanged with other temperatures between frames, so that they do not
        follow each other by dynamics.
    """

    positions: np.ndarray
    weights: np.ndarray
    times: np.ndarray
    temperatures: np.ndarray
    frame_interval: float
    box: np.ndarray | None = None
    exchanged: bool = False


def load_frames(folder: str | os.PathLike[str]) -> RunFrames:
    """Read the frames of a finished run.

    Parameters
    ----------
    folder : path-like
        Output folder of `run`.

    Raises
    ------
    FileNotFoundError
        If there is no finished run.
    ValueError
        If its files do not fit together, or it holds runs at several temperatures.
    """
    folder = Path(folder)
    if (folder / RECORD).is_file() and len(several := run_folders(folder)) > 1:
        raise ValueError(
            f"{folder} holds runs at several temperatures; read one of its folders "
            f"{', '.join(path.name for path in several)}."
        )
    if not (folder / WEIGHTS).is_file():
        raise FileNotFoundError(
            f"There is no finished run in {folder}: {WEIGHTS} is missing; "
            "`openmm-cg run` with the same settings completes it."
        )
    with h5py.File(folder / WEIGHTS, "r") as file:
        times, weights = file["times"][...], file["weights"][...]
        interval = float(file.attrs["frame_interval"])
        kelvin = file["temperatures"][...] if "temperatures" in file else None
    record = read_record(folder)
    if kelvin is None:  # of a version that knew one temperature
        kelvin = np.full(len(times), record["temperature"])
    box = None if record.get("box") is None else np.array(record["box"], dtype=np.float64)
    positions = read_positions(folder, weights.shape[1])
    if positions.shape[:2] != weights.shape:
        raise ValueError(
            f"{folder / TRAJECTORY} has {len(positions)} frames, but {WEIGHTS} beside it has "
            f"{len(weights)}; run `openmm-cg run` again with the same settings."
        )
    exchanged = len(record.get("temperatures", ())) > 1
    return RunFrames(positions, weights, times, kelvin, interval, box, exchanged)


def run_folders(folder: str | os.PathLike[str]) -> list[Path]:
    """Folders of a run that hold frames: one for each temperature, or its own."""
    folder = Path(folder)
    kelvins = read_record(folder).get("temperatures", [])
    own = [folder / f"{kelvin:g}K" for kelvin in kelvins]
    return own if len(own) > 1 and own[0].is_dir() else [folder]


def read_positions(folder: Path, replicas: int) -> np.ndarray:
    """Positions (F, replicas, n_beads, 3) float32 in nm from the trajectory of a run."""
    positions = read_dcd(folder / TRAJECTORY)
    return positions.reshape(len(positions), replicas, -1, 3)


def write_weights(
    folder: Path,
    frame_interval: float,
    temperatures: np.ndarray,
    bias_energies: np.ndarray,
    weights: np.ndarray,
) -> None:
    """Write temperatures (F,) in K, bias energies (F, R) in kJ/mol and weights (F, R), atomically."""
    with atomic_path(folder / WEIGHTS) as temporary, h5py.File(temporary, "w") as file:
        file.attrs["frame_interval"] = frame_interval
        times = frame_interval * np.arange(1, len(weights) + 1)
        for name, values, units in (
            ("times", times, "ps"),
            ("temperatures", temperatures, "K"),
            ("bias_energies", bias_energies, "kJ/mol"),
            ("weights", weights, "1"),
        ):
            file.create_dataset(name, data=values).attrs["units"] = units

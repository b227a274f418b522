"""Datasets as one npz file, written in pieces."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from openmmcg.data.dataset import Dataset
from openmmcg.data.frames import LAYOUT
from openmmcg.data.trajectories.base import Units
from openmmcg.data.trajectories.units import energy_factor, force_factor, length_factor
from openmmcg.files import atomic_path

_KINDS = {
    "positions": "length",
    "boxes": "length",
    "forces": "force",
    "force_errors": "force",
    "energies": "energy",
    "bias_energies": "energy",
    "thermal_forces": "force",  # per kelvin
    "thermal_force_errors": "force",
    "mean_energies": "energy",
    "mean_energy_errors": "energy",
}
_CHUNK = 1000
_FACTORS = {"length": length_factor, "force": force_factor, "energy": energy_factor}


def write_npz(dataset: Dataset, path: Path, units: Units) -> None:
    """Write all arrays over frames, with types, type_names, bonds, masses, molecules and units.

    Parameters
    ----------
    dataset : Dataset
    path : Path
        Replaced in one step.
    units : Units
        Our own if None.
    """
    names = {
        "length": units.length or "nm",
        "force": units.force or "kJ/mol/nm",
        "energy": units.energy or "kJ/mol",
    }
    present = dataset.arrays()
    with (
        atomic_path(path) as temporary,
        zipfile.ZipFile(temporary, "w", allowZip64=True) as archive,
    ):
        for name in (name for name in LAYOUT if name in present):
            kind = _KINDS.get(name)
            scale = 1.0 if kind is None else 1 / _FACTORS[kind](names[kind])
            _write_frames(archive, dataset, name, scale)
        for name in ("types", "type_names", "bonds", "molecules", "masses"):
            _write(archive, name, np.asarray(getattr(dataset, name)))
        for kind, unit in names.items():
            _write(archive, f"{kind}_unit", np.array(unit))


def _write_frames(archive: zipfile.ZipFile, dataset: Dataset, name: str, scale: float) -> None:
    """Write an array over frames in pieces; all files of an npz are written one after another."""
    dtype = np.dtype(LAYOUT[name].dtype)
    header: dict[str, Any] = {
        "descr": npy.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": (dataset.n_frames, *LAYOUT[name].frame_shape(dataset.n_beads)),
    }
    with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
        npy.write_array_header_1_0(stream, header)
        for start in range(0, dataset.n_frames, _CHUNK):
            values = dataset.read(name, slice(start, start + _CHUNK))
            scaled = values if scale == 1.0 else values * values.dtype.type(scale)
            stream.write(np.ascontiguousarray(scaled, dtype=dtype).tobytes())


def _write(archive: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
    with archive.open(f"{name}.npy", "w") as stream:
        npy.write_array(stream, array, allow_pickle=False)

"""Positions and forces of all atoms beside a dataset, in MDTraj's HDF5 format.

`NAME.atoms.h5` is a trajectory that MDTraj and tools built on it read (coordinates, cell_lengths,
cell_angles, topology, potentialEnergy), with the arrays forces, temperatures, weights, walkers,
boxes and constraints (pairs of atoms) more. Like the dataset's, forces and energies are without any bias, and frames
follow walker after walker.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

import h5py
import mdtraj as md
import numpy as np

from openmmcg.files import atomic_path

_CHUNK_BYTES = 1 << 20
_COPY_BYTES = 1 << 25
# Names and units as MDTraj has them.
_ARRAYS = {
    "positions": ("coordinates", "<f4", "nanometers"),
    "forces": ("forces", "<f4", "kilojoules/mole/nanometer"),
    "energies": ("potentialEnergy", "<f8", "kilojoules/mole"),
    "temperatures": ("temperatures", "<f8", "kelvin"),
    "walkers": ("walkers", "<i4", "dimensionless"),
    "boxes": ("boxes", "<f8", "nanometers"),
    "weights": ("weights", "<f8", "dimensionless"),
}


@dataclass(frozen=True, eq=False)
class AtomFrames:
    """Frames of all atoms.

    Attributes
    ----------
    positions, forces : (n_frames, n_atoms, 3)
        nm and kJ/mol/nm.
    energies, temperatures : (n_frames,)
        kJ/mol and K.
    walkers : (n_frames,) int
    boxes : (n_frames, 3, 3) or None
        nm.
    weights : (n_frames,) or None
    """

    positions: np.ndarray
    forces: np.ndarray
    energies: np.ndarray
    temperatures: np.ndarray
    walkers: np.ndarray
    boxes: np.ndarray | None = None
    weights: np.ndarray | None = None


@contextmanager
def atom_writer(
    path: str | os.PathLike[str] | None, topology: md.Topology, constraints: np.ndarray
) -> Iterator[Callable[[AtomFrames], None]]:
    """Write frames in pieces; the file appears when the block ends without error.

    Parameters
    ----------
    path : path-like or None
        None writes nothing.
    topology : mdtraj.Topology
    constraints : (n_constraints, 2) int
        Pairs of rigidly connected atoms.

    Yields
    ------
    callable
        ``write(frames)``.
    """
    if path is None:
        yield lambda frames: None
        return
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        for name, value in (
            ("conventions", "Pande"),
            ("conventionVersion", "1.1"),
            ("program", "MDTraj"),
            ("programVersion", md.__version__),
            ("application", "openmm-cg"),
        ):
            file.attrs[name] = np.bytes_(value)
        file["topology"] = np.array([np.bytes_(json.dumps(topology_to_json(topology)))])
        file["constraints"] = np.asarray(constraints, dtype=np.int64).reshape(-1, 2)
        yield lambda frames: _append(file, frames)


def merge_atoms(
    paths: Sequence[Path],
    output: str | os.PathLike[str],
    topology: md.Topology,
    constraints: np.ndarray,
    weights: np.ndarray,
) -> None:
    """Write the frames of several files of `atom_writer` to one, with their weights."""
    start = 0
    with atom_writer(output, topology, constraints) as write:
        for path in paths:
            for frames in read_atoms(path):
                stop = start + len(frames.positions)
                values = {field.name: getattr(frames, field.name) for field in fields(frames)}
                write(AtomFrames(**{**values, "weights": weights[start:stop]}))
                start = stop


def read_atoms(path: str | os.PathLike[str]) -> Iterator[AtomFrames]:
    """Yield the frames of a file of `atom_writer` in pieces of about 32 MiB."""
    with h5py.File(path) as file:
        n_frames, n_atoms, _ = file["coordinates"].shape
        size = max(1, _COPY_BYTES // (24 * n_atoms))
        for start in range(0, n_frames, size):
            rows = slice(start, start + size)
            yield AtomFrames(
                **{key: file[name][rows] for key, (name, _, _) in _ARRAYS.items() if name in file}
            )


def _append(file: h5py.File, frames: AtomFrames) -> None:
    for key, (name, dtype, units) in _ARRAYS.items():
        array = getattr(frames, key)
        if array is not None:
            _extend(file, name, array, dtype, units)
    if frames.boxes is not None:
        lengths, angles = _cell(frames.boxes)
        _extend(file, "cell_lengths", lengths, "<f4", "nanometers")
        _extend(file, "cell_angles", angles, "<f4", "degrees")


def _extend(file: h5py.File, name: str, array: np.ndarray, dtype: str, units: str) -> None:
    if name not in file:
        shape = array.shape[1:]
        frame_bytes = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        data = file.create_dataset(
            name,
            shape=(0, *shape),
            maxshape=(None, *shape),
            chunks=(max(1, min(1024, _CHUNK_BYTES // frame_bytes)), *shape),
            dtype=dtype,
        )
        data.attrs["units"] = np.bytes_(units)
    data = file[name]
    start = len(data)
    data.resize(start + len(array), axis=0)
    data[start:] = array


def _cell(boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return edge lengths (nm) and angles (degrees) of box vectors (n, 3, 3)."""
    lengths = np.linalg.norm(boxes, axis=-1)
    unit = boxes / lengths[..., None]
    pairs = ((1, 2), (0, 2), (0, 1))
    cosines = np.stack([np.sum(unit[:, i] * unit[:, j], axis=-1) for i, j in pairs], axis=-1)
    return lengths, np.degrees(np.arccos(cosines))


def topology_to_json(topology: md.Topology) -> dict[str, object]:
    """Return a topology as MDTraj's HDF5 files hold it."""
    return {
        "chains": [
            {
                "index": chain.index,
                "chain_id": chain.chain_id,
                "residues": [
                    {
                        "index": residue.index,
                        "name": residue.name,
                        "resSeq": residue.resSeq,
                        "segmentID": residue.segment_id,
                        "atoms": [
                            {
                                "index": atom.index,
                                "name": atom.name,
                                "element": atom.element.symbol,
                            }
                            for atom in residue.atoms
                        ],
                    }
                    for residue in chain.residues
                ],
            }
            for chain in topology.chains
        ],
        "bonds": [[a.index, b.index] for a, b in topology.bonds],
    }

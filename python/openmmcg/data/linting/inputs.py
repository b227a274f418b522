"""What `openmm-cg lint` reads of atoms: topology, evenly spaced frames, constraints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import mdtraj as md
import numpy as np

from openmmcg.data.inputs import read_constraints, read_topology
from openmmcg.data.trajectories import AtomTrajectory, open_trajectory
from openmmcg.mapping import Mapping
from openmmcg.mapping.linting import even_rows

_CHUNK = 50
_WITH_FORCES = {".trr", ".h5", ".hdf5", ".nc", ".ncdf", ".netcdf", ".npz"}
"""Formats of `openmmcg.data.trajectories`, which read any frame; MDTraj reads the others."""


@dataclass(frozen=True, eq=False)
class AtomInputs:
    """Mapping, bead positions (F, n_beads, 3), boxes (F, 3, 3) and constraints (n, 2) to lint.

    What is not known is None.
    """

    mapping: Mapping
    positions: np.ndarray | None
    boxes: np.ndarray | None
    constraints: np.ndarray | None


def read_atoms(
    make: Callable[[md.Topology], Mapping],
    topology: str | None,
    trajectory: str | None,
    constraints: str | None,
    frames: int,
) -> AtomInputs:
    """Read what is to be linted.

    Parameters
    ----------
    make : callable
        Makes the mapping of a topology.
    topology, trajectory : str, optional
        Files; without the first the second must hold the topology.
    constraints : str, optional
        See `openmmcg.data.inputs.read_constraints`; by default what the trajectory says.
    frames : int
        Number of frames to read, evenly spaced.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ValueError
        If a file cannot be read, the files do not fit together, or there is no topology.
    """
    if trajectory is None or Path(trajectory).suffix.lower() not in _WITH_FORCES:
        if topology is None:
            raise ValueError(f"{trajectory} holds no topology; give one.")
        atoms = read_topology(topology)
        mapping = make(atoms)
        positions = boxes = None
        if trajectory is not None:
            positions, boxes = _streamed(trajectory, mapping, frames)
        known = None
    else:
        with open_trajectory(trajectory) as opened:
            atoms = _topology(opened, topology)
            mapping = make(atoms)
            positions, boxes = _chosen(opened, mapping, frames)
            known = opened.constraints
    if constraints is not None:
        known = read_constraints(constraints, atoms)
    return AtomInputs(mapping, positions, boxes, known)


def _topology(trajectory: AtomTrajectory, path: str | None) -> md.Topology:
    atoms = trajectory.topology if path is None else read_topology(path)
    if atoms is None:
        raise ValueError(f"{trajectory.path} holds no topology; give one.")
    if atoms.n_atoms != trajectory.n_atoms:
        raise ValueError(
            f"The trajectory {trajectory.path} has {trajectory.n_atoms} atoms, the topology "
            f"{atoms.n_atoms}; both must be of the same system."
        )
    return atoms


def _chosen(
    trajectory: AtomTrajectory, mapping: Mapping, frames: int
) -> tuple[np.ndarray, np.ndarray | None]:
    if "positions" not in trajectory.holds or trajectory.n_frames == 0:
        raise ValueError(f"The trajectory {trajectory.path} has no positions.")
    kept, boxes = [], []
    for row in even_rows(trajectory.n_frames, frames).tolist():
        frame = trajectory.read(row, row + 1)
        assert frame.positions is not None
        kept.append(mapping.apply(frame.positions, frame.boxes)[0])
        boxes += [] if frame.boxes is None else [frame.boxes[0]]
    return np.array(kept), np.array(boxes) if boxes else None


def _streamed(path: str, mapping: Mapping, frames: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Map evenly spaced frames of a trajectory of unknown length, in little memory.

    Whenever twice as many as wanted are kept, every second one is dropped.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"There is no trajectory {path}.")
    kept: list[np.ndarray] = []
    boxes: list[np.ndarray] = []
    stride, number = 1, 0
    try:
        for chunk in md.iterload(path, top=mapping.atomistic, chunk=_CHUNK):
            rows = np.flatnonzero((number + np.arange(len(chunk))) % stride == 0)
            number += len(chunk)
            vectors = chunk.unitcell_vectors
            box = None if vectors is None else vectors[rows]
            kept += list(mapping.apply(chunk.xyz[rows], box))
            boxes += [] if box is None else list(box)
            while len(kept) >= 2 * frames:
                kept, boxes, stride = kept[::2], boxes[::2], 2 * stride
    except (OSError, RuntimeError, ValueError) as error:
        raise ValueError(
            f"The trajectory {path} cannot be read with the topology "
            f"({mapping.n_atoms} atoms): {error}"
        ) from error
    if not kept:
        raise ValueError(f"The trajectory {path} has no frames.")
    return np.array(kept), np.array(boxes) if len(boxes) == len(kept) else None

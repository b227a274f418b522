"""Trajectory and log files that can be cut back to a checkpoint and continued."""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np
from openmm import unit
from openmm.app import DCDFile, Topology

_COUNT_OFFSET = 8
_BOX_OFFSET = 48


class DCDTrajectory:
    """A DCD file whose length is known at every moment.

    Parameters
    ----------
    path : Path
        The file; a new one is begun when `frames` is 0.
    topology : openmm.app.Topology
        Beads of all replicas; the box, if it has one, is written with every frame.
    timestep : float
        ps.
    steps_per_frame : int
        Steps between frames.
    frames : int
        How many frames of an existing file to keep; what follows is cut off.

    Raises
    ------
    ValueError
        If an existing file has fewer frames or other beads.
    """

    def __init__(
        self, path: Path, topology: Topology, timestep: float, steps_per_frame: int, frames: int
    ) -> None:
        if frames:
            truncate_dcd(path, topology.getNumAtoms(), frames)
        self._file = open(path, "r+b" if frames else "w+b")  # noqa: SIM115 (see close)
        self._writer = DCDFile(
            self._file,
            topology,
            timestep * unit.picosecond,
            steps_per_frame,
            steps_per_frame,
            append=bool(frames),
        )

    def write(self, positions: np.ndarray) -> None:
        """Append a frame: positions (N, 3) in nm."""
        self._writer.writeModel(positions)

    def sync(self) -> None:
        """Have all frames on disk before a checkpoint refers to them."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def truncate_dcd(path: Path, beads: int, frames: int) -> None:
    """Cut a DCD file back to its first frames and correct its header.

    Parameters
    ----------
    path : Path
        The file.
    beads : int
        Beads it must have.
    frames : int
        Frames to keep.

    Raises
    ------
    FileNotFoundError
        If the file is missing.
    ValueError
        If it is not a DCD file of so many beads or is shorter than that.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing, but the checkpoint beside it counts {frames} frames; "
            "delete the folder to start again."
        )
    with open(path, "r+b") as handle:
        start, found, boxed = _header(handle, path)
        if found != beads:
            raise ValueError(
                f"{path} has {found} beads, the system has {beads}; delete the folder to start "
                "again."
            )
        length = start + frames * _frame_type(beads, boxed).itemsize
        if handle.seek(0, os.SEEK_END) < length:
            raise ValueError(
                f"{path} is shorter than the {frames} frames of the checkpoint beside it; "
                "delete the folder to start again."
            )
        handle.truncate(length)
        handle.seek(_COUNT_OFFSET)
        handle.write(struct.pack("<i", frames))


def read_dcd(path: Path) -> np.ndarray:
    """Read a DCD file that `DCDTrajectory` wrote: positions (F, N, 3) float32 in nm.

    Raises
    ------
    ValueError
        If it is not such a file.
    """
    with open(path, "rb") as handle:
        start, beads, boxed = _header(handle, path)
        handle.seek(start)
        axes = np.fromfile(handle, dtype=_frame_type(beads, boxed))["axes"]
    if len(axes) and (axes["begin"] != 4 * beads).any():
        raise ValueError(f"{path} is damaged; run again.")
    return np.ascontiguousarray(np.moveaxis(axes["values"], 1, 2)) / np.float32(10)


def _frame_type(beads: int, boxed: bool) -> np.dtype:
    """Layout of a frame: its unit cell, then x, y and z of all beads in angstrom, with sizes."""
    axis = np.dtype([("begin", "<i4"), ("values", "<f4", (beads,)), ("end", "<i4")])
    cell = [("cell", [("begin", "<i4"), ("values", "<f8", (6,)), ("end", "<i4")])]
    return np.dtype([*(cell if boxed else []), ("axes", axis, (3,))])


def _header(handle: IO[bytes], path: Path) -> tuple[int, int, bool]:
    """Where the first frame of an open DCD file begins, its beads, and whether it has a box."""
    head = handle.read(96)
    if len(head) == 96 and head[4:8] == b"CORD":
        title = struct.unpack("<i", head[92:96])[0]
        handle.seek(96 + title + 8)
        count = handle.read(4)
        if len(count) == 4:
            boxed = struct.unpack_from("<i", head, _BOX_OFFSET)[0] != 0
            return 96 + title + 16, int(struct.unpack("<i", count)[0]), boxed
    raise ValueError(f"{path} is not a DCD file; delete the folder to start again.")


class Log:
    """A CSV file of one row a frame that can be cut back like the trajectory.

    Parameters
    ----------
    path : Path
        The file; a new one is begun when `rows` is 0.
    columns : sequence of str
        Names with units.
    rows : int
        How many rows of an existing file to keep.

    Raises
    ------
    ValueError
        If an existing file has fewer rows.
    """

    def __init__(self, path: Path, columns: Sequence[str], rows: int) -> None:
        lines = [",".join(columns)]
        if rows:
            kept = path.read_text().splitlines()[: rows + 1] if path.is_file() else []
            if len(kept) < rows + 1:
                raise ValueError(
                    f"{path} has fewer than the {rows} rows of the checkpoint beside it; "
                    "delete the folder to start again."
                )
            lines = kept
        self._file = open(path, "w")  # noqa: SIM115 (see close)
        self._file.write("\n".join(lines) + "\n")

    def write(self, *values: float) -> None:
        """Append a row."""
        self._file.write(",".join(f"{value:.8g}" for value in values) + "\n")

    def sync(self) -> None:
        """Have all rows on disk before a checkpoint refers to them."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()

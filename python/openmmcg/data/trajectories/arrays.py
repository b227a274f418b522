"""Trajectories as NumPy arrays: npz with positions and forces, or one npy file of either."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from openmmcg.data.trajectories.base import Arrays, AtomTrajectory, Units, expect_shapes
from openmmcg.data.trajectories.hdf5 import NAMES


class _Column:
    """One array over frames, read in pieces; memory-mapping would count as used memory.

    Parameters
    ----------
    path : Path
    member : str or None
        Name of the array in an npz file; None for an npy file.

    Raises
    ------
    ValueError
        If it is no plain array of numbers in C order.
    """

    def __init__(self, path: Path, member: str | None) -> None:
        self._path = path
        self._member = member
        self._name = f"{path}" if member is None else f"{path}: {member}"
        self._stream: IO[bytes] | None = None
        self._rewind()
        if self.dtype.hasobject or self._fortran:
            kind = "Python objects" if self.dtype.hasobject else "Fortran order"
            raise ValueError(
                f"{self._name} is stored with {kind}; save it as a plain array of numbers "
                "(numpy.ascontiguousarray)."
            )

    def _rewind(self) -> None:
        self.close()
        self._stream = self._open()
        version = npy.read_magic(self._stream)
        read_header = {
            (1, 0): npy.read_array_header_1_0,
            (2, 0): npy.read_array_header_2_0,
        }.get(version, npy.read_array_header_2_0)
        self.shape, self._fortran, self.dtype = read_header(self._stream)
        self._begin = self._stream.tell()
        self._next = 0

    def _open(self) -> IO[bytes]:
        """Open the npy data; those of a member that is not compressed straight in the file."""
        if self._member is None:
            return open(self._path, "rb")
        with zipfile.ZipFile(self._path) as archive:
            entry = archive.getinfo(f"{self._member}.npy")
            if entry.compress_type != zipfile.ZIP_STORED:
                return archive.open(entry)
        file = open(self._path, "rb")  # noqa: SIM115 (closed by close)
        file.seek(entry.header_offset + 26)
        lengths = int.from_bytes(file.read(2), "little"), int.from_bytes(file.read(2), "little")
        file.seek(sum(lengths), 1)  # name and extra field of the local header
        return file

    def read(self, start: int, stop: int, stride: int) -> np.ndarray:
        """Return rows ``range(start, stop, stride)`` as native numbers."""
        row = int(np.prod(self.shape[1:])) * self.dtype.itemsize
        picked = range(self.shape[0])[start:stop:stride]
        if stride == 1:
            raw = self._bytes(start, len(picked) * row, row)
        else:
            raw = b"".join(self._bytes(index, row, row) for index in picked)
        values = np.frombuffer(raw, dtype=self.dtype).reshape(len(picked), *self.shape[1:])
        return values.astype(self.dtype.newbyteorder("="))

    def _bytes(self, index: int, count: int, row: int) -> bytes:
        """Read `count` bytes from row `index` on; compressed members only go forward."""
        if index < self._next and self._member is not None:
            self._rewind()
        assert self._stream is not None
        try:
            self._stream.seek(self._begin + index * row)
            raw = self._stream.read(count)
        except (zipfile.BadZipFile, EOFError, OSError) as error:
            raise ValueError(f"{self._name} is damaged ({error}); write it again.") from error
        if len(raw) != count:
            raise ValueError(f"{self._name} is truncated in row {index}; write it again.")
        self._next = index + count // max(row, 1)
        return raw

    def close(self) -> None:
        """Close the stream."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None


class ArrayTrajectory(AtomTrajectory):
    """An npz file, compressed or not, or an npy file, read in pieces.

    An npz file may state its units as text in "length_unit", "force_unit" and "energy_unit".

    Parameters
    ----------
    path : Path
    given : Units
    role : {"positions", "forces"}
        What an npy file holds.

    Raises
    ------
    ValueError
        If the file is truncated or no such file, or units are missing.
    """

    def __init__(self, path: Path, given: Units, role: str = "positions") -> None:
        self.path = path
        self._columns: dict[str, _Column] = {}
        self._boxes: np.ndarray | None = None
        try:
            stated = self._open_npy(role) if path.suffix == ".npy" else self._open_npz()
            shapes = {name: column.shape for name, column in self._columns.items()}
            if not {"positions", "forces"} & set(shapes):
                raise ValueError(
                    f"{path} has no array of positions or forces; name them 'positions' and "
                    "'forces'."
                )
            expect_shapes(path, shapes)
            self.n_frames, self.n_atoms = shapes.get("positions", shapes.get("forces", ()))[:2]
            self.holds = frozenset({*shapes, *(() if self._boxes is None else ("boxes",))})
            self._set_units(stated, given)
        except BaseException:
            self.close()
            raise

    def _open_npy(self, role: str) -> Units:
        try:
            self._columns[role] = _Column(self.path, None)
        except (ValueError, EOFError) as error:
            raise ValueError(f"{self.path} is not a readable npy file ({error}).") from error
        return Units()

    def _open_npz(self) -> Units:
        try:
            if not zipfile.is_zipfile(self.path):
                raise zipfile.BadZipFile("no zip archive")
            with np.load(self.path) as data:
                members = set(data.files)
                stated = {
                    kind: str(data[f"{kind}_unit"])
                    for kind in ("length", "force", "energy")
                    if f"{kind}_unit" in members
                }
                for name, keys in NAMES.items():
                    key = next((key for key in keys if key in members), None)
                    if key is None:
                        continue
                    column = _Column(self.path, key)
                    if name == "boxes" and column.shape in {(3, 3), (3,)}:
                        self._boxes = data[key]  # the same for all frames
                        column.close()
                    else:
                        self._columns[name] = column
        except (OSError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(
                f"{self.path} is not an npz file or is truncated ({error}); write it again."
            ) from error
        return Units(**stated)

    def close(self) -> None:
        for column in self._columns.values():
            column.close()

    def _read(self, start: int, stop: int, stride: int) -> Arrays:
        arrays = {name: c.read(start, stop, stride) for name, c in self._columns.items()}
        if self._boxes is not None:
            n_frames = len(next(iter(arrays.values())))
            arrays["boxes"] = np.repeat(self._boxes[None], n_frames, axis=0)
        return arrays

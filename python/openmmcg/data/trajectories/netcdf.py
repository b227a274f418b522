"""AMBER NetCDF with forces: classic, 64-bit offset and 64-bit data (NetCDF 4 files are HDF5).

Read straight from the file: a header names the variables, and each frame is a record of fixed size
(https://docs.unidata.ucar.edu/netcdf-c/current/file_format_specifications.html).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from openmmcg.data.trajectories.base import (
    Arrays,
    AtomTrajectory,
    Units,
    boxes_from_angles,
    expect_shapes,
)

_NAMES = {"positions": "coordinates", "forces": "forces"}
_CELL = ("cell_lengths", "cell_angles")
_AMBER = Units("angstrom", "kcal/mol/angstrom")
"""Of the convention (https://ambermd.org/netcdf/nctraj.xhtml), for files that state none."""
_TYPES = {1: ">i1", 2: "S1", 3: ">i2", 4: ">i4", 5: ">f4", 6: ">f8", 10: ">i8", 11: ">u8"}
_DIMENSIONS, _VARIABLES, _ATTRIBUTES = 10, 11, 12  # tags of the header's lists


@dataclass
class _Variable:
    """A variable: its shape without records, and where its (first) values begin."""

    shape: tuple[int, ...]
    is_record: bool
    dtype: np.dtype[Any]
    begin: int
    attributes: dict[str, Any] = field(default_factory=dict)

    @property
    def n_bytes(self) -> int:
        return int(np.prod(self.shape)) * self.dtype.itemsize


class NetCDFTrajectory(AtomTrajectory):
    """An AMBER NetCDF trajectory; positions and forces may lie in two files (mdcrd, mdfrc).

    Parameters
    ----------
    path : Path
    given : Units

    Raises
    ------
    ValueError
        If the file is truncated or holds something else.
    """

    def __init__(self, path: Path, given: Units) -> None:
        self.path = path
        self._file = open(path, "rb")  # noqa: SIM115 (closed by close)
        try:
            self._open(given)
        except BaseException:
            self._file.close()
            raise

    def _open(self, given: Units) -> None:
        try:
            records, variables = _Header(self._file).read()
        except (struct.error, KeyError, UnicodeDecodeError, ValueError) as error:
            raise ValueError(
                f"{self.path} is not a NetCDF file or is truncated in its header; write it again."
            ) from error
        self._record = _record_size(variables)
        self._variables = {k: v for k, v in variables.items() if v.is_record}
        found = {name: key for name, key in _NAMES.items() if key in self._variables}
        if not found:
            raise ValueError(
                f"{self.path} has frames of neither coordinates nor forces; it is not an AMBER "
                "trajectory."
            )
        size = self.path.stat().st_size
        whole = max(0, size - min(v.begin for v in self._variables.values())) // self._record
        self.n_frames = whole if records is None else min(records, whole)
        if records is not None and records > whole:
            self.damage = f"{self.path} is truncated in frame {whole} of {records}"
        shapes = {n: (self.n_frames, *self._variables[key].shape) for n, key in found.items()}
        expect_shapes(self.path, shapes)
        self.n_atoms = next(iter(shapes.values()))[1]
        self.holds = frozenset(shapes)
        if all(key in self._variables for key in _CELL):
            self.holds |= {"boxes"}
        units = {n: self._variables[key].attributes.get("units") for n, key in found.items()}
        stated = Units(units.get("positions") or _AMBER.length, units.get("forces") or _AMBER.force)
        self._set_units(stated, given)

    def close(self) -> None:
        self._file.close()

    def _read(self, start: int, stop: int, stride: int) -> Arrays:
        rows = range(self.n_frames)[start:stop:stride]
        begin = min(v.begin for v in self._variables.values())
        raw = np.empty((len(rows), self._record), dtype=np.uint8)
        if stride == 1:
            self._file.seek(begin + rows.start * self._record)
            count = self._file.readinto(raw.data.cast("B"))
        else:
            count = 0
            for row, index in zip(raw, rows, strict=True):
                self._file.seek(begin + index * self._record)
                count += self._file.readinto(row.data)
        # The last record may lack the padding of its last variable.
        if count < raw.size - 3:
            raise ValueError(f"{self.path} ends before frame {stop}; write it again.")

        def values(key: str) -> np.ndarray:
            variable = self._variables[key]
            at = variable.begin - begin
            block = raw[:, at : at + variable.n_bytes]
            native = block.view(variable.dtype).astype(variable.dtype.newbyteorder("="))
            scale = variable.attributes.get("scale_factor", 1.0)
            return (native if scale == 1.0 else native * native.dtype.type(scale)).reshape(
                len(rows), *variable.shape
            )

        arrays = {name: values(key) for name, key in _NAMES.items() if name in self.holds}
        if "boxes" in self.holds:
            arrays["boxes"] = boxes_from_angles(*(values(key) for key in _CELL))
        return arrays


def _record_size(variables: dict[str, _Variable]) -> int:
    """Return the bytes of a record; variables are padded to 4 bytes unless there is only one."""
    sizes = [v.n_bytes for v in variables.values() if v.is_record]
    return sizes[0] if len(sizes) == 1 else sum(-(-size // 4) * 4 for size in sizes)


class _Header:
    """Parser of the header; raises struct.error, KeyError or ValueError for what is none."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self) -> tuple[int | None, dict[str, _Variable]]:
        """Return the number of records (None if it is not stated) and the variables."""
        magic = self._file.read(4)
        if magic[:3] != b"CDF" or magic[3:] not in (b"\x01", b"\x02", b"\x05"):
            raise ValueError("no NetCDF file")
        version = magic[3]
        self._count = ">q" if version == 5 else ">i"
        self._offset = ">i" if version == 1 else ">q"
        records = self._number(self._count)
        lengths = [self._list_entry() for _ in range(self._list(_DIMENSIONS))]
        self._attributes()
        variables = {}
        for _ in range(self._list(_VARIABLES)):
            name = self._text()
            axes = [self._number(self._count) for _ in range(self._number(self._count))]
            attributes = self._attributes()
            dtype = np.dtype(_TYPES[self._number(">i")])
            self._number(self._count)  # size in bytes; not reliable for large variables
            begin = self._number(self._offset)
            is_record = bool(axes) and lengths[axes[0]] == 0
            shape = tuple(lengths[axis] for axis in axes[1 if is_record else 0 :])
            variables[name] = _Variable(shape, is_record, dtype, begin, attributes)
        return (None if records < 0 else records), variables

    def _number(self, form: str) -> int:
        return int(struct.unpack(form, self._file.read(struct.calcsize(form)))[0])

    def _list(self, tag: int) -> int:
        found, count = self._number(">i"), self._number(self._count)
        if found not in (tag, 0) or count < 0:
            raise ValueError("no list where one is expected")
        return count

    def _list_entry(self) -> int:
        self._text()
        return self._number(self._count)

    def _padded(self, count: int) -> bytes:
        data = self._file.read(-(-count // 4) * 4)
        if len(data) < count:
            raise ValueError("the header ends early")
        return data[:count]

    def _text(self) -> str:
        return self._padded(self._number(self._count)).decode()

    def _attributes(self) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for _ in range(self._list(_ATTRIBUTES)):
            name = self._text()
            dtype = np.dtype(_TYPES[self._number(">i")])
            count = self._number(self._count)
            data = self._padded(count * dtype.itemsize)
            values = np.frombuffer(data, dtype)
            result[name] = (
                data.decode() if dtype.kind == "S" else values[0] if count == 1 else values
            )
        return result

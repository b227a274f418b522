"""Extended XYZ, as ASE, MACE and others read it: a text line for each bead, a comment for each frame.

Units are Å, eV/Å and eV by convention; the comment's keys length_unit, force_unit and energy_unit
state them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import IO

import numpy as np

from openmmcg.data.dataset import Dataset
from openmmcg.data.frames import Frames
from openmmcg.data.trajectories.base import Arrays, AtomTrajectory, Units
from openmmcg.data.trajectories.units import energy_factor, force_factor, length_factor
from openmmcg.files import atomic_path

LENGTH, FORCE, ENERGY = "angstrom", "eV/angstrom", "eV"
_PROPERTIES = "species:S:1:pos:R:3:forces:R:3"
_ENTRY = re.compile(r'([\w-]+)\s*=\s*("[^"]*"|\S+)')
_FORCES = ("forces", "force")
_ENERGIES = ("energy", "Energy", "potential_energy")


class ExtxyzTrajectory(AtomTrajectory):
    """An extended XYZ file; all frames must have the same number of atoms or beads.

    Parameters
    ----------
    path : Path
    given : Units
        Of files that do not state other units than the convention's.

    Raises
    ------
    ValueError
        If it is no such file or is truncated.
    """

    def __init__(self, path: Path, given: Units) -> None:
        self.path = path
        self._file = open(path, "rb")  # noqa: SIM115 (closed by close)
        try:
            self._starts = self._index()
            keys = self._keys(0)
            self._columns = _columns(path, keys)
            self.n_frames = len(self._starts)
            holds = {"positions", *(("forces",) if "forces" in self._columns else ())}
            holds |= {"boxes"} if "Lattice" in keys else set()
            holds |= {"energies"} if any(key in keys for key in _ENERGIES) else set()
            holds |= {"temperatures"} if "temperature" in keys else set()
            self.holds = frozenset(holds)
            usual = {"length": LENGTH, "force": FORCE, "energy": ENERGY}
            stated = {
                kind: keys.get(f"{kind}_unit", None if getattr(given, kind) else unit)
                for kind, unit in usual.items()
            }
            self._set_units(Units(**stated), given)
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        self._file.close()

    def _index(self) -> list[int]:
        """Return where frames start; check that every frame has all of its lines."""
        starts: list[int] = []
        self.n_atoms = -1
        while True:
            start = self._file.tell()
            line = self._file.readline()
            if not line.strip():
                rest = self._file.read()
                if rest.strip():
                    raise ValueError(f"{self.path} has an empty line at frame {len(starts)}.")
                break
            try:
                count = int(line)
            except ValueError:
                raise ValueError(
                    f"{self.path} is not an extended XYZ file: frame {len(starts)} begins with "
                    f"{line[:40].decode(errors='replace').strip()!r}, expected a number of atoms."
                ) from None
            if count != self.n_atoms and starts:
                raise ValueError(
                    f"{self.path} has {count} atoms in frame {len(starts)}, {self.n_atoms} before; "
                    "convert its systems one by one."
                )
            self.n_atoms = count
            last = b""
            for _ in range(count + 1):
                last = self._file.readline()
                if not last:
                    raise ValueError(
                        f"{self.path} is truncated in frame {len(starts)}; write it again."
                    )
            if not last.endswith(b"\n") and len(last.split()) < 4:
                raise ValueError(
                    f"{self.path} is truncated in frame {len(starts)}; write it again."
                )
            starts.append(start)
        if not starts:
            raise ValueError(f"{self.path} is empty or truncated; write it again.")
        return starts

    def _keys(self, frame: int) -> dict[str, str]:
        self._file.seek(self._starts[frame])
        self._file.readline()
        return _entries(self._file.readline())

    def _read(self, start: int, stop: int, stride: int) -> Arrays:
        rows = range(self.n_frames)[start:stop:stride]
        vectors = {name: np.empty((len(rows), self.n_atoms, 3)) for name in self._columns}
        boxes = np.empty((len(rows), 9))
        scalars = {name: np.empty(len(rows)) for name in ("energies", "temperatures")}
        for place, frame in enumerate(rows):
            self._file.seek(self._starts[frame])
            self._file.readline()
            keys = _entries(self._file.readline())
            lines = [self._file.readline().split() for _ in range(self.n_atoms)]
            try:
                for name, columns in self._columns.items():
                    vectors[name][place] = [line[columns] for line in lines]
                if "boxes" in self.holds:
                    boxes[place] = keys["Lattice"].split()
                if "energies" in self.holds:
                    scalars["energies"][place] = next(keys[k] for k in _ENERGIES if k in keys)
                if "temperatures" in self.holds:
                    scalars["temperatures"][place] = keys["temperature"]
            except (ValueError, KeyError, StopIteration) as error:
                raise ValueError(
                    f"{self.path}: frame {frame} is not complete or not like the first one; write "
                    "it again."
                ) from error
        arrays: Arrays = {**vectors, **{k: v for k, v in scalars.items() if k in self.holds}}
        if "boxes" in self.holds:
            arrays["boxes"] = boxes.reshape(-1, 3, 3)
        return arrays


def _entries(line: bytes) -> dict[str, str]:
    """Return the keys of a comment line with their values, quotes removed."""
    return {key: value.strip('"') for key, value in _ENTRY.findall(line.decode())}


def _columns(path: Path, keys: dict[str, str]) -> dict[str, slice]:
    """Return the columns of positions and forces by the entry "Properties"."""
    fields = keys.get("Properties", "species:S:1:pos:R:3").split(":")
    found: dict[str, slice] = {}
    at = 0
    for name, _, width in zip(fields[::3], fields[1::3], fields[2::3], strict=False):
        count = int(width) if width.isdigit() else 0
        if name == "pos" and count == 3:
            found["positions"] = slice(at, at + 3)
        elif name in _FORCES and count == 3:
            found["forces"] = slice(at, at + 3)
        at += count
    if "positions" not in found:
        raise ValueError(
            f"{path} has no column 'pos' of positions (Properties={':'.join(fields)})."
        )
    return found


def write_extxyz(dataset: Dataset, path: Path, units: Units, species: str = "element") -> None:
    """Write a dataset as extended XYZ.

    Parameters
    ----------
    dataset : Dataset
    path : Path
        Replaced in one step.
    units : Units
        The convention's if None.
    species : {"element", "type"}
        The first column: chemical symbols, X for beads of several atoms (ASE takes nothing else),
        or names of bead types.
    """
    unit = Units(units.length or LENGTH, units.force or FORCE, units.energy or ENERGY)
    if species == "type":
        names = [dataset.type_names[kind] for kind in dataset.types]
    else:
        symbols = [bead.element.symbol for bead in dataset.topology.atoms]
        names = [symbol if symbol != "VS" else "X" for symbol in symbols]
    names = ["_".join(name.split()) for name in names]
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        for frames in dataset.chunks():
            _write_frames(file, frames, names, unit)


def _write_frames(file: IO[str], frames: Frames, names: list[str], unit: Units) -> None:
    assert unit.length and unit.force and unit.energy
    positions = frames.positions.astype(np.float64) / length_factor(unit.length)
    forces = frames.forces.astype(np.float64) / force_factor(unit.force)
    fixed = f"length_unit={unit.length} force_unit={unit.force} energy_unit={unit.energy}"
    for k in range(frames.n_frames):
        keys = [f"Properties={_PROPERTIES}", f"temperature={frames.temperatures[k]:.10g}"]
        if frames.boxes is not None:
            box = frames.boxes[k].astype(np.float64) / length_factor(unit.length)
            keys.insert(0, f'Lattice="{" ".join(f"{v:.8g}" for v in box.ravel())}"')
        if frames.energies is not None:
            keys.append(f"energy={frames.energies[k] / energy_factor(unit.energy):.12g}")
        periodic = "F F F" if frames.boxes is None else "T T T"
        lines = [str(len(names)), " ".join([*keys, f'pbc="{periodic}"', fixed])]
        numbers = np.concatenate([positions[k], forces[k]], axis=1).tolist()
        lines += [
            name + " " + " ".join(f"{v:.9g}" for v in row)
            for name, row in zip(names, numbers, strict=True)
        ]
        file.write("\n".join(lines) + "\n")

"""What all readers of atomistic trajectories share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import mdtraj as md
import numpy as np

from openmmcg.data.trajectories.units import energy_factor, force_factor, length_factor

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Units:
    """Units of a trajectory by name, see `openmmcg.data.trajectories.units`; None if unknown."""

    length: str | None = None
    force: str | None = None
    energy: str | None = None


@dataclass(frozen=True, eq=False)
class AtomFrames:
    """Frames of atoms; None for what a file does not hold.

    Attributes
    ----------
    positions : (n_frames, n_atoms, 3), nm
    forces : (n_frames, n_atoms, 3), kJ/mol/nm
    boxes : (n_frames, 3, 3), nm
        Box vectors as rows in reduced form.
    energies : (n_frames,), kJ/mol
    temperatures : (n_frames,), K
    weights : (n_frames,)
        Thermodynamic weights.
    walkers : (n_frames,) int
        Which of several simulations a frame belongs to.
    """

    positions: np.ndarray | None = None
    forces: np.ndarray | None = None
    boxes: np.ndarray | None = None
    energies: np.ndarray | None = None
    temperatures: np.ndarray | None = None
    weights: np.ndarray | None = None
    walkers: np.ndarray | None = None


class AtomTrajectory(ABC):
    """An atomistic trajectory, open for reading in pieces; a context manager.

    Attributes
    ----------
    path : Path
    n_frames, n_atoms : int
        Frames that are complete.
    holds : frozenset of str
        Which arrays of `AtomFrames` the file holds.
    topology : mdtraj.Topology or None
        If the file holds one.
    constraints : (n_constraints, 2) int64 or None
        Atom pairs that were rigid, if the file says so.
    damage : str or None
        What is wrong behind the last complete frame.
    left_out : int
        Frames that have no forces or no positions and are not counted.
    """

    path: Path
    n_frames: int
    n_atoms: int
    holds: frozenset[str]
    topology: md.Topology | None = None
    constraints: np.ndarray | None = None
    damage: str | None = None
    left_out: int = 0
    _factors: dict[str, float]

    def read(self, start: int, stop: int, stride: int = 1) -> AtomFrames:
        """Read the frames ``range(start, stop, stride)`` in our units.

        Raises
        ------
        ValueError
            If the file is damaged there.
        """
        arrays = self._read(start, stop, stride)
        for name, array in arrays.items():
            factor = self._factors.get(name, 1.0)
            if factor != 1.0:
                floating = array if array.dtype.kind == "f" else array.astype(np.float64)
                arrays[name] = floating * floating.dtype.type(factor)
        if "boxes" in arrays:
            arrays["boxes"] = reduced_boxes(box_vectors(arrays["boxes"]))
        return AtomFrames(**arrays)

    @abstractmethod
    def _read(self, start: int, stop: int, stride: int) -> Arrays:
        """Return the arrays that the file holds for some frames, in the file's units."""

    @abstractmethod
    def close(self) -> None:
        """Close the file."""

    def __enter__(self) -> AtomTrajectory:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _set_units(self, stated: Units, given: Units) -> None:
        """Take the file's units, and the user's for those that it does not state.

        Raises
        ------
        ValueError
            If a unit is needed and not known, or the file and the user disagree.
        """
        needed = {"positions": "length", "boxes": "length", "forces": "force", "energies": "energy"}
        convert = {"length": length_factor, "force": force_factor, "energy": energy_factor}
        names = dict.fromkeys(needed[array] for array in needed if array in self.holds)
        factors: dict[str, float] = {}
        unknown = []
        for name in names:
            known, wanted = getattr(stated, name), getattr(given, name)
            unit = known or wanted
            if unit is None:
                unknown.append(name)
                continue
            factors[name] = convert[name](unit)
            if wanted is not None and not np.isclose(convert[name](wanted), factors[name]):
                raise ValueError(
                    f"{self.path} has the unit of {name} {known!r}, but {name}_unit is {wanted!r}; "
                    "leave it out."
                )
        if unknown:
            raise ValueError(
                f"{self.path} does not say its unit of {' and '.join(unknown)}; give "
                f"{' and '.join(f'{name}_unit' for name in unknown)} (for example angstrom, "
                "kcal/mol/angstrom and kcal/mol)."
            )
        self._factors = {a: factors[name] for a, name in needed.items() if name in factors}


def expect_shapes(path: Path, shapes: dict[str, tuple[int, ...]]) -> None:
    """Raise ValueError unless all arrays have as many frames, and positions and forces fit.

    Parameters
    ----------
    path : Path
        Named in errors.
    shapes : dict
        Shape of the file's arrays by the names of `AtomFrames`.
    """
    for name in ("positions", "forces"):
        shape = shapes.get(name)
        if shape is not None and (len(shape) != 3 or shape[2] != 3):
            raise ValueError(f"{path}: {name} have shape {shape}, expected (n_frames, n_atoms, 3).")
    atoms = {name: shapes[name][:2] for name in ("positions", "forces") if name in shapes}
    if len(set(atoms.values())) > 1:
        raise ValueError(
            f"{path}: positions have shape {shapes['positions']} but forces {shapes['forces']}; "
            "both must have the same frames and atoms."
        )
    n_frames = next(iter(atoms.values()))[0]
    for name, shape in shapes.items():
        if len(shape) == 0 or shape[0] != n_frames:
            raise ValueError(
                f"{path}: {name} have shape {shape}, expected one for each of {n_frames} frames."
            )


def box_vectors(boxes: np.ndarray) -> np.ndarray:
    """Return box vectors (n_frames, 3, 3) for vectors, or for edges (n_frames, 3) of right boxes.

    Raises
    ------
    ValueError
        If the shape is neither.
    """
    if boxes.ndim == 2 and boxes.shape[1] == 3:
        return boxes[:, :, None] * np.eye(3, dtype=boxes.dtype)
    if boxes.ndim == 3 and boxes.shape[1:] == (3, 3):
        return boxes
    raise ValueError(f"Boxes have shape {boxes.shape}, expected (n_frames, 3, 3).")


def boxes_from_angles(lengths: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Return box vectors (n_frames, 3, 3) for edges and angles (n_frames, 3), degrees."""
    cosines = np.cos(np.radians(angles.astype(np.float64)))
    cosines[angles == 90] = 0.0
    alpha, beta, gamma = cosines.T
    a, b, c = lengths.astype(np.float64).T
    boxes = np.zeros((len(lengths), 3, 3))
    boxes[:, 0, 0] = a
    boxes[:, 1, 0] = b * gamma
    boxes[:, 1, 1] = b * np.sqrt(1 - gamma**2)
    boxes[:, 2, 0] = c * beta
    boxes[:, 2, 1] = c * (alpha - beta * gamma) / np.sqrt(1 - gamma**2)
    boxes[:, 2, 2] = np.sqrt(c**2 - boxes[:, 2, 0] ** 2 - boxes[:, 2, 1] ** 2)
    return boxes


def reduced_boxes(boxes: np.ndarray) -> np.ndarray:
    """Return box vectors in OpenMM's reduced form, for lower triangular ones.

    Vectors b and c are shortened by multiples of a and b; the lattice stays the same. Boxes
    without volume are left as they are.
    """
    result = np.array(boxes, dtype=np.float64)
    whole = (result[:, range(3), range(3)] > 0).all(axis=1)
    a, b, c = (result[whole, k] for k in range(3))
    c = c - b * np.rint(c[:, 1:2] / b[:, 1:2])
    c = c - a * np.rint(c[:, :1] / a[:, :1])
    b = b - a * np.rint(b[:, :1] / a[:, :1])
    result[whole] = np.stack([a, b, c], axis=1)
    return result

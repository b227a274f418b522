"""HDF5 with arrays over frames: our own all-atom files, MDTraj's layout with forces, and alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import mdtraj as md
import numpy as np

from openmmcg.data.frames import FORMAT
from openmmcg.data.opening import naming_damage
from openmmcg.data.trajectories.base import (
    Arrays,
    AtomTrajectory,
    Units,
    boxes_from_angles,
    expect_shapes,
)
from openmmcg.data.trajectories.units import length_factor
from openmmcg.mapping import topology_from_dict

NAMES = {
    "positions": ("positions", "coordinates", "coords", "xyz", "pos", "R"),
    "forces": ("forces", "force", "F"),
    "boxes": ("boxes", "box", "cell", "box_vectors", "unitcell_vectors"),
    "energies": ("energies", "energy", "potentialEnergy", "potential_energy", "E", "u"),
    "temperatures": ("temperatures",),
    "weights": ("weights",),
    "walkers": ("walkers",),
}
"""Names under which arrays are looked for, here and in npz files, first come, first served."""
_CELL = ("cell_lengths", "cell_angles")


class HDF5Trajectory(AtomTrajectory):
    """Arrays over frames at the root of an HDF5 file (NetCDF 4 too), or in its only group.

    Units are the arrays' attribute "units" (or "unit").

    Parameters
    ----------
    path : Path
    given : Units
        By the user, for arrays that state none.

    Raises
    ------
    ValueError
        If the file is truncated, holds something else, or units are missing.
    """

    def __init__(self, path: Path, given: Units) -> None:
        self.path = path
        with naming_damage(path):
            self._file = h5py.File(path, "r")
        try:
            self._open(given)
        except BaseException:
            self._file.close()
            raise

    def _open(self, given: Units) -> None:
        node = self._node = _find_node(self._file, self.path)
        self._found = {
            name: next(key for key in keys if key in node)
            for name, keys in NAMES.items()
            if any(key in node for key in keys)
        }
        self._angles = "boxes" not in self._found and all(key in node for key in _CELL)
        shapes = {name: node[key].shape for name, key in self._found.items()}
        expect_shapes(self.path, shapes)
        self.n_frames, self.n_atoms = shapes.get("positions", shapes.get("forces", ()))[:2]
        self.holds = frozenset({*self._found, *(("boxes",) if self._angles else ())})
        units = {name: _unit(node[key]) for name, key in self._found.items()}
        self._set_units(
            Units(units.get("positions"), units.get("forces"), units.get("energies")), given
        )
        box = node[self._found.get("boxes", _CELL[0])] if "boxes" in self.holds else None
        if box is not None and (unit := _unit(box)) is not None:
            self._factors["boxes"] = length_factor(unit)
        self.topology = _topology(node)
        pairs = node.get("constraints")
        if isinstance(pairs, h5py.Dataset) and pairs.ndim == 2 and pairs.shape[1] == 2:
            self.constraints = pairs[...].astype(np.int64)

    def close(self) -> None:
        self._file.close()

    def _read(self, start: int, stop: int, stride: int) -> Arrays:
        rows = slice(start, stop, stride)
        try:
            arrays = {name: self._node[key][rows] for name, key in self._found.items()}
            if self._angles:
                arrays["boxes"] = boxes_from_angles(*(self._node[key][rows] for key in _CELL))
        except OSError as error:
            raise ValueError(
                f"{self.path} is damaged between frames {start} and {stop} ({error}); write it "
                "again."
            ) from error
        return arrays


def _find_node(file: h5py.File, path: Path) -> h5py.Group:
    """Return the group that holds positions or forces; say what the file is otherwise."""
    if file.attrs.get("format") == FORMAT:
        raise ValueError(
            f"{path} is a mapped dataset already; map the trajectory that it was made from."
        )
    nodes = [file, *(node for node in file.values() if isinstance(node, h5py.Group))]
    wanted = {*NAMES["positions"], *NAMES["forces"]}
    found = [node for node in nodes if wanted & set(node)]
    if len(found) == 1:
        return found[0]
    inner = [child for node in nodes for child in node.values() if isinstance(child, h5py.Group)]
    if any("cg_coords" in child for child in inner):
        raise ValueError(f"{path} holds beads in mlcg's layout; read it with `openmm-cg convert`.")
    raise ValueError(
        f"{path} has {len(found) or 'no'} groups with positions or forces, expected one; name the "
        "arrays 'positions' and 'forces'."
    )


def _unit(node: h5py.Dataset) -> str | None:
    for name in ("units", "unit"):
        value = node.attrs.get(name)
        if value is not None:
            return value.decode() if isinstance(value, bytes) else str(value)
    return None


def _topology(node: h5py.Group) -> md.Topology | None:
    """Return a topology in MDTraj's JSON (array "topology") or ours (array "atomistic")."""
    for name in ("atomistic", "topology"):
        if name in node and node[name].size == 1:
            data = node[name][()]
            text = data.flat[0] if isinstance(data, np.ndarray) else data
            parsed = json.loads(text.decode() if isinstance(text, bytes) else text)
            return topology_from_dict(parsed) if "beads" in parsed else _from_mdtraj(parsed)
    return None


def _from_mdtraj(data: dict[str, Any]) -> md.Topology:
    """Return the topology that MDTraj's HDF5 files describe in JSON."""
    result = md.Topology()
    atoms: dict[int, Any] = {}
    for chain_data in data["chains"]:
        chain = result.add_chain()
        for entry in chain_data["residues"]:
            residue = result.add_residue(
                entry["name"], chain, entry.get("resSeq"), entry.get("segmentID", "")
            )
            for atom in entry["atoms"]:
                symbol = atom["element"]
                element = md.element.get_by_symbol(symbol) if symbol else md.element.virtual
                atoms[atom["index"]] = result.add_atom(atom["name"], element, residue)
    for i, j in data.get("bonds", ()):
        result.add_bond(atoms[i], atoms[j])
    return result

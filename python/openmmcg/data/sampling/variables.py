"""Collective variables: what a bias acts on, as OpenMM forces whose energy is the variable.

A variable is a dict with the key "type" and

===========  ==================================================================================
"torsion"    "atoms": four entries, rad in (-π, π]
"angle"      "atoms": three entries, rad
"distance"   "atoms": two entries, nm
"rmsd"       "atoms": one selection or a list of indices; "reference": a PDB or mmCIF file with
             all atoms (by default the start); nm, after the best superposition
"force"      "file": an OpenMM Force in XML whose energy is the variable, any unit; optional
             "atoms": a selection or list of indices of all atoms it depends on
===========  ==================================================================================

An entry is the 0-based index of an atom, or an MDTraj selection that stands for its centre of
mass. An umbrella needs "center" (a number, or a list: walkers take the windows in turn) and "k",
kJ/mol/unit². Metadynamics takes "width" (of the Gaussians), "minimum" and "maximum" (of the grid;
both are needed where the variable has no natural range) and "periodic" (for "force").
"""

from __future__ import annotations

import os
from collections.abc import Mapping as MappingABC
from collections.abc import Sequence
from dataclasses import dataclass
from math import pi
from pathlib import Path
from typing import Any

import mdtraj as md
import numpy as np
import openmm

from openmmcg.data.systems.structures import read_structure
from openmmcg.mapping import Mapping

POINTS = {"torsion": 4, "angle": 3, "distance": 2}
KINDS = (*POINTS, "rmsd", "force")
RANGES = {"torsion": (-pi, pi), "angle": (0.0, pi)}
_KEYS = {
    "torsion": set(),
    "angle": set(),
    "distance": set(),
    "rmsd": {"reference"},
    "force": {"file", "periodic"},
}
_COMMON = {"type", "atoms", "center", "k", "width", "minimum", "maximum"}


@dataclass(frozen=True, eq=False)
class Variable:
    """A collective variable of one system.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    groups : list of (n,) int64 arrays
        Atoms of each point; of an rmsd or force one group with all atoms it depends on, and
        none if they are not known.
    masses : (n_atoms,) float64
        Da, for centres of mass.
    centers : list of float
        Of an umbrella's windows; empty without.
    k : float or None
        Spring constant of an umbrella, kJ/mol/unit².
    width : float or None
        Standard deviation of metadynamics' Gaussians.
    minimum, maximum : float or None
        Range of metadynamics' grid.
    periodic : bool
        Whether `maximum` is the same as `minimum`.
    reference : (n_atoms, 3) float64 or None
        Of an rmsd, nm.
    xml : str or None
        Of a force.
    """

    kind: str
    groups: list[np.ndarray]
    masses: np.ndarray
    centers: list[float]
    k: float | None
    width: float | None
    minimum: float | None
    maximum: float | None
    periodic: bool
    reference: np.ndarray | None = None
    xml: str | None = None

    def force(self, periodic_box: bool) -> openmm.Force:
        """Return an OpenMM force whose energy is the variable.

        With a periodic box, distances, angles and torsions are those of nearest images.
        """
        if self.kind == "rmsd":
            return openmm.RMSDForce(self.reference, self.groups[0].tolist())
        if self.xml is not None:
            return openmm.XmlSerializer.deserialize(self.xml)
        points = len(self.groups)
        if all(len(group) == 1 for group in self.groups):
            make, add = {
                2: (lambda: openmm.CustomBondForce("r"), "addBond"),
                3: (lambda: openmm.CustomAngleForce("theta"), "addAngle"),
                4: (lambda: openmm.CustomTorsionForce("theta"), "addTorsion"),
            }[points]
            force = make()
            getattr(force, add)(*(int(group[0]) for group in self.groups))
        else:
            name = {2: "distance", 3: "angle", 4: "dihedral"}[points]
            arguments = ", ".join(f"g{k + 1}" for k in range(points))
            force = openmm.CustomCentroidBondForce(points, f"{name}({arguments})")
            for group in self.groups:
                force.addGroup(group.tolist(), self.masses[group].tolist())
            force.addBond(list(range(points)))
        force.setUsesPeriodicBoundaryConditions(periodic_box)
        return force

    def is_function_of(self, mapping: Mapping) -> bool:
        """Tell whether the beads alone determine the variable.

        That is so if the weights of every point are a combination of rows of the mapping's matrix,
        and if each atom of an rmsd or force is a bead.
        """
        if not self.groups:
            return False
        if self.kind not in POINTS:
            return bool(np.isin(self.groups[0], mapping.slice_atoms).all())
        return all(_is_combination(mapping, group, self.masses) for group in self.groups)


def _is_combination(mapping: Mapping, group: np.ndarray, masses: np.ndarray) -> bool:
    weights = np.zeros(mapping.n_atoms)
    weights[group] = masses[group] / masses[group].sum()
    # The beads that have a part in it, and those that share atoms with them.
    matrix = mapping.sparse
    atoms = weights != 0
    while True:
        beads = (matrix @ atoms.astype(np.float64)) != 0
        reached = (matrix.T @ beads.astype(np.float64)) != 0
        if not (reached & ~atoms).any():
            break
        atoms |= reached
    block = matrix[np.flatnonzero(beads)].toarray()[:, atoms]
    factors = np.linalg.lstsq(block.T, weights[atoms], rcond=None)[0]
    return bool(np.abs(block.T @ factors - weights[atoms]).max() < 1e-9)


def read_variables(
    entries: Sequence[MappingABC[str, Any]],
    topology: md.Topology,
    positions: np.ndarray,
    bias: str,
    width: float,
) -> list[Variable]:
    """Read the variables of a bias, see the head of this module.

    Parameters
    ----------
    entries : list of dict
    topology : mdtraj.Topology
        Atoms that indices and selections refer to.
    positions : (n_atoms, 3)
        Start, nm: the default reference of an rmsd.
    bias : {"metadynamics", "umbrella"}
    width : float
        Width of variables without one.

    Raises
    ------
    ValueError
        If an entry lacks a key, has an unknown one, or its atoms do not exist.
    FileNotFoundError
        If a file it names does not exist.
    """
    return [
        _read(entry, f"variable {number}", topology, positions, bias, width)
        for number, entry in enumerate(entries, start=1)
    ]


def _read(
    entry: MappingABC[str, Any],
    where: str,
    topology: md.Topology,
    positions: np.ndarray,
    bias: str,
    width: float,
) -> Variable:
    kind = entry.get("type") if isinstance(entry, MappingABC) else None
    if kind not in KINDS:
        raise ValueError(f"{where} is {entry!r}, expected a type out of {', '.join(KINDS)}.")
    if unknown := set(entry) - _COMMON - _KEYS[kind]:
        raise ValueError(
            f"{where} has the unknown key {', '.join(sorted(map(str, unknown)))}; a {kind} takes "
            f"{', '.join(sorted(_COMMON | _KEYS[kind]))}."
        )
    needed = ["file"] if kind == "force" else ["atoms"]
    needed += ["center", "k"] if bias == "umbrella" else []
    low, high = RANGES.get(kind, (None, None))
    if bias == "metadynamics" and kind not in RANGES:
        needed += ["minimum", "maximum"]
    if lacking := [key for key in needed if key not in entry]:
        raise ValueError(f"{where}, a {kind}, lacks {', '.join(lacking)}, needed for {bias}.")
    center = entry.get("center", [])
    variable = Variable(
        kind=kind,
        groups=_groups(entry, where, topology),
        masses=np.array([atom.element.mass for atom in topology.atoms]),
        centers=[_number(c, where, "center") for c in center]
        if isinstance(center, list | tuple)
        else [_number(center, where, "center")],
        k=_number(entry["k"], where, "k") if "k" in entry else None,
        width=_number(entry.get("width", width), where, "width"),
        minimum=_number(entry.get("minimum", low), where, "minimum")
        if bias == "metadynamics"
        else None,
        maximum=_number(entry.get("maximum", high), where, "maximum")
        if bias == "metadynamics"
        else None,
        periodic=kind == "torsion" or bool(entry.get("periodic", False)),
        reference=_reference(entry, where, positions) if kind == "rmsd" else None,
        xml=_force_xml(entry["file"], where) if kind == "force" else None,
    )
    _check_numbers(variable, where, bias)
    return variable


def _number(value: Any, where: str, key: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise ValueError(f"{where}: {key} is {value!r}, expected a number.")
    return float(value)


def _check_numbers(variable: Variable, where: str, bias: str) -> None:
    if bias == "umbrella" and (not variable.centers or not (variable.k or 0) > 0):
        raise ValueError(
            f"{where}: center is {variable.centers} and k {variable.k}; expected at least one "
            "center and a spring constant of more than 0."
        )
    if bias == "umbrella":
        return
    low, high, width = variable.minimum, variable.maximum, variable.width
    assert low is not None and high is not None and width is not None
    if variable.kind == "torsion" and (low, high) != RANGES["torsion"]:
        raise ValueError(f"{where}: the range of a torsion is -π to π; leave it out.")
    if not low < high or not 0 < width < high - low:
        raise ValueError(
            f"{where}: minimum {low}, maximum {high} and width {width}; expected minimum < maximum "
            "and a positive width smaller than their distance."
        )


def _groups(entry: MappingABC[str, Any], where: str, topology: md.Topology) -> list[np.ndarray]:
    kind, atoms = entry["type"], entry.get("atoms")
    if kind in POINTS:
        if not isinstance(atoms, list | tuple) or len(atoms) != POINTS[kind]:
            raise ValueError(
                f"{where}: atoms is {atoms!r}, a {kind} needs a list of {POINTS[kind]} atom "
                "indices or selections."
            )
        return [_atoms(point, where, topology) for point in atoms]
    if atoms is None:
        return []
    if isinstance(atoms, str | int):
        return [_atoms(atoms, where, topology)]
    return [np.concatenate([_atoms(atom, where, topology) for atom in atoms])]


def _atoms(point: Any, where: str, topology: md.Topology) -> np.ndarray:
    if isinstance(point, int) and not isinstance(point, bool):
        if not 0 <= point < topology.n_atoms:
            raise ValueError(
                f"{where}: there is no atom {point}; the system has atoms 0 to "
                f"{topology.n_atoms - 1}."
            )
        return np.array([point], dtype=np.int64)
    if not isinstance(point, str):
        raise ValueError(f"{where}: {point!r} is neither an atom's index nor a selection.")
    try:
        found = np.asarray(topology.select(point), dtype=np.int64)
    except Exception as error:  # MDTraj raises whatever its parser met
        raise ValueError(
            f"{where}: MDTraj cannot read the selection {point!r}: {str(error).splitlines()[0]}"
        ) from error
    if len(found) == 0:
        raise ValueError(f"{where}: the selection {point!r} matches no atom.")
    return found


def _reference(entry: MappingABC[str, Any], where: str, positions: np.ndarray) -> np.ndarray:
    if "reference" not in entry:
        return positions
    reference = read_structure(entry["reference"])[1]
    if reference.shape != positions.shape:
        raise ValueError(
            f"{where}: {entry['reference']} has {len(reference)} atoms, the system has "
            f"{len(positions)}; the reference must hold all of them."
        )
    return reference


def _force_xml(path: Any, where: str) -> str:
    if not isinstance(path, str) or not os.path.isfile(path):
        raise FileNotFoundError(f"{where}: there is no file {path!r}.")
    text = Path(path).read_text()
    try:
        force = openmm.XmlSerializer.deserialize(text)
    except Exception as error:  # OpenMM raises several kinds
        raise ValueError(f"{where}: {path} is not an OpenMM Force in XML ({error}).") from error
    if not isinstance(force, openmm.Force):
        raise ValueError(
            f"{where}: {path} holds a {type(force).__name__}, expected an OpenMM Force."
        )
    return text

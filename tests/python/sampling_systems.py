"""Small systems with known answers for tests of sampling: files of a System and its structure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import openmm
import openmm.app as app
import yaml
from openmm import unit


@dataclass
class Files:
    """Paths of a System in XML, its structure and a mapping."""

    system: str
    topology: str
    mapping: str


def write_files(folder: Path, system: openmm.System, topology, positions, beads) -> Files:
    """Write a System, a PDB file and a mapping of single atoms or selections by bead name."""
    files = Files(*(str(folder / name) for name in ("toy.xml", "toy.pdb", "toy.yaml")))
    Path(files.system).write_text(openmm.XmlSerializer.serialize(system))
    with open(files.topology, "w") as handle:
        app.PDBFile.writeFile(topology, np.asarray(positions) * unit.nanometer, handle)
    entries = [{"name": name, "select": select} for name, select in beads.items()]
    definition = {
        "format": 1,
        "name": "toy",
        "encoding": "name",
        "templates": [{"residues": "all", "beads": entries}],
    }
    Path(files.mapping).write_text(yaml.safe_dump(definition))
    return files


def chain_topology(n_atoms: int, box: float | None = None) -> app.Topology:
    """A molecule of carbons C1-C2-..., residue TOY."""
    topology = app.Topology()
    residue = topology.addResidue("TOY", topology.addChain())
    carbon = app.Element.getBySymbol("C")
    atoms = [topology.addAtom(f"C{k + 1}", carbon, residue) for k in range(n_atoms)]
    for a, b in pairwise(atoms):
        topology.addBond(a, b)
    if box is not None:
        topology.setPeriodicBoxVectors(np.diag([box] * 3))
    return topology


def springs(n_atoms: int, bonds: dict[tuple[int, int], tuple[float, float]]) -> openmm.System:
    """Carbons of 12 Da with harmonic bonds {(i, j): (r0 in nm, k in kJ/mol/nm²)}."""
    system = openmm.System()
    for _ in range(n_atoms):
        system.addParticle(12.0)
    force = openmm.HarmonicBondForce()
    for (i, j), (length, k) in bonds.items():
        force.addBond(i, j, length, k)
    system.addForce(force)
    return system


def gaussian_chain(folder: Path) -> Files:
    """Three carbons C1-C2-C3, springs without length to the middle one; C1 and C3 are beads.

    The mean force on C1 at fixed beads is that of the two springs in a row.
    """
    system = springs(3, {(0, 1): (0.0, GAUSSIAN_SPRINGS[0]), (1, 2): (0.0, GAUSSIAN_SPRINGS[1])})
    # Holds the beads apart, so that their distance is not a matter of chance.
    hold = openmm.HarmonicBondForce()
    hold.addBond(0, 2, 0.3, 20000.0)
    system.addForce(hold)
    positions = [[0, 0, 0], [0.15, 0, 0], [0.3, 0, 0]]
    beads = {"A": "name C1", "B": "name C3"}
    return write_files(folder, system, chain_topology(3), positions, beads)


GAUSSIAN_SPRINGS = (3000.0, 1500.0)


def soft_bath(folder: Path) -> Files:
    """Beads C1 and C3; C2 sits on C1, on a spring of stiffness κ(r) = k0 + k1 r, r = |R3 - R1|.

    At fixed beads W = 3/2 kT ln κ(r) + spring of the beads, so the force along r has the part
    -3/2 kT k1/κ(r), all of it entropic: dF/dT = -3/2 k k1/κ(r), and <u> has 3/2 kT.
    """
    system = springs(3, {(0, 2): (0.3, 20000.0)})
    bath = openmm.CustomCompoundBondForce(
        3, "0.5*(k0 + k1*distance(p1, p3))*((x2-x1)^2 + (y2-y1)^2 + (z2-z1)^2)"
    )
    for name, value in zip(("k0", "k1"), BATH, strict=True):
        bath.addGlobalParameter(name, value)
    bath.addBond([0, 1, 2])
    system.addForce(bath)
    positions = [[0, 0, 0], [0.01, 0, 0], [0.3, 0, 0]]
    beads = {"A": "name C1", "B": "name C3"}
    return write_files(folder, system, chain_topology(3), positions, beads)


BATH = (1000.0, 20000.0)


def dimer(folder: Path, length: float = 0.3, k: float = 4000.0) -> Files:
    """Two carbons with one harmonic bond; both are beads."""
    system = springs(2, {(0, 1): (length, k)})
    positions = [[0, 0, 0], [length, 0, 0]]
    beads = {"A": "name C1", "B": "name C2"}
    return write_files(folder, system, chain_topology(2), positions, beads)


def argon(folder: Path, cells: int = 4, spacing: float = 0.42) -> Files:
    """A periodic box of argon with a cutoff; each atom is a bead."""
    topology, system, force = app.Topology(), openmm.System(), openmm.NonbondedForce()
    chain = topology.addChain()
    for _ in range(cells**3):
        residue = topology.addResidue("AR", chain)
        topology.addAtom("AR", app.Element.getBySymbol("Ar"), residue)
        system.addParticle(39.948)
        force.addParticle(0.0, 0.3405, 0.996)
    length = cells * spacing
    force.setNonbondedMethod(force.CutoffPeriodic)
    force.setCutoffDistance(0.45 * length)
    system.addForce(force)
    topology.setPeriodicBoxVectors(np.diag([length] * 3))
    system.setDefaultPeriodicBoxVectors(*(10 * np.eye(3)))  # the structure's box counts
    grid = np.stack(np.meshgrid(*[np.arange(cells)] * 3, indexing="ij"), axis=-1)
    positions = spacing * grid.reshape(-1, 3)
    return write_files(folder, system, topology, positions, {"AR": "name AR"})

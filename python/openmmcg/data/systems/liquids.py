"""Recipes of liquids in a cubic box: n-hexane (OPLS-AA) and water (TIP3P, SPC/E)."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import as_file, files
from typing import TYPE_CHECKING

import numpy as np

from openmmcg.data.systems.atomistic import AtomisticSystem, create_system

if TYPE_CHECKING:
    import openmm.app

TIP3P = "amber14/tip3p.xml"
SPCE = "amber14/spce.xml"
CUTOFF = 1.0
HEXANE_CUTOFF = 1.22
HEXANE_MOLECULES = 100
HEXANE_ATOMS = (
    *("C1", "H11", "H12", "H13"),
    *(name.format(k) for k in range(2, 6) for name in ("C{}", "H{}1", "H{}2")),
    *("C6", "H61", "H62", "H63"),
)


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A stored frame.

    Attributes
    ----------
    positions : (n_atoms, 3) float64
        nm.
    box : (3, 3) float64
        Box vectors as rows, nm.
    """

    positions: np.ndarray
    box: np.ndarray


def load_snapshot(name: str) -> Snapshot:
    """Return the stored start of a liquid."""
    with (
        as_file(files("openmmcg.data") / "recipes" / f"{name}.npz") as path,
        np.load(path, allow_pickle=False) as data,
    ):
        return Snapshot(data["positions"].astype(np.float64), data["box"].astype(np.float64))


def hexane(constraints: str, hydrogen_mass: float | None) -> AtomisticSystem:
    """Return 100 n-hexanes at 655 kg/m³ (a cubic box of 2.79573 nm) with OPLS-AA, 2000 atoms.

    Cutoffs and density are those of Görlich and Zavadlav (J. Chem. Inf. Model. 2026,
    10.1021/acs.jcim.5c03035). It starts from a frame at 300 K.
    """
    import openmm.app as app

    snapshot = load_snapshot("hexane")
    topology = hexane_topology(HEXANE_MOLECULES)
    topology.setPeriodicBoxVectors(snapshot.box)
    with as_file(files("openmmcg.data") / "recipes" / "hexane.xml") as path:
        force_field = app.ForceField(str(path))
    return AtomisticSystem(
        name="hexane",
        description=f"{HEXANE_MOLECULES} n-hexanes, OPLS-AA with geometric combining, "
        f"particle-mesh Ewald, cutoff {HEXANE_CUTOFF:g} nm",
        topology=topology,
        positions=snapshot.positions,
        system=create_system(force_field, topology, constraints, hydrogen_mass, HEXANE_CUTOFF),
        equilibrated=True,
    )


def hexane_topology(molecules: int) -> openmm.app.Topology:
    """Return the topology of n-hexanes: residues HEX, each carbon followed by its hydrogens."""
    import openmm.app as app

    topology = app.Topology()
    chain = topology.addChain()
    for _ in range(molecules):
        residue = topology.addResidue("HEX", chain)
        carbon = None
        for name in HEXANE_ATOMS:
            atom = topology.addAtom(name, app.Element.getBySymbol(name[0]), residue)
            if carbon is not None:
                topology.addBond(carbon, atom)
            if name[0] == "C":
                carbon = atom
    return topology


def water_tip3p(constraints: str, hydrogen_mass: float | None) -> AtomisticSystem:
    """Return a cubic box of rigid TIP3P water; it starts from a frame at 300 K and 1 bar."""
    return _water("water-tip3p", "TIP3P", TIP3P, constraints, hydrogen_mass)


def water_spce(constraints: str, hydrogen_mass: float | None) -> AtomisticSystem:
    """Return a cubic box of rigid SPC/E water; it starts from a frame at 300 K and 1 bar."""
    return _water("water-spce", "SPC/E", SPCE, constraints, hydrogen_mass)


def _water(
    name: str, model: str, file: str, constraints: str, hydrogen_mass: float | None
) -> AtomisticSystem:
    import openmm.app as app

    topology, snapshot = app.Topology(), load_snapshot(name)
    n_waters = add_waters(topology, snapshot)
    return AtomisticSystem(
        name=name,
        description=f"{n_waters} {model} waters, particle-mesh Ewald, cutoff {CUTOFF:g} nm",
        topology=topology,
        positions=snapshot.positions,
        system=create_system(app.ForceField(file), topology, constraints, hydrogen_mass, CUTOFF),
        equilibrated=True,
    )


def add_waters(topology: openmm.app.Topology, snapshot: Snapshot) -> int:
    """Give a topology the waters (O, H1, H2) and the box that a snapshot has more than it.

    Returns
    -------
    int
        The number of waters.
    """
    import openmm.app as app

    topology.setPeriodicBoxVectors(snapshot.box)
    n_waters = (len(snapshot.positions) - topology.getNumAtoms()) // 3
    chain = topology.addChain()
    for _ in range(n_waters):
        residue = topology.addResidue("HOH", chain)
        oxygen, *hydrogens = (
            topology.addAtom(name, app.Element.getBySymbol(name[0]), residue)
            for name in ("O", "H1", "H2")
        )
        for hydrogen in hydrogens:
            topology.addBond(oxygen, hydrogen)
    return n_waters


RECIPES = {"hexane": hexane, "water-tip3p": water_tip3p, "water-spce": water_spce}

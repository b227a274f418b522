"""Recipes of capped peptides: Amber ff14SB in vacuum, OBC2 implicit water or TIP3P."""

from __future__ import annotations

from importlib.resources import as_file, files
from typing import TYPE_CHECKING

import numpy as np

from openmmcg.data.systems.atomistic import AtomisticSystem, create_system
from openmmcg.data.systems.liquids import CUTOFF, TIP3P, add_waters, load_snapshot

if TYPE_CHECKING:
    import openmm.app

PROTEIN = "amber14/protein.ff14SB.xml"
OBC2 = "implicit/obc2.xml"


def capped_alanine(
    constraints: str = "hbonds", hydrogen_mass: float | None = None
) -> AtomisticSystem:
    """Return ACE-Ala-NME (L) with Amber ff14SB and OBC2 implicit water, 22 atoms.

    Parameters and errors of all recipes are those of `openmmcg.data.recipe`.
    """
    name = "capped-alanine"
    return _isolated(name, name, "ACE-Ala-NME", OBC2, constraints, hydrogen_mass)


def capped_alanine_vacuum(constraints: str, hydrogen_mass: float | None) -> AtomisticSystem:
    """Return ACE-Ala-NME (L) with Amber ff14SB in vacuum, 22 atoms."""
    name = "capped-alanine"
    return _isolated(f"{name}-vacuum", name, "ACE-Ala-NME", None, constraints, hydrogen_mass)


def capped_glycine(constraints: str, hydrogen_mass: float | None) -> AtomisticSystem:
    """Return ACE-Gly-NME with Amber ff14SB and OBC2 implicit water, 19 atoms."""
    name = "capped-glycine"
    return _isolated(name, name, "ACE-Gly-NME", OBC2, constraints, hydrogen_mass)


def capped_alanine_tip3p(constraints: str, hydrogen_mass: float | None) -> AtomisticSystem:
    """Return ACE-Ala-NME (L) with Amber ff14SB in a cubic box of TIP3P water.

    It starts from a frame of the NPT ensemble at 300 K and 1 bar.
    """
    import openmm.app as app

    topology, _ = _structure("capped-alanine")
    snapshot = load_snapshot("capped-alanine-tip3p")
    n_waters = add_waters(topology, snapshot)
    force_field = app.ForceField(PROTEIN, TIP3P)
    return AtomisticSystem(
        name="capped-alanine-tip3p",
        description=f"ACE-Ala-NME in {n_waters} waters, Amber ff14SB and TIP3P, particle-mesh "
        f"Ewald, cutoff {CUTOFF:g} nm",
        topology=topology,
        positions=snapshot.positions,
        system=create_system(force_field, topology, constraints, hydrogen_mass, CUTOFF),
        equilibrated=True,
    )


def cln025(constraints: str, hydrogen_mass: float | None) -> AtomisticSystem:
    """Return CLN025 with Amber ff14SB and OBC2 implicit water, 175 atoms."""
    name, what = "cln025", "CLN025, ACE-Tyr-Tyr-Asp-Pro-Glu-Thr-Gly-Thr-Trp-Tyr-NME"
    starts = ("hairpin", "extended")
    return _isolated(name, name, what, OBC2, constraints, hydrogen_mass, starts)


def ace_ala15_nme(constraints: str, hydrogen_mass: float | None) -> AtomisticSystem:
    """Return ACE-Ala15-NME (L) with Amber ff14SB and OBC2 implicit water, 162 atoms."""
    name, starts = "ace-ala15-nme", ("helix", "extended")
    return _isolated(name, name, "ACE-Ala15-NME", OBC2, constraints, hydrogen_mass, starts)


RECIPES = {
    "capped-alanine": capped_alanine,
    "capped-alanine-vacuum": capped_alanine_vacuum,
    "capped-alanine-tip3p": capped_alanine_tip3p,
    "capped-glycine": capped_glycine,
    "cln025": cln025,
    "ace-ala15-nme": ace_ala15_nme,
}


def _isolated(
    name: str,
    structure: str,
    description: str,
    solvent: str | None,
    constraints: str,
    hydrogen_mass: float | None,
    starts: tuple[str, ...] = (),
) -> AtomisticSystem:
    """Return a molecule without periodic box; the first of `starts` is where it starts.

    Its structures are in ``STRUCTURE-START.pdb``, or in ``STRUCTURE.pdb`` if it has one start.
    """
    import openmm.app as app

    structures = [_structure(f"{structure}-{start}") for start in starts]
    topology, positions = structures[0] if starts else _structure(structure)
    force_field = app.ForceField(PROTEIN, *([solvent] if solvent else []))
    where = "OBC2 implicit solvent" if solvent else "vacuum"
    return AtomisticSystem(
        name=name,
        description=f"{description}, Amber ff14SB, {where}, no cutoff",
        topology=topology,
        positions=positions,
        system=create_system(force_field, topology, constraints, hydrogen_mass, None),
        starts={start: made[1] for start, made in zip(starts, structures, strict=True)},
    )


def _structure(name: str) -> tuple[openmm.app.Topology, np.ndarray]:
    import openmm.app as app
    from openmm import unit

    with as_file(files("openmmcg.data") / "recipes" / f"{name}.pdb") as path:
        pdb = app.PDBFile(str(path))
    return pdb.topology, np.array(pdb.getPositions(asNumpy=True).value_in_unit(unit.nanometer))

"""Recipes: small all-atom systems that can be sampled without any input file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import as_file, files
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import openmm
    import openmm.app

CONSTRAINTS = ("none", "hbonds")


@dataclass(frozen=True, eq=False)
class AtomisticSystem:
    """An all-atom system ready to simulate.

    Attributes
    ----------
    name : str
        Name of the recipe.
    description : str
        What it is, with the force field.
    topology : openmm.app.Topology
    positions : (n_atoms, 3) float64
        Energy-minimised start positions, nm.
    system : openmm.System
    """

    name: str
    description: str
    topology: openmm.app.Topology
    positions: np.ndarray
    system: openmm.System


def capped_alanine(
    constraints: str = "hbonds", hydrogen_mass: float | None = None
) -> AtomisticSystem:
    """Return ACE-Ala-NME (L) in vacuum with Amber ff14SB and OBC2 implicit water, 22 atoms.

    Parameters
    ----------
    constraints : {"hbonds", "none"}
        "hbonds" keeps bonds to hydrogen rigid.
    hydrogen_mass : float, optional
        Mass of a hydrogen in Da; what exceeds the element's is taken from its heavy atom, which
        leaves all distributions as they are and allows time steps of 4 fs at 3 Da.

    Raises
    ------
    ValueError
        If `constraints` is not one of the two.
    """
    import openmm.app as app
    from openmm import unit

    if constraints not in CONSTRAINTS:
        raise ValueError(
            f"Unknown constraints {constraints!r}; expected one of {', '.join(CONSTRAINTS)}."
        )
    with as_file(files("openmmcg.data") / "recipes" / "capped-alanine.pdb") as path:
        pdb = app.PDBFile(str(path))
    force_field = app.ForceField("amber14/protein.ff14SB.xml", "implicit/obc2.xml")
    system = force_field.createSystem(
        pdb.topology,
        nonbondedMethod=app.NoCutoff,
        constraints=app.HBonds if constraints == "hbonds" else None,
        hydrogenMass=hydrogen_mass,
    )
    return AtomisticSystem(
        name="capped-alanine",
        description="ACE-Ala-NME, Amber ff14SB, OBC2 implicit solvent, no cutoff",
        topology=pdb.topology,
        positions=np.array(pdb.getPositions(asNumpy=True).value_in_unit(unit.nanometer)),
        system=system,
    )


_RECIPES: dict[str, Callable[..., AtomisticSystem]] = {"capped-alanine": capped_alanine}


def recipes() -> list[str]:
    """Return the names of the recipes."""
    return sorted(_RECIPES)


def recipe(
    name: str, constraints: str = "hbonds", hydrogen_mass: float | None = None
) -> AtomisticSystem:
    """Build a recipe by name.

    Parameters
    ----------
    name : str
        One of `recipes`.
    constraints : {"hbonds", "none"}
    hydrogen_mass : float, optional
        Mass of a hydrogen in Da.

    Raises
    ------
    ValueError
        If there is no such recipe or the constraints are unknown.
    """
    if name not in _RECIPES:
        raise ValueError(f"Unknown system {name!r}; recipes are {', '.join(recipes())}.")
    return _RECIPES[name](constraints=constraints, hydrogen_mass=hydrogen_mass)

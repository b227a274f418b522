"""All-atom systems, and recipes: those that can be sampled without any input file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
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
        Name of the recipe, or the stem of the file it was read from.
    description : str
        What it is, with the force field.
    topology : openmm.app.Topology
    positions : (n_atoms, 3) float64
        Start positions, nm.
    system : openmm.System
        With a periodic box, its default box vectors are those of `positions`.
    starts : dict
        Other start positions by name, (n_atoms, 3), nm.
    equilibrated : bool
        Whether `positions` are a frame of the ensemble, so that a minimisation would only cool
        them.
    """

    name: str
    description: str
    topology: openmm.app.Topology
    positions: np.ndarray
    system: openmm.System
    starts: dict[str, np.ndarray] = field(default_factory=dict)
    equilibrated: bool = False

    @property
    def box(self) -> np.ndarray | None:
        """Start box vectors as rows (3, 3), nm; None without periodic boundaries."""
        if not self.system.usesPeriodicBoundaryConditions():
            return None
        vectors = self.system.getDefaultPeriodicBoxVectors()
        return np.array([[v[k]._value for k in range(3)] for v in vectors])


def check_constraints(constraints: str) -> None:
    """Raise ValueError for constraints that are none of `CONSTRAINTS`."""
    if constraints not in CONSTRAINTS:
        raise ValueError(
            f"Unknown constraints {constraints!r}; expected one of {', '.join(CONSTRAINTS)}."
        )


def create_system(
    force_field: openmm.app.ForceField,
    topology: openmm.app.Topology,
    constraints: str,
    hydrogen_mass: float | None,
    cutoff: float | None,
) -> openmm.System:
    """Make a System: with a cutoff (nm) periodic with particle-mesh Ewald, else without cutoff."""
    import openmm.app as app

    check_constraints(constraints)
    periodic = {} if cutoff is None else {"nonbondedCutoff": cutoff}
    return force_field.createSystem(
        topology,
        nonbondedMethod=app.NoCutoff if cutoff is None else app.PME,
        constraints=app.HBonds if constraints == "hbonds" else None,
        hydrogenMass=hydrogen_mass,
        **periodic,
    )


Recipe = Callable[[str, "float | None"], AtomisticSystem]


def _recipes() -> dict[str, Recipe]:
    from openmmcg.data.systems import liquids, peptides

    return {**peptides.RECIPES, **liquids.RECIPES}


def recipes() -> list[str]:
    """Return the names of the recipes."""
    return sorted(_recipes())


def recipe(
    name: str, constraints: str = "hbonds", hydrogen_mass: float | None = None
) -> AtomisticSystem:
    """Build a recipe by name.

    Parameters
    ----------
    name : str
        One of `recipes`.
    constraints : {"hbonds", "none"}
        "hbonds" keeps bonds to hydrogen rigid. Water is rigid in either case, as its models are
        defined.
    hydrogen_mass : float, optional
        Mass of a hydrogen in Da; what exceeds the element's is taken from its heavy atom, which
        leaves all distributions as they are and allows time steps of 4 fs at 3 Da. Water keeps
        its masses.

    Raises
    ------
    ValueError
        If there is no such recipe or the constraints are unknown.
    """
    known = _recipes()
    if name not in known:
        raise ValueError(
            f"Unknown system {name!r}; recipes are {', '.join(sorted(known))}. A system of your "
            "own is the path of a System in XML or of a PDB or mmCIF file."
        )
    return known[name](constraints, hydrogen_mass)

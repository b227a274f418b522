"""All-atom systems that can be sampled."""

from __future__ import annotations

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

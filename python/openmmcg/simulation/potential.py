"""A model file as a potential: its network and priors, ready to be put into an OpenMM System."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openmm
from openmm.app import Topology

from openmmcg.export import read_card
from openmmcg.force import CGForce
from openmmcg.priors import PriorSet
from openmmcg.simulation.topology import build_topology

NETWORK_GROUP = 0
PRIOR_GROUP = 1


@dataclass(frozen=True)
class CGPotential:
    """A trained coarse-grained model.

    Attributes
    ----------
    path : Path
        The model file.
    card : dict
        What the file says about itself; see `openmmcg.export.read_card`.
    """

    path: Path
    card: dict[str, Any]

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> CGPotential:
        """Read a model file's card.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it is not a model file, damaged, or of a newer format.
        """
        return cls(Path(path), read_card(Path(path)))

    @property
    def template(self) -> dict[str, Any]:
        """One system: names, residues, types, bonds, molecules, masses (Da), positions, box (nm).

        A liquid has the box vectors of its positions; a system without boundaries has none.

        Raises
        ------
        ValueError
            If the model file has none.
        """
        template = self.card["topology"]
        if template is None:
            raise ValueError(
                f"{self.path} has no CG topology, so no system can be made of it alone; export it "
                "with one, or put openmmcg.CGForce into your own System."
            )
        return dict(template)

    @property
    def n_beads(self) -> int:
        """Beads of one replica."""
        return len(self.template["types"])

    @property
    def temperature(self) -> float:
        """Temperature the model was made for, K."""
        return float(self.card["temperature"])

    @property
    def priors(self) -> PriorSet | None:
        """Classical terms under the network; None if the model has none."""
        record = self.card["priors"]
        return None if record is None else PriorSet.from_dict(record)

    @property
    def box(self) -> np.ndarray | None:
        """Periodic box vectors (3, 3) of the model's own configuration, nm; None without one."""
        box = self.template.get("box")
        return None if box is None else np.asarray(box, dtype=np.float64)

    def topology(self, replicas: int = 1) -> Topology:
        """OpenMM topology with one chain for each molecule of each replica, and the box."""
        return build_topology(self.template, replicas)

    def initial_positions(self, replicas: int = 1) -> np.ndarray:
        """Positions (replicas n_beads, 3) in nm: the model file's frame for every replica.

        Replicas do not see each other, so all stand at the same place.
        """
        return np.tile(np.asarray(self.template["positions"], dtype=np.float64), (replicas, 1))

    def createSystem(
        self, replicas: int = 1, priors: bool = True, mass_scale: float = 1.0
    ) -> openmm.System:
        """Make a System of independent copies of the model's own molecules.

        It is periodic if the model file has a box, which becomes the default one.

        Parameters
        ----------
        replicas : int
            Copies that do not see each other; all are evaluated in one call to the network.
        priors : bool
            Add the classical terms too. Without them the energy is only the network's part.
        mass_scale : float
            Factor on all masses. It changes how fast beads move, not what they visit.

        Returns
        -------
        openmm.System
            Beads of replica r are particles n r .. n (r + 1) - 1. No centre-of-mass motion is
            removed: that would couple the replicas.
        """
        if replicas < 1:
            raise ValueError(f"The number of replicas is {replicas}, but at least 1 is needed.")
        system = openmm.System()
        if self.box is not None:
            system.setDefaultPeriodicBoxVectors(*self.box)
        for _ in range(replicas):
            for mass in self.template["masses"]:
                system.addParticle(mass * mass_scale)
        self.addToSystem(system, replicas, priors=priors)
        return system

    def addToSystem(
        self,
        system: openmm.System,
        replicas: int = 1,
        offset: int = 0,
        priors: bool = True,
        periodic: bool | None = None,
    ) -> None:
        """Add the network (force group 0) and the priors (force group 1) to a System.

        Parameters
        ----------
        system : openmm.System
            Has a particle for every bead.
        replicas : int
            Copies of the molecule, one after the other.
        offset : int
            Particle of the first bead of the first copy.
        priors : bool
            Add the classical terms too.
        periodic : bool, optional
            Use the shortest periodic images in the System's box, for the network and the priors;
            by default if the model file has a box.

        Raises
        ------
        ValueError
            If the System has too few particles.
        """
        template = self.template
        count = self.n_beads
        if offset < 0 or offset + replicas * count > system.getNumParticles():
            raise ValueError(
                f"{replicas} replicas of {count} beads from particle {offset} on do not fit into "
                f"a System of {system.getNumParticles()} particles; add the particles first."
            )
        boxed = self.box is not None if periodic is None else periodic
        system.addForce(self._network(replicas, offset, boxed))
        prior_set = self.priors if priors else None
        if prior_set is not None:
            bound = prior_set.bind(
                template["types"],
                self.card["bead_types"],
                template["bonds"],
                template["molecules"],
            )
            particles = system.getNumParticles()
            for force in bound.to_openmm(replicas, offset, periodic=boxed, n_particles=particles):
                force.setForceGroup(PRIOR_GROUP)
                system.addForce(force)

    def _network(self, replicas: int, offset: int, periodic: bool) -> openmm.Force:
        template = self.template
        force = CGForce(self.path)
        force.setUsesPeriodicBoundaryConditions(periodic)
        force.setName("network")
        force.setForceGroup(NETWORK_GROUP)
        for replica in range(replicas):
            first = force.getNumBeads()
            for bead, (kind, molecule) in enumerate(
                zip(template["types"], template["molecules"], strict=True)
            ):
                force.addBead(offset + first + bead, None, kind, molecule, replica)
            for one, other in template["bonds"]:
                force.addBond(first + one, first + other)
        return force

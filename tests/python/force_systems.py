"""Systems with a CGForce for the tests: overlapping beads over random chains, and CG molecules."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openmm
import pytest
from openmmcg import CGForce
from openmmcg.simulation import choose_platform

TRICLINIC = np.array([[2.0, 0, 0], [0.5, 1.9, 0], [-0.4, 0.6, 1.8]])
CHAIN = np.array(
    [[0, 0, 0], [0.13, 0, 0], [0.2, 0.12, 0], [0.15, 0.2, 0.12], [0.34, 0.14, 0], [0.4, 0.25, 0.03]]
)
CHAIN_TYPES = (0, 1, 2, 0, 1, 2)
CHAIN_BONDS = ((0, 1), (1, 2), (2, 3), (2, 4), (4, 5))


def _can_be_used(name: str) -> bool:
    try:
        choose_platform(name)
    except ValueError:
        return False
    return True


PLATFORMS = list(filter(_can_be_used, ("Reference", "CPU", "OpenCL", "CUDA", "HIP")))
"""Those that can evaluate models here."""


def as_parameters(platforms: Iterable[str]) -> list[object]:
    """Return platforms as parameters of a test, those that need a GPU marked so."""
    return [
        pytest.param(name, marks=pytest.mark.gpu) if name in ("CUDA", "HIP") else name
        for name in platforms
    ]


@dataclass
class Setup:
    """A System, its CGForce and starting positions (n, 3) in nm."""

    system: openmm.System
    force: CGForce
    positions: np.ndarray

    def context(
        self,
        platform: str = "Reference",
        integrator: openmm.Integrator | None = None,
        **properties: str,
    ) -> openmm.Context:
        """Create a Context with the positions set."""
        context = openmm.Context(
            self.system,
            integrator or openmm.VerletIntegrator(0.001),
            openmm.Platform.getPlatformByName(platform),
            properties,
        )
        context.setPositions(self.positions)
        return context


def overlapping(
    model: Path, seed: int, periodic: bool, n_particles: int = 14, n_beads: int = 9
) -> Setup:
    """Beads of one to four random particles with random weights, some of them negative; particles may be shared."""
    rng = np.random.default_rng(seed)
    system = openmm.System()
    system.setDefaultPeriodicBoxVectors(*TRICLINIC)
    for _ in range(n_particles):
        system.addParticle(12.0)
    force = CGForce(model)
    force.setUsesPeriodicBoundaryConditions(periodic)
    for bead in range(n_beads):
        members = rng.choice(n_particles, size=rng.integers(1, 5), replace=False)
        weights = rng.uniform(-0.3, 1.0, size=len(members))
        weights += (1 - weights.sum()) / len(members)
        force.addBead([int(i) for i in members], weights, int(rng.integers(3)), bead // 3, 0)
        if bead % 3:
            force.addBond(bead - 1, bead)
    system.addForce(force)
    return Setup(system, force, rng.uniform(0, 1.0, size=(n_particles, 3)))


def chains(
    model: Path | bytes,
    replicas: int = 1,
    molecules: int = 1,
    seed: int = 0,
    box: np.ndarray | None = None,
) -> Setup:
    """One-particle beads: branched chains of six with harmonic bonds and angles, on a grid within each replica."""
    rng = np.random.default_rng(seed)
    system, force, positions = openmm.System(), CGForce(model), []
    bonds = openmm.HarmonicBondForce()
    bonds.setUsesPeriodicBoundaryConditions(box is not None)
    if box is not None:
        system.setDefaultPeriodicBoxVectors(*box)
        force.setUsesPeriodicBoundaryConditions(True)
    for replica in range(replicas):
        for molecule in range(molecules):
            first = system.getNumParticles()
            offset = 0.8 * np.array([molecule % 2, molecule // 2 % 2, molecule // 4])
            for kind in CHAIN_TYPES:
                index = system.addParticle(12.0)
                force.addBead(index, None, kind, molecule, replica)
            positions.append(CHAIN + offset + rng.normal(scale=0.01, size=CHAIN.shape))
            for i, j in CHAIN_BONDS:
                force.addBond(first + i, first + j)
                length = float(np.linalg.norm(CHAIN[i] - CHAIN[j]))
                bonds.addBond(first + i, first + j, length, 20000.0)
    system.addForce(force)
    system.addForce(bonds)
    return Setup(system, force, np.concatenate(positions))

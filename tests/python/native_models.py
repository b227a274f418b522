"""Random models for both runners of the engine, and one System that evaluates many geometries."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import openmm
import torch
from openmmcg import CGForce, export, models

TYPES = ["A", "B", "C"]
CUTOFF = 0.6
TEMPERATURE = 345.0  # K, of all evaluations; models are exported with 300 K
BONDED = [[0.1, 0.6], [0.15, 0.6], [0.12, 0.17], [0.2, 0.3], [0.25, 0.45]]
MODELS: dict[str, dict[str, Any]] = {
    "schnet": {"name": "schnet", "width": 24, "interactions": 3},
    "schnet, odd width, bonded ranges": {"name": "schnet", "width": 19, "ranges": BONDED},
    "schnet, bessel, cosine, chiral": {
        "name": "schnet",
        "width": 16,
        "basis": "bessel",
        "envelope": "cosine",
        "chiral": True,
    },
    "schnet, expnorm, one round": {
        "name": "schnet",
        "width": 33,
        "interactions": 1,
        "basis": "expnorm",
    },
    "painn": {"name": "painn", "width": 16},
    "painn, odd width, bonded ranges, cosine": {
        "name": "painn",
        "width": 19,
        "ranges": BONDED,
        "envelope": "cosine",
        "interactions": 1,
    },
    "painn, expnorm, chiral": {
        "name": "painn",
        "width": 16,
        "basis": "expnorm",
        "chiral": True,
        "interactions": 3,
    },
    "schnet, thermal response": {
        "name": "schnet",
        "width": 16,
        "thermal": "response",
        "reference_temperature": 310.0,
    },
    "painn, thermal input": {
        "name": "painn",
        "width": 16,
        "interactions": 1,
        "thermal": "input",
        "reference_temperature": 290.0,
        "functions": 3,
    },
    "pair-spline": {"name": "pair-spline"},
    "pair-spline, thermal response": {
        "name": "pair-spline",
        "thermal": "response",
        "reference_temperature": 310.0,
        "heat_capacity": False,
    },
    "pair-spline, bonded ranges": {"name": "pair-spline", "ranges": BONDED},
}


@cache
def random_model(name: str) -> bytes:
    """Return a model file of random weights, with biases that are not zero."""
    with torch.random.fork_rng():
        torch.manual_seed(len(name))
        network = models.build(bead_types=TYPES, cutoff=CUTOFF, rbf=9, **MODELS[name])
        for parameter in network.parameters():
            if parameter.dim() == 1:
                torch.nn.init.normal_(parameter, std=0.2)
        if MODELS[name]["name"] == "pair-spline":
            torch.nn.init.normal_(network.coefficients, std=2.0)
    return export.to_bytes(network, temperature=300.0)


@dataclass(frozen=True)
class Geometries:
    """Independent sets of beads: positions (N, 3) in nm and to which set each bead belongs (N,)."""

    positions: np.ndarray
    owner: np.ndarray

    def largest(self, values: np.ndarray) -> np.ndarray:
        """Largest absolute value of each set."""
        sizes = np.abs(values).reshape(len(self.owner), -1).max(1)
        found = np.zeros(self.owner.max() + 1)
        np.maximum.at(found, self.owner, sizes)
        return found


@dataclass(frozen=True)
class Evaluation:
    """What a Context says: energy, forces (N, 3), bead energies (N,), dE/dT."""

    energy: float
    forces: np.ndarray
    bead_energies: np.ndarray
    slope: float


class Engine:
    """A Context of chains of six beads, each set of `geometries` as a replica."""

    def __init__(
        self,
        model: bytes,
        geometries: Geometries,
        runner: str,
        *,
        platform: str = "Reference",
        threads: int = 1,
        box: np.ndarray | None = None,
    ) -> None:
        system, self.force = openmm.System(), CGForce(model)
        self.force.setProperty("runner", runner)
        self.force.setProperty("threads", str(threads))
        self.force.addEnergyParameterDerivative(CGForce.Temperature())
        if box is not None:
            system.setDefaultPeriodicBoxVectors(*box)
            self.force.setUsesPeriodicBoundaryConditions(True)
        previous, index = -1, 0
        for bead, replica in enumerate(geometries.owner.tolist()):
            index = index + 1 if replica == previous else 0
            previous = replica
            self.force.addBead(system.addParticle(12.0), None, index % 3, index // 6, replica)
            if index % 6:
                self.force.addBond(bead - 1, bead)
        system.addForce(self.force)
        self.context = openmm.Context(
            system,
            openmm.VerletIntegrator(0.001),
            openmm.Platform.getPlatformByName(platform),
        )
        assert self.force.getContextInfo(self.context)["runner"] == runner

    def evaluate(self, positions: np.ndarray) -> Evaluation:
        """Evaluate at positions (N, 3) in nm."""
        self.context.setParameter(CGForce.Temperature(), TEMPERATURE)
        self.context.setPositions(positions)
        state = self.context.getState(energy=True, forces=True, parameterDerivatives=True)
        return Evaluation(
            state.getPotentialEnergy()._value,
            state.getForces(asNumpy=True)._value,
            self.force.getBeadEnergies(self.context),
            state.getEnergyParameterDerivatives()[CGForce.Temperature()],
        )


def evaluate(model: bytes, geometries: Geometries, runner: str, **how: Any) -> Evaluation:
    """Evaluate geometries once; see `Engine`."""
    return Engine(model, geometries, runner, **how).evaluate(geometries.positions)


def one(positions: np.ndarray) -> Geometries:
    """Return one set of beads."""
    return Geometries(positions, np.zeros(len(positions), dtype=int))


def assert_equal(
    expected: Evaluation, found: Evaluation, geometries: Geometries, tolerance: float
) -> None:
    """Compare forces and bead energies relative to the largest of the same geometry."""
    for name in ("forces", "bead_energies"):
        a, b = getattr(expected, name), getattr(found, name)
        error = geometries.largest(a - b) / np.maximum(geometries.largest(a), 1e-3)
        assert error.max() <= tolerance, f"{name}: {error.max():.1e} at {error.argmax()}"
    scale = np.abs(expected.bead_energies).sum()
    assert abs(found.energy - expected.energy) <= tolerance * scale
    assert abs(found.slope - expected.slope) <= tolerance * scale

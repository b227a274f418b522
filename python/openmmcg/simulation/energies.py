"""Energies of each replica for itself, and how the model's depend on the temperature."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import openmm
import torch

from openmmcg.force import CGForce
from openmmcg.simulation.potential import CGPotential

STEP = 1.0
"""Of differences over the temperature, K; in double precision their error is some 1e-5."""


@dataclass(frozen=True, eq=False)
class Thermodynamics:
    """What a model says of configurations at a temperature, beyond a constant of the temperature.

    Attributes
    ----------
    free_energies : ndarray, (F, R)
        Potential of mean force W(R; T) of network and priors, kJ/mol.
    entropies : ndarray, (F, R)
        S = -dW/dT of what is not a bead, kJ/mol/K.
    capacities : ndarray, (F, R)
        Its heat capacity dE/dT = -T d²W/dT² at fixed beads, kJ/mol/K.
    temperatures : ndarray, (F,)
        K.
    """

    free_energies: np.ndarray
    entropies: np.ndarray
    capacities: np.ndarray
    temperatures: np.ndarray

    @property
    def energies(self) -> np.ndarray:
        """Mean potential energies <u> at fixed beads, E = W + T S (F, R), kJ/mol."""
        return np.asarray(self.free_energies + self.temperatures[:, None] * self.entropies)


def prior_energies(potential: CGPotential) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function from positions (R, n_beads, 3) in nm to the priors' energies (R,)."""
    template, priors = potential.template, potential.priors
    if priors is None:
        return lambda frames: np.zeros(len(frames))
    bound = priors.bind(
        template["types"],
        potential.card["bead_types"],
        template["bonds"],
        template["molecules"],
    )
    box = None if potential.box is None else torch.from_numpy(potential.box)

    def energies(frames: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            points = torch.from_numpy(np.asarray(frames, dtype=np.float64))
            return np.asarray(bound.energy(points, box).numpy())

    return energies


def thermodynamics(
    potential: CGPotential,
    positions: np.ndarray,
    temperatures: np.ndarray,
    threads: int = 1,
    report: Callable[[int], None] = lambda frame: None,
) -> Thermodynamics:
    """Evaluate a model and its derivatives by the temperature for stored frames.

    Parameters
    ----------
    potential : CGPotential
    positions : ndarray, (F, R, n_beads, 3)
        nm.
    temperatures : ndarray, (F,)
        K.
    threads : int
        Of the network.
    report : callable
        Called with the number of frames done.
    """
    frames, replicas = positions.shape[:2]
    system = potential.createSystem(replicas, priors=False)
    network = CGForce.cast(system.getForce(0))
    network.setProperty("precision", "double")
    network.setProperty("threads", str(threads))
    context = openmm.Context(
        system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatform("CPU")
    )
    fixed = prior_energies(potential)
    values = np.empty((3, frames, replicas))
    for frame in range(frames):
        context.setPositions(positions[frame].reshape(-1, 3).astype(np.float64))
        for k, shift in enumerate((-STEP, 0.0, STEP)):
            context.setParameter(CGForce.Temperature(), temperatures[frame] + shift)
            values[k, frame] = network.getReplicaEnergies(context)
        values[:, frame] += fixed(positions[frame])
        report(frame + 1)
    low, middle, high = values
    kelvin = np.asarray(temperatures, dtype=np.float64)
    return Thermodynamics(
        free_energies=middle,
        entropies=(low - high) / (2 * STEP),
        capacities=-kelvin[:, None] * (low - 2 * middle + high) / STEP**2,
        temperatures=kelvin,
    )

"""Exchanges between the temperatures of a run, as it goes."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from openmmcg.simulation.bias import bias_energies
from openmmcg.simulation.energies import prior_energies
from openmmcg.simulation.exchange import Ladder, accepted, exponent, neighbours
from openmmcg.simulation.job import Job
from openmmcg.simulation.rung import Rung

_EXCHANGES = 1 << 30
"""Tells the random numbers of exchanges from those of rungs."""
_LEAST_CHANGE = 1e-5
LEAST_ACCEPTANCE = 0.05
"""Share of accepted exchanges below which temperatures are too far apart."""


class Tempering:
    """Exchanges replicas between the temperatures of a run.

    Replica r at one temperature exchanges with replica r at the next, so that there are as many
    ladders beside each other as replicas.

    Parameters
    ----------
    job : Job
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._network = job.network
        self.ladder = Ladder(len(job.temperatures), job.config.replicas)
        self._priors = prior_energies(job.potential)

    def attempt(self, rungs: Sequence[Rung], frame: int) -> None:
        """Try to exchange neighbours, the same ones after the same frame in every run."""
        rng = np.random.default_rng((self._job.config.seed, frame, _EXCHANGES))
        for low, high in neighbours(len(rungs), frame):
            pair = rungs[low], rungs[high]
            kelvin = pair[0].temperature, pair[1].temperature
            states = [rung.configuration() for rung in pair]
            energies = np.array([[self._energies(rung, t) for rung in pair] for t in kelvin])
            energies += np.array([self._fixed_energies(positions) for positions, _ in states])
            moved = accepted(exponent(kelvin, energies), rng)
            if moved.any():
                self._swap(pair, states, moved)
            self.ladder.exchange(low, moved)

    def _energies(self, rung: Rung, kelvin: float) -> np.ndarray:
        """Free energies (replicas,) of the network at a temperature, kJ/mol."""
        with rung.model_at(kelvin) as context:
            return self._network.getReplicaEnergies(context)

    def _fixed_energies(self, positions: np.ndarray) -> np.ndarray:
        """Energies (replicas,) of priors and bias, which do not depend on the temperature."""
        frames = positions.reshape(self._job.config.replicas, -1, 3)
        energies = self._priors(frames)
        if self._job.bias is not None:
            energies = energies + bias_energies(self._job.bias, frames)
        return energies

    def _swap(
        self,
        pair: tuple[Rung, Rung],
        states: Sequence[tuple[np.ndarray, np.ndarray]],
        moved: np.ndarray,
    ) -> None:
        """Exchange replicas; velocities take the temperature that they come to."""
        factor = np.sqrt(pair[1].temperature / pair[0].temperature)
        beads = np.repeat(moved, len(states[0][0]) // len(moved))[:, None]
        (x0, v0), (x1, v1) = states
        pair[0].place(np.where(beads, x1, x0), np.where(beads, v1 / factor, v0))
        pair[1].place(np.where(beads, x0, x1), np.where(beads, v0 * factor, v1))


def warn_if_blind(job: Job, rung: Rung, low: float, high: float) -> None:
    """Warn if the model's forces are the same at both ends of the run's temperatures, K."""
    forces = []
    for kelvin in (low, high):
        with rung.model_at(kelvin) as context:
            forces.append(job.network.getBeadForces(context))
    if np.abs(forces[1] - forces[0]).max() <= _LEAST_CHANGE * np.abs(forces[0]).max():
        own = job.potential.temperature
        warnings.warn(
            f"The forces of {job.config.model} are the same at {low:g} and {high:g} K: it holds at "
            f"{own:g} K, and what it samples at other temperatures is not the ensemble there; use "
            f"such frames to speed up sampling at {own:g} K only, or train a model that depends on "
            "the temperature.",
            stacklevel=4,
        )


def warn_of_few_exchanges(numbers: Mapping[str, Any]) -> None:
    """Warn if neighbours hardly exchange; `numbers` are those of `Ladder.numbers`."""
    kelvin = numbers["temperatures"]
    for low, high, share in zip(kelvin[:-1], kelvin[1:], numbers["acceptance"], strict=True):
        if share < LEAST_ACCEPTANCE:
            warnings.warn(
                f"Only {share:.1%} of the exchanges between {low:g} and {high:g} K were accepted; "
                "choose temperatures between them.",
                stacklevel=3,
            )

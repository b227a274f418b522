"""Averages and profiles along a variable, with errors from independent parts of a sample."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from openmmcg.units import KB

LEAST_GROUPS = 8
"""Independent walkers that are enough for an error; fewer are cut into parts of their time."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Values over frames of replicas that do not know of each other, at one temperature.

    Attributes
    ----------
    temperature : float
        K.
    weights, free_energies, entropies, energies, capacities : ndarray, (F, R)
        Thermodynamic weights, and W, S, E and dE/dT of the model in kJ/mol and kJ/mol/K.
    """

    temperature: float
    weights: np.ndarray
    free_energies: np.ndarray
    entropies: np.ndarray
    energies: np.ndarray
    capacities: np.ndarray

    def groups(self) -> np.ndarray:
        """Number of the independent part (F, R) that each value belongs to."""
        frames, replicas = self.weights.shape
        parts = -(-LEAST_GROUPS // replicas)
        times = np.arange(frames) * parts // frames
        return times[:, None] * replicas + np.arange(replicas)


def jackknife(
    estimate: Callable[[np.ndarray], np.ndarray], groups: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Value of an estimator and its standard error.

    Parameters
    ----------
    estimate : callable
        From a mask over all values to the estimate.
    groups : ndarray of int
        Independent part that each value belongs to.
    """
    numbers = np.unique(groups)
    value = np.asarray(estimate(np.ones(groups.shape, dtype=bool)))
    without = np.array([estimate(groups != number) for number in numbers])
    spread = np.mean((without - without.mean(axis=0)) ** 2, axis=0)
    return value, np.sqrt((len(numbers) - 1) * spread)


def heat_capacity(sample: Sample) -> tuple[float, float]:
    """Configurational heat capacity d<u>/dT with its error, kJ/mol/K.

    <u> = <E> over the beads' ensemble exp(-W/kT), hence d<u>/dT = <dE/dT> + Var(E)/(kT²): what the
    other atoms take up at fixed beads, and what the beads' own fluctuations do. Add the kinetic
    part, k/2 for each degree of freedom of the atoms.
    """
    scale = 1 / (KB * sample.temperature**2)

    def estimate(chosen: np.ndarray) -> np.ndarray:
        weights, energies = sample.weights[chosen], sample.energies[chosen]
        mean = np.average(energies, weights=weights)
        variance = np.average((energies - mean) ** 2, weights=weights)
        inner = np.average(sample.capacities[chosen], weights=weights)
        return np.asarray(inner + scale * variance)

    value, error = jackknife(estimate, sample.groups())
    return float(value), float(error)


def mean(sample: Sample, values: np.ndarray) -> tuple[float, float]:
    """Weighted mean of values (F, R) with its error."""
    value, error = jackknife(
        lambda chosen: np.average(values[chosen], weights=sample.weights[chosen]), sample.groups()
    )
    return float(value), float(error)


@dataclass(frozen=True, eq=False)
class Profile:
    """Thermodynamics along a variable; bins without values in all parts of the sample are NaN.

    Attributes
    ----------
    x : ndarray, (bins,)
        Centres of the bins.
    columns : dict of str to (value, error), each (bins,)
        ``free_energy``: -kT ln p(x), kJ/mol. ``energy``: mean potential energy <u> at x, kJ/mol.
        ``entropy``: -d(free energy)/dT = (energy - free energy)/T, kJ/mol/K. ``solvent_entropy``:
        the mean of S over the configurations of the beads at x, kJ/mol/K; the rest of the entropy
        is that of the beads. All are relative to their means over the ensemble.
    """

    x: np.ndarray
    columns: dict[str, tuple[np.ndarray, np.ndarray]]


def profile(sample: Sample, values: np.ndarray, edges: np.ndarray) -> Profile:
    """Free energy, energy and entropy along a variable.

    Parameters
    ----------
    sample : Sample
    values : ndarray, (F, R)
        The variable.
    edges : ndarray, (bins + 1,)
        Of equal bins.
    """
    bins = len(edges) - 1
    where = np.searchsorted(edges, values, side="right") - 1
    inside = (where >= 0) & (where < bins)

    def estimate(chosen: np.ndarray) -> np.ndarray:
        used = chosen & inside
        index, weights = where[used], sample.weights[used]
        sums = np.bincount(index, weights, bins)
        with np.errstate(divide="ignore", invalid="ignore"):
            p = sums / sums.sum()
            free = np.where(p > 0, -KB * sample.temperature * np.log(p), np.nan)
            energy, solvent = (
                np.bincount(index, weights * column[used], bins) / sums
                for column in (sample.energies, sample.entropies)
            )
        columns = [free, energy, (energy - free) / sample.temperature, solvent]
        return np.array([column - np.nansum(p * column) for column in columns])

    found, errors = jackknife(estimate, sample.groups())
    names = ("free_energy", "energy", "entropy", "solvent_entropy")
    columns = {name: (found[k], errors[k]) for k, name in enumerate(names)}
    return Profile((edges[1:] + edges[:-1]) / 2, columns)

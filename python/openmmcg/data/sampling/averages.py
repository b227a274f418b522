"""Averages over configurations with held beads: mean force, thermal response force, mean energy.

At fixed beads R the mean force is F = <B f>, and its derivative with respect to temperature is

    G(R; T) = dF/dT = Cov(B f, u) / (k T^2),

because d<A>/dT = Cov(A, u) / (k T^2) in any ensemble exp(-u/kT) whose measure does not depend on T
(the fluctuation formula of heat capacities with A for u). As G = grad S, it is the gradient of the
entropy of what is not a bead.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from openmmcg.units import KB

MEAN_BLOCKS = 10
"""Parts of a run with held beads whose averages give the standard errors."""


@dataclass(frozen=True, eq=False)
class Averages:
    """Averages at one configuration of the beads, with standard errors.

    Attributes
    ----------
    force, force_error : (n_beads, 3)
        kJ/mol/nm.
    thermal_force, thermal_force_error : (n_beads, 3)
        kJ/mol/nm/K.
    energy, energy_error : float
        kJ/mol.
    """

    force: np.ndarray
    force_error: np.ndarray
    thermal_force: np.ndarray
    thermal_force_error: np.ndarray
    energy: float
    energy_error: float

    def with_memory(self, correlation: float) -> Averages:
        """Return these averages with errors for parts whose neighbours have a correlation.

        A mean of parts whose correlation falls off geometrically has (1 + c) / (1 - c) times the
        variance that independent ones would have.

        Parameters
        ----------
        correlation : float
            Of `memory`; below 0 counts as 0, above 0.9 as 0.9.
        """
        c = min(max(correlation, 0.0), 0.9)
        factor = float(np.sqrt((1 + c) / (1 - c)))
        return replace(
            self,
            force_error=factor * self.force_error,
            thermal_force_error=factor * self.thermal_force_error,
            energy_error=factor * self.energy_error,
        )


def averages(forces: np.ndarray, energies: np.ndarray, temperature: float) -> Averages:
    """Average samples that follow each other in time.

    Errors are those of the jackknife over `MEAN_BLOCKS` parts of the time: right for correlated
    samples if a part is longer than their memory, else see `Averages.with_memory`. The covariance of n samples is too
    small by a share that falls like 1/n, correlated or not; the jackknife takes that out.

    Parameters
    ----------
    forces : (n_samples, n_beads, 3)
        Mapped forces B f, kJ/mol/nm.
    energies : (n_samples,)
        Potential energies u of all that was sampled, kJ/mol.
    temperature : float
        K.

    Raises
    ------
    ValueError
        If the samples cannot be cut into equal parts.
    """
    n_samples = len(energies)
    if n_samples == 0 or n_samples % MEAN_BLOCKS:
        raise ValueError(
            f"There are {n_samples} samples, expected a multiple of {MEAN_BLOCKS} to cut into parts."
        )
    mean_force, mean_energy = forces.mean(axis=0), float(energies.mean())
    f, u = _parts(forces - mean_force), _parts(energies - mean_energy)
    means = f.mean(axis=1), u.mean(axis=1), np.einsum("bs...,bs->b...", f, u) / f.shape[1]
    without = [(entry.sum(axis=0) - entry) / (MEAN_BLOCKS - 1) for entry in means]
    whole = means[2].mean(axis=0)  # the means of f and u themselves are zero here
    covariances = without[2] - without[0] * without[1].reshape(-1, *[1] * (forces.ndim - 1))
    covariance = MEAN_BLOCKS * whole - (MEAN_BLOCKS - 1) * covariances.mean(axis=0)
    scale = 1 / (KB * temperature**2)
    return Averages(
        force=mean_force,
        force_error=_jackknife(without[0]),
        thermal_force=scale * covariance,
        thermal_force_error=scale * _jackknife(covariances),
        energy=mean_energy,
        energy_error=float(_jackknife(without[1])),
    )


def memory(forces: np.ndarray) -> float:
    """Correlation of the mean forces of neighbouring parts of a run; near 0 if they are independent.

    Pooled over beads and axes and corrected for the mean being that of the same parts, which alone
    would give -1/`MEAN_BLOCKS`.

    Parameters
    ----------
    forces : (n_samples, n_beads, 3)
        Mapped forces, kJ/mol/nm.
    """
    parts = _parts(forces).mean(axis=1)
    parts = parts - parts.mean(axis=0)
    variance = np.mean(parts**2)
    if variance == 0:
        return 0.0
    return float(np.mean(parts[1:] * parts[:-1]) / variance + 1 / MEAN_BLOCKS)


def _parts(samples: np.ndarray) -> np.ndarray:
    return samples.reshape(MEAN_BLOCKS, -1, *samples.shape[1:])


def _jackknife(without: np.ndarray) -> np.ndarray:
    """Return standard errors from values that each leave one part out (first axis)."""
    return np.sqrt((MEAN_BLOCKS - 1) * np.mean((without - without.mean(axis=0)) ** 2, axis=0))

"""Boltzmann inversion of samples on a grid."""

from __future__ import annotations

import numpy as np

from openmmcg.priors.base import DegenerateError
from openmmcg.priors.geometry import Coordinate

FEWEST_SAMPLES = 100
"""Samples that a table needs."""
_TRUSTED = 10
_ROUGHNESS = 30.0
"""Penalty of a squared third difference of energies in kT, against counts."""
_SLOPE_KNOTS = 3


def histogram(
    values: np.ndarray,
    weights: np.ndarray | None,
    coordinate: type[Coordinate],
    knots: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Histogram with bins around knots.

    Parameters
    ----------
    values : numpy.ndarray
        Samples in nm or rad.
    weights : numpy.ndarray, optional
        Weight of each sample.
    coordinate : type of Coordinate
        Gives the volume of bins. The last knot of a periodic one is the first again.
    knots : numpy.ndarray, shape (n,)
        Evenly spaced.

    Returns
    -------
    counts, masses, volumes : numpy.ndarray, shape (n,) or, if periodic, (n - 1,)
        Samples, their weight, and the volume of each bin.
    """
    middles = 0.5 * (knots[1:] + knots[:-1])
    edges = np.concatenate([knots[:1], middles, knots[-1:]])
    counts = np.histogram(values, edges)[0]
    masses = counts if weights is None else np.histogram(values, edges, weights=weights)[0]
    parts = [
        np.asarray(x, dtype=float) for x in (counts, masses, np.diff(coordinate.volume(edges)))
    ]
    if coordinate.periodic:
        parts = [np.concatenate([[part[0] + part[-1]], part[1:-1]]) for part in parts]
    return parts[0], parts[1], parts[2]


def invert(
    values: np.ndarray,
    weights: np.ndarray | None,
    coordinate: type[Coordinate],
    knots: np.ndarray,
    kt: float,
    walls: tuple[float, float],
) -> np.ndarray:
    """Energies -kT ln(p / volume) at knots.

    Bins are smoothed as far as their counts are uncertain, so that the slopes of the energy are
    not those of the noise. Where a gap between sampled regions is empty, the energy is that of
    half a sample. Beyond the outermost bins with ten samples it rises with the slope found there
    and a given curvature.

    Parameters
    ----------
    values, weights, coordinate, knots
        As of `histogram`.
    kt : float
        kJ/mol.
    walls : tuple of float
        Curvature below and above the data; with zero the energy stays as at the last bins.

    Returns
    -------
    numpy.ndarray, shape (n,) or, if periodic, (n - 1,)
        kJ/mol, up to a constant.

    Raises
    ------
    DegenerateError
        If there are too few samples.
    """
    counts, masses, volumes = histogram(values, weights, coordinate, knots)
    trusted = np.flatnonzero(counts >= _TRUSTED)
    if counts.sum() < FEWEST_SAMPLES or len(trusted) < _SLOPE_KNOTS:
        raise DegenerateError(
            f"{int(counts.sum())} samples that fill {len(trusted)} of {len(counts)} bins are too "
            f"few for a table, which needs {FEWEST_SAMPLES} that fill {_SLOPE_KNOTS}"
        )
    least = 0.5 * masses.sum() / counts.sum()
    energy = -kt * np.log(np.maximum(masses, least) / volumes)
    precision = np.maximum(counts, 0.5)
    if coordinate.periodic:
        return kt * _smooth(energy / kt, precision, periodic=True)
    inner = slice(trusted[0], trusted[-1] + 1)
    energy[inner] = kt * _smooth(energy[inner] / kt, precision[inner], periodic=False)
    _continue(energy, knots, trusted, walls[0])
    _continue(energy[::-1], -knots[::-1], len(knots) - 1 - trusted[::-1], walls[1])
    return energy


def _smooth(values: np.ndarray, precision: np.ndarray, periodic: bool) -> np.ndarray:
    """Penalised least squares (Whittaker): third differences against deviations.

    What is quadratic stays as it is.
    """
    size = len(values)
    differences = np.roll(np.eye(size), 1, axis=1) - np.eye(size)
    third = np.linalg.matrix_power(differences, 3)[: size if periodic else size - 3]
    system = np.diag(precision) + _ROUGHNESS * third.T @ third
    return np.linalg.solve(system, precision * values)


def _continue(energy: np.ndarray, knots: np.ndarray, trusted: np.ndarray, curvature: float) -> None:
    """Overwrite energies below the first trusted knot."""
    edge = trusted[:_SLOPE_KNOTS]
    first = edge[0]
    distance = knots[first] - knots[:first]
    if curvature:
        slope = max(0.0, -float(np.polyfit(knots[edge], energy[edge], 1)[0]))
        energy[:first] = energy[first] + slope * distance + 0.5 * curvature * distance**2
    else:
        energy[:first] = energy[first]

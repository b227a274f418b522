"""Weighted histograms, free energies and distances between distributions."""

from __future__ import annotations

import numpy as np
from scipy.special import rel_entr

from openmmcg.units import KB

RAMACHANDRAN_RANGE = ((-180.0, 180.0), (-180.0, 180.0))


def jensen_shannon(p: np.ndarray, q: np.ndarray) -> float:
    """Jensen-Shannon divergence of two histograms over the same bins, natural logarithm.

    Parameters
    ----------
    p, q : ndarray of one shape
        Non-negative counts or probabilities; each is normalised here.

    Returns
    -------
    float
        Between 0 (equal) and ln 2 = 0.693 (disjoint).

    Raises
    ------
    ValueError
        If the shapes differ, an entry is negative or not finite, or a histogram is empty.

    Notes
    -----
    Lin, IEEE Trans. Inf. Theory 37, 145 (1991): (KL(p|m) + KL(q|m)) / 2 with m = (p + q) / 2.
    """
    p, q = (np.asarray(h, dtype=np.float64) for h in (p, q))
    if p.shape != q.shape:
        raise ValueError(
            f"Cannot compare histograms of shapes {p.shape} and {q.shape}; "
            "make both over the same bins."
        )
    for histogram in (p, q):
        if not np.all(np.isfinite(histogram)) or np.any(histogram < 0) or histogram.sum() == 0:
            raise ValueError(
                "A histogram is empty or has negative or non-finite entries; "
                "check that there are frames and that their weights are finite."
            )
    p, q = p / p.sum(), q / q.sum()
    mean = (p + q) / 2
    return float((rel_entr(p, mean).sum() + rel_entr(q, mean).sum()) / 2)


def histogram2d(
    x: np.ndarray,
    y: np.ndarray,
    weights: np.ndarray | None = None,
    bins: int = 60,
    extent: tuple[tuple[float, float], tuple[float, float]] = RAMACHANDRAN_RANGE,
) -> np.ndarray:
    """Weighted, normalised histogram of shape (bins, bins), first axis x.

    Parameters
    ----------
    x, y : ndarray
        Values of one shape, by default torsions in degrees.
    weights : ndarray, optional
        One weight a value; equal weights if absent.
    bins : int
        Bins along each axis.
    extent : pair of pairs
        Range of x and of y.

    Raises
    ------
    ValueError
        If no value falls into the range or the weights sum to 0.
    """
    weights = None if weights is None else np.ravel(weights)
    counts, _, _ = np.histogram2d(np.ravel(x), np.ravel(y), bins, extent, weights=weights)
    return _normalised(counts)


def histogram(values: np.ndarray, weights: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Weighted probability of each bin; values outside count in the first or last bin.

    Parameters
    ----------
    values, weights : ndarray of one shape
        Samples and their weights.
    edges : ndarray, (bins + 1,)
        Ascending bin edges.
    """
    inside = np.clip(np.ravel(values), edges[0], edges[-1])
    counts, _ = np.histogram(inside, edges, weights=np.ravel(weights))
    return _normalised(counts)


def _normalised(counts: np.ndarray) -> np.ndarray:
    total = counts.sum()
    if not np.isfinite(total) or total <= 0:
        raise ValueError(
            "The histogram is empty: no sample falls into its range or all weights are zero; "
            "check the range, the frames and their weights."
        )
    return counts / total


def free_energy(p: np.ndarray, temperature: float) -> np.ndarray:
    """Free energy -kT ln p in kJ/mol, lowest bin 0, empty bins NaN.

    Parameters
    ----------
    p : ndarray
        Probabilities or counts of equal-sized bins.
    temperature : float
        K.
    """
    p = np.asarray(p, dtype=np.float64)
    energy = np.full(p.shape, np.nan)
    filled = p > 0
    energy[filled] = -KB * temperature * np.log(p[filled] / p.max())
    return energy


def effective_samples(weights: np.ndarray) -> float:
    """Kish's effective sample size (sum w)^2 / sum w^2 of frame weights."""
    weights = np.asarray(weights, dtype=np.float64)
    return float(weights.sum() ** 2 / np.square(weights).sum())


def weighted_moments(values: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Weighted mean and standard deviation of samples."""
    mean = np.average(values, weights=weights)
    return float(mean), float(np.sqrt(np.average((values - mean) ** 2, weights=weights)))

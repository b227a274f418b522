"""Self-diffusion of molecules from their mean square displacement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from openmmcg.analysis.ensemble import Ensemble

FIT = (0.05, 0.25)
"""Part of a walker's time over which the displacement is fitted: beyond the cage, where every
time is still averaged over many starts."""
LEAST_FRAMES = 40
"""Frames of a walker, or of a part of one, below which there is no estimate."""
_PARTS = 4


@dataclass(frozen=True, eq=False)
class Diffusion:
    """Self-diffusion in an ensemble.

    Attributes
    ----------
    times : ndarray, (F,)
        ps.
    displacement : ndarray, (F,)
        Mean square displacement of molecules' centres, nm².
    coefficient, error : float
        1e-5 cm²/s; standard error over walkers, or over parts of the time of a single one.
    """

    times: np.ndarray
    displacement: np.ndarray
    coefficient: float
    error: float


def self_diffusion(
    ensemble: Ensemble, molecules: Sequence[int], masses: Sequence[float]
) -> Diffusion | None:
    """Diffusion coefficient of molecules by Einstein's relation, <Δx²> = 6 D t.

    Displacements are relative to the centre of mass of all beads. D of a coarse-grained model is
    set by the friction of its thermostat as much as by its forces, and D in a small periodic box
    is too small (Yeh and Hummer, J. Phys. Chem. B 2004, 108, 15873): compare at one box.

    Parameters
    ----------
    ensemble : Ensemble
        Frames at equal intervals, with boxes.
    molecules : sequence of int
        Molecule of each bead.
    masses : sequence of float
        Mass of each bead, Da.

    Returns
    -------
    Diffusion or None
        None without boxes or frame interval, with frames of unequal weight or too few of them,
        and where walkers exchange configurations.
    """
    if ensemble.boxes is None or ensemble.frame_interval is None or not ensemble.continuous:
        return None
    tracks = [np.flatnonzero(ensemble.walkers == walker) for walker in np.unique(ensemble.walkers)]
    length = min(len(track) for track in tracks)
    if len(tracks) < _PARTS:
        length //= _PARTS
        tracks = [t[k * length : (k + 1) * length] for t in tracks for k in range(_PARTS)]
    if length < LEAST_FRAMES or np.ptp(ensemble.weights) > 1e-6 * ensemble.weights.max():
        return None
    curves = np.array(
        [
            mean_square_displacement(_centres(ensemble, track[:length], molecules, masses))
            for track in tracks
        ]
    )
    times = ensemble.frame_interval * np.arange(length)
    first, last = max(1, int(FIT[0] * length)), max(3, int(FIT[1] * length))
    # 1 nm²/ps is 1000 of 1e-5 cm²/s.
    slopes = np.polyfit(times[first:last], curves[:, first:last].T, 1)[0] / 6 * 1000
    error = float(slopes.std(ddof=1) / np.sqrt(len(slopes)))
    return Diffusion(times, curves.mean(axis=0), float(slopes.mean()), error)


def mean_square_displacement(positions: np.ndarray) -> np.ndarray:
    """Mean square displacement over all starts and particles.

    Parameters
    ----------
    positions : ndarray, (F, M, 3)
        Unwrapped, at equal intervals.

    Returns
    -------
    ndarray, (F,)

    Notes
    -----
    By Fourier transforms in F log F steps (Calandrini et al., Collection SFN 2011, 12, 201):
    the sum of squares of both ends less twice the autocorrelation.
    """
    count = len(positions)
    x = np.asarray(positions - positions.mean(axis=0), dtype=np.float64)
    transform = np.fft.rfft(x, 2 * count, axis=0)
    products = np.fft.irfft(np.abs(transform) ** 2, 2 * count, axis=0)[:count].sum(axis=-1)
    squares = np.cumsum(np.concatenate([np.zeros((1, x.shape[1])), np.sum(x**2, axis=-1)]), axis=0)
    starts = np.arange(count)
    ends = squares[count - starts] + squares[count] - squares[starts]
    msd = (ends - 2 * products) / (count - starts)[:, None]
    return np.asarray(np.maximum(msd.mean(axis=1), 0.0))


def _centres(
    ensemble: Ensemble, rows: np.ndarray, molecules: Sequence[int], masses: Sequence[float]
) -> np.ndarray:
    """Unwrapped centres of mass (F, M, 3) of molecules, relative to that of all beads, nm."""
    assert ensemble.boxes is not None
    weights = np.asarray(masses, dtype=np.float64)
    _, own = np.unique(molecules, return_inverse=True)
    totals = np.bincount(own, weights)
    centres = np.zeros((len(rows), len(totals), 3))
    weighted = ensemble.positions[rows] * weights[:, None]
    np.add.at(centres.swapaxes(0, 1), own, weighted.swapaxes(0, 1))
    centres /= totals[:, None]
    steps = np.diff(centres, axis=0)
    for axis in (2, 1, 0):  # the box is lower triangular
        vectors = ensemble.boxes[rows][1:, axis]
        steps -= np.rint(steps[..., axis] / vectors[:, None, axis])[..., None] * vectors[:, None]
    unwrapped = np.concatenate([centres[:1], centres[:1] + np.cumsum(steps, axis=0)])
    drift = np.average(unwrapped, axis=1, weights=totals)
    return np.asarray(unwrapped - drift[:, None])

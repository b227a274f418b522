"""The noise floor of force labels: how low a force-matching loss can get."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

_NEIGHBOURS = 3
_CANDIDATES = 24


@dataclass(frozen=True)
class Floor:
    """An estimate of the noise floor, all in (kJ/mol/nm)^2 per force component.

    Attributes
    ----------
    loss : float
        Mean square of the residuals.
    floor : float
        The part that no model could remove; NaN if it is not known.
    error : float
        Standard error of the floor, or of the loss above it.
    """

    loss: float
    floor: float
    error: float


class NoiseFloor:
    """Estimator of the noise floor on a fixed set of frames.

    A residual is e = f - F(R) = [<f>_R - F(R)] + noise: the error of the model, which varies
    smoothly with the configuration R, and noise with zero mean at fixed R, which two frames do
    not share. For two frames a, b of nearly the same configuration, turned onto each other, the
    mean of e_a . e_b is therefore the mean square error of the model, and the floor is the loss
    less that. Frames must not have been trained on: a fit to b's label would put b's noise into
    the model at a.

    Near frames are nearest neighbours in the space of all distances between beads and one signed
    volume, so that mirror images are far apart. The metric follows the soft coordinates; an
    error of the model in stiff ones (bond lengths) counts as noise in part, and so does what
    changes between a frame and its neighbour. Hence with few frames the floor is estimated too
    high, and the part of the loss above it too low.

    Parameters
    ----------
    positions : numpy.ndarray, shape (F, N, 3)
        Frames in nm.
    runs : numpy.ndarray of int, shape (F,)
        Trajectory to which a frame belongs.
    times : numpy.ndarray of int, shape (F,)
        Index of a frame in its trajectory.
    exclude : int, default 50
        Frames of one trajectory that are closer than this in time share noise and are not
        paired.

    Raises
    ------
    ValueError
        If there are not enough frames to pair any.
    """

    def __init__(
        self, positions: np.ndarray, runs: np.ndarray, times: np.ndarray, exclude: int = 50
    ) -> None:
        points = np.asarray(positions, dtype=np.float64)
        points = points - points.mean(axis=1, keepdims=True)
        features = _features(points)
        count = min(_CANDIDATES, len(points))
        _, near = cKDTree(features).query(features, k=count)
        near = near.reshape(len(points), count)
        rows = np.arange(len(points))[:, None]
        apart = (runs[near] != runs[rows]) | (np.abs(times[near] - times[rows]) >= exclude)
        usable = apart & (np.cumsum(apart, axis=1) <= _NEIGHBOURS)
        self.first, column = np.nonzero(usable)
        if len(self.first) < 10:
            raise ValueError(
                f"The noise floor cannot be estimated: only {len(self.first)} pairs of near and "
                f"independent frames were found among {len(points)}; use more frames."
            )
        self.second = near[self.first, column]
        self._rotations = _rotations(points[self.first], points[self.second])

    def estimate(self, residuals: np.ndarray) -> Floor:
        """Estimate the floor from residual forces.

        Parameters
        ----------
        residuals : numpy.ndarray, shape (F, N, 3)
            Labels less predictions in kJ/mol/nm, of the frames given on construction.

        Returns
        -------
        Floor
        """
        values = np.asarray(residuals, dtype=np.float64)
        turned = np.einsum("pxy,pny->pnx", self._rotations, values[self.second])
        shared = (values[self.first] * turned).mean(axis=(1, 2))
        loss = float((values**2).mean())
        # Neighbour relations are often mutual, so count frames, not pairs.
        error = float(shared.std() / np.sqrt(len(np.unique(self.first))))
        return Floor(loss, loss - float(shared.mean()), error)


def _features(points: np.ndarray) -> np.ndarray:
    """Distances of all pairs, and the largest signed volume's cube root, (F, features)."""
    first, second = np.triu_indices(points.shape[1], k=1)
    distances = np.linalg.norm(points[:, first] - points[:, second], axis=-1)
    if points.shape[1] < 4:
        return distances
    return np.column_stack([distances, _signed_volume(points)])


def _signed_volume(points: np.ndarray) -> np.ndarray:
    """Cube root of the sum of the signed volumes of consecutive quadruples of beads, (F,)."""
    edges = np.diff(points, axis=1)
    triple = np.einsum("fnx,fnx->fn", np.cross(edges[:, :-2], edges[:, 1:-1]), edges[:, 2:])
    return np.cbrt(triple).sum(axis=1)


def _rotations(target: np.ndarray, moving: np.ndarray) -> np.ndarray:
    """Rotations (P, 3, 3) that best lay centred `moving` (P, N, 3) onto `target` (Kabsch)."""
    covariance = np.einsum("pnx,pny->pxy", target, moving)
    left, _, right = np.linalg.svd(covariance)
    left[:, :, -1] *= np.sign(np.linalg.det(left @ right))[:, None]
    return left @ right


class KnownFloor:
    """The floor of labels whose standard errors are known.

    Parameters
    ----------
    errors : numpy.ndarray, shape (F, N, 3)
        Standard errors of the labels in kJ/mol/nm.
    weights : numpy.ndarray, shape (F, N, 3)
        Weights of the loss.
    """

    def __init__(self, errors: np.ndarray, weights: np.ndarray) -> None:
        self._weights = np.asarray(weights, dtype=np.float64)
        self._floor = float((self._weights * np.square(errors, dtype=np.float64)).mean())

    def estimate(self, residuals: np.ndarray) -> Floor:
        """Loss of residuals (F, N, 3), the floor, and the standard error of the loss."""
        squares = (self._weights * np.square(residuals, dtype=np.float64)).mean(axis=(1, 2))
        error = float(squares.std() / np.sqrt(len(squares)))
        return Floor(float(squares.mean()), self._floor, error)


class UnknownFloor:
    """No floor, only the loss.

    Parameters
    ----------
    weights : numpy.ndarray or None
        Weights of the loss, broadcastable to the residuals.
    """

    def __init__(self, weights: np.ndarray | None = None) -> None:
        self._weights = weights

    def estimate(self, residuals: np.ndarray) -> Floor:
        """Loss of residuals (F, N, 3)."""
        squares = np.square(residuals, dtype=np.float64)
        loss = squares if self._weights is None else squares * self._weights
        return Floor(float(loss.mean()), float("nan"), float("nan"))


def joint_floor(parts: Sequence[Floor], sizes: Sequence[int]) -> Floor:
    """Join the floors of systems, weighted by their numbers of components."""
    shares = np.asarray(sizes, dtype=np.float64) / np.sum(sizes)
    if len(parts) == 1:
        return parts[0]
    return Floor(
        float(np.dot(shares, [part.loss for part in parts])),
        float(np.dot(shares, [part.floor for part in parts])),
        float(np.sqrt(np.dot(shares**2, [part.error**2 for part in parts]))),
    )

"""Noise floors of all systems of a training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from openmmcg.training.frames import SystemData, TrainingData
from openmmcg.training.noise import Floor, KnownFloor, NoiseFloor, UnknownFloor, joint_floor

_MOST_FEATURES = 40_000_000


class Floors:
    """Estimate loss and noise floor from the residuals of the validation frames.

    Systems whose labels have standard errors have a known floor. Otherwise it is estimated for
    small systems without a box, see `NoiseFloor`; for others it is not known.

    Parameters
    ----------
    data : TrainingData
        The frames.

    Attributes
    ----------
    notes : list of str
        Why floors are not known, in sentences.
    """

    def __init__(self, data: TrainingData) -> None:
        self.notes: list[str] = []
        self._estimators = [self._estimator(system) for system in data.systems]
        self._temperatures = [s.temperatures[s.validation].round(2) for s in data.systems]
        self._sizes = [len(system.validation) * system.n_beads for system in data.systems]

    def estimate(self, residuals: Sequence[np.ndarray]) -> tuple[Floor, list[Floor]]:
        """Floor of all systems together, and of each.

        Parameters
        ----------
        residuals : sequence of numpy.ndarray, shape (F, N, 3)
            Of the validation frames of each system, in order.
        """
        parts = [e.estimate(r) for e, r in zip(self._estimators, residuals, strict=True)]
        return joint_floor(parts, self._sizes), parts

    def by_temperature(self, residuals: Sequence[np.ndarray]) -> dict[float, float]:
        """Mean square of the residuals at each temperature in K, if there are several."""
        kelvin = np.concatenate(self._temperatures)
        found = np.unique(kelvin)
        if len(found) == 1:
            return {}
        squares = np.concatenate([np.square(r, dtype=float).mean(axis=(1, 2)) for r in residuals])
        return {float(one): float(squares[kelvin == one].mean()) for one in found}

    def _estimator(self, system: SystemData) -> KnownFloor | NoiseFloor | UnknownFloor:
        frames = system.validation
        weights = None if system.weights is None else system.weights.numpy()[frames]
        if system.errors is not None and weights is not None:
            return KnownFloor(system.errors.numpy()[frames], weights)
        if weights is not None:
            self._unknown(system, "frames are weighted")
            return UnknownFloor(weights)
        features = system.n_beads * (system.n_beads - 1) // 2 * len(frames)
        if system.template is None or features > _MOST_FEATURES:
            self._unknown(system, "it is large or periodic, so no two frames are alike")
            return UnknownFloor()
        try:
            return NoiseFloor(
                system.positions.numpy()[frames], system.runs[frames], system.times[frames]
            )
        except ValueError as error:
            self.notes.append(str(error))
            return UnknownFloor()

    def _unknown(self, system: SystemData, reason: str) -> None:
        self.notes.append(f"The noise floor of {system.name} is not known: {reason}.")

"""Baths with closed forms: potentials of mean force, their response, and exact samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from openmmcg.units import KB


@dataclass(frozen=True)
class Bath:
    """Oscillators whose stiffness, and two-level units whose gap, depend on coordinates x (D,).

    The energy is u = K |x - x0|^2 / 2 + sum_i exp(a . x) y_i^2 / 2 + m (gap + g . x), with m units
    in the upper level.
    """

    stiffness: float
    center: np.ndarray
    oscillators: int
    a: np.ndarray
    units: int
    gap: float
    g: np.ndarray

    def _level(self, x: np.ndarray, temperature: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Gap and occupation of the upper level (F,)."""
        gap = self.gap + x @ self.g
        return gap, 1.0 / (1.0 + np.exp(gap / (KB * temperature)))

    def free_energy(self, x: np.ndarray, temperature: np.ndarray) -> np.ndarray:
        """W (F,) in kJ/mol of x (F, D), up to a constant of the temperature."""
        kt = KB * np.asarray(temperature)
        gap, _ = self._level(x, temperature)
        well = 0.5 * self.stiffness * ((x - self.center) ** 2).sum(-1)
        vibrations = 0.5 * kt * self.oscillators * (x @ self.a)
        return well + vibrations - kt * self.units * np.log1p(np.exp(-gap / kt))

    def mean_energy(self, x: np.ndarray, temperature: np.ndarray) -> np.ndarray:
        """<u> at x (F,)."""
        gap, upper = self._level(x, temperature)
        well = 0.5 * self.stiffness * ((x - self.center) ** 2).sum(-1)
        return well + 0.5 * self.oscillators * KB * temperature + self.units * upper * gap

    def force(self, x: np.ndarray, temperature: np.ndarray) -> np.ndarray:
        """-dW/dx (F, D) in kJ/mol/nm."""
        _, upper = self._level(x, temperature)
        kt = KB * np.asarray(temperature)[..., None]
        well = -self.stiffness * (x - self.center)
        return well - 0.5 * kt * self.oscillators * self.a - self.units * upper[:, None] * self.g

    def response(self, x: np.ndarray, temperature: np.ndarray) -> np.ndarray:
        """d(-dW/dx)/dT (F, D) in kJ/mol/nm/K."""
        gap, upper = self._level(x, temperature)
        slope = upper * (1 - upper) * gap / (KB * np.asarray(temperature) ** 2)
        return -0.5 * KB * self.oscillators * self.a - self.units * slope[:, None] * self.g

    def sample(
        self, x: np.ndarray, temperature: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Forces (F, D) and energies (F,) of one configuration of the bath at each x."""
        gap, upper = self._level(x, temperature)
        heat = 0.5 * KB * temperature * rng.chisquare(self.oscillators, len(x))
        excited = rng.binomial(self.units, upper)
        well = -self.stiffness * (x - self.center)
        forces = well - heat[:, None] * self.a - excited[:, None] * self.g
        energies = 0.5 * self.stiffness * ((x - self.center) ** 2).sum(-1) + heat + excited * gap
        return forces, energies


LINE = Bath(200.0, np.array([0.3]), 8, np.array([10.0]), 6, -3.0, np.array([20.0]))
"""One coordinate."""
PLANE = Bath(150.0, np.array([0.3, 0.25]), 6, np.array([8.0, -5.0]), 5, 2.0, np.array([12.0, 15.0]))
"""Two coordinates."""

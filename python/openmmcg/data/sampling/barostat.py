"""A Monte Carlo barostat whose random numbers belong to one walker.

OpenMM's own takes its random numbers from a generator that all Contexts of a process share, so
that walkers which run side by side would not give the same frames twice.
"""

from __future__ import annotations

import math

import numpy as np
import openmm
from openmm import unit

from openmmcg.units import BAR, KB

INTERVAL = 25
"""Time steps between attempted changes of the volume, as OpenMM's barostat has it."""
_ADAPT_AFTER = 10


class Barostat:
    """Isotropic changes of the volume that move molecules with their centres.

    A change is accepted with the probability min(1, exp(-(ΔE + P ΔV - N kT ln(V'/V)) / kT)) for
    N molecules (Chow and Ferguson, Comput. Phys. Commun. 1995, 91, 283), and its size is adapted
    until a quarter to three quarters are.

    Parameters
    ----------
    context : openmm.Context
    pressure : float
        bar.
    temperature : float
        K.
    seed : int

    Attributes
    ----------
    size : float or None
        Largest change of the volume, nm³; a hundredth of the volume if None at the first change.
    """

    def __init__(
        self, context: openmm.Context, pressure: float, temperature: float, seed: int
    ) -> None:
        self._context = context
        self._pressure = pressure * BAR
        self._kt = KB * temperature
        self._rng = np.random.default_rng(seed)
        self.size: float | None = None
        self._attempts = self._accepted = 0
        molecules = context.getMolecules()
        self._counts = np.array([len(molecule) for molecule in molecules])
        self._molecule = np.empty(context.getSystem().getNumParticles(), dtype=np.int64)
        for index, molecule in enumerate(molecules):
            self._molecule[list(molecule)] = index

    def attempt(self) -> bool:
        """Try to change the volume and return whether it changed."""
        state = self._context.getState(positions=True, energy=True)
        positions = state.getPositions(asNumpy=True).value_in_unit(unit.nanometer)
        box = np.array(state.getPeriodicBoxVectors(asNumpy=True).value_in_unit(unit.nanometer))
        volume = float(np.prod(np.diag(box)))
        self.size = self.size or 0.01 * volume
        change = self.size * (2 * self._rng.random() - 1)
        chance = self._rng.random()
        scale = ((volume + change) / volume) ** (1 / 3)
        self._set(positions + ((scale - 1) * self._centres(positions))[self._molecule], scale * box)
        new = self._context.getState(energy=True)
        work = (new.getPotentialEnergy() - state.getPotentialEnergy()).value_in_unit(
            unit.kilojoules_per_mole
        )
        work += self._pressure * change
        work -= len(self._counts) * self._kt * math.log1p(change / volume)
        accepted = work <= 0 or chance < math.exp(-work / self._kt)
        if not accepted:
            self._set(positions, box)
        self._adapt(accepted, volume)
        return accepted

    def _centres(self, positions: np.ndarray) -> np.ndarray:
        sums = [np.bincount(self._molecule, weights=column) for column in positions.T]
        return np.stack(sums, axis=1) / self._counts[:, None]

    def _set(self, positions: np.ndarray, box: np.ndarray) -> None:
        self._context.setPeriodicBoxVectors(*box)
        self._context.setPositions(positions)

    def _adapt(self, accepted: bool, volume: float) -> None:
        assert self.size is not None
        self._attempts += 1
        self._accepted += accepted
        if self._attempts < _ADAPT_AFTER:
            return
        share = self._accepted / self._attempts
        if share < 0.25:
            self.size /= 1.1
        elif share > 0.75:
            self.size = min(1.1 * self.size, 0.3 * volume)
        else:
            return
        self._attempts = self._accepted = 0

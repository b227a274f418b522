"""Umbrella sampling: harmonic restraints on collective variables, and weights that undo them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import openmm
from scipy.optimize import minimize
from scipy.special import logsumexp

from openmmcg.data.sampling.variables import Variable
from openmmcg.units import KB


@dataclass(frozen=True, eq=False)
class Umbrella:
    """Windows of harmonic restraints Σ k/2 (x - c)² on the same variables.

    Attributes
    ----------
    variables : list of Variable
        Each with one centre for all windows or as many as there are windows.
    """

    variables: Sequence[Variable]

    def __post_init__(self) -> None:
        counts = {len(variable.centers) for variable in self.variables} - {1}
        if not self.variables or len(counts) > 1:
            found = ", ".join(str(len(variable.centers)) for variable in self.variables)
            raise ValueError(
                f"The variables of the umbrella have {found or 'no'} centers; expected as many for "
                "each of them, or one."
            )

    @property
    def n_windows(self) -> int:
        """Number of windows."""
        return max(len(variable.centers) for variable in self.variables)

    @property
    def centers(self) -> np.ndarray:
        """Centres (n_windows, n_variables), in the variables' units."""
        columns = [np.resize(variable.centers, self.n_windows) for variable in self.variables]
        return np.stack(columns, axis=1)

    def force(self, window: int, periodic_box: bool) -> openmm.CustomCVForce:
        """Return the OpenMM force of a window."""
        terms, definitions = [], []
        for k, (variable, center) in enumerate(
            zip(self.variables, self.centers[window].tolist(), strict=True)
        ):
            terms.append(f"{0.5 * (variable.k or 0)!r}*d{k}^2")
            if variable.kind == "torsion":
                turn = 2 * np.pi
                definitions.append(f"d{k} = e{k} - {turn!r}*floor(e{k}/{turn!r} + 0.5)")
                definitions.append(f"e{k} = cv{k} - ({center!r})")
            else:
                definitions.append(f"d{k} = cv{k} - ({center!r})")
        force = openmm.CustomCVForce("; ".join([" + ".join(terms), *definitions]))
        for k, variable in enumerate(self.variables):
            force.addCollectiveVariable(f"cv{k}", variable.force(periodic_box))
        return force

    def energies(self, values: np.ndarray) -> np.ndarray:
        """Return the energy of each frame in each window.

        Parameters
        ----------
        values : (n_frames, n_variables)

        Returns
        -------
        (n_frames, n_windows) float64
            kJ/mol.
        """
        difference = np.asarray(values)[:, None, :] - self.centers
        for k, variable in enumerate(self.variables):
            if variable.kind == "torsion":
                difference[..., k] -= 2 * np.pi * np.floor(difference[..., k] / (2 * np.pi) + 0.5)
        springs = np.array([variable.k for variable in self.variables])
        return np.asarray(0.5 * (springs * difference**2).sum(axis=-1))


_CONVERGED = 1e-5
_LEAST_GAP = 1e-6


def _gap(shares: np.ndarray) -> float:
    """Return the spectral gap of MBAR's overlap matrix, 0 if windows fall into groups apart."""
    scale = np.sqrt(shares.sum(axis=0))
    eigenvalues = np.linalg.eigvalsh(shares.T @ shares / np.outer(scale, scale))
    return float(1 - eigenvalues[-2]) if len(eigenvalues) > 1 else 1.0


def combined_weights(energies: np.ndarray, windows: np.ndarray, temperature: float) -> np.ndarray:
    """Return weights, mean 1, that turn frames of all windows into one unbiased ensemble.

    This is MBAR (Shirts and Chodera, J. Chem. Phys. 2008, 129, 124105): the windows' free energies
    f maximise its likelihood, and a frame's weight is 1 / Σ_k N_k exp(f_k - V_k/kT). For one window
    it is exp(V/kT).

    Parameters
    ----------
    energies : (n_frames, n_windows)
        Bias energy V_k of every frame in every window, kJ/mol.
    windows : (n_frames,) int
        The window that each frame was sampled in.
    temperature : float
        K.

    Raises
    ------
    RuntimeError
        If the free energies cannot be found, because windows do not overlap.
    """
    reduced = np.asarray(energies, dtype=np.float64) / (KB * temperature)
    counts = np.bincount(windows, minlength=reduced.shape[1])
    sampled = np.flatnonzero(counts)
    logs = np.log(counts[sampled]) - reduced[:, sampled]

    def likelihood(free: np.ndarray) -> tuple[float, np.ndarray]:
        """Negative logarithm per frame, and its gradient; free energies but the first's, 0."""
        f = np.concatenate([[0.0], free])
        total = logsumexp(logs + f, axis=1)
        shares = np.exp(logs + f - total[:, None])
        value = total.mean() - (counts[sampled] * f).sum() / len(logs)
        gradient = shares.mean(axis=0) - counts[sampled] / len(logs)
        return float(value), gradient[1:]

    free = np.zeros(len(sampled) - 1)
    gradient = np.zeros(1)
    if len(free):
        found = minimize(likelihood, free, jac=True, method="BFGS", options={"gtol": 1e-8})
        free, gradient = found.x, found.jac
    logs = logs + np.concatenate([[0.0], free])
    total = logsumexp(logs, axis=1)
    shares = np.exp(logs - total[:, None])
    if not np.abs(gradient).max() < _CONVERGED or _gap(shares) < _LEAST_GAP:
        raise RuntimeError(
            "The windows of the umbrella do not overlap enough for their free energies; add "
            "windows between them, or weaken the springs."
        )
    weights = np.exp(total.min() - total)
    return np.asarray(weights / weights.mean())

"""Signed impropers and Fourier series of torsions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import openmm
import torch
from scipy.optimize import brentq
from scipy.special import i0e, i1e
from torch import Tensor

from openmmcg.priors.base import BondedTerm, Field, Parameters, Table, TensorTable
from openmmcg.priors.geometry import Features, Torsion, grid
from openmmcg.priors.topology import stereocentre_terms, torsion_terms

MULTIPLICITIES = 6
"""Longest Fourier series that a fit gives."""
_RIGID = 1.0 - 1e-9
_RIDGE = 1e-8


class SignedImpropers(BondedTerm):
    """k (1 - cos(phi - phi0)) on the improper torsion of every stereocentre.

    The torsion has a sign, so the energy tells a stereocentre from its mirror image, which
    networks on distances cannot.
    """

    kind = "signed-impropers"
    acts_on = "impropers"
    unit = "kJ/mol"
    bound = 1e4
    coordinate = Torsion
    fields = {"k": Field("positive", high=bound), "center": Field("free", scale=0.1)}  # noqa: RUF012
    reversible = False
    terms = staticmethod(stereocentre_terms)

    @staticmethod
    def energy(features: Features, rows: Tensor, table: TensorTable) -> Tensor:
        """Energies in kJ/mol."""
        cosine, sine = features
        center = table["center"][rows]
        length = torch.sqrt(cosine * cosine + sine * sine)
        aligned = (cosine * torch.cos(center) + sine * torch.sin(center)) / length
        return table["k"][rows] * (1.0 - aligned)

    @staticmethod
    def moments(values: np.ndarray, kt: float, weights: np.ndarray | None) -> Parameters:
        """Maximum likelihood of the von Mises density exp(k/kT cos(phi - phi0))."""
        resultant = complex(_mean(np.exp(1j * values), weights))
        length = abs(resultant)
        if length > _RIGID:
            return Parameters(math.inf, math.nan)
        concentration = brentq(lambda x: i1e(x) / i0e(x) - length, 0.0, 1e9)
        return Parameters(concentration * kt, math.atan2(resultant.imag, resultant.real))

    @staticmethod
    def to_openmm(terms: np.ndarray, rows: np.ndarray, table: Table) -> openmm.Force:
        """Make a PeriodicTorsionForce, whose energy is k (1 + cos(phi - phase))."""
        force = openmm.PeriodicTorsionForce()
        for beads, row in zip(terms.tolist(), rows.tolist(), strict=True):
            phase = float(table["center"][row]) + math.pi
            force.addTorsion(*beads, 1, phase, float(table["k"][row]))
        return force


class FourierParameters(NamedTuple):
    """Amplitudes k (kJ/mol) and phases (rad) of the multiplicities 1, 2, and so on."""

    k: tuple[float, ...]
    phase: tuple[float, ...]


class FourierTorsions(BondedTerm):
    """Sum over n of k_n (1 + cos(n phi - phase_n)) on every torsion along three bonds.

    Free phases make it signed: mirror images may differ in energy.
    """

    kind = "fourier-torsions"
    acts_on = "torsions"
    unit = "kJ/mol"
    bound = 1e3
    coordinate = Torsion
    record = FourierParameters
    fields = {"cosine": Field("free"), "sine": Field("free")}  # noqa: RUF012
    terms = staticmethod(torsion_terms)

    @classmethod
    def pack(cls, entries: Sequence[FourierParameters]) -> dict[str, np.ndarray]:
        """k cos(phase) and k sin(phase), shape (n, most multiplicities)."""
        for entry in entries:
            if not 0 < len(entry.k) == len(entry.phase):
                raise ValueError(
                    f"A {cls.kind} has {len(entry.k)} amplitudes and {len(entry.phase)} phases, "
                    "but one phase for each of at least one amplitude is expected."
                )
        width = max((len(entry.k) for entry in entries), default=1)
        k, phase = np.zeros((2, len(entries), width))
        for row, entry in enumerate(entries):
            k[row, : len(entry.k)], phase[row, : len(entry.k)] = entry.k, entry.phase
        return {"cosine": k * np.cos(phase), "sine": k * np.sin(phase)}

    @classmethod
    def unpack(cls, table: Table) -> list[FourierParameters]:
        """Amplitudes and phases."""
        k = np.hypot(table["cosine"], table["sine"])
        phase = np.arctan2(table["sine"], table["cosine"])
        return [
            FourierParameters(tuple(a), tuple(p))
            for a, p in zip(k.tolist(), phase.tolist(), strict=True)
        ]

    @staticmethod
    def energy(features: Features, rows: Tensor, table: TensorTable) -> Tensor:
        """Energies in kJ/mol."""
        cosine, sine = table["cosine"][rows], table["sine"][rows]
        length = torch.sqrt(features[0] ** 2 + features[1] ** 2)
        x, y = features[0] / length, features[1] / length
        # The tiny number keeps the derivative finite where an amplitude is zero.
        total = torch.sqrt(cosine**2 + sine**2 + 1e-30).sum(-1)
        real, imaginary = x, y
        for n in range(cosine.shape[-1]):
            if n:
                real, imaginary = real * x - imaginary * y, real * y + imaginary * x
            total = total + cosine[..., n] * real + sine[..., n] * imaginary
        return total

    @staticmethod
    def moments(
        values: np.ndarray, kt: float, weights: np.ndarray | None, count: int = MULTIPLICITIES
    ) -> FourierParameters:
        """Maximum likelihood of exp(-U/kT): Newton's method on a convex problem."""
        if abs(complex(_mean(np.exp(1j * values), weights))) > _RIGID:
            return FourierParameters((math.inf,), (math.nan,))
        orders = np.arange(1, count + 1)
        sampled = _mean(np.exp(1j * orders * np.reshape(values, (-1, 1))), weights)
        target = np.concatenate([sampled.real, sampled.imag])
        angles = orders[:, None] * grid(Torsion, 1440)
        solution = kt * _exponential_family(
            np.concatenate([np.cos(angles), np.sin(angles)]), target
        )
        (entry,) = FourierTorsions.unpack(
            {"cosine": -solution[None, :count], "sine": -solution[None, count:]}
        )
        return entry

    @classmethod
    def bounded(cls, entry: FourierParameters) -> FourierParameters:
        """Entry scaled as a whole, so that its shape stays."""
        factor = min(1.0, cls.bound / max(*entry.k, 1e-300))
        return entry._replace(k=tuple(k * factor for k in entry.k))

    @staticmethod
    def to_openmm(terms: np.ndarray, rows: np.ndarray, table: Table) -> openmm.Force:
        """Make a PeriodicTorsionForce with one torsion for each multiplicity."""
        force = openmm.PeriodicTorsionForce()
        entries = FourierTorsions.unpack(table)
        for beads, row in zip(terms.tolist(), rows.tolist(), strict=True):
            for n, (k, phase) in enumerate(zip(*entries[row], strict=True), start=1):
                if k:
                    force.addTorsion(*beads, n, phase, k)
        return force


def _mean(values: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """Mean over samples, the first axis."""
    return np.asarray(
        values.mean(0) if weights is None else np.average(values, axis=0, weights=weights)
    )


def _exponential_family(features: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Solve <features> = target for the density exp(x . features) on a grid.

    Parameters
    ----------
    features : numpy.ndarray, shape (n, grid)
    target : numpy.ndarray, shape (n,)

    Returns
    -------
    numpy.ndarray, shape (n,)
        A tiny ridge keeps it finite.
    """
    x = np.zeros(len(target))

    def density(x: np.ndarray) -> tuple[float, np.ndarray]:
        exponent = x @ features
        top = exponent.max()
        weight = np.exp(exponent - top)
        total = weight.sum()
        return top + math.log(total) - x @ target + 0.5 * _RIDGE * x @ x, weight / total

    loss, p = density(x)
    for _ in range(200):
        mean = features @ p
        gradient = mean - target + _RIDGE * x
        hessian = (features * p) @ features.T - np.outer(mean, mean)
        step = np.linalg.solve(hessian + _RIDGE * np.eye(len(x)), gradient)
        slope, length = float(gradient @ step), 1.0
        if slope < 1e-14:
            break
        while length > 1e-8:
            trial, trial_p = density(x - length * step)
            if trial <= loss - 1e-4 * length * slope:
                x, loss, p = x - length * step, trial, trial_p
                break
            length *= 0.5
        else:
            break
    return x

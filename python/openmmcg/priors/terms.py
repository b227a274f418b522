"""One class for each kind of prior energy, the same in torch and as a native OpenMM force."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import networkx as nx
import numpy as np
import openmm
import torch
from scipy.optimize import brentq
from scipy.special import i0e, i1e
from torch import Tensor

from openmmcg.priors.topology import angle_terms, bond_terms, stereocentre_terms

_FLAT_SINE = 0.05


class Parameters(NamedTuple):
    """Force constant (unit of the kind) and centre (nm or rad) of a term."""

    k: float
    center: float


class DegenerateError(ValueError):
    """The data do not determine a term; the message says why."""


class PriorTerm(ABC):
    """A kind of energy term.

    Attributes
    ----------
    kind : str
        Name of the kind in files.
    unit : str
        Unit of the force constant.
    bound : float
        Largest force constant that a fit gives.
    """

    kind: ClassVar[str]
    unit: ClassVar[str]
    bound: ClassVar[float]

    @staticmethod
    @abstractmethod
    def terms(graph: nx.Graph) -> np.ndarray:
        """Beads of every term of a bead graph, shape (n, beads in a term)."""

    @staticmethod
    @abstractmethod
    def coordinate(points: Sequence[Tensor]) -> Tensor:
        """Internal coordinate in nm or rad of terms whose beads lie at `points` (..., 3)."""

    @staticmethod
    @abstractmethod
    def energy(points: Sequence[Tensor], k: Tensor, center: Tensor) -> Tensor:
        """Energies in kJ/mol, one a term."""

    @staticmethod
    @abstractmethod
    def moments(values: np.ndarray, kt: float) -> Parameters:
        """Fit to samples of the internal coordinate at ``kT`` in kJ/mol, without the bound."""

    @classmethod
    def fit(cls, values: np.ndarray, kt: float) -> Parameters:
        """Fit parameters to samples of the internal coordinate.

        Parameters
        ----------
        values : numpy.ndarray
            Samples in nm or rad.
        kt : float
            Thermal energy in kJ/mol.

        Returns
        -------
        Parameters
            The force constant is at most `bound`.

        Raises
        ------
        DegenerateError
            If there are too few samples, some are not finite, or they do not vary.
        """
        if values.size < 2:
            raise DegenerateError(f"{values.size} samples are too few")
        if not np.isfinite(values).all():
            raise DegenerateError("some samples are not finite")
        parameters = cls.moments(values, kt)
        if not (math.isfinite(parameters.k) and math.isfinite(parameters.center)):
            raise DegenerateError("its samples do not vary (is it a constraint?)")
        return Parameters(min(parameters.k, cls.bound), parameters.center)

    @staticmethod
    @abstractmethod
    def to_openmm(terms: np.ndarray, k: np.ndarray, center: np.ndarray) -> openmm.Force:
        """Make the native force; `terms` are particle indices, shape (n, beads in a term)."""


class HarmonicBonds(PriorTerm):
    """k/2 (r - r0)^2 on every bond."""

    kind = "harmonic-bonds"
    unit = "kJ/mol/nm^2"
    bound = 1e6
    terms = staticmethod(bond_terms)

    @staticmethod
    def coordinate(points: Sequence[Tensor]) -> Tensor:
        """Distance in nm."""
        first, second = points
        return torch.linalg.vector_norm(second - first, dim=-1)

    @staticmethod
    def energy(points: Sequence[Tensor], k: Tensor, center: Tensor) -> Tensor:
        """Energies in kJ/mol."""
        return 0.5 * k * (HarmonicBonds.coordinate(points) - center) ** 2

    @staticmethod
    def moments(values: np.ndarray, kt: float) -> Parameters:
        """Mean and variance of p(r) / r^2, the density per volume."""
        return _harmonic(values, values**-2.0, kt)

    @staticmethod
    def to_openmm(terms: np.ndarray, k: np.ndarray, center: np.ndarray) -> openmm.Force:
        """Make a HarmonicBondForce."""
        force = openmm.HarmonicBondForce()
        for beads, constant, length in zip(
            terms.tolist(), k.tolist(), center.tolist(), strict=True
        ):
            force.addBond(*beads, length, constant)
        return force


class HarmonicAngles(PriorTerm):
    """k/2 (theta - theta0)^2 on every angle."""

    kind = "harmonic-angles"
    unit = "kJ/mol/rad^2"
    bound = 1e4
    terms = staticmethod(angle_terms)

    @staticmethod
    def coordinate(points: Sequence[Tensor]) -> Tensor:
        """Angle in rad, 0 to pi."""
        first, centre, last = points
        a, b = first - centre, last - centre
        cross = torch.linalg.cross(a, b, dim=-1)
        return torch.atan2(torch.linalg.vector_norm(cross, dim=-1), (a * b).sum(-1))

    @staticmethod
    def energy(points: Sequence[Tensor], k: Tensor, center: Tensor) -> Tensor:
        """Energies in kJ/mol."""
        return 0.5 * k * (HarmonicAngles.coordinate(points) - center) ** 2

    @staticmethod
    def moments(values: np.ndarray, kt: float) -> Parameters:
        """Mean and variance of p(theta) / sin(theta), the density per solid angle.

        The weight stays below 20, so that a few samples near a straight angle cannot decide.
        """
        return _harmonic(values, 1.0 / np.maximum(np.sin(values), _FLAT_SINE), kt)

    @staticmethod
    def to_openmm(terms: np.ndarray, k: np.ndarray, center: np.ndarray) -> openmm.Force:
        """Make a HarmonicAngleForce."""
        force = openmm.HarmonicAngleForce()
        for beads, constant, angle in zip(terms.tolist(), k.tolist(), center.tolist(), strict=True):
            force.addAngle(*beads, angle, constant)
        return force


class SignedImpropers(PriorTerm):
    """k (1 - cos(phi - phi0)) on the improper torsion of every stereocentre.

    The torsion has a sign, so the energy tells a stereocentre from its mirror image, which
    networks on distances cannot.
    """

    kind = "signed-impropers"
    unit = "kJ/mol"
    bound = 1e4
    terms = staticmethod(stereocentre_terms)

    @staticmethod
    def coordinate(points: Sequence[Tensor]) -> Tensor:
        """Torsion in rad, -pi to pi, IUPAC sign."""
        cosine, sine = _torsion(points)
        return torch.atan2(sine, cosine)

    @staticmethod
    def energy(points: Sequence[Tensor], k: Tensor, center: Tensor) -> Tensor:
        """Energies in kJ/mol."""
        cosine, sine = _torsion(points)
        length = torch.sqrt(cosine * cosine + sine * sine)
        aligned = (cosine * torch.cos(center) + sine * torch.sin(center)) / length
        return k * (1.0 - aligned)

    @staticmethod
    def moments(values: np.ndarray, kt: float) -> Parameters:
        """Maximum likelihood of the von Mises density exp(k/kT cos(phi - phi0))."""
        resultant = complex(np.exp(1j * values).mean())
        length = abs(resultant)
        if length > 1.0 - 1e-9:
            return Parameters(math.inf, math.nan)
        concentration = brentq(lambda x: i1e(x) / i0e(x) - length, 0.0, 1e9)
        return Parameters(concentration * kt, math.atan2(resultant.imag, resultant.real))

    @staticmethod
    def to_openmm(terms: np.ndarray, k: np.ndarray, center: np.ndarray) -> openmm.Force:
        """Make a PeriodicTorsionForce, whose energy is k (1 + cos(phi - phase))."""
        force = openmm.PeriodicTorsionForce()
        for beads, constant, phi in zip(terms.tolist(), k.tolist(), center.tolist(), strict=True):
            force.addTorsion(*beads, 1, phi + math.pi, constant)
        return force


KINDS: dict[str, type[PriorTerm]] = {
    kind.kind: kind for kind in (HarmonicBonds, HarmonicAngles, SignedImpropers)
}
"""Kinds of prior by name, in the order in which they are fitted and added."""


def _harmonic(values: np.ndarray, weights: np.ndarray, kt: float) -> Parameters:
    center = float(np.average(values, weights=weights))
    variance = float(np.average((values - center) ** 2, weights=weights))
    if variance <= (1e-9 * center) ** 2:
        return Parameters(math.inf, center)
    return Parameters(kt / variance, center)


def _torsion(points: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Cosine and sine of torsions times a common positive factor."""
    first, second, third, fourth = points
    a, b, c = second - first, third - second, fourth - third
    ab, bc = torch.linalg.cross(a, b, dim=-1), torch.linalg.cross(b, c, dim=-1)
    sine = torch.linalg.vector_norm(b, dim=-1) * (a * bc).sum(-1)
    return (ab * bc).sum(-1), sine

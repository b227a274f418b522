"""Harmonic bonds and angles, and restricted bending."""

from __future__ import annotations

import math

import numpy as np
import openmm
import torch
from scipy.optimize import minimize
from torch import Tensor

from openmmcg.priors.base import BondedTerm, Field, Parameters, Table, TensorTable
from openmmcg.priors.geometry import Angle, Bond, Features, grid
from openmmcg.priors.topology import angle_terms, bond_terms

FLAT_SINE = 0.05
"""Sine below which the weight of an angle no longer grows: a few samples near a straight angle
must not decide."""


class HarmonicBonds(BondedTerm):
    """k/2 (r - r0)^2 on every bond."""

    kind = "harmonic-bonds"
    acts_on = "bonds"
    unit = "kJ/mol/nm^2"
    bound = 1e6
    coordinate = Bond
    fields = {"k": Field("positive", high=bound), "center": Field("positive")}  # noqa: RUF012
    terms = staticmethod(bond_terms)

    @staticmethod
    def energy(features: Features, rows: Tensor, table: TensorTable) -> Tensor:
        """Energies in kJ/mol."""
        return 0.5 * table["k"][rows] * (Bond.value(features) - table["center"][rows]) ** 2

    @staticmethod
    def moments(values: np.ndarray, kt: float, weights: np.ndarray | None) -> Parameters:
        """Mean and variance of p(r) / r^2, the density per volume."""
        return _harmonic(values, _times(values**-2.0, weights), kt)

    @staticmethod
    def to_openmm(terms: np.ndarray, rows: np.ndarray, table: Table) -> openmm.Force:
        """Make a HarmonicBondForce."""
        force = openmm.HarmonicBondForce()
        for beads, row in zip(terms.tolist(), rows.tolist(), strict=True):
            force.addBond(*beads, float(table["center"][row]), float(table["k"][row]))
        return force


class HarmonicAngles(BondedTerm):
    """k/2 (theta - theta0)^2 on every angle."""

    kind = "harmonic-angles"
    acts_on = "angles"
    unit = "kJ/mol/rad^2"
    bound = 1e4
    coordinate = Angle
    fields = {  # noqa: RUF012
        "k": Field("positive", high=bound),
        "center": Field("bounded", high=math.pi),
    }
    terms = staticmethod(angle_terms)

    @staticmethod
    def energy(features: Features, rows: Tensor, table: TensorTable) -> Tensor:
        """Energies in kJ/mol."""
        return 0.5 * table["k"][rows] * (Angle.value(features) - table["center"][rows]) ** 2

    @staticmethod
    def moments(values: np.ndarray, kt: float, weights: np.ndarray | None) -> Parameters:
        """Mean and variance of p(theta) / sin(theta), the density per solid angle.

        The weight stays below 20, so that a few samples near a straight angle cannot decide.
        """
        solid = 1.0 / np.maximum(np.sin(values), FLAT_SINE)
        return _harmonic(values, _times(solid, weights), kt)

    @staticmethod
    def to_openmm(terms: np.ndarray, rows: np.ndarray, table: Table) -> openmm.Force:
        """Make a HarmonicAngleForce."""
        force = openmm.HarmonicAngleForce()
        for beads, row in zip(terms.tolist(), rows.tolist(), strict=True):
            force.addAngle(*beads, float(table["center"][row]), float(table["k"][row]))
        return force


class RestrictedBending(BondedTerm):
    """k/2 (cos theta - cos theta0)^2 / sin^2 theta on every angle.

    It grows without limit towards straight angles, where torsions lose their meaning.
    M. Bulacu et al., J. Chem. Theory Comput. 2013, 9, 3282.
    """

    kind = "restricted-bending"
    acts_on = "angles"
    unit = "kJ/mol"
    bound = 1e4
    coordinate = Angle
    fields = HarmonicAngles.fields
    terms = staticmethod(angle_terms)

    @staticmethod
    def energy(features: Features, rows: Tensor, table: TensorTable) -> Tensor:
        """Energies in kJ/mol."""
        x, y = features
        square = x * x + y * y
        offset = x * torch.rsqrt(square) - torch.cos(table["center"][rows])
        return 0.5 * table["k"][rows] * offset**2 * square / (y * y)

    @staticmethod
    def moments(values: np.ndarray, kt: float, weights: np.ndarray | None) -> Parameters:
        """Maximum likelihood of sin(theta) exp(-U/kT).

        Samples near a straight angle count as if their sine were 0.05.
        """
        start = HarmonicAngles.moments(values, kt, weights)
        if not math.isfinite(start.k):
            return start
        inverse = 1.0 / np.maximum(np.sin(values), FLAT_SINE) ** 2
        cosine = np.cos(values)
        means = [np.average(x * inverse, weights=weights) for x in (cosine**2, cosine, 1.0)]
        points = grid(Angle)
        sine, across = np.sin(points), np.cos(points)

        def loss(x: np.ndarray) -> float:
            """Negative log likelihood a sample of ln(k/kT) and theta0."""
            strength, center = 0.5 * math.exp(x[0]), math.cos(x[1])
            energy = strength * (means[0] - 2 * center * means[1] + center**2 * means[2])
            exponent = strength * ((across - center) / sine) ** 2
            least = exponent.min()
            return energy - least + math.log(float(np.sum(sine * np.exp(least - exponent))))

        found = minimize(
            loss,
            (math.log(start.k / kt), start.center),
            method="Nelder-Mead",
            options={"xatol": 1e-6, "fatol": 1e-12, "initial_simplex": None},
        )
        return Parameters(kt * math.exp(found.x[0]), float(found.x[1]))

    @staticmethod
    def to_openmm(terms: np.ndarray, rows: np.ndarray, table: Table) -> openmm.Force:
        """Make a CustomAngleForce."""
        force = openmm.CustomAngleForce("0.5*k*(cos(theta)-cos(center))^2/sin(theta)^2")
        force.addPerAngleParameter("k")
        force.addPerAngleParameter("center")
        for beads, row in zip(terms.tolist(), rows.tolist(), strict=True):
            force.addAngle(*beads, [float(table["k"][row]), float(table["center"][row])])
        return force


def _times(values: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    return values if weights is None else values * weights


def _harmonic(values: np.ndarray, weights: np.ndarray, kt: float) -> Parameters:
    center = float(np.average(values, weights=weights))
    variance = float(np.average((values - center) ** 2, weights=weights))
    if variance <= (1e-9 * center) ** 2:
        return Parameters(math.inf, center)
    return Parameters(kt / variance, center)

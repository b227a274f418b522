"""Tabulated energies: splines of -kT ln(p / volume element) for bonds, angles, torsions, pairs."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from functools import lru_cache
from typing import ClassVar, NamedTuple

import numpy as np
import openmm
import torch
from scipy.interpolate import CubicSpline
from torch import Tensor

from openmmcg.priors.base import BondedTerm, Field, PairTerm, PriorTerm, Table, TensorTable
from openmmcg.priors.geometry import Angle, Bond, Features, Pair, Torsion
from openmmcg.priors.inversion import invert
from openmmcg.priors.repulsion import Repulsion, add_classes
from openmmcg.priors.topology import angle_terms, bond_terms, torsion_terms

_FEWEST_KNOTS = 4
_EXPRESSION = (
    "c0(k)+t*(c1(k)+t*(c2(k)+t*c3(k)));"
    "t=u-bin;k=row*{bins}+bin;bin=max(0,min({bins}-1,floor(u)));u=(x-startOf(row))/widthOf(row);"
)


class TableParameters(NamedTuple):
    """Energies (kJ/mol) at evenly spaced values of the coordinate from low to high (nm or rad).

    Of a torsion, low is -pi and high is pi, and the value at high is that at low and left out.
    """

    low: float
    high: float
    values: tuple[float, ...]


class Tabulated(PriorTerm):
    """Cubic spline through tabulated energies.

    Beyond the table the energy goes on as a straight line; of pairs it ends at zero.

    Attributes
    ----------
    ends : str
        How the spline ends: ``natural``, ``periodic``, or ``flat`` at the upper end.
    knots : int
        Values of a fitted table.
    """

    unit = "kJ/mol"
    bound = 1e4
    record = TableParameters
    fields: ClassVar = {"low": Field("fixed"), "high": Field("fixed"), "values": Field("free")}
    ends: ClassVar[str] = "natural"
    knots: ClassVar[int]

    @classmethod
    def pack(cls, entries: Sequence[TableParameters]) -> dict[str, np.ndarray]:
        """Tables of one length."""
        lengths = {len(entry.values) for entry in entries}
        if len(lengths) > 1 or min(lengths, default=_FEWEST_KNOTS) < _FEWEST_KNOTS:
            raise ValueError(
                f"The tables of {cls.kind} have {sorted(lengths)} values, but the same number of "
                f"at least {_FEWEST_KNOTS} is expected in all; tabulate them anew."
            )
        return super().pack(entries)

    @classmethod
    def unpack(cls, table: Table) -> list[TableParameters]:
        """Entries of a table."""
        return [
            TableParameters(low, high, tuple(values))
            for low, high, values in zip(
                *(table[name].tolist() for name in ("low", "high", "values")), strict=True
            )
        ]

    @classmethod
    def energy(cls, features: Features, rows: Tensor, table: TensorTable) -> Tensor:
        """Energies in kJ/mol."""
        values = table["values"]
        operator = torch.from_numpy(spline_operator(values.shape[-1], cls.ends)).to(values)
        coefficients = torch.einsum("rk,bkc->rbc", values, operator)
        bins = coefficients.shape[1]
        width = (table["high"] - table["low"]) / (bins - 2)
        place = (cls.coordinate.value(features) - table["low"][rows]) / width[rows] + 1.0
        left = torch.floor(place.detach()).clamp(0, bins - 1)
        t = place - left
        a, b, c, d = coefficients[rows.expand(t.shape), left.long()].unbind(-1)
        return a + t * (b + t * (c + t * d))

    @classmethod
    def functions(cls, table: Table) -> dict[str, np.ndarray]:
        """Discrete functions of the OpenMM expression."""
        operator = spline_operator(table["values"].shape[-1], cls.ends)
        coefficients = np.einsum("rk,bkc->crb", table["values"], operator)
        functions = {f"c{power}": part.ravel() for power, part in enumerate(coefficients)}
        width = (table["high"] - table["low"]) / (len(operator) - 2)
        functions["startOf"] = table["low"] - width
        functions["widthOf"] = width
        return functions

    @classmethod
    def expression(cls, table: Table) -> str:
        """OpenMM expression of x and row."""
        return _EXPRESSION.format(bins=len(spline_operator(table["values"].shape[-1], cls.ends)))

    @classmethod
    def to_openmm(cls, terms: np.ndarray, rows: np.ndarray, table: Table) -> openmm.Force:
        """Make a CustomCompoundBondForce."""
        function = {2: "distance(p1,p2)", 3: "angle(p1,p2,p3)", 4: "dihedral(p1,p2,p3,p4)"}
        size = cls.coordinate.size
        force = openmm.CustomCompoundBondForce(size, f"{cls.expression(table)}x={function[size]}")
        force.addPerBondParameter("row")
        _add_functions(force, cls.functions(table))
        for beads, row in zip(terms.tolist(), rows.tolist(), strict=True):
            force.addBond(beads, [row])
        return force

    @classmethod
    def moments(cls, values: np.ndarray, kt: float, weights: np.ndarray | None) -> TableParameters:
        """Histogram over the volume of its bins, continued upwards where there are no data."""
        if np.ptp(values) <= 1e-9 * abs(values[0]):
            return TableParameters(math.nan, math.nan, (math.nan,) * cls.knots)
        low, high = cls.span(values)
        knots = np.linspace(low, high, cls.knots + cls.coordinate.periodic)
        walls = cls.walls(values, kt, weights)
        table = invert(values, weights, cls.coordinate, knots, kt, walls)
        return TableParameters(low, high, tuple(cls.finish(table).tolist()))

    @classmethod
    def bounded(cls, entry: TableParameters) -> TableParameters:
        """No value above `bound`."""
        return entry._replace(values=tuple(min(value, cls.bound) for value in entry.values))

    @staticmethod
    @abstractmethod
    def span(values: np.ndarray) -> tuple[float, float]:
        """Lower and upper end of the table for samples."""

    @staticmethod
    def walls(values: np.ndarray, kt: float, weights: np.ndarray | None) -> tuple[float, float]:
        """Curvature of the energy below and above the data: that of a harmonic fit."""
        center = np.average(values, weights=weights)
        stiffness = kt / float(np.average((values - center) ** 2, weights=weights))
        return stiffness, stiffness

    @staticmethod
    def finish(table: np.ndarray) -> np.ndarray:
        """Shift a table of energies, the lowest to zero."""
        return table - table.min()


class TabulatedBonds(Tabulated, BondedTerm):
    """Spline of -kT ln(p(r)/r^2) on every bond."""

    kind = "tabulated-bonds"
    acts_on = "bonds"
    coordinate = Bond
    knots = 60
    terms = staticmethod(bond_terms)

    @staticmethod
    def span(values: np.ndarray) -> tuple[float, float]:
        """Range of the data, and three standard deviations more on each side."""
        margin = 3.0 * float(values.std())
        return max(0.0, float(values.min()) - margin), float(values.max()) + margin


class TabulatedAngles(Tabulated, BondedTerm):
    """Spline of -kT ln(p(theta)/sin(theta)) on every angle."""

    kind = "tabulated-angles"
    acts_on = "angles"
    coordinate = Angle
    knots = 91
    terms = staticmethod(angle_terms)

    @staticmethod
    def span(values: np.ndarray) -> tuple[float, float]:
        """All angles."""
        return 0.0, math.pi


class TabulatedTorsions(Tabulated, BondedTerm):
    """Periodic spline of -kT ln p(phi) on every torsion along three bonds."""

    kind = "tabulated-torsions"
    acts_on = "torsions"
    coordinate = Torsion
    ends = "periodic"
    knots = 72
    terms = staticmethod(torsion_terms)

    @staticmethod
    def span(values: np.ndarray) -> tuple[float, float]:
        """The full circle."""
        return -math.pi, math.pi


class TabulatedPairs(Tabulated, PairTerm):
    """Spline of -kT ln(p(r)/r^2) on pairs of beads that are not bonded, brought to zero.

    The table ends at 1.2 nm, or at 1.25 times the largest sampled distance, if that is less. The
    energy at the end is put to zero, and over the last fifth it goes there smoothly.
    """

    kind = "tabulated-pairs"
    acts_on = "pairs"
    coordinate = Pair
    ends = "flat"
    knots = 121
    longest = 1.2
    _last = 5

    @classmethod
    def span(cls, values: np.ndarray) -> tuple[float, float]:
        """From zero to beyond the data."""
        return 0.0, min(cls.longest, 1.25 * float(values.max()))

    @staticmethod
    def walls(values: np.ndarray, kt: float, weights: np.ndarray | None) -> tuple[float, float]:
        """Below the data the curvature of the repulsion, above none."""
        edge = Repulsion.moments(values, kt, weights)
        return 2.0 * edge.epsilon / edge.sigma**2, 0.0

    @classmethod
    def finish(cls, table: np.ndarray) -> np.ndarray:
        """Bring the end to zero, smoothly."""
        x = np.clip(5.0 * np.linspace(0.0, 1.0, len(table)) - 4.0, 0.0, 1.0)
        return (table - table[-cls._last :].mean()) * (1.0 - x**3 * (10.0 - 15.0 * x + 6.0 * x**2))

    @staticmethod
    def reach(table: Table) -> float:
        """End of the longest table."""
        return float(table["high"].max())

    @classmethod
    def pairs_to_openmm(cls, terms: np.ndarray, rows: np.ndarray, table: Table) -> openmm.Force:
        """Make a CustomCompoundBondForce."""
        return cls.to_openmm(terms, rows, table)

    @classmethod
    def nonbonded_to_openmm(
        cls, class_rows: np.ndarray, table: Table
    ) -> openmm.CustomNonbondedForce:
        """Make a CustomNonbondedForce without particles."""
        force = openmm.CustomNonbondedForce(f"{cls.expression(table)}x=r;row=rowOf(kind1,kind2)")
        add_classes(force, class_rows)
        _add_functions(force, cls.functions(table))
        return force


@lru_cache
def spline_operator(count: int, ends: str) -> np.ndarray:
    """Matrix from values to the coefficients of a cubic spline on unit intervals.

    Parameters
    ----------
    count : int
        Values.
    ends : {"natural", "periodic", "flat"}
        Second derivative zero at both ends; the first value follows the last; or first derivative
        zero at the upper end.

    Returns
    -------
    numpy.ndarray, shape (intervals, count, 4)
        Coefficients of 1, t, t^2 and t^3. The first and last interval lie outside and hold the
        straight lines that go on from the ends.
    """
    unit = np.eye(count)
    if ends == "periodic":
        unit = np.concatenate([unit, unit[:1]])
    conditions = {"natural": "natural", "periodic": "periodic", "flat": ("natural", "clamped")}
    spline = CubicSpline(np.arange(len(unit)), unit, bc_type=conditions[ends])
    inside = spline.c[::-1].transpose(1, 2, 0)
    below, above = np.zeros((2, 1, count, 4))
    below[0, :, 1], above[0, :, 1] = spline(0, 1), spline(len(unit) - 1, 1)
    below[0, :, 0], above[0, :, 0] = unit[0] - spline(0, 1), unit[-1]
    return np.concatenate([below, inside, above])


def _add_functions(
    force: openmm.CustomCompoundBondForce | openmm.CustomNonbondedForce,
    functions: dict[str, np.ndarray],
) -> None:
    for name, values in functions.items():
        force.addTabulatedFunction(name, openmm.Discrete1DFunction(values))

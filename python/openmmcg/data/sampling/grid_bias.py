"""A bias on a grid over one to three collective variables, and its growth by metadynamics."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import openmm

from openmmcg.data.sampling.bias import GRID
from openmmcg.data.sampling.dynamics import energy_of
from openmmcg.data.sampling.variables import Variable
from openmmcg.files import write_npz
from openmmcg.units import KB

_POINTS_PER_WIDTH = 5
_LEAST_POINTS = 20
_LARGEST_GRID = 10**6


@dataclass(frozen=True, eq=False)
class GridBias:
    """An energy on a grid over one to three collective variables.

    Attributes
    ----------
    energies : (n1,), (n1, n2) or (n1, n2, n3) float64
        kJ/mol; index i of an axis stands for minimum + i (maximum - minimum) / (n - 1).
    ranges : (n_variables, 2) float64
        Minimum and maximum of each variable. Beyond them the bias is what it is at the edge.
    periodic : bool
        Whether all variables are periodic; then the last point of an axis repeats the first.
    variables : list of dict
        What the variables are, see `openmmcg.data.sampling.variables`.
    """

    energies: np.ndarray
    ranges: np.ndarray
    periodic: bool
    variables: list[dict[str, Any]]

    @classmethod
    def empty(cls, variables: Sequence[Variable], entries: list[dict[str, Any]]) -> GridBias:
        """Return a bias of 0 on a grid that suits the widths of Gaussians.

        Raises
        ------
        ValueError
            If there are more than three variables, some but not all are periodic, or the grid
            would be too large.
        """
        if not 1 <= len(variables) <= 3:
            raise ValueError(f"Metadynamics got {len(variables)} variables, expected one to three.")
        periodic = {variable.periodic for variable in variables}
        if len(periodic) > 1:
            raise ValueError(
                "Metadynamics cannot mix periodic variables (torsions) with others on one grid; "
                "choose variables of one sort."
            )
        shape = tuple(_points(variable) for variable in variables)
        if np.prod(shape) > _LARGEST_GRID:
            raise ValueError(
                f"The grid of metadynamics would have {' x '.join(map(str, shape))} points, more "
                f"than {_LARGEST_GRID:,}; choose smaller ranges or larger widths."
            )
        ranges = np.array([(v.minimum, v.maximum) for v in variables], dtype=np.float64)
        return cls(np.zeros(shape), ranges, periodic.pop(), entries)

    def force(self, variables: Sequence[Variable], periodic_box: bool) -> openmm.CustomCVForce:
        """Return an OpenMM force that adds the bias to a system with these variables.

        OpenMM interpolates the grid with cubic splines; at grid points it is exact.
        """
        names = [f"cv{k}" for k in range(len(variables))]
        arguments = names
        if not self.periodic:
            limits = zip(names, self.ranges.tolist(), strict=True)
            arguments = [f"min(max({name}, {low!r}), {high!r})" for name, (low, high) in limits]
        force = openmm.CustomCVForce(f"table({', '.join(arguments)})")
        for name, variable in zip(names, variables, strict=True):
            force.addCollectiveVariable(name, variable.force(periodic_box))
        make = (
            openmm.Continuous1DFunction,
            openmm.Continuous2DFunction,
            openmm.Continuous3DFunction,
        )[len(variables) - 1]
        force.addTabulatedFunction("table", make(*self._table, self.periodic))
        return force

    def update(self, force: openmm.CustomCVForce, context: openmm.Context) -> None:
        """Give a force that `force` made, and its Context, the present energies."""
        force.getTabulatedFunction(0).setFunctionParameters(*self._table)
        force.updateParametersInContext(context)

    @property
    def _table(self) -> list[Any]:
        """Arguments of OpenMM's functions, whose first variable runs fastest."""
        sizes = list(self.energies.shape) if self.energies.ndim > 1 else []
        return [*sizes, self.energies.ravel(order="F"), *self.ranges.ravel().tolist()]

    def add_gaussian(
        self, centre: Sequence[float], height: float, widths: Sequence[float]
    ) -> GridBias:
        """Return the bias with a Gaussian more.

        Parameters
        ----------
        centre : (n_variables,)
        height : float
            kJ/mol.
        widths : (n_variables,)
            Standard deviations.
        """
        axes = []
        for (low, high), size, value, width in zip(
            self.ranges, self.energies.shape, centre, widths, strict=True
        ):
            x = (value - low) / (high - low)
            x = x % 1.0 if self.periodic else min(max(x, 0.0), 1.0)
            distance = np.abs(np.linspace(0, 1.0, num=size) - x)
            if self.periodic:
                distance = np.minimum(distance, np.abs(distance - 1))
                distance[-1] = distance[0]
            axes.append(np.exp(-0.5 * distance * distance / (width / (high - low)) ** 2))
        return replace(self, energies=self.energies + height * reduce(np.multiply.outer, axes))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the bias to an .npz file, atomically."""
        write_npz(
            path,
            energies=self.energies,
            ranges=self.ranges,
            periodic=self.periodic,
            variables=json.dumps(self.variables),
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> GridBias:
        """Read a bias that `save` wrote.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it is damaged or holds something else.
        """
        if not Path(path).is_file():
            raise FileNotFoundError(f"No bias file {path}; sampling with a bias writes one.")
        try:
            with np.load(path, allow_pickle=False) as data:
                return cls(
                    np.array(data["energies"], dtype=np.float64),
                    np.array(data["ranges"], dtype=np.float64),
                    bool(data["periodic"]),
                    json.loads(str(data["variables"])),
                )
        except Exception as error:  # zipfile, NumPy and key errors all mean the same here
            raise ValueError(f"{path} is not a readable bias file: {error}") from error


def _points(variable: Variable) -> int:
    if variable.kind == "torsion":
        return GRID + 1
    assert variable.minimum is not None and variable.maximum is not None and variable.width
    length = variable.maximum - variable.minimum
    return max(_LEAST_POINTS, int(np.ceil(_POINTS_PER_WIDTH * length / variable.width))) + 1


class WellTempered:
    """Well-tempered metadynamics (Barducci, Bussi and Parrinello, Phys. Rev. Lett. 2008, 100, 020603).

    Parameters
    ----------
    bias : GridBias
        To start from.
    variables : list of Variable
    temperature : float
        K.
    factor : float
        Bias factor.
    height : float
        Initial height of a Gaussian, kJ/mol.
    periodic_box : bool
    group : int
        Force group of the bias.
    """

    def __init__(
        self,
        bias: GridBias,
        variables: Sequence[Variable],
        temperature: float,
        factor: float,
        height: float,
        periodic_box: bool,
        group: int,
    ) -> None:
        self.bias = bias
        self.force = bias.force(variables, periodic_box)
        self.force.setForceGroup(group)
        self._widths = [float(variable.width or 0) for variable in variables]
        self._tempering = KB * temperature * (factor - 1)
        self._height = height

    def deposit(self, context: openmm.Context) -> None:
        """Add a Gaussian at the present values of the variables."""
        values = self.force.getCollectiveVariableValues(context)
        state = context.getState(energy=True, groups={self.force.getForceGroup()})
        height = self._height * np.exp(-energy_of(state) / self._tempering)
        self.bias = self.bias.add_gaussian(values, height, self._widths)
        self.bias.update(self.force, context)

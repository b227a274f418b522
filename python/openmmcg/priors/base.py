"""What every kind of prior energy offers."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import networkx as nx
import numpy as np
import openmm
import torch
from torch import Tensor

from openmmcg.priors.geometry import Coordinate, Features

Table = Mapping[str, np.ndarray]
"""Values of every field of a kind, one row for each entry of its parameters."""
TensorTable = Mapping[str, Tensor]


class DegenerateError(ValueError):
    """The data do not determine a term; the message says why."""


class Parameters(NamedTuple):
    """Force constant (unit of the kind) and centre (nm or rad) of a term."""

    k: float
    center: float


@dataclass(frozen=True)
class Field:
    """How a parameter may change when priors are trained.

    Attributes
    ----------
    rule : {"positive", "bounded", "free", "fixed"}
        Positive and at most `high`; between `low` and `high`; any value; or not at all.
    low, high : float
        Bounds.
    scale : float
        Change of a free parameter for a unit step of what the optimiser sees.
    """

    rule: Literal["positive", "bounded", "free", "fixed"]
    low: float = 0.0
    high: float = math.inf
    scale: float = 1.0


class PriorTerm(ABC):
    """A kind of energy term.

    Attributes
    ----------
    kind : str
        Name of the kind in files.
    acts_on : str
        ``bonds``, ``angles``, ``torsions``, ``impropers`` or ``pairs``.
    unit : str
        Unit of the force constant or energy.
    bound : float
        Largest force constant that a fit gives.
    coordinate : type of Coordinate
        What the energy depends on.
    record : type
        Named tuple of an entry's parameters.
    fields : mapping of str to Field
        Columns of a table of parameters.
    reversible : bool
        Whether a term read backwards is the same.
    """

    kind: ClassVar[str]
    acts_on: ClassVar[str]
    unit: ClassVar[str]
    bound: ClassVar[float]
    coordinate: ClassVar[type[Coordinate]]
    record: ClassVar[Any] = Parameters
    fields: ClassVar[Mapping[str, Field]]
    reversible: ClassVar[bool] = True

    @classmethod
    def pack(cls, entries: Sequence[Any]) -> dict[str, np.ndarray]:
        """Table of parameters, one row an entry."""
        return {
            name: np.array([getattr(entry, name) for entry in entries], dtype=np.float64)
            for name in cls.fields
        }

    @classmethod
    def unpack(cls, table: Table) -> list[Any]:
        """Entries of a table; the inverse of `pack`."""
        columns = [table[name].tolist() for name in cls.fields]
        return [cls.record(*row) for row in zip(*columns, strict=True)]

    @staticmethod
    @abstractmethod
    def energy(features: Features, rows: Tensor, table: TensorTable) -> Tensor:
        """Energies of terms.

        Parameters
        ----------
        features : tuple of torch.Tensor, shape (..., n)
            Of the kind's coordinate.
        rows : torch.Tensor of int64, shape (n,)
            Row of each term in the table.
        table : mapping of str to torch.Tensor
            Parameters.

        Returns
        -------
        torch.Tensor, shape (..., n)
            kJ/mol.
        """

    @classmethod
    def curve(cls, values: np.ndarray, entry: Any) -> np.ndarray:
        """Energy in kJ/mol at values of the coordinate in nm or rad."""
        features = cls.coordinate.at(torch.from_numpy(np.asarray(values, dtype=np.float64)))
        table = {name: torch.from_numpy(column) for name, column in cls.pack([entry]).items()}
        rows = torch.zeros(len(values), dtype=torch.int64)
        return cls.energy(features, rows, table).numpy()

    @staticmethod
    @abstractmethod
    def moments(values: np.ndarray, kt: float, weights: np.ndarray | None) -> Any:
        """Fit to samples at ``kT`` in kJ/mol, without checks and bound."""

    @classmethod
    def bounded(cls, entry: Any) -> Any:
        """Entry with a force constant of at most `bound`."""
        return entry._replace(k=min(entry.k, cls.bound))

    @classmethod
    def fit(cls, values: np.ndarray, kt: float, weights: np.ndarray | None = None) -> Any:
        """Fit parameters to samples of the internal coordinate.

        Parameters
        ----------
        values : numpy.ndarray
            Samples in nm or rad.
        kt : float
            Thermal energy in kJ/mol.
        weights : numpy.ndarray, optional
            Weight of each sample.

        Returns
        -------
        Named tuple `record`
            The force constant is at most `bound`.

        Raises
        ------
        DegenerateError
            If there are too few samples, some are not finite, or they do not vary.
        """
        if values.size < 2:
            raise DegenerateError(f"{values.size} samples are too few, at least 2 are needed")
        if not np.isfinite(values).all():
            count = int((~np.isfinite(values)).sum())
            raise DegenerateError(f"{count} of its {values.size} samples are not finite")
        entry = cls.moments(values, kt, weights)
        if not all(np.isfinite(column).all() for column in cls.pack([entry]).values()):
            raise DegenerateError(constant_message(values, cls.coordinate))
        return cls.bounded(entry)


class BondedTerm(PriorTerm):
    """A kind whose terms follow from the bonds."""

    @staticmethod
    @abstractmethod
    def terms(graph: nx.Graph) -> np.ndarray:
        """Beads of every term of a bead graph, shape (n, beads in a term)."""

    @staticmethod
    @abstractmethod
    def to_openmm(terms: np.ndarray, rows: np.ndarray, table: Table) -> openmm.Force:
        """Make the native force; `terms` are particle indices, shape (n, beads in a term)."""


class PairTerm(PriorTerm):
    """A kind that acts on all pairs of beads more than a few bonds apart."""

    @staticmethod
    @abstractmethod
    def reach(table: Table) -> float:
        """Distance in nm beyond which all energies are zero."""

    @staticmethod
    @abstractmethod
    def pairs_to_openmm(terms: np.ndarray, rows: np.ndarray, table: Table) -> openmm.Force:
        """Make a native force on a list of pairs (n, 2)."""

    @staticmethod
    @abstractmethod
    def nonbonded_to_openmm(class_rows: np.ndarray, table: Table) -> openmm.CustomNonbondedForce:
        """Make a native non-bonded force without particles.

        Its one per-particle parameter ``kind`` is an index of `class_rows`, shape (n, n), which
        holds the table's row of two such indices.
        """


def constant_message(values: np.ndarray, coordinate: type[Coordinate]) -> str:
    """Say that samples do not vary."""
    return (
        f"its {values.size} samples do not vary, all are {float(np.ravel(values)[0]):.6g} "
        f"{coordinate.unit} (is it a constraint?)"
    )

"""Soft-core repulsion of beads that are not bonded."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import openmm
import torch
from torch import Tensor

from openmmcg.priors.base import Field, PairTerm, Table, TensorTable
from openmmcg.priors.geometry import Features, Pair

STRENGTH = 1000.0
"""Energy at full overlap in kT: 2.5 kT at 95 % of the edge, 10 kT at 90 %."""
EDGE_DENSITY = 0.01
"""Share of the largest density per volume that marks the edge of the data."""
_BIN = 0.005


class RepulsionParameters(NamedTuple):
    """Energy at full overlap (kJ/mol) and distance where the repulsion ends (nm)."""

    epsilon: float
    sigma: float


class Repulsion(PairTerm):
    """epsilon (1 - r/sigma)^2 for r < sigma, and zero beyond.

    The range sigma is the low-distance edge of the data: the least distance at which the density
    per volume, p(r)/r^2, is 1 % of its largest value. So the data are left alone and what the
    network has never seen is closed. The core is soft: overlap costs epsilon = 1000 kT.
    """

    kind = "repulsion"
    acts_on = "pairs"
    unit = "kJ/mol"
    bound = 1e4
    longest = 1.0
    coordinate = Pair
    record = RepulsionParameters
    fields = {  # noqa: RUF012
        "epsilon": Field("positive", high=bound),
        "sigma": Field("positive", high=longest),
    }

    @staticmethod
    def energy(features: Features, rows: Tensor, table: TensorTable) -> Tensor:
        """Energies in kJ/mol."""
        overlap = torch.relu(1.0 - Pair.value(features) / table["sigma"][rows])
        return table["epsilon"][rows] * overlap**2

    @staticmethod
    def moments(values: np.ndarray, kt: float, weights: np.ndarray | None) -> RepulsionParameters:
        """Place the edge; see the class."""
        edges = np.arange(0.0, values.max() + 2 * _BIN, _BIN)
        counts, _ = np.histogram(values, edges, weights=weights)
        density = counts / np.diff(Pair.volume(edges))
        first = int(np.argmax(density >= EDGE_DENSITY * density.max()))
        return RepulsionParameters(STRENGTH * kt, max(float(edges[first]), float(values.min())))

    @classmethod
    def bounded(cls, entry: RepulsionParameters) -> RepulsionParameters:
        """At most `bound` high and `longest` (1 nm) wide."""
        return RepulsionParameters(min(entry.epsilon, cls.bound), min(entry.sigma, cls.longest))

    @staticmethod
    def reach(table: Table) -> float:
        """Largest sigma."""
        return float(table["sigma"].max())

    @staticmethod
    def pairs_to_openmm(terms: np.ndarray, rows: np.ndarray, table: Table) -> openmm.Force:
        """Make a CustomBondForce."""
        force = openmm.CustomBondForce("epsilon*max(0,1-r/sigma)^2")
        force.addPerBondParameter("epsilon")
        force.addPerBondParameter("sigma")
        values = np.stack([table["epsilon"][rows], table["sigma"][rows]], axis=-1).tolist()
        for beads, parameters in zip(terms.tolist(), values, strict=True):
            force.addBond(*beads, parameters)
        return force

    @staticmethod
    def nonbonded_to_openmm(class_rows: np.ndarray, table: Table) -> openmm.CustomNonbondedForce:
        """Make a CustomNonbondedForce without particles."""
        force = openmm.CustomNonbondedForce(
            "epsilonOf(row)*max(0,1-r/sigmaOf(row))^2; row=rowOf(kind1,kind2)"
        )
        add_classes(force, class_rows)
        force.addTabulatedFunction("epsilonOf", openmm.Discrete1DFunction(table["epsilon"]))
        force.addTabulatedFunction("sigmaOf", openmm.Discrete1DFunction(table["sigma"]))
        return force


def add_classes(force: openmm.CustomNonbondedForce, class_rows: np.ndarray) -> None:
    """Add the per-particle parameter ``kind`` and the function ``rowOf`` of two kinds."""
    force.addPerParticleParameter("kind")
    count = len(class_rows)
    function = openmm.Discrete2DFunction(count, count, class_rows.T.ravel().astype(float))
    force.addTabulatedFunction("rowOf", function)

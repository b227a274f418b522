"""A set of fitted priors, and the same bound to one topology."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import openmm
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from openmmcg.priors.terms import KINDS, Parameters, PriorTerm
from openmmcg.priors.topology import bead_graph

Key = tuple[str, ...]


@dataclass(frozen=True)
class PriorSet:
    """Parameters of prior energies by kind and by the type names of a term's beads.

    Attributes
    ----------
    parameters : mapping of str to mapping of tuple of str to Parameters
        For each kind in `KINDS`, for the type names of a term's beads in canonical order.
    temperature : float
        Temperature in K at which the priors were fitted. They do not depend on temperature.
    """

    parameters: Mapping[str, Mapping[Key, Parameters]]
    temperature: float

    def bind(self, types: ArrayLike, type_names: Sequence[str], bonds: ArrayLike) -> BoundPriors:
        """Apply the priors to a topology.

        Parameters
        ----------
        types : array_like of int, shape (n_beads,)
            Bead types.
        type_names : sequence of str
            Names of the types.
        bonds : array_like of int, shape (n_bonds, 2)
            Bonded beads.

        Returns
        -------
        BoundPriors

        Raises
        ------
        ValueError
            If a term of the topology has no parameters.
        """
        names = bead_names(types, type_names)
        graph = bead_graph(names, bonds)
        bound = []
        for kind, known in self.parameters.items():
            terms = KINDS[kind].terms(graph)
            keys = [tuple(names[bead] for bead in term) for term in terms.tolist()]
            for key in keys:
                if key not in known:
                    raise ValueError(
                        f"The priors have no {kind} for {'-'.join(key)}, only for "
                        f"{', '.join('-'.join(k) for k in known) or 'nothing'}; fit them on data "
                        "that contain it."
                    )
            if keys:
                table = np.array([known[key] for key in keys], dtype=np.float64)
                bound.append(BoundTerms(KINDS[kind], terms, table[:, 0], table[:, 1]))
        return BoundPriors(len(names), tuple(bound))

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able record."""
        return {
            "temperature": self.temperature,
            "terms": [
                {
                    "kind": kind,
                    "unit": KINDS[kind].unit,
                    "parameters": [
                        {"types": list(key), "k": value.k, "center": value.center}
                        for key, value in table.items()
                    ],
                }
                for kind, table in self.parameters.items()
            ],
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> PriorSet:
        """Rebuild a set from the record of `to_dict`.

        Raises
        ------
        ValueError
            If the record holds a kind that this version does not know, or is not such a record.
        """
        parameters: dict[str, dict[Key, Parameters]] = {}
        try:
            for entry in record["terms"]:
                kind = entry["kind"]
                if kind not in KINDS:
                    raise ValueError(
                        f"The priors contain the kind {kind!r}, but this version knows "
                        f"{', '.join(KINDS)}; upgrade openmm-cg."
                    )
                parameters[kind] = {
                    tuple(term["types"]): Parameters(float(term["k"]), float(term["center"]))
                    for term in entry["parameters"]
                }
            return cls(parameters, float(record["temperature"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"The priors' record is incomplete: {error!r} is missing.") from error


@dataclass(frozen=True)
class BoundTerms:
    """All terms of one kind: beads (n, size), force constants (n,) and centres (n,)."""

    kind: type[PriorTerm]
    terms: np.ndarray
    k: np.ndarray
    center: np.ndarray


@dataclass(frozen=True)
class BoundPriors:
    """Priors of one topology, which evaluate positions and make OpenMM forces.

    Attributes
    ----------
    n_beads : int
        Number of beads.
    terms : tuple of BoundTerms
        The kinds that have terms here.
    """

    n_beads: int
    terms: tuple[BoundTerms, ...]

    def energy(self, positions: Tensor) -> Tensor:
        """Prior energy, differentiable.

        Parameters
        ----------
        positions : torch.Tensor, shape (..., n_beads, 3)
            nm.

        Returns
        -------
        torch.Tensor, shape (...,)
            kJ/mol.
        """
        if positions.ndim < 2 or positions.shape[-2:] != (self.n_beads, 3):
            raise ValueError(
                f"Positions have shape {tuple(positions.shape)}, but (..., {self.n_beads}, 3) is "
                "expected."
            )
        total = positions.new_zeros(positions.shape[:-2])
        for bound in self.terms:
            points = [positions[..., beads, :] for beads in torch.from_numpy(bound.terms.T)]
            k, center = (torch.as_tensor(x).to(positions) for x in (bound.k, bound.center))
            total = total + bound.kind.energy(points, k, center).sum(-1)
        return total

    def forces(self, positions: Tensor) -> Tensor:
        """Prior forces, without a graph.

        Parameters
        ----------
        positions : torch.Tensor, shape (..., n_beads, 3)
            nm.

        Returns
        -------
        torch.Tensor, shape (..., n_beads, 3)
            kJ/mol/nm.
        """
        if not self.terms:
            return torch.zeros_like(positions)
        leaf = positions.detach().requires_grad_(True)
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(self.energy(leaf).sum(), leaf)
        return -gradient

    def to_openmm(self, replicas: int = 1, offset: int = 0) -> list[openmm.Force]:
        """Make native OpenMM forces.

        Parameters
        ----------
        replicas : int, default 1
            Copies of the topology, one after the other in particle order.
        offset : int, default 0
            Particle index of the first bead of the first copy.

        Returns
        -------
        list of openmm.Force
            One for each kind with terms, named after the kind. They are not periodic.
        """
        starts = offset + self.n_beads * np.arange(replicas)
        forces = []
        for bound in self.terms:
            particles = (bound.terms[None] + starts[:, None, None]).reshape(
                -1, bound.terms.shape[1]
            )
            force = bound.kind.to_openmm(
                particles, np.tile(bound.k, replicas), np.tile(bound.center, replicas)
            )
            force.setName(bound.kind.kind)
            forces.append(force)
        return forces


def bead_names(types: ArrayLike, type_names: Sequence[str]) -> list[str]:
    """Type name of every bead.

    Raises
    ------
    ValueError
        If a type has no name.
    """
    indices = np.asarray(types, dtype=np.int64)
    if indices.size and not 0 <= indices.min() <= indices.max() < len(type_names):
        raise ValueError(
            f"Bead types run from {indices.min()} to {indices.max()}, but there are "
            f"{len(type_names)} type names ({', '.join(type_names)})."
        )
    return [type_names[index] for index in indices.tolist()]

"""Priors bound to one topology, which evaluate positions and make OpenMM forces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import openmm
import torch
from torch import Tensor

from openmmcg.priors.base import BondedTerm, PairTerm, Table, TensorTable
from openmmcg.priors.geometry import check_boxes, minimum_image
from openmmcg.priors.pairs import PairSpace

LISTED_PAIRS = 500
"""Pairs of a topology up to which OpenMM gets a list of them; beyond, a non-bonded force."""
_VALUES = 4_000_000


@dataclass(frozen=True, eq=False)
class BoundTerms:
    """All terms of one kind: beads (n, size), and each term's row in the kind's table."""

    kind: type[BondedTerm]
    terms: np.ndarray
    rows: np.ndarray

    def energy(self, positions: Tensor, boxes: Tensor | None, table: TensorTable) -> Tensor:
        """Energy (F,) in kJ/mol of positions (F, n_beads, 3)."""
        points = [positions[:, beads, :] for beads in torch.from_numpy(self.terms.T)]
        steps = [after - before for before, after in pairwise(points)]
        if boxes is not None:
            steps = [minimum_image(step, boxes) for step in steps]
        features = self.kind.coordinate.features(steps)
        rows = torch.from_numpy(self.rows).to(positions.device)
        return self.kind.energy(features, rows, table).sum(-1)

    def to_openmm(self, layout: Layout, table: Table) -> openmm.Force:
        """Make the native force."""
        force = self.kind.to_openmm(
            layout.repeat(self.terms), np.tile(self.rows, layout.replicas), table
        )
        force.setUsesPeriodicBoundaryConditions(layout.periodic)
        return force


@dataclass(frozen=True, eq=False)
class BoundPairs:
    """Pairs of one kind, and the row in the kind's table (n, n) of two kinds of bead."""

    kind: type[PairTerm]
    space: PairSpace
    kind_rows: np.ndarray

    def energy(self, positions: Tensor, boxes: Tensor | None, table: TensorTable) -> Tensor:
        """Energy (F,) in kJ/mol of positions (F, n_beads, 3)."""
        reach = self.kind.reach({name: x.detach().cpu().numpy() for name, x in table.items()})
        kinds = torch.from_numpy(self.space.kinds).to(positions.device)
        kind_rows = torch.from_numpy(self.kind_rows).to(positions.device)
        total = positions.new_zeros(len(positions))
        for frames, first, second, shifts in self.space.near(positions, boxes, reach):
            step = positions[frames, second] - positions[frames, first] + shifts
            rows = kind_rows[kinds[first], kinds[second]]
            energies = self.kind.energy(self.kind.coordinate.features([step]), rows, table)
            total = total.index_add(0, frames, energies)
        return total

    def to_openmm(self, layout: Layout, table: Table) -> openmm.Force:
        """Make a list of pairs for a small topology, else a non-bonded force.

        The non-bonded force has an interaction group for each replica, unless the topology is
        all there is: so replicas never meet, at a cost that grows with their number only.
        """
        if self.space.n_pairs <= LISTED_PAIRS:
            pairs = self.space.pairs
            rows = self.kind_rows[self.space.kinds[pairs[:, 0]], self.space.kinds[pairs[:, 1]]]
            force = self.kind.pairs_to_openmm(
                layout.repeat(pairs), np.tile(rows, layout.replicas), table
            )
            force.setUsesPeriodicBoundaryConditions(layout.periodic)
            return force
        force = self.kind.nonbonded_to_openmm(self.kind_rows, table)
        kinds = np.zeros(layout.n_particles)
        beads = layout.repeat(np.arange(self.space.n_beads)[:, None])[:, 0]
        kinds[beads] = np.tile(self.space.kinds, layout.replicas)
        for kind in kinds.tolist():
            force.addParticle([kind])
        for i, j in layout.repeat(self.space.excluded).tolist():
            force.addExclusion(i, j)
        if len(beads) < layout.n_particles or layout.replicas > 1:
            for replica in beads.reshape(layout.replicas, -1).tolist():
                force.addInteractionGroup(replica, replica)
        force.setNonbondedMethod(
            force.CutoffPeriodic if layout.periodic else force.CutoffNonPeriodic
        )
        force.setCutoffDistance(self.kind.reach(table))
        return force


@dataclass(frozen=True)
class Layout:
    """Where the copies of a topology lie among the particles of a System."""

    n_beads: int
    replicas: int
    offset: int
    n_particles: int
    periodic: bool

    def repeat(self, terms: np.ndarray) -> np.ndarray:
        """Particles of the terms (n, size) of all copies, shape (replicas n, size)."""
        starts = self.offset + self.n_beads * np.arange(self.replicas)
        return (terms[None] + starts[:, None, None]).reshape(-1, terms.shape[1])


@dataclass(frozen=True, eq=False)
class BoundPriors:
    """Priors of one topology.

    Attributes
    ----------
    n_beads : int
        Number of beads.
    terms : tuple of BoundTerms or BoundPairs
        The kinds that have terms here.
    tables : mapping of str to mapping of str to numpy.ndarray
        Parameters of each kind.
    """

    n_beads: int
    terms: tuple[BoundTerms | BoundPairs, ...]
    tables: Mapping[str, Table]
    _cache: dict[Any, dict[str, TensorTable]] = field(default_factory=dict, repr=False)

    def energy(
        self,
        positions: Tensor,
        boxes: Tensor | None = None,
        tables: Mapping[str, TensorTable] | None = None,
    ) -> Tensor:
        """Prior energy, differentiable.

        Parameters
        ----------
        positions : torch.Tensor, shape (..., n_beads, 3)
            nm.
        boxes : torch.Tensor, shape (3, 3) or (..., 3, 3), optional
            Box vectors as rows in OpenMM's reduced form, nm. Without them nothing is periodic.
        tables : mapping of str to mapping of str to torch.Tensor, optional
            Parameters in place of `tables`, for training them.

        Returns
        -------
        torch.Tensor, shape (...,)
            kJ/mol.

        Raises
        ------
        ValueError
            If shapes are wrong, a box is not reduced, or pairs reach further than half of it.
        """
        points, cells = self._frames(positions, boxes)
        used = self._tensors(points) if tables is None else tables
        total = points.new_zeros(len(points))
        for bound in self.terms:
            total = total + bound.energy(points, cells, used[bound.kind.kind])
        return total.reshape(positions.shape[:-2])

    def forces(self, positions: Tensor, boxes: Tensor | None = None) -> Tensor:
        """Prior forces, without a graph.

        Parameters
        ----------
        positions : torch.Tensor, shape (..., n_beads, 3)
            nm.
        boxes : torch.Tensor, shape (3, 3) or (..., 3, 3), optional
            As of `energy`.

        Returns
        -------
        torch.Tensor, shape (..., n_beads, 3)
            kJ/mol/nm.
        """
        points, cells = self._frames(positions.detach(), boxes)
        if not self.terms:
            return torch.zeros_like(positions)
        width = sum(bound.terms.size for bound in self.terms if isinstance(bound, BoundTerms))
        size = max(1, _VALUES // max(1, width))
        parts = []
        for start in range(0, len(points), size):
            leaf = points[start : start + size].detach().requires_grad_(True)
            cell = None if cells is None else cells[start : start + size]
            with torch.enable_grad():
                energy = self.energy(leaf, cell).sum()
            (gradient,) = torch.autograd.grad(energy, leaf)
            parts.append(-gradient)
        return torch.cat(parts).reshape(positions.shape) if parts else torch.zeros_like(positions)

    def to_openmm(
        self,
        replicas: int = 1,
        offset: int = 0,
        *,
        periodic: bool = False,
        n_particles: int | None = None,
    ) -> list[openmm.Force]:
        """Make native OpenMM forces.

        Parameters
        ----------
        replicas : int, default 1
            Copies of the topology, one after the other in particle order. They do not see each
            other.
        offset : int, default 0
            Particle index of the first bead of the first copy.
        periodic : bool, default False
            Use the shortest periodic images.
        n_particles : int, optional
            Particles of the System; by default the copies are at its end.

        Returns
        -------
        list of openmm.Force
            One for each kind with terms, named after the kind.
        """
        last = offset + replicas * self.n_beads
        layout = Layout(self.n_beads, replicas, offset, n_particles or last, periodic)
        if layout.n_particles < last:
            raise ValueError(
                f"{replicas} copies of {self.n_beads} beads from particle {offset} on do not fit "
                f"into {n_particles} particles; give the number of particles of the System."
            )
        forces = []
        for bound in self.terms:
            force = bound.to_openmm(layout, self.tables[bound.kind.kind])
            force.setName(bound.kind.kind)
            forces.append(force)
        return forces

    def _frames(self, positions: Tensor, boxes: Tensor | None) -> tuple[Tensor, Tensor | None]:
        if positions.ndim < 2 or positions.shape[-2:] != (self.n_beads, 3):
            raise ValueError(
                f"Positions have shape {tuple(positions.shape)}, but (..., {self.n_beads}, 3) is "
                "expected."
            )
        points = positions.reshape(-1, self.n_beads, 3)
        if boxes is None:
            return points, None
        check_boxes(boxes)
        shape = (*positions.shape[:-2], 3, 3)
        return points, boxes.to(points).expand(shape).reshape(-1, 3, 3)

    def _tensors(self, like: Tensor) -> Mapping[str, TensorTable]:
        key = (like.device, like.dtype)
        if key not in self._cache:
            self._cache[key] = {
                kind: {name: torch.as_tensor(x).to(like) for name, x in table.items()}
                for kind, table in self.tables.items()
            }
        return self._cache[key]

"""Beads with their pair lists, on which models are tried: random ones and those of a card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from openmmcg.pairs import PairList


@dataclass(frozen=True)
class PairInputs:
    """Arguments of one call of a model that takes pairs; fields as in `CGNetwork.forward`."""

    positions: Tensor
    types: Tensor
    pairs: Tensor
    shifts: Tensor
    edge_types: Tensor
    parameters: Tensor

    def arguments(self, dtype: torch.dtype) -> tuple[Tensor, ...]:
        """Return the six tensors, those of real numbers as `dtype`."""
        return (
            self.positions.to(dtype),
            self.types,
            self.pairs,
            self.shifts.to(dtype),
            self.edge_types,
            self.parameters.to(dtype),
        )

    def padded(self, count: int, cutoff: float) -> PairInputs:
        """Return a copy with `count` unused entries at the end of the pair list."""
        shifts = torch.zeros((count, 3), dtype=self.shifts.dtype)
        shifts[:, 0] = 2.0 * cutoff
        return replace(
            self,
            pairs=torch.cat([self.pairs, torch.zeros((2, count), dtype=torch.int64)], dim=1),
            shifts=torch.cat([self.shifts, shifts]),
            edge_types=torch.cat([self.edge_types, torch.zeros(count, dtype=torch.int64)]),
        )

    def permuted(self, order: Tensor) -> PairInputs:
        """Return a copy in which new bead k is old bead ``order[k]``."""
        pairs = torch.argsort(order)[self.pairs]
        sequence = torch.argsort(pairs[0], stable=True)
        return replace(
            self,
            positions=self.positions[order],
            types=self.types[order],
            pairs=pairs[:, sequence],
            shifts=self.shifts[sequence],
            edge_types=self.edge_types[sequence],
        )

    def imaged(self, box: Tensor, turns: Tensor) -> PairInputs:
        """Return a copy in which beads stand at other periodic images of themselves.

        Parameters
        ----------
        box : torch.Tensor, shape (3, 3)
            Box vectors as rows, nm. For beads without a box any will do.
        turns : torch.Tensor, shape (N, 3)
            How many of each box vector to add to each bead.
        """
        moves = turns.to(box) @ box
        return replace(
            self,
            positions=self.positions + moves,
            shifts=self.shifts + moves[self.pairs[0]] - moves[self.pairs[1]],
        )

    def supercell(self, box: Tensor) -> PairInputs:
        """Return two copies side by side along the first vector of their periodic box.

        A pair that crosses the boundary there joins the two copies, both ways; all other pairs
        stay within a copy.
        """
        turns = torch.linalg.solve(box.T, self.shifts.T)[0].round().to(torch.int64)
        count = len(self.types)
        parts = []
        for copy in (0, 1):
            partner = torch.remainder(copy + turns, 2)
            pairs = torch.stack([self.pairs[0] + copy * count, self.pairs[1] + partner * count])
            parts.append((pairs, self.shifts + (copy - partner)[:, None] * box[0]))
        return replace(
            self,
            positions=torch.cat([self.positions, self.positions + box[0]]),
            types=self.types.repeat(2),
            pairs=torch.cat([pairs for pairs, _ in parts], dim=1),
            shifts=torch.cat([shifts for _, shifts in parts]),
            edge_types=self.edge_types.repeat(2),
        )

    def doubled(self) -> PairInputs:
        """Return two copies that do not see each other, as replicas."""
        return replace(
            self,
            positions=self.positions.repeat(2, 1),
            types=self.types.repeat(2),
            pairs=torch.cat([self.pairs, self.pairs + len(self.types)], dim=1),
            shifts=self.shifts.repeat(2, 1),
            edge_types=self.edge_types.repeat(2),
        )


def chain(
    n_beads: int,
    n_types: int,
    cutoff: float,
    parameters: list[float],
    seed: int,
    box: np.ndarray | None = None,
) -> PairInputs:
    """Make random beads, the first half of them one bonded chain and the rest single.

    Beads keep a distance of a tenth of the cutoff, where a network has seen data.

    Parameters
    ----------
    n_beads : int
        Number of beads.
    n_types : int
        Size of the vocabulary; types repeat in order.
    cutoff : float
        Range of the pair list in nm.
    parameters : list of float
        Global parameters.
    seed : int
        Of the positions.
    box : numpy.ndarray, shape (3, 3), optional
        Periodic box vectors as rows in reduced form, nm, which the beads then fill.

    Returns
    -------
    PairInputs
        In float64.
    """
    rng = np.random.default_rng(seed)
    side = np.eye(3) * 0.4 * cutoff * max(n_beads, 2) ** (1.0 / 3.0)
    placed: list[np.ndarray] = []
    while len(placed) < n_beads:
        trial = rng.uniform(0.0, 1.0, 3) @ (side if box is None else box)
        if all(np.linalg.norm(trial - other) > 0.1 * cutoff for other in placed):
            placed.append(trial)
    half = (n_beads + 1) // 2
    bonds = [(i, i + 1) for i in range(half - 1)]
    molecules = [0] * half + list(range(1, n_beads - half + 1))
    return inputs(
        np.array(placed), np.arange(n_beads) % n_types, bonds, molecules, cutoff, parameters, box
    )


def stored(card: Mapping[str, Any]) -> PairInputs:
    """Build the configuration that a card holds, in its box if it has one.

    Parameters
    ----------
    card : mapping
        Card of a model that takes pairs, with a topology.

    Returns
    -------
    PairInputs
        In float64.
    """
    topology = card["topology"]
    return inputs(
        np.array(topology["positions"], dtype=np.float64),
        np.array(topology["types"]),
        topology["bonds"],
        topology["molecules"],
        card["cutoff"],
        [entry["default"] for entry in card["parameters"]],
        topology.get("box"),
    )


def inputs(
    positions: np.ndarray,
    types: np.ndarray,
    bonds: Sequence[Sequence[int]],
    molecules: Sequence[int],
    cutoff: float,
    parameters: list[float],
    box: Any = None,
) -> PairInputs:
    """Build the pair list of beads, sorted by first and then by second index.

    Parameters
    ----------
    positions : numpy.ndarray, shape (N, 3)
        nm.
    types : numpy.ndarray of int, shape (N,)
        Bead types.
    bonds : sequence of pairs of int
        Bonded beads.
    molecules : sequence of int
        Molecule index of every bead.
    cutoff : float
        nm.
    parameters : list of float
        Global parameters.
    box : array_like, shape (3, 3), optional
        Periodic box vectors as rows in reduced form, nm.

    Returns
    -------
    PairInputs
        In float64.

    Raises
    ------
    ValueError
        If the cutoff is more than half of the box.
    """
    search = PairList(molecules, [(i, j) for i, j in bonds], cutoff)
    cell = None if box is None else np.asarray(box, dtype=np.float64)
    pairs, shifts, edges, count = search.update(positions, cell)
    return PairInputs(
        positions=torch.from_numpy(positions.astype(np.float64)),
        types=torch.from_numpy(types.astype(np.int64)),
        pairs=torch.from_numpy(pairs[:, :count].copy()),
        shifts=torch.from_numpy(shifts[:count].copy()),
        edge_types=torch.from_numpy(edges[:count].copy()),
        parameters=torch.tensor(parameters, dtype=torch.float64),
    )

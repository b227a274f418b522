"""Random beads with their pair lists, on which models are tried."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from openmmcg.models import edge_types


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
    n_beads: int, n_types: int, cutoff: float, parameters: list[float], seed: int
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

    Returns
    -------
    PairInputs
        In float64.
    """
    rng = np.random.default_rng(seed)
    side = 0.4 * cutoff * max(n_beads, 2) ** (1.0 / 3.0)
    placed: list[np.ndarray] = []
    while len(placed) < n_beads:
        trial = rng.uniform(0.0, side, 3)
        if all(np.linalg.norm(trial - other) > 0.1 * cutoff for other in placed):
            placed.append(trial)
    half = (n_beads + 1) // 2
    bonds = [(i, i + 1) for i in range(half - 1)]
    molecules = [0] * half + list(range(1, n_beads - half + 1))
    return inputs(
        np.array(placed), np.arange(n_beads) % n_types, bonds, molecules, cutoff, parameters
    )


def inputs(
    positions: np.ndarray,
    types: np.ndarray,
    bonds: list[tuple[int, int]],
    molecules: list[int],
    cutoff: float,
    parameters: list[float],
) -> PairInputs:
    """Build the pair list of beads without a box, sorted by first index.

    Parameters
    ----------
    positions : numpy.ndarray, shape (N, 3)
        nm.
    types : numpy.ndarray of int, shape (N,)
        Bead types.
    bonds : list of pairs of int
        Bonded beads.
    molecules : list of int
        Molecule index of every bead.
    cutoff : float
        nm.
    parameters : list of float
        Global parameters.

    Returns
    -------
    PairInputs
        In float64.
    """
    distance = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
    np.fill_diagonal(distance, np.inf)
    pairs = np.stack(np.nonzero(distance < cutoff))
    return PairInputs(
        positions=torch.from_numpy(positions.astype(np.float64)),
        types=torch.from_numpy(types.astype(np.int64)),
        pairs=torch.from_numpy(pairs),
        shifts=torch.zeros((pairs.shape[1], 3), dtype=torch.float64),
        edge_types=torch.from_numpy(edge_types(bonds, molecules, pairs)),
        parameters=torch.tensor(parameters, dtype=torch.float64),
    )

"""All pairs of one molecule, laid out for batches of its conformations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from openmmcg.models.edge_types import edge_types


@dataclass(frozen=True)
class PairTemplate:
    """Pairs of a set of beads, every bead with every other one.

    Attributes
    ----------
    pairs : torch.Tensor of int64, shape (2, U)
        Every pair once, first index below the second; U = N (N - 1) / 2.
    edge_types : torch.Tensor of int64, shape (U,)
        Topological class of every pair.
    directed : torch.Tensor of int64, shape (2, N (N - 1))
        Both directions of every pair, sorted by the first index: N rows of N - 1 pairs.
    directed_edge_types : torch.Tensor of int64, shape (N (N - 1),)
        Topological class of every directed pair.
    undirected : torch.Tensor of int64, shape (N (N - 1),)
        Column of `pairs` to which a directed pair belongs.
    """

    pairs: Tensor
    edge_types: Tensor
    directed: Tensor
    directed_edge_types: Tensor
    undirected: Tensor

    @classmethod
    def from_topology(cls, bonds: ArrayLike, molecules: ArrayLike) -> PairTemplate:
        """Make the template of a set of beads.

        Parameters
        ----------
        bonds : array_like of int, shape (n_bonds, 2)
            Bonded beads.
        molecules : array_like of int, shape (n_beads,)
            Molecule index of every bead.

        Returns
        -------
        PairTemplate
        """
        n_beads = len(np.asarray(molecules))
        first, second = np.triu_indices(n_beads, k=1)
        column = np.zeros((n_beads, n_beads), dtype=np.int64)
        column[first, second] = column[second, first] = np.arange(len(first))
        i, j = np.nonzero(~np.eye(n_beads, dtype=bool))
        classes = edge_types(bonds, molecules, np.stack([first, second]))
        undirected = column[i, j]
        return cls(
            pairs=torch.from_numpy(np.stack([first, second])),
            edge_types=torch.from_numpy(classes),
            directed=torch.from_numpy(np.stack([i, j])),
            directed_edge_types=torch.from_numpy(classes[undirected]),
            undirected=torch.from_numpy(undirected),
        )

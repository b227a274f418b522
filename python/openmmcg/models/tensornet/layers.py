"""Layers of TensorNet."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from openmmcg.models.edge_types import EDGE_TYPE_COUNT
from openmmcg.models.tensornet.tensors import PartMixer, TensorAlgebra, gather

SELF = EDGE_TYPE_COUNT
"""Edge type of a bead with itself."""


class EdgeLinear(nn.Module):
    """A linear layer for each edge type, and one for a bead with itself.

    Parameters
    ----------
    inputs, outputs : int
        Numbers of features.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = 1.0 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(EDGE_TYPE_COUNT + 1, inputs, outputs))
        self.bias = nn.Parameter(torch.empty(EDGE_TYPE_COUNT + 1, outputs))
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, features: Tensor, edge_types: Tensor) -> Tensor:
        """Outputs (P, outputs) of features (P, inputs) with types (P,)."""
        chosen = torch.nn.functional.one_hot(edge_types, self.weight.size(0)).to(features.dtype)
        spread = chosen.unsqueeze(2) * features.unsqueeze(1)
        return spread.flatten(1) @ self.weight.flatten(0, 1) + chosen @ self.bias

    def of_frames(self, features: Tensor, edge_types: Tensor) -> Tensor:
        """Outputs (U, F, outputs) of features (U, F, inputs), one edge type a pair."""
        weight, bias = self.weight[edge_types], self.bias[edge_types]
        return torch.baddbmm(bias.unsqueeze(1), features, weight)


class TensorEmbedding(nn.Module):
    """First tensors of each bead, from the directions and types of its neighbours.

    ::

        X_i = sum_j Z_ij C(r_ij) [f_I(r_ij) 1 + f_A(r_ij) skew(r_ij) + f_S(r_ij) (r_ij r_ij - 1/3)]

    with Z_ij a mixture of the embeddings of both types, then mixed with weights that depend on
    its norm (Simeon & De Fabritiis 2023, eqs. 6 to 9). The sum includes the bead itself, which
    has no direction.

    Parameters
    ----------
    n_types : int
        Number of bead types.
    width : int
        Number of features.
    rbf : int
        Number of radial basis functions.
    """

    def __init__(self, n_types: int, width: int, rbf: int) -> None:
        super().__init__()
        self.width = width
        self.distance_projection = EdgeLinear(rbf, 3 * width)
        self.embedding = nn.Embedding(n_types, width)
        self.pair_embedding = nn.Linear(2 * width, width)
        self.algebra = TensorAlgebra(chiral=False)
        self.mixer = PartMixer(width)
        self.norm = nn.LayerNorm(width)
        self.gates = nn.Sequential(
            nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, 3 * width), nn.SiLU()
        )

    def forward(
        self,
        types: Tensor,
        pairs: Tensor,
        shapes: Tensor,
        factors: Tensor,
        own: Tensor,
    ) -> Tensor:
        """Tensors of beads.

        Parameters
        ----------
        types : torch.Tensor of int64, shape (N,)
            Bead types.
        pairs : torch.Tensor of int64, shape (2, P)
            Directed pairs.
        shapes : torch.Tensor, shape (9, P, F)
            Components of 1 + skew(r) + (r r - 1/3).
        factors : torch.Tensor, shape (P, F, 3 width)
            Projected radial functions times envelope.
        own : torch.Tensor, shape (1, 1, 3 width)
            The same of a bead with itself.

        Returns
        -------
        torch.Tensor, shape (9, N, F, width)
        """
        both = self.pair_embedding.weight
        features = self.embedding(types)
        receiver = features @ both[:, : self.width].t() + self.pair_embedding.bias
        sender = features @ both[:, self.width :].t()
        pair = receiver.index_select(0, pairs[0]) + sender.index_select(0, pairs[1])
        scaled = factors * pair.repeat(1, 3).unsqueeze(1)
        trace = own[..., : self.width] * (receiver + sender).unsqueeze(1)
        parts = shapes.unsqueeze(-1).split([1, 3, 5])
        tensors = gather(pairs, parts, scaled, types.size(0))
        tensors = tensors + torch.nn.functional.pad(trace.unsqueeze(0), [0, 0, 0, 0, 0, 0, 0, 8])
        gates = self.gates(self.norm(self.algebra.norm(tensors)))
        return self.mixer.scale(self.mixer(tensors), gates)


class Interaction(nn.Module):
    """Messages between tensors and their products (Simeon & De Fabritiis 2023, eqs. 10 to 13).

    ::

        X <- X / (|X|^2 + 1);  Y = mix(X);  M_i = sum_j C(r_ij) MLP(r_ij) Y_j
        dX = mix((Y M + M Y) / (|Y M + M Y|^2 + 1));  X <- X + dX + dX dX

    Parameters
    ----------
    width : int
        Number of features.
    rbf : int
        Number of radial basis functions.
    chiral : bool
        See `TensorAlgebra`.
    """

    def __init__(self, width: int, rbf: int, chiral: bool) -> None:
        super().__init__()
        self.algebra = TensorAlgebra(chiral)
        self.first = EdgeLinear(rbf, width)
        self.scalars = nn.Sequential(
            nn.SiLU(),
            nn.Linear(width, 2 * width),
            nn.SiLU(),
            nn.Linear(2 * width, 3 * width),
            nn.SiLU(),
        )
        self.before = PartMixer(width)
        self.after = PartMixer(width)

    def factors(self, basis: Tensor, edge_types: Tensor) -> Tensor:
        """Functions (P, 3 width) of the radial basis (P, rbf), without the envelope."""
        return self.scalars(self.first(basis, edge_types))

    def frame_factors(self, basis: Tensor, edge_types: Tensor) -> Tensor:
        """Functions (U, F, 3 width) of the radial basis (U, F, rbf), without the envelope."""
        return self.scalars(self.first.of_frames(basis, edge_types))

    def forward(self, tensors: Tensor, pairs: Tensor, factors: Tensor, own: Tensor) -> Tensor:
        """Changed tensors (9, N, F, width).

        Parameters
        ----------
        tensors : torch.Tensor, shape (9, N, F, width)
            Tensors of the beads.
        pairs : torch.Tensor of int64, shape (2, P)
            Directed pairs.
        factors : torch.Tensor, shape (P, F, 3 width)
            What `factors` gives, times the envelope.
        own : torch.Tensor, shape (1, 1, 3 width)
            The same of a bead with itself.
        """
        tensors = tensors / (self.algebra.norm(tensors) + 1.0)
        mixed = self.before(tensors)
        parts = mixed.split([1, 3, 5])
        senders = [
            parts[0].index_select(1, pairs[1]),
            parts[1].index_select(1, pairs[1]),
            parts[2].index_select(1, pairs[1]),
        ]
        received = gather(pairs, senders, factors, tensors.size(1))
        received = received + self.before.scale(mixed, own)
        product = self.algebra.product(mixed, received)
        change = self.after(product / (self.algebra.norm(product) + 1.0))
        return tensors + change + self.algebra.square(change)

"""SchNet for coarse-grained beads (CGSchNet)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from openmmcg.models.base import CGNetwork
from openmmcg.models.edge_types import EDGE_TYPE_COUNT
from openmmcg.models.radial import RadialBasis, distances
from openmmcg.models.template import PairTemplate


class Filters(nn.Module):
    """Continuous filters of all interactions: functions of distance and edge type only.

    A filter is a function of one number for each edge type, so it is expanded in the radial
    basis directly; a network in between could represent nothing more and costs most of the time
    of a training step.

    Parameters
    ----------
    rbf : int
        Number of radial basis functions.
    width : int
        Number of features.
    interactions : int
        Number of interactions.
    """

    def __init__(self, rbf: int, width: int, interactions: int) -> None:
        super().__init__()
        self.coefficients = nn.Parameter(torch.empty(EDGE_TYPE_COUNT, rbf, interactions * width))
        # About two neighbouring Gaussians overlap, so that filters start with unit variance.
        nn.init.normal_(self.coefficients, std=math.sqrt(0.5))

    def forward(self, basis: Tensor, edge_types: Tensor) -> Tensor:
        """Filters (P, interactions * width) of pairs with `basis` (P, rbf) and types (P,)."""
        chosen = torch.nn.functional.one_hot(edge_types, self.coefficients.size(0)).to(basis.dtype)
        spread = chosen.unsqueeze(2) * basis.unsqueeze(1)
        return spread.flatten(1) @ self.coefficients.flatten(0, 1)

    def of_interaction(self, index: int, width: int) -> Tensor:
        """Coefficients (edge types, rbf, width) of one interaction."""
        return self.coefficients[:, :, index * width : (index + 1) * width]


class InteractionBlock(nn.Module):
    """One round of messages between beads followed by an update of each bead.

    Parameters
    ----------
    width : int
        Number of features.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.sender = nn.Linear(width, width, bias=False)
        self.update = nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, width))

    def forward(self, features: Tensor, pairs: Tensor, filters: Tensor) -> Tensor:
        """Updated features (N, width) from directed pairs (2, P) and their filters (P, width)."""
        messages = self.sender(features).index_select(0, pairs[1]) * filters
        received = torch.zeros_like(features).index_add(0, pairs[0], messages)
        return features + self.update(received)


class SchNet(CGNetwork):
    """Continuous-filter convolutions on beads.

    Bead features start from an embedding of the type and are refined by rounds of messages
    ``x_j * W(|r_ij|, edge type)``; the energy of a bead is read out from its features (Schütt et
    al., J. Chem. Phys. 148:241722, 2018; for coarse-grained beads Husic et al., J. Chem. Phys.
    153:194101, 2020). Distances are the only geometry, so the energy is the same for mirror
    images; a signed prior tells them apart. The edge type in the filter keeps bonded partners
    from being exchangeable.

    Parameters
    ----------
    bead_types : sequence of str
        Vocabulary of bead types.
    cutoff : float
        Range of the filters in nm.
    width : int, default 64
        Number of features.
    interactions : int, default 2
        Rounds of messages.
    rbf : int, default 24
        Number of radial basis functions, at least 2.
    ranges : sequence of pairs of float, optional
        For each edge type the distances in nm that its radial basis covers; by default from 0
        to the cutoff.
    """

    name = "schnet"

    def __init__(
        self,
        bead_types: Sequence[str],
        cutoff: float,
        width: int = 64,
        interactions: int = 2,
        rbf: int = 24,
        ranges: Sequence[Sequence[float]] | None = None,
    ) -> None:
        for what, value, least in (
            ("width", width, 1),
            ("interactions", interactions, 1),
            ("rbf", rbf, 2),
        ):
            if value < least:
                raise ValueError(f"SchNet needs {what} of at least {least}, but it is {value}.")
        spans = [[float(low), float(high)] for low, high in ranges or []]
        spans = spans or [[0.0, cutoff]] * EDGE_TYPE_COUNT
        if len(spans) != EDGE_TYPE_COUNT or any(not 0 <= low < high for low, high in spans):
            raise ValueError(
                f"SchNet needs {EDGE_TYPE_COUNT} ranges (one for each edge type) of increasing "
                f"distances in nm, but they are {spans}."
            )
        hyperparameters = {
            "width": width,
            "interactions": interactions,
            "rbf": rbf,
            "ranges": spans,
        }
        super().__init__(bead_types, cutoff, hyperparameters)
        self.width = width
        self.embedding = nn.Embedding(len(self.bead_types), width)
        self.radial_basis = RadialBasis(rbf, cutoff, spans)
        self.filters = Filters(rbf, width, interactions)
        self.blocks = nn.ModuleList(InteractionBlock(width) for _ in range(interactions))
        self.readout = nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1))

    def bead_energies(
        self,
        positions: Tensor,
        types: Tensor,
        pairs: Tensor,
        shifts: Tensor,
        edge_types: Tensor,
        parameters: Tensor,
    ) -> Tensor:
        """Energy of every bead in kJ/mol, shape (N,); see `CGNetwork.forward`."""
        ends = positions.index_select(0, pairs[1]) + shifts
        distance = distances(ends - positions.index_select(0, pairs[0]))
        filters = self.filters(self.radial_basis(distance, edge_types), edge_types)
        features = self.embedding(types)
        for i, block in enumerate(self.blocks):
            features = block(features, pairs, filters[:, i * self.width : (i + 1) * self.width])
        return self.readout(features).squeeze(-1)

    def molecule_energies(
        self, positions: Tensor, types: Tensor, template: PairTemplate, parameters: Tensor
    ) -> Tensor:
        """Energies of many conformations of one molecule; see `CGNetwork.molecule_energies`.

        Frames are the second axis, so that picking beads or pairs copies whole blocks of
        memory. A filter is the same for both directions of a pair and is computed once. In the
        first interaction the senders are the same in all frames and go into the coefficients,
        which leaves one matrix product for each bead.
        """
        beads = len(types)
        points = positions.transpose(0, 1)
        first, second = template.pairs
        distance = distances(points.index_select(0, second) - points.index_select(0, first))
        basis = self.radial_basis(distance, template.edge_types.unsqueeze(1))
        features = self.embedding(types).unsqueeze(1)
        for index, block in enumerate(self.blocks):
            assert isinstance(block, InteractionBlock)
            coefficients = self.filters.of_interaction(index, self.width)
            senders = block.sender(features).index_select(0, template.directed[1])
            if index == 0:
                weights = coefficients.index_select(0, template.directed_edge_types) * senders
                own = basis.index_select(0, template.undirected).unflatten(0, (beads, -1))
                received = torch.bmm(
                    own.transpose(1, 2).flatten(2), weights.unflatten(0, (beads, -1)).flatten(1, 2)
                )
            else:
                filters = torch.bmm(basis, coefficients.index_select(0, template.edge_types))
                messages = senders * filters.index_select(0, template.undirected)
                received = messages.unflatten(0, (beads, -1)).sum(1)
            features = features + block.update(received)
        return self.readout(features).squeeze(-1).sum(0)

"""SchNet for coarse-grained beads (CGSchNet)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from openmmcg.models.base import CGNetwork
from openmmcg.models.chirality import TripleProducts
from openmmcg.models.filters import Filters
from openmmcg.models.options import Ranges, check_sizes, radial_basis
from openmmcg.models.radial import distances
from openmmcg.models.template import PairTemplate
from openmmcg.models.thermal import ThermalReadout


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
    images; a signed prior tells them apart, or the option `chiral`. The edge type in the filter
    keeps bonded partners from being exchangeable. Weights know bead types and edge types only, so
    one network serves any number of molecules.

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
        For each edge type the distances in nm that its Gaussians cover; by default from 0 to the
        cutoff. For the basis gaussian only.
    basis : {"gaussian", "bessel", "expnorm"}, default "gaussian"
        Radial basis functions, see `openmmcg.models.radial`.
    envelope : {"quintic", "cosine"}, default "quintic"
        How filters go to zero at the cutoff. With the cosine, which has one continuous
        derivative only, forces have a kink there.
    chiral : bool, default False
        Add triple products of vectors gathered by one more round of messages, so that mirror
        images differ. Slower, as vectors take part.
    thermal : ThermalReadout, optional
        How energies depend on the temperature; see `openmmcg.models.build`.
    """

    name = "schnet"

    def __init__(
        self,
        bead_types: Sequence[str],
        cutoff: float,
        width: int = 64,
        interactions: int = 2,
        rbf: int = 24,
        ranges: Ranges | None = None,
        basis: str = "gaussian",
        envelope: str = "quintic",
        chiral: bool = False,
        thermal: ThermalReadout | None = None,
    ) -> None:
        check_sizes("SchNet", width=(width, 1), interactions=(interactions, 1), rbf=(rbf, 2))
        functions, radial = radial_basis("SchNet", basis, rbf, cutoff, ranges, envelope)
        hyperparameters = {
            "width": width,
            "interactions": interactions,
            **radial,
            "chiral": chiral,
        }
        super().__init__(bead_types, cutoff, hyperparameters, thermal)
        std = functions.initial_std()
        self.width = width
        self.embedding = nn.Embedding(len(self.bead_types), width)
        self.radial_basis = functions
        self.filters = Filters(rbf, width, interactions, std)
        self.blocks = nn.ModuleList(InteractionBlock(width) for _ in range(interactions))
        self.readout = nn.Sequential(
            nn.Linear(width, width), nn.Tanh(), nn.Linear(width, self.n_channels)
        )
        self.vector_filters = Filters(rbf, width, 1, std) if chiral else None
        self.triple_products = TripleProducts(width) if chiral else None

    def bead_channels(
        self, positions: Tensor, types: Tensor, pairs: Tensor, shifts: Tensor, edge_types: Tensor
    ) -> Tensor:
        """Channels of every bead in kJ/mol, shape (N, n_channels); see `CGNetwork.forward`."""
        ends = positions.index_select(0, pairs[1]) + shifts
        vectors = ends - positions.index_select(0, pairs[0])
        distance = distances(vectors)
        basis = self.radial_basis(distance, edge_types)
        filters = self.filters(basis, edge_types)
        features = self.embedding(types)
        for i, block in enumerate(self.blocks):
            features = block(features, pairs, filters[:, i * self.width : (i + 1) * self.width])
        if self.vector_filters is not None and self.triple_products is not None:
            messages = features.index_select(0, pairs[1]) * self.vector_filters(basis, edge_types)
            directed = (vectors / distance.unsqueeze(-1)).unsqueeze(-1) * messages.unsqueeze(1)
            gathered = positions.new_zeros([positions.size(0), 3, self.width])
            gathered = gathered.index_add(0, pairs[0], directed)
            features = features + self.triple_products(gathered)
        return self.readout(features)

    def molecule_channels(self, positions: Tensor, types: Tensor, template: PairTemplate) -> Tensor:
        """Channels of many conformations of one molecule; see `CGNetwork.molecule_channels`.

        Frames are the second axis, so that picking beads or pairs copies whole blocks of
        memory. A filter is the same for both directions of a pair and is computed once. In the
        first interaction the senders are the same in all frames and go into the coefficients,
        which leaves one matrix product for each bead.
        """
        if self.triple_products is not None:
            return super().molecule_channels(positions, types, template)
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
        return self.readout(features).sum(0)

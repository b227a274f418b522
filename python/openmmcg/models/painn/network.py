"""PaiNN: messages of scalars and vectors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from openmmcg.models.chirality import TripleProducts
from openmmcg.models.directional import DirectionalNetwork
from openmmcg.models.filters import Filters
from openmmcg.models.options import Ranges, check_sizes, radial_basis
from openmmcg.models.thermal import ThermalReadout


class Message(nn.Module):
    """One round of messages (Schütt, Unke & Gastegger 2021, eqs. 7 and 8).

    ::

        ds_i = sum_j phi_s(s_j) W_s(r_ij)
        dv_i = sum_j phi_vs(s_j) W_vs(r_ij) r_ij / |r_ij| + phi_vv(s_j) W_vv(r_ij) v_j

    Parameters
    ----------
    width : int
        Number of features.
    """

    parts = 3

    def __init__(self, width: int) -> None:
        super().__init__()
        self.sender = nn.Sequential(
            nn.Linear(width, width), nn.SiLU(), nn.Linear(width, self.parts * width)
        )

    def forward(
        self, scalars: Tensor, vectors: Tensor, pairs: Tensor, directions: Tensor, filters: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Scalars (N, F, width) and vectors (N, F, 3, width); filters (P, F, 3 width)."""
        sent = self.sender(scalars).index_select(0, pairs[1]) * filters
        to_scalars, along_directions, along_vectors = sent.chunk(3, -1)
        to_vectors = directions.unsqueeze(-1) * along_directions.unsqueeze(-2)
        senders = vectors.index_select(0, pairs[1])
        to_vectors = to_vectors + senders * along_vectors.unsqueeze(-2)
        return (
            scalars.index_add(0, pairs[0], to_scalars),
            vectors.index_add(0, pairs[0], to_vectors),
        )


class FirstMessage(Message):
    """Messages while the vectors are all zero still: `Message` without its last term.

    Parameters
    ----------
    width : int
        Number of features.
    """

    parts = 2

    def forward(
        self, scalars: Tensor, vectors: Tensor, pairs: Tensor, directions: Tensor, filters: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Scalars (N, F, width) and vectors (N, F, 3, width); filters (P, F, 2 width)."""
        sent = self.sender(scalars).index_select(0, pairs[1]) * filters
        to_scalars, along_directions = sent.chunk(2, -1)
        to_vectors = directions.unsqueeze(-1) * along_directions.unsqueeze(-2)
        return (
            scalars.index_add(0, pairs[0], to_scalars),
            vectors.index_add(0, pairs[0], to_vectors),
        )


class Update(nn.Module):
    """Mixing of the features of each bead (Schütt, Unke & Gastegger 2021, eqs. 9 and 10).

    ::

        ds = a_ss(s, |V v|) + a_sv(s, |V v|) <U v, V v>
        dv = a_vv(s, |V v|) U v

    Parameters
    ----------
    width : int
        Number of features.
    chiral : bool
        Whether scalars also gain triple products of the vectors.
    last : bool
        Whether nothing needs the vectors afterwards; they are returned as they came.
    """

    def __init__(self, width: int, chiral: bool, last: bool) -> None:
        super().__init__()
        self.mix = nn.Linear(width, 2 * width, bias=False)
        self.scalar_gates = nn.Sequential(
            nn.Linear(2 * width, width), nn.SiLU(), nn.Linear(width, 2 * width)
        )
        self.vector_gates = None if last else nn.Linear(2 * width, width)
        self.triple_products = TripleProducts(width) if chiral else None

    def forward(self, scalars: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Scalars (N, F, width) and vectors (N, F, 3, width), changed."""
        left, right = self.mix(vectors).chunk(2, -1)
        # Smooth where the vector vanishes, as a lone bead's does; a sharper bend would amplify
        # rounding in single precision.
        norm = torch.sqrt((right * right).sum(-2) + 1e-2) - 0.1
        if self.triple_products is not None:
            scalars = scalars + self.triple_products(vectors)
        context = torch.cat([scalars, norm], -1)
        to_scalars, of_product = self.scalar_gates(context).chunk(2, -1)
        scalars = scalars + to_scalars + of_product * (left * right).sum(-2)
        if self.vector_gates is not None:
            vectors = vectors + self.vector_gates(context).unsqueeze(-2) * left
        return scalars, vectors


class Block(nn.Module):
    """One round: messages, then an update.

    Parameters
    ----------
    width : int
        Number of features.
    index : int
        Which round, from 0.
    chiral, last : bool
        See `Update`.
    """

    def __init__(self, width: int, index: int, chiral: bool, last: bool) -> None:
        super().__init__()
        self.message = FirstMessage(width) if index == 0 else Message(width)
        self.update = Update(width, chiral, last)
        self.begin = width * max(0, 3 * index - 1)
        self.end = self.begin + width * self.message.parts

    def forward(
        self, scalars: Tensor, vectors: Tensor, pairs: Tensor, directions: Tensor, filters: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Scalars and vectors, changed, with the filters (P, F, R) of all rounds."""
        own = filters[..., self.begin : self.end]
        scalars, vectors = self.message(scalars, vectors, pairs, directions, own)
        scalars, vectors = self.update(scalars, vectors)
        return scalars, vectors


class PaiNN(DirectionalNetwork):
    """Equivariant messages of scalars and vectors.

    Each bead carries scalars, from an embedding of its type, and vectors, zero at first. Messages
    and updates that mix the two keep scalars invariant and vectors equivariant; the energy of a
    bead is read out from its scalars (Schütt, Unke & Gastegger, ICML 2021, arXiv:2102.03150).
    Vectors let a bead know the angles between its neighbours after one round, so it needs fewer
    data than SchNet for stiff angles and torsions. The filters of each edge type have their own
    coefficients. The energy is the same for mirror images unless `chiral`.

    Parameters
    ----------
    bead_types : sequence of str
        Vocabulary of bead types.
    cutoff : float
        Range of the filters in nm.
    width : int, default 64
        Number of scalar and of vector features.
    interactions : int, default 2
        Rounds of messages and updates.
    rbf : int, default 24
        Number of radial basis functions, at least 2.
    ranges : sequence of pairs of float, optional
        For each edge type the distances in nm that its Gaussians cover; by default from 0 to the
        cutoff. For the basis gaussian only.
    basis : {"gaussian", "bessel", "expnorm"}, default "gaussian"
        Radial basis functions, see `openmmcg.models.radial`. The paper has bessel.
    envelope : {"quintic", "cosine"}, default "quintic"
        How filters go to zero at the cutoff. The paper has the cosine.
    chiral : bool, default False
        Add triple products of the vectors to the scalars in each update, so that mirror images
        differ.
    thermal : ThermalReadout, optional
        How energies depend on the temperature; see `openmmcg.models.build`.
    """

    name = "painn"

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
        check_sizes("PaiNN", width=(width, 1), interactions=(interactions, 1), rbf=(rbf, 2))
        functions, radial = radial_basis("PaiNN", basis, rbf, cutoff, ranges, envelope)
        hyperparameters = {
            "width": width,
            "interactions": interactions,
            **radial,
            "chiral": chiral,
        }
        super().__init__(bead_types, cutoff, hyperparameters, thermal)
        self.width = width
        self.embedding = nn.Embedding(len(self.bead_types), width)
        self.radial_basis = functions
        self.filters = Filters(rbf, width, 3 * interactions - 1, functions.initial_std())
        self.blocks = nn.ModuleList(
            Block(width, i, chiral, last=i == interactions - 1) for i in range(interactions)
        )
        self.readout = nn.Sequential(
            nn.Linear(width, width), nn.SiLU(), nn.Linear(width, self.n_channels)
        )

    def radial(self, distance: Tensor, edge_types: Tensor) -> Tensor:
        """Filters of all rounds; see `DirectionalNetwork.radial`."""
        return self.filters(self.radial_basis(distance, edge_types), edge_types)

    def frame_radial(self, distance: Tensor, edge_types: Tensor) -> Tensor:
        """Filters of all rounds; see `DirectionalNetwork.frame_radial`."""
        return self.filters.of_frames(
            self.radial_basis(distance, edge_types.unsqueeze(1)), edge_types
        )

    def frame_channels(
        self, types: Tensor, pairs: Tensor, directions: Tensor, radial: Tensor
    ) -> Tensor:
        """Channels (N, F, n_channels) in kJ/mol; see `DirectionalNetwork.frame_channels`."""
        frames = directions.size(1)
        scalars = self.embedding(types).unsqueeze(1).expand(-1, frames, -1)
        vectors = scalars.new_zeros([scalars.size(0), frames, 3, self.width])
        for block in self.blocks:
            scalars, vectors = block(scalars, vectors, pairs, directions, radial)
        return self.readout(scalars)

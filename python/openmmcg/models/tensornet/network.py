"""TensorNet: messages of 3 x 3 tensors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from openmmcg.models.directional import DirectionalNetwork
from openmmcg.models.options import Ranges, check_sizes, radial_basis
from openmmcg.models.radial import envelope as envelope_of
from openmmcg.models.tensornet.layers import SELF, Interaction, TensorEmbedding
from openmmcg.models.tensornet.tensors import TensorAlgebra
from openmmcg.models.thermal import ThermalReadout


class TensorNet(DirectionalNetwork):
    """Equivariant messages of Cartesian tensors of rank two.

    Each feature of a bead is a 3 x 3 matrix, that is a scalar, a vector and a symmetric traceless
    tensor; interactions multiply a bead's matrices with those gathered from its neighbours, and
    the energy is read out from the norms of the parts (Simeon & De Fabritiis, NeurIPS 2023,
    arXiv:2306.06482). Every edge type has its own first radial layer. Weights of TensorNet of
    torchmd-net load with `load_torchmdnet`. The energy is the same for mirror images unless
    `chiral`.

    Parameters
    ----------
    bead_types : sequence of str
        Vocabulary of bead types.
    cutoff : float
        Range in nm.
    width : int, default 64
        Number of features.
    interactions : int, default 2
        Rounds of messages after the embedding, which is a round by itself.
    rbf : int, default 24
        Number of radial basis functions, at least 2.
    ranges : sequence of pairs of float, optional
        For each edge type the distances in nm that its Gaussians cover; for the basis gaussian
        only.
    basis : {"expnorm", "gaussian", "bessel"}, default "expnorm"
        Radial basis functions, see `openmmcg.models.radial`; the paper has expnorm.
    envelope : {"quintic", "cosine"}, default "quintic"
        How messages go to zero at the cutoff. The paper has the cosine.
    chiral : bool, default False
        Multiply tensors by the plain matrix product, which SO(3) allows, instead of its
        anticommutator, which O(3) needs: mirror images differ then. Costs nothing.
    thermal : ThermalReadout, optional
        How energies depend on the temperature; see `openmmcg.models.build`.
    """

    name = "tensornet"

    def __init__(
        self,
        bead_types: Sequence[str],
        cutoff: float,
        width: int = 64,
        interactions: int = 2,
        rbf: int = 24,
        ranges: Ranges | None = None,
        basis: str = "expnorm",
        envelope: str = "quintic",
        chiral: bool = False,
        thermal: ThermalReadout | None = None,
    ) -> None:
        check_sizes("TensorNet", width=(width, 2), interactions=(interactions, 0), rbf=(rbf, 2))
        functions, radial = radial_basis("TensorNet", basis, rbf, cutoff, ranges, envelope)
        hyperparameters = {
            "width": width,
            "interactions": interactions,
            **radial,
            "chiral": chiral,
        }
        super().__init__(bead_types, cutoff, hyperparameters, thermal)
        self.width = width
        self.envelope = envelope
        self.own_type = SELF
        self.radial_basis = functions
        self.algebra = TensorAlgebra(chiral)
        self.tensor_embedding = TensorEmbedding(len(self.bead_types), width, rbf)
        self.layers = nn.ModuleList(Interaction(width, rbf, chiral) for _ in range(interactions))
        self.norm = nn.LayerNorm(3 * width)
        self.linear = nn.Linear(3 * width, width)
        self.readout = nn.Sequential(
            nn.Linear(width, width // 2), nn.SiLU(), nn.Linear(width // 2, self.n_channels)
        )

    def radial(self, distance: Tensor, edge_types: Tensor) -> Tensor:
        """Factors of all layers; see `DirectionalNetwork.radial`."""
        basis = self.radial_basis(distance, edge_types)
        parts = [self.tensor_embedding.distance_projection(basis, edge_types)]
        for layer in self.layers:
            parts.append(layer.factors(basis, edge_types))  # type: ignore[operator]
        smooth = envelope_of(distance, self.cutoff, self.envelope)
        return torch.cat(parts, -1) * smooth.unsqueeze(-1)

    def frame_radial(self, distance: Tensor, edge_types: Tensor) -> Tensor:
        """Factors of all layers; see `DirectionalNetwork.frame_radial`."""
        basis = self.radial_basis(distance, edge_types.unsqueeze(1))
        parts = [self.tensor_embedding.distance_projection.of_frames(basis, edge_types)]
        for layer in self.layers:
            parts.append(layer.frame_factors(basis, edge_types))  # type: ignore[operator]
        smooth = envelope_of(distance, self.cutoff, self.envelope)
        return torch.cat(parts, -1) * smooth.unsqueeze(-1)

    def frame_channels(
        self, types: Tensor, pairs: Tensor, directions: Tensor, radial: Tensor
    ) -> Tensor:
        """Channels (N, F, n_channels) in kJ/mol; see `DirectionalNetwork.frame_channels`."""
        # One entry for the embedding and for each layer.
        factors = radial.split(3 * self.width, -1)
        own = self.own_radial(directions).split(3 * self.width, -1)
        shapes = self.algebra.of_directions(directions)
        tensors = self.tensor_embedding(types, pairs, shapes, factors[0], own[0])
        for i, layer in enumerate(self.layers):
            tensors = layer(tensors, pairs, factors[i + 1], own[i + 1])
        scalars = torch.nn.functional.silu(self.linear(self.norm(self.algebra.part_norms(tensors))))
        return self.readout(scalars)

    def own_radial(self, like: Tensor) -> Tensor:
        """Factors (1, 1, R) of a bead with itself: distance zero, edge type of its own."""
        nothing = torch.zeros([1], dtype=like.dtype, device=like.device)
        # The radial basis has no range of its own for a bead with itself; any does.
        basis = self.radial_basis(nothing, nothing.to(torch.int64))
        self_type = torch.full([1], self.own_type, dtype=torch.int64, device=like.device)
        parts = [self.tensor_embedding.distance_projection(basis, self_type)]
        for layer in self.layers:
            parts.append(layer.factors(basis, self_type))  # type: ignore[operator]
        return torch.cat(parts, -1).unsqueeze(0)
